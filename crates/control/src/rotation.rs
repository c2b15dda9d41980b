//! Rotating keys: another secret for the same key, while the old one works a little longer or not at all.

use std::net::IpAddr;
use std::time::Duration;

use rndrkit_domain::audit::Action;
use rndrkit_domain::id::KeyId;
use rndrkit_domain::key::ApiKey;
use rndrkit_domain::key_text::{self, Digest, Mask};
use rndrkit_domain::observation::{SECRET_HOUR, SecretHour};
use rndrkit_domain::rotation::{Advice, DEFAULT_OVERLAP, MAX_OVERLAP, PAUSES_WITHIN, Stretch, Uses};
use rndrkit_domain::time::Timestamp;
use rndrkit_domain::token::Scope;
use rndrkit_store::{Error as StoreError, KeySecret, NewSecret, Rotation};

use crate::event::Subject;
use crate::idempotency::{Begin, repeated_resource};
use crate::{Confirmation, Context, Control, Created, Error, IdempotencyRequest};

/// The most keys of a list whose old secrets are looked into. Few accounts have more keys, and fewer rotate them all
/// at once; of the others their own page shows it.
const MAX_LOOKED_INTO: usize = 20;

/// Who uses the secrets of a key while two of them work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RotationUse {
    /// The key.
    pub key_id: KeyId,
    /// What may be shown of the old secret.
    pub old_mask: Mask,
    /// When it ends.
    pub works_until: Timestamp,
    /// When it was last used.
    pub old_last_at: Option<Timestamp>,
    /// From where.
    pub old_ip: Option<IpAddr>,
    /// With what, as the client calls itself.
    pub old_user_agent: Option<String>,
    /// When the new one was last used.
    pub new_last_at: Option<Timestamp>,
    /// Whether the old one may be ended without harm.
    pub advice: Advice,
}

/// A key with its new secret's mask, and who follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RotatedKey {
    /// The key.
    pub key: ApiKey,
    /// Who knows when the old secret ends. None: not every node is known to; where the old secret was to end at
    /// once, it may still be accepted, and [`Control::end_previous`] finds out.
    pub confirmation: Option<Confirmation>,
}

/// A key whose old secret is refused everywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedPrevious {
    /// The key.
    pub key: ApiKey,
    /// Who refuses it.
    pub confirmation: Confirmation,
}

impl Control {
    /// Gives a key another secret, which is in the answer and nowhere else. The old one works on for the overlap
    /// (24 hours when none is given); with none it is refused everywhere when this answers, as after a revocation.
    pub async fn rotate_key(
        &self,
        context: &Context,
        id: KeyId,
        overlap_seconds: Option<u64>,
        idempotency: Option<IdempotencyRequest<'_>>,
    ) -> Result<Created<RotatedKey>, Error> {
        let only_account = context.only_account()?;
        let wanted = idempotency.map(|request| request.fingerprint);
        let route = format!("keys/{id}/rotate");
        let place = match self.begin_create(context, &route, idempotency).await? {
            Begin::Fresh(place) => place,
            Begin::Repeat(id) => return self.repeated_rotation(context, &id).await,
        };
        let overlap = check_overlap(overlap_seconds)?;
        let (control, context) = (self.clone(), context.clone());
        self.to_the_end(async move {
            control.prefix_is_stored().await?;
            let prefix = control.settings().key_prefix.clone();
            let minted = key_text::mint(&prefix, control.entropy());
            let digest = minted.digest;
            let secret = NewSecret { digest, prefix, mask: minted.mask };
            let rotation = Rotation { key_id: id, only_account, secret, overlap };
            let at = control.now();
            let mut event = control.event(&context, at, Action::KeyRotated, only_account, Subject::Key(id));
            event.details = vec![("overlap_seconds", overlap.as_secs().to_string())];
            let (record, _place) = place.unzip();
            let made = control.store().rotate_key(rotation, record, control.change(at), event).await;
            let (key, number) = match made {
                Err(unknown @ StoreError::OutcomeUnknown(_)) => {
                    control.find_made(unknown, || control.find_rotated(id, digest)).await?
                }
                Err(error) => {
                    return control.repeated_rotation(&context, &repeated_resource(error, wanted)?).await;
                }
                Ok(committed) => (committed.value, committed.number),
            };
            // The new secret is in this answer or nowhere, so it is given also when the wait fails: without it
            // the key would have to be rotated again, and that ends the secret which is in use at once.
            let confirmation = control.confirm(number).await;
            if let Err(error) = &confirmation {
                tracing::warn!(%error, key = %id, "a rotation was not confirmed");
            }
            let value = RotatedKey { key, confirmation: confirmation.ok() };
            Ok(Created { value, secret: Some(minted.secret) })
        })
        .await
    }

    /// The key, if it has the secret.
    async fn find_rotated(&self, id: KeyId, digest: Digest) -> Result<Option<ApiKey>, StoreError> {
        match self.store().load_key(digest).await?.found {
            Some(_) => self.store().find_key(id).await,
            None => Ok(None),
        }
    }

    /// Waits anew, as every repeat of what takes something away. The number that is newest now is not below the
    /// rotation's.
    async fn repeated_rotation(&self, context: &Context, id: &str) -> Result<Created<RotatedKey>, Error> {
        let id: KeyId = id.parse().map_err(Error::internal)?;
        let key = self.get_key(context, id).await?;
        let confirmation = self.confirm(self.store().feed_head().await?.number).await?;
        Ok(Created { value: RotatedKey { key, confirmation: Some(confirmation) }, secret: None })
    }

    /// Who uses the secrets of a key; none when only one of them works.
    pub async fn rotation_use(&self, context: &Context, key: &ApiKey) -> Result<Option<RotationUse>, Error> {
        context.require_operator_or_user(key.account_id, Scope::Read)?;
        self.look_into(key, self.now()).await
    }

    /// The same of each of these keys.
    pub(crate) async fn rotation_uses(
        &self,
        keys: &[ApiKey],
        now: Timestamp,
    ) -> Result<Vec<RotationUse>, Error> {
        let mut uses = Vec::new();
        for key in keys.iter().filter(|key| key.previous_at(now).is_some()).take(MAX_LOOKED_INTO) {
            uses.extend(self.look_into(key, now).await?);
        }
        Ok(uses)
    }

    async fn look_into(&self, key: &ApiKey, now: Timestamp) -> Result<Option<RotationUse>, Error> {
        let Some(previous) = key.previous_at(now) else { return Ok(None) };
        let secrets = self.store().list_secrets(key.id).await?;
        let new = secrets.iter().find(|secret| secret.ends_at.is_none());
        let old = secrets.iter().find(|secret| secret.ends_at.is_some_and(|end| end > now));
        let (Some(new), Some(old)) = (new, old) else { return Ok(None) };
        let sightings = self.store().list_sightings(key.id).await?;
        let sighting_of = |secret: &KeySecret| sightings.iter().find(|seen| seen.digest == secret.digest);
        // Counting and observing are written apart, so one may be ahead of the other.
        let last_use = |secret: &KeySecret| secret.last_used_at.max(sighting_of(secret).map(|seen| seen.at));
        // A day more, as long as such hours are kept, so that a pause which ended within the time has its beginning.
        let since = now.minus(PAUSES_WITHIN + SECRET_HOUR * 24);
        let hours = self.store().secret_hours(key.id, since).await?;
        let uses = Uses {
            old_made_at: old.created_at,
            old_last_at: last_use(old),
            old_stretches: &stretches_of(old, &hours),
            new_last_at: last_use(new),
        };
        let old_sighting = sighting_of(old);
        Ok(Some(RotationUse {
            key_id: key.id,
            old_mask: previous.mask.clone(),
            works_until: previous.works_until,
            old_last_at: uses.old_last_at,
            old_ip: old_sighting.and_then(|seen| seen.ip),
            old_user_agent: old_sighting.and_then(|seen| seen.user_agent.clone()),
            new_last_at: uses.new_last_at,
            advice: uses.advice(now),
        }))
    }

    /// Ends the old secret of a rotated key. Answers when no node accepts it any more; repeating it confirms anew.
    pub async fn end_previous(&self, context: &Context, id: KeyId) -> Result<EndedPrevious, Error> {
        let only_account = context.only_account()?;
        let (control, context) = (self.clone(), context.clone());
        self.to_the_end(async move {
            let at = control.now();
            let event = control.event(&context, at, Action::KeyPreviousEnded, only_account, Subject::Key(id));
            let change = control.change(at);
            let end = || control.store().end_previous(id, only_account, change, event.clone());
            let committed = control.change_surely(end).await?;
            let confirmation = control.confirm(committed.number).await?;
            Ok(EndedPrevious { key: committed.value, confirmation })
        })
        .await
    }
}

/// When a secret was in use, the oldest first.
fn stretches_of(secret: &KeySecret, hours: &[SecretHour]) -> Vec<Stretch> {
    let own = hours.iter().filter(|hour| hour.digest == secret.digest);
    let stretch = |hour: &SecretHour| Stretch {
        first_at: hour.first_at,
        last_at: hour.last_at,
        longest_pause: hour.longest_pause,
    };
    let mut stretches: Vec<Stretch> = own.map(stretch).collect();
    stretches.sort_unstable_by_key(|stretch| stretch.first_at);
    stretches
}

fn check_overlap(seconds: Option<u64>) -> Result<Duration, Error> {
    let overlap = seconds.map_or(DEFAULT_OVERLAP, Duration::from_secs);
    if overlap > MAX_OVERLAP {
        let most = MAX_OVERLAP.as_secs();
        return Err(Error::invalid("overlap_seconds", format!("Use a number of seconds from 0 to {most}.")));
    }
    Ok(overlap)
}
