//! Turns what was written into what holds, section by section. Every section reads all its settings before
//! it gives up, so that one run reports every mistake.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rndrkit_domain::key_text::{KeyPrefix, Secret};
use rndrkit_domain::plan::PlanId;
use rndrkit_domain::text::Name;
use rndrkit_mail::{Sender, SmtpServer};
use rndrkit_store::AuditSigner;

use super::mistake::Mistakes;
use super::public_url::PublicUrl;
use super::reader::Reader;
use super::settings::{
    Access, Billing, Database, Decision, Gateway, Hidden, Listeners, LogFormat, LogLevel, Logging, Mail,
    Product, Retention, Settings, SignUp, Site, Storage, TlsFiles,
};
use super::sources::Collected;
use super::{Resolved, checks, parse, plans, routes, show};

pub(super) const SIGN_UP_WORDS: &[(&str, SignUp)] =
    &[("open", SignUp::Open), ("invite", SignUp::Invite), ("closed", SignUp::Closed)];
pub(super) const BILLING_WORDS: &[(&str, Billing)] =
    &[("off", Billing::Off), ("operator", Billing::Operator)];
pub(super) const FORMAT_WORDS: &[(&str, LogFormat)] = &[("text", LogFormat::Text), ("json", LogFormat::Json)];
pub(super) const LEVEL_WORDS: &[(&str, LogLevel)] = &[
    ("error", LogLevel::Error),
    ("warn", LogLevel::Warn),
    ("info", LogLevel::Info),
    ("debug", LogLevel::Debug),
    ("trace", LogLevel::Trace),
];

/// An operator token opens everything: too long to guess, by the contract.
pub(super) const OPERATOR_TOKEN_CHARS_MIN: usize = 32;
/// A second lock beside the caller's address.
const AUTHZ_SECRET_CHARS_MIN: usize = 16;
/// Ten minutes: longer than any supervisor waits.
const SHUTDOWN_SECONDS: RangeInclusive<u64> = 1..=600;
/// At 700 bytes, an entry with an account of its own, the most takes 14 GB.
const CACHE_KEYS: RangeInclusive<u64> = 1..=20_000_000;
/// Each one may hold a connection to the database.
const LOOKUP_CONCURRENCY: RangeInclusive<u64> = 1..=1_024;
/// A change waits this long, and a little more, for a node that does not answer.
pub(super) const TRUST_SECONDS: RangeInclusive<u64> = 1..=60;
/// Of the longest trust, as many as [`checks`] asks for.
pub(super) const BEAT_SECONDS: RangeInclusive<u64> = 1..=15;
/// Ten years.
const ROTATE_AFTER_DAYS: RangeInclusive<u64> = 0..=3_650;
const RETENTION_DAYS: RangeInclusive<u64> = 1..=3_650;
/// NIST's floor, and a length that people still manage to type.
const PASSWORD_MIN_LENGTH: RangeInclusive<u64> = 8..=64;

/// It stands for the same database by another way.
const CONTROL_URL: &str = "must be postgres://user:password@host/database, the same database as database_url";

const MAIL_FROM: &str = "must be an address such as keys@example.com or RndrKit <keys@example.com>";

const SECONDS_PER_DAY: u64 = 86_400;

pub(super) fn resolve(collected: &Collected, mistakes: Mistakes) -> Result<Resolved, Mistakes> {
    let mut reader = Reader::new(collected, mistakes);
    let storage = storage(&mut reader);
    let listeners = listeners(&mut reader);
    let access = access(&mut reader);
    let site = site(&mut reader);
    let mail = mail(&mut reader);
    let product = product(&mut reader);
    let gateway = gateway(&mut reader);
    let decision = decision(&mut reader);
    let retention = retention(&mut reader);
    let logging = logging(&mut reader);
    checks::check_all(&mut reader);
    let settings = (|| {
        Some(Settings {
            storage: storage?,
            listeners: listeners?,
            access: access?,
            site: site?,
            mail: mail?,
            product: product?,
            gateway: gateway?,
            decision: decision?,
            retention: retention?,
            logging: logging?,
        })
    })();
    let shown = settings.as_ref().map(|settings| show::all(settings, &reader));
    let mistakes = reader.into_mistakes();
    match (settings, shown) {
        (Some(settings), Some(shown)) if mistakes.is_empty() => Ok(Resolved { settings, shown }),
        _ => Err(mistakes),
    }
}

fn path(text: &str) -> Option<PathBuf> {
    (!text.contains('\0')).then(|| PathBuf::from(text))
}

fn hidden(text: &str) -> Hidden {
    Arc::new(Secret::from_text(text.to_owned()))
}

/// Whether a text is the address of a PostgreSQL database.
pub(crate) fn is_postgres(text: &str) -> bool {
    let server = text.strip_prefix("postgres://").or_else(|| text.strip_prefix("postgresql://"));
    server.is_some_and(|server| !server.is_empty()) && !text.contains(char::is_whitespace)
}

fn storage(reader: &mut Reader<'_>) -> Option<Storage> {
    let data_dir = reader.required("data_dir", "must be the path of a folder", path);
    let folder = data_dir.as_ref().map(|folder| folder.display().to_string()).unwrap_or_default();
    let allowed = "must be sqlite:// and the path of a file, or postgres://user:password@host/database";
    let database = reader.required("database_url", allowed, |text| {
        if let Some(file) = text.strip_prefix("sqlite://") {
            let file = file.replace("{data_dir}", &folder);
            // The database library reads `?` and `%` in an address as more than a path.
            let plain = !file.is_empty() && !file.ends_with('/') && !file.contains(['?', '%', '#']);
            return plain.then(|| Database::Sqlite { path: PathBuf::from(file) });
        }
        is_postgres(text).then(|| Database::Postgres { url: hidden(text) })
    });
    let control =
        reader.optional("database_control_url", CONTROL_URL, |text| is_postgres(text).then(|| hidden(text)));
    Some(Storage { data_dir: data_dir?, database: database?, control: control? })
}

fn listeners(reader: &mut Reader<'_>) -> Option<Listeners> {
    let public = reader.required("public_listen", parse::ADDRESS, parse::address);
    let internal = reader.required("internal_listen", parse::ADDRESS, parse::address);
    let gateway = reader.optional("gateway_listen", parse::ADDRESS, parse::address);
    let authz = reader.optional("authz_listen", parse::ADDRESS, parse::address);
    let telemetry = reader.optional("telemetry_listen", parse::ADDRESS, parse::address);
    let certificate = reader.optional("tls_certificate", "must be the path of a file", path);
    let key = reader.optional("tls_key", "must be the path of a file", path);
    let trusted_proxies = reader.list("trusted_proxies", parse::NETWORKS, parse::network);
    let shutdown = reader.number("shutdown_seconds", &SHUTDOWN_SECONDS);
    Some(Listeners {
        public: public?,
        internal: internal?,
        gateway: gateway?,
        authz: authz?,
        telemetry: telemetry?,
        tls: certificate?.zip(key?).map(|(certificate, key)| TlsFiles { certificate, key }),
        trusted_proxies: trusted_proxies?,
        shutdown: Duration::from_secs(shutdown?),
    })
}

fn access(reader: &mut Reader<'_>) -> Option<Access> {
    let rule = |at_least: usize| {
        format!("must be {at_least} to {} visible ASCII characters", parse::SECRET_BYTES_MAX)
    };
    let secret =
        |at_least: usize| move |text: &str| parse::header_secret(text, at_least).then(|| hidden(text));
    let token = OPERATOR_TOKEN_CHARS_MIN;
    let operator_token = reader.optional("operator_token", &rule(token), secret(token));
    let authz_callers = reader.list("authz_callers", parse::NETWORKS, parse::network);
    let authz = AUTHZ_SECRET_CHARS_MIN;
    let authz_secret = reader.optional("authz_secret", &rule(authz), secret(authz));
    let audit_signing_key =
        reader.optional("audit_signing_key", "must be 64 hexadecimal digits: openssl rand -hex 32", |text| {
            AuditSigner::parse(text).is_ok().then(|| hidden(text))
        });
    Some(Access {
        operator_token: operator_token?,
        audit_signing_key: audit_signing_key?,
        authz_callers: authz_callers?,
        authz_secret: authz_secret?,
    })
}

fn site(reader: &mut Reader<'_>) -> Option<Site> {
    let public_url = reader.required("public_url", parse::ORIGIN, PublicUrl::parse);
    let insecure_http = reader.required("insecure_http", "must be true or false", parse::boolean);
    let brand_name = reader.required("brand_name", "must be 1 to 64 characters", |text| {
        Name::parse(text).ok().map(|name| name.as_str().to_owned())
    });
    let sign_up = reader.required("sign_up", &parse::one_of(SIGN_UP_WORDS), parse::word(SIGN_UP_WORDS));
    let billing = reader.optional("billing", &parse::one_of(BILLING_WORDS), parse::word(BILLING_WORDS));
    let password_min_length = reader.number("password_min_length", &PASSWORD_MIN_LENGTH);
    let public_url = public_url?;
    // Free plan changes are for trying the product out on one's own machine.
    let by_host = if public_url.is_loopback() { Billing::Off } else { Billing::Operator };
    Some(Site {
        public_url,
        insecure_http: insecure_http?,
        brand_name: brand_name?,
        sign_up: sign_up?,
        billing: billing?.unwrap_or(by_host),
        password_min_length: u32::try_from(password_min_length?).ok()?,
    })
}

/// Both settings or none: the check of the pair is beside the others.
#[expect(clippy::option_option, reason = "wrong, absent and present are three different things")]
fn mail(reader: &mut Reader<'_>) -> Option<Option<Mail>> {
    let server = match reader.peek("smtp_url", |text| Some(SmtpServer::parse(text))) {
        None => None,
        Some(Ok(server)) => Some(server),
        Some(Err(wrong)) => {
            reader.reject("smtp_url", wrong.to_string());
            return None;
        }
    };
    let from = reader.optional("mail_from", MAIL_FROM, Sender::parse)?;
    Some(server.zip(from).map(|(server, from)| Mail { server, from }))
}

fn product(reader: &mut Reader<'_>) -> Option<Product> {
    let prefix_rule = "must be 2 to 10 characters a-z and 0-9 that begin with a letter, perhaps _ and 1 to 8 \
                       more, and a final _, such as rk_live_";
    let key_prefix = reader.required("key_prefix", prefix_rule, |text| KeyPrefix::parse(text).ok());
    let plans = plans::read(reader);
    let default_plan =
        reader.required("default_plan", "must be the id of a plan", |text| PlanId::parse(text).ok());
    let rotate_after = reader.number("rotate_after_days", &ROTATE_AFTER_DAYS);
    let days = |days: u64| (days > 0).then(|| Duration::from_secs(days * SECONDS_PER_DAY));
    Some(Product {
        key_prefix: key_prefix?,
        plans: plans?,
        default_plan: default_plan?,
        rotate_after: days(rotate_after?),
    })
}

fn gateway(reader: &mut Reader<'_>) -> Option<Gateway> {
    let own_path = routes::read_own_path(reader);
    let below_api = reader.written("gateway_listen").is_none();
    let routes = routes::read(reader, own_path.as_deref(), below_api);
    Some(Gateway { own_path: own_path?, routes: routes? })
}

fn decision(reader: &mut Reader<'_>) -> Option<Decision> {
    let cache_keys = reader.number("cache_keys", &CACHE_KEYS);
    let lookup_concurrency = reader.number("lookup_concurrency", &LOOKUP_CONCURRENCY);
    let node_name = reader.optional("node_name", "must be 1 to 64 characters", |text| {
        Name::parse(text).ok().map(|name| name.as_str().to_owned())
    });
    let trust = reader.number("trust_seconds", &TRUST_SECONDS);
    let beat = reader.number("beat_seconds", &BEAT_SECONDS);
    Some(Decision {
        cache_keys: usize::try_from(cache_keys?).ok()?,
        lookup_concurrency: usize::try_from(lookup_concurrency?).ok()?,
        node_name: node_name?,
        trust: Duration::from_secs(trust?),
        beat: Duration::from_secs(beat?),
    })
}

fn retention(reader: &mut Reader<'_>) -> Option<Retention> {
    let audit = reader.number("audit_retention_days", &RETENTION_DAYS);
    let usage = reader.number("usage_retention_days", &RETENTION_DAYS);
    let days = |days: u64| Duration::from_secs(days * SECONDS_PER_DAY);
    Some(Retention { audit: days(audit?), usage: days(usage?) })
}

fn logging(reader: &mut Reader<'_>) -> Option<Logging> {
    let format = reader.required("log_format", &parse::one_of(FORMAT_WORDS), parse::word(FORMAT_WORDS));
    let level = reader.required("log_level", &parse::one_of(LEVEL_WORDS), parse::word(LEVEL_WORDS));
    Some(Logging { format: format?, level: level? })
}
