//! Everything durable: SQL on SQLite or PostgreSQL, one text and one migration set for both.
//!
//! One store call is one transaction and keeps one invariant: it writes first (that takes the lock), reads
//! next, decides last, and numbers its change in the feed at the very end. Deliberately absent: clocks and
//! randomness (passed in), permission (control), caching (verifier). SQL and rows never leave this crate.

mod accounts;
mod activity;
mod activity_file;
mod audit;
mod audit_chain;
mod audit_check;
mod audit_erased;
mod audit_export;
mod audit_fault;
mod audit_retention;
mod audit_signing;
mod audit_start;
mod audit_trail;
mod budgets;
mod change;
mod copy;
mod email_changes;
mod error;
mod feed;
mod flush;
mod health;
mod hex;
mod hints;
mod idempotency;
mod key_lists;
mod key_owner;
mod keys;
mod line;
mod links;
mod migrations;
mod news;
mod notifications;
mod observations;
mod open;
mod outbox;
mod page;
mod passwords;
mod places;
mod plans;
mod prefixes;
mod recipients;
mod relabel;
mod revoke;
mod roster;
mod rotate;
mod schema;
mod secret_hours;
mod sessions;
mod sign_in;
mod sql;
mod tokens;
mod usage;
mod users;
mod value;
mod verification;
mod week;

pub use accounts::{AccountFilter, AccountUpdate, NewAccount};
pub use activity::{ActivityActor, ActivityFilter, ActivityPlace, ChainedEvent};
pub use activity_file::{ActivityFileReport, check_activity_file};
pub use audit_check::ChainReport;
pub use audit_export::{ExportError, ExportSummary, check_audit_export};
pub use audit_fault::AuditFault;
pub use audit_retention::AuditPruning;
pub use audit_signing::{AuditPublicKey, AuditSignature, AuditSigner, NotAKey, SignatureKind};
pub use audit_start::TrailStart;
pub use audit_trail::{HeadSigning, KnownHead};
pub use budgets::{BudgetDraw, BudgetGrant};
pub use change::{Change, Committed};
pub use copy::{MoveError, MoveReport, MovedTable, move_to_postgres};
pub use email_changes::{AskingLimit, ConfirmedEmail, EmailChangeRecord, NewEmailChange};
pub use error::{Cause, Error};
pub use health::{
    CONNECTIONS_OF_A_NODE, Connections, Durability, LongTransaction, NodeFacts, PostgresProbe, Prepared,
    ServerFacts, Standby, notifications_arrive,
};
pub use hints::MinutePeak;
pub use idempotency::{Idempotency, IdempotencyRecord};
pub use keys::NewKey;
pub use line::NodeLine;
pub use links::{LinkRecord, NewLink};
pub use news::{EndingKey, ReachedLimit, RestingKey};
pub use notifications::NotificationChoices;
pub use open::{OpenOptions, Store};
pub use page::{Page, PageRequest};
pub use passwords::Proven;
pub use relabel::KeyUpdate;
pub use rotate::{KeySecret, NewSecret, Rotation};
pub use schema::SchemaStatus;
pub use sessions::{EndSession, EndSessions, NewSession, SessionListing, SessionRecord, SessionSeed};
pub use sign_in::OpenedByLink;
pub use tokens::{LoadedTokens, NewToken};
pub use users::NewUser;
pub use verification::{KeyFacts, LoadedKey};
