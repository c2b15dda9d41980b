//! Rotating keys: another secret for the same key, while the old one works a little longer or not at all.

use std::net::IpAddr;
use std::time::Duration;

use rndrkit_domain::audit::Action;
use rndrkit_domain::id::KeyId;
use rndrkit_domain::key::ApiKey;
use rndrkit_domain::key_text::{self, Digest};
use rndrkit_domain::observation::SecretHour;
use rndrkit_domain::rotation::{Advice, DEFAULT_OVERLAP, MAX_OVERLAP, Stretch, USE_LOOKED_BACK, Uses};
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
    /// When the old one was last used.
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

/// How a key is to be rotated.
#[derive(Debug, Clone, Copy, Default)]
pub struct RotateInput<'a> {
    /// How long the old secret works on, in seconds; 24 hours when nobody says.
    pub overlap_seconds: Option<u64>,
    /// The mask of the secret that somebody was looking at when they decided; with another the key is left as it is.
    pub only_secret: Option<&'a str>,
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
        input: RotateInput<'_>,
        idempotency: Option<IdempotencyRequest<'_>>,
    ) -> Result<Created<RotatedKey>, Error> {
        let only_account = context.only_account()?;
        let wanted = idempotency.map(|request| request.fingerprint);
        let route = format!("keys/{id}/rotate");
        let place = match self.begin_create(context, &route, idempotency).await? {
            Begin::Fresh(place) => place,
            Begin::Repeat(id) => return self.repeated_rotation(context, &id).await,
        };
        let overlap = check_overlap(input.overlap_seconds)?;
        let only_secret = input.only_secret.map(ToOwned::to_owned);
        let (control, context) = (self.clone(), context.clone());
        self.to_the_end(async move {
            control.prefix_is_stored().await?;
            let prefix = control.settings().key_prefix.clone();
            let minted = key_text::mint(&prefix, control.entropy());
            let digest = minted.digest;
            let secret = NewSecret { digest, prefix, mask: minted.mask };
            let rotation = Rotation { key_id: id, only_account, only_secret, secret, overlap };
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

    /// Who uses the secrets of those of these keys of which two work.
    pub async fn rotation_uses(&self, context: &Context, keys: &[ApiKey]) -> Result<Vec<RotationUse>, Error> {
        let now = self.now();
        let mut uses = Vec::new();
        for key in keys.iter().filter(|key| key.previous_at(now).is_some()).take(MAX_LOOKED_INTO) {
            context.require_operator_or_user(key.account_id, Scope::Read)?;
            uses.extend(self.look_into(key, now).await?);
        }
        Ok(uses)
    }

    async fn look_into(&self, key: &ApiKey, now: Timestamp) -> Result<Option<RotationUse>, Error> {
        let store = self.store();
        let (secrets, sightings) =
            tokio::try_join!(store.list_secrets(key.id), store.list_sightings(key.id))?;
        let new = secrets.iter().find(|secret| secret.ends_at.is_none());
        let old = secrets.iter().find(|secret| secret.ends_at.is_some_and(|end| end > now));
        let (Some(new), Some(old)) = (new, old) else { return Ok(None) };
        let sighting_of = |secret: &KeySecret| sightings.iter().find(|seen| seen.digest == secret.digest);
        // Counting and observing are written apart, so one may be ahead of the other.
        let last_use = |secret: &KeySecret| secret.last_used_at.max(sighting_of(secret).map(|seen| seen.at));
        let hours = store.secret_hours(old.digest, now.minus(USE_LOOKED_BACK)).await?;
        let uses = Uses {
            old_made_at: old.created_at,
            old_last_at: last_use(old),
            old_stretches: &stretches_of(&hours),
            new_last_at: last_use(new),
        };
        let old_sighting = sighting_of(old);
        Ok(Some(RotationUse {
            key_id: key.id,
            old_last_at: uses.old_last_at,
            old_ip: old_sighting.and_then(|seen| seen.ip),
            old_user_agent: old_sighting.and_then(|seen| seen.user_agent.clone()),
            new_last_at: uses.new_last_at,
            advice: uses.advice(now),
        }))
    }

    /// Ends the old secret of a rotated key. Answers when no node accepts it any more; repeating it confirms anew. With
    /// the mask of the secret that somebody was looking at, another one is left as it is.
    pub async fn end_previous(
        &self,
        context: &Context,
        id: KeyId,
        only_secret: Option<&str>,
    ) -> Result<EndedPrevious, Error> {
        let only_account = context.only_account()?;
        let (control, context) = (self.clone(), context.clone());
        let only_secret = only_secret.map(ToOwned::to_owned);
        self.to_the_end(async move {
            let at = control.now();
            let event = control.event(&context, at, Action::KeyPreviousEnded, only_account, Subject::Key(id));
            let change = control.change(at);
            let only_secret = only_secret.as_deref();
            let end = || control.store().end_previous(id, only_account, only_secret, change, event.clone());
            let committed = control.change_surely(end).await?;
            let confirmation = control.confirm(committed.number).await?;
            Ok(EndedPrevious { key: committed.value, confirmation })
        })
        .await
    }
}

/// When a secret was in use, the oldest first.
fn stretches_of(hours: &[SecretHour]) -> Vec<Stretch> {
    let stretch = |hour: &SecretHour| Stretch {
        first_at: hour.first_at,
        last_at: hour.last_at,
        longest_pause: hour.longest_pause,
    };
    let mut stretches: Vec<Stretch> = hours.iter().map(stretch).collect();
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
