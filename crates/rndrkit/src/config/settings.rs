//! The settings that hold, as plain types. Knows nothing about where they came from.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use ipnet::IpNet;
use rndrkit_domain::key_text::{KeyPrefix, Secret};
use rndrkit_domain::plan::{Plan, PlanId};
use rndrkit_mail::{Sender, SmtpServer};

use super::public_url::PublicUrl;

/// A secret setting: can be copied, does not print.
pub type Hidden = Arc<Secret>;

/// All settings.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the data is.
    pub storage: Storage,
    /// Where it listens.
    pub listeners: Listeners,
    /// Who may ask.
    pub access: Access,
    /// The dashboard.
    pub site: Site,
    /// How mail is sent; none: it is not.
    pub mail: Option<Mail>,
    /// Keys and plans.
    pub product: Product,
    /// The API behind the gateway.
    pub gateway: Gateway,
    /// How decisions are made.
    pub decision: Decision,
    /// What is kept.
    pub retention: Retention,
    /// The log.
    pub logging: Logging,
}

/// Where the data is.
#[derive(Debug, Clone)]
pub struct Storage {
    /// `data_dir`.
    pub data_dir: PathBuf,
    /// `database_url`.
    pub database: Database,
    /// `database_control_url`; none: the node's own connection takes `database_url` too.
    pub control: Option<Hidden>,
}

/// The database.
#[derive(Debug, Clone)]
pub enum Database {
    /// A file on this machine.
    Sqlite {
        /// The file.
        path: PathBuf,
    },
    /// A server; the address may hold a password.
    Postgres {
        /// The whole address.
        url: Hidden,
    },
}

impl Database {
    /// The address to open it with. It may hold a password: never log it.
    #[must_use]
    pub fn url(&self) -> String {
        match self {
            // The driver reads the path as a URL's: it decodes what follows `%`, and ends it at `?`.
            Self::Sqlite { path } => {
                let path = path.display().to_string();
                format!("sqlite://{}", path.replace('%', "%25").replace('?', "%3F").replace('#', "%23"))
            }
            Self::Postgres { url } => url.reveal().to_owned(),
        }
    }

    /// The file, on SQLite.
    #[must_use]
    pub fn sqlite_path(&self) -> Option<&Path> {
        match self {
            Self::Sqlite { path } => Some(path),
            Self::Postgres { .. } => None,
        }
    }
}

/// Where it listens.
#[derive(Debug, Clone)]
pub struct Listeners {
    /// `public_listen`.
    pub public: SocketAddr,
    /// `internal_listen`.
    pub internal: SocketAddr,
    /// `gateway_listen`.
    pub gateway: Option<SocketAddr>,
    /// `authz_listen`.
    pub authz: Option<SocketAddr>,
    /// `telemetry_listen`.
    pub telemetry: Option<SocketAddr>,
    /// `tls_certificate` and `tls_key`.
    pub tls: Option<TlsFiles>,
    /// `trusted_proxies`.
    pub trusted_proxies: Vec<IpNet>,
    /// `shutdown_seconds`.
    pub shutdown: Duration,
}

/// Files for HTTPS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// `tls_certificate`.
    pub certificate: PathBuf,
    /// `tls_key`.
    pub key: PathBuf,
}

/// Who may ask.
#[derive(Debug, Clone)]
pub struct Access {
    /// `operator_token`; none: the data folder's file holds it.
    pub operator_token: Option<Hidden>,
    /// `audit_signing_key`; none: the data folder's file holds it, or nothing is signed.
    pub audit_signing_key: Option<Hidden>,
    /// `authz_callers`.
    pub authz_callers: Vec<IpNet>,
    /// `authz_secret`.
    pub authz_secret: Option<Hidden>,
}

/// Who may make an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignUp {
    /// Anybody.
    Open,
    /// Whoever has a link.
    Invite,
    /// Nobody.
    Closed,
}

/// Who changes plans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Billing {
    /// People do, free of charge.
    Off,
    /// The operator API alone.
    Operator,
}

/// The dashboard.
#[derive(Debug, Clone)]
pub struct Site {
    /// `public_url`.
    pub public_url: PublicUrl,
    /// `insecure_http`.
    pub insecure_http: bool,
    /// `brand_name`.
    pub brand_name: String,
    /// `sign_up`.
    pub sign_up: SignUp,
    /// `billing`.
    pub billing: Billing,
    /// `password_min_length`.
    pub password_min_length: u32,
}

/// How mail is sent.
#[derive(Debug, Clone)]
pub struct Mail {
    /// `smtp_url`.
    pub server: SmtpServer,
    /// `mail_from`.
    pub from: Sender,
}

/// Keys and plans.
#[derive(Debug, Clone)]
pub struct Product {
    /// `key_prefix`.
    pub key_prefix: KeyPrefix,
    /// `plans`, by rank.
    pub plans: Vec<Plan>,
    /// `default_plan`; one of `plans`.
    pub default_plan: PlanId,
    /// `rotate_after_days`; none: never.
    pub rotate_after: Option<Duration>,
}

/// The API behind the gateway.
#[derive(Debug, Clone)]
pub struct Gateway {
    /// `own_path`.
    pub own_path: String,
    /// `routes`, with the one that `upstream_url` stands for.
    pub routes: Vec<Route>,
}

/// A route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Begins and ends with `/`; stands for everything below.
    pub path: String,
    /// Scheme, host and port.
    pub upstream: Uri,
    /// `key`.
    pub key: KeyRule,
    /// `host`.
    pub host: HostRule,
    /// `preflight`.
    pub preflight: PreflightRule,
}

/// Whether requests need a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyRule {
    /// They do.
    Required,
    /// They pass without.
    None,
}

/// The `Host` that the upstream sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostRule {
    /// The caller's.
    Client,
    /// The upstream's own.
    Upstream,
}

/// What happens to a CORS preflight, which cannot carry a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PreflightRule {
    /// It needs a key like every request.
    Refuse,
    /// It passes.
    Pass,
}

/// How decisions are made.
#[derive(Debug, Clone)]
pub struct Decision {
    /// `cache_keys`.
    pub cache_keys: usize,
    /// `lookup_concurrency`.
    pub lookup_concurrency: usize,
    /// `node_name`; none: the machine's name.
    pub node_name: Option<String>,
    /// `trust_seconds`.
    pub trust: Duration,
    /// `beat_seconds`.
    pub beat: Duration,
}

/// What is kept.
#[derive(Debug, Clone)]
pub struct Retention {
    /// `audit_retention_days`.
    pub audit: Duration,
    /// `usage_retention_days`.
    pub usage: Duration,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// What is logged: this and everything graver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Failures.
    Error,
    /// What may need attention.
    Warn,
    /// What happens.
    Info,
    /// For finding mistakes.
    Debug,
    /// Everything.
    Trace,
}

/// The log.
#[derive(Debug, Clone)]
pub struct Logging {
    /// `log_format`.
    pub format: LogFormat,
    /// `log_level`.
    pub level: LogLevel,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_characters_that_urls_use_is_still_that_folder() {
        let database = Database::Sqlite { path: PathBuf::from("/srv/100% sure?/a#b.db") };
        assert_eq!(database.url(), "sqlite:///srv/100%25 sure%3F/a%23b.db");
    }
}
