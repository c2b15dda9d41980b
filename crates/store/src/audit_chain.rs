//! How audit events are hashed, one by one. The check of a whole trail is in `audit_check`.
//!
//! What names a person is hashed apart, with a salt that is erased with it; the chain covers that hash only.

use sea_orm::FromQueryResult;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::hex;

/// The fields that can be erased.
pub(crate) struct Personal<'a> {
    pub(crate) actor_name: Option<&'a str>,
    pub(crate) ip: Option<&'a str>,
    pub(crate) user_agent: Option<&'a str>,
}

impl Personal<'_> {
    pub(crate) fn hash(&self, salt: &[u8]) -> [u8; 32] {
        let mut fields = Fields::new("rndrkit audit personal 1");
        fields.bytes(salt);
        for field in [self.actor_name, self.ip, self.user_agent] {
            fields.optional(field);
        }
        fields.finish()
    }
}

/// The fields that stay, as they are stored.
pub(crate) struct Public {
    pub(crate) id: String,
    pub(crate) at: i64,
    pub(crate) action: String,
    pub(crate) actor_type: String,
    pub(crate) actor_id: Option<String>,
    pub(crate) account_id: Option<String>,
    pub(crate) target_type: String,
    pub(crate) target_id: String,
    pub(crate) request_id: Option<String>,
    pub(crate) details: String,
}

/// What an event is hashed together with.
pub(crate) struct Link<'a> {
    pub(crate) previous: &'a [u8],
    pub(crate) personal: &'a [u8],
}

impl Public {
    pub(crate) fn hash(&self, seq: i64, link: &Link<'_>) -> [u8; 32] {
        let mut fields = Fields::new("rndrkit audit event 1");
        fields.bytes(link.previous);
        fields.bytes(&seq.to_le_bytes());
        fields.bytes(self.id.as_bytes());
        fields.bytes(&self.at.to_le_bytes());
        fields.bytes(self.action.as_bytes());
        fields.bytes(self.actor_type.as_bytes());
        fields.optional(self.actor_id.as_deref());
        fields.optional(self.account_id.as_deref());
        fields.bytes(self.target_type.as_bytes());
        fields.bytes(self.target_id.as_bytes());
        fields.optional(self.request_id.as_deref());
        fields.bytes(self.details.as_bytes());
        fields.bytes(link.personal);
        fields.finish()
    }
}

/// An encoding in which no two lists of fields look alike: each has its presence and length in front.
struct Fields(Sha256);

impl Fields {
    fn new(purpose: &str) -> Self {
        let mut fields = Self(Sha256::new());
        fields.bytes(purpose.as_bytes());
        fields
    }

    fn bytes(&mut self, field: &[u8]) {
        self.0.update([1]);
        self.0.update((field.len() as u64).to_le_bytes());
        self.0.update(field);
    }

    fn optional(&mut self, field: Option<&str>) {
        match field {
            Some(field) => self.bytes(field.as_bytes()),
            None => self.0.update([0]),
        }
    }

    fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

/// An event with its place in the chain: a row of the table, a line of an export. Its fields are written as they
/// are hashed; bytes are written in hex.
#[derive(Debug, Clone, FromQueryResult, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LinkedRow {
    pub(crate) seq: i64,
    pub(crate) id: String,
    #[serde(rename = "at_ms")]
    pub(crate) at: i64,
    pub(crate) action: String,
    pub(crate) actor_type: String,
    pub(crate) actor_id: Option<String>,
    pub(crate) actor_name: Option<String>,
    pub(crate) account_id: Option<String>,
    pub(crate) target_type: String,
    pub(crate) target_id: String,
    pub(crate) ip: Option<String>,
    pub(crate) user_agent: Option<String>,
    pub(crate) request_id: Option<String>,
    pub(crate) details: String,
    #[serde(with = "hex::optional")]
    pub(crate) personal_salt: Option<Vec<u8>>,
    #[serde(with = "hex::required")]
    pub(crate) personal_hash: Vec<u8>,
    #[serde(with = "hex::required")]
    pub(crate) previous_hash: Vec<u8>,
    #[serde(with = "hex::required")]
    pub(crate) hash: Vec<u8>,
}

/// The columns of a [`LinkedRow`].
macro_rules! linked_columns {
    () => {
        "seq, id, at, action, actor_type, actor_id, actor_name, account_id, target_type, target_id, ip, user_agent,
         request_id, details, personal_salt, personal_hash, previous_hash, hash"
    };
}
pub(crate) use linked_columns;

impl LinkedRow {
    /// Whether its content gives its hash.
    pub(crate) fn is_whole(&self) -> bool {
        let personal = Personal {
            actor_name: self.actor_name.as_deref(),
            ip: self.ip.as_deref(),
            user_agent: self.user_agent.as_deref(),
        };
        let personal_fits = match &self.personal_salt {
            Some(salt) => personal.hash(salt).as_slice() == self.personal_hash,
            None => personal.actor_name.is_none() && personal.ip.is_none() && personal.user_agent.is_none(),
        };
        let link = Link { previous: &self.previous_hash, personal: &self.personal_hash };
        personal_fits && self.public().hash(self.seq, &link).as_slice() == self.hash
    }

    fn public(&self) -> Public {
        Public {
            id: self.id.clone(),
            at: self.at,
            action: self.action.clone(),
            actor_type: self.actor_type.clone(),
            actor_id: self.actor_id.clone(),
            account_id: self.account_id.clone(),
            target_type: self.target_type.clone(),
            target_id: self.target_id.clone(),
            request_id: self.request_id.clone(),
            details: self.details.clone(),
        }
    }
}
