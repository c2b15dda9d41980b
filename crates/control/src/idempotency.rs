//! `Idempotency-Key`: a repeated create answers with what the first one made, without its secret.
//!
//! The record is written in the transaction of the create itself, so that a crash cannot part them. A
//! second call while the first still runs on this node is told so.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;
use rndrkit_domain::key_text::Digest;
use rndrkit_store::{Error as StoreError, Idempotency};

use crate::{Context, Control, Error, Principal};

/// What a caller sent.
#[derive(Debug, Clone, Copy)]
pub struct IdempotencyRequest<'a> {
    /// The header's value, unquoted.
    pub key: &'a str,
    /// Digest of the canonical body.
    pub fingerprint: Digest,
}

/// Creates with an idempotency key that run on this node now. Bounded by the requests in flight.
#[derive(Debug, Clone, Default)]
pub(crate) struct Running(Arc<Mutex<HashSet<Digest>>>);

/// Holds a place in [`Running`] until dropped.
#[derive(Debug)]
pub(crate) struct Place {
    running: Running,
    digest: Digest,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.running.0.lock().remove(&self.digest);
    }
}

/// What to do with a create.
pub(crate) enum Begin {
    /// Do it, and store this with it. The place is held until the answer is ready.
    Fresh(Option<(Idempotency, Place)>),
    /// It was done: this is the id of what it made.
    Repeat(String),
}

impl Control {
    /// Looks whether a create with this key was done before.
    pub(crate) async fn begin_create(
        &self,
        context: &Context,
        route: &str,
        request: Option<IdempotencyRequest<'_>>,
    ) -> Result<Begin, Error> {
        let Some(request) = request else { return Ok(Begin::Fresh(None)) };
        let digest = Digest::of(&format!("{}\n{route}\n{}", asker(context), request.key));
        let running = self.inner.running_creates.clone();
        if !running.0.lock().insert(digest) {
            return Err(Error::IdempotencyInProgress);
        }
        let place = Place { running, digest };
        match self.store().find_idempotency(digest, self.now()).await? {
            Some(record) if record.fingerprint == request.fingerprint => {
                Ok(Begin::Repeat(record.resource_id))
            }
            Some(_) => Err(Error::IdempotencyMismatch),
            None => Ok(Begin::Fresh(Some((Idempotency { digest, fingerprint: request.fingerprint }, place)))),
        }
    }
}

/// The resource that another node's create with the same key has just made, if that is what `error` says.
pub(crate) fn repeated_resource(error: StoreError, wanted: Option<Digest>) -> Result<String, Error> {
    match error {
        StoreError::IdempotencyReplay(record) if Some(record.fingerprint) == wanted => Ok(record.resource_id),
        StoreError::IdempotencyReplay(_) => Err(Error::IdempotencyMismatch),
        other => Err(other.into()),
    }
}

/// Keys of different askers never meet.
fn asker(context: &Context) -> String {
    match &context.principal {
        Principal::Operator { token: None, .. } => "operator".to_owned(),
        Principal::Operator { token: Some((id, _)), .. } => id.to_string(),
        Principal::User { account_id, .. } | Principal::KeyHolder { account_id, .. } => {
            account_id.to_string()
        }
        Principal::System => "system".to_owned(),
        Principal::Anonymous => "anonymous".to_owned(),
    }
}
