//! What `config show` prints: each setting with its value and where it came from; secrets hidden.

use serde::Serialize;
use serde_json::{Value, json};

use super::catalog::SETTINGS;
use super::reader::Reader;
use super::resolve::{BILLING_WORDS, FORMAT_WORDS, LEVEL_WORDS, SIGN_UP_WORDS};
use super::routes::name_of;
use super::settings::{Database, Hidden, Settings};
use super::written::Origin;

/// A setting as it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// Name.
    pub name: &'static str,
    /// Value; null when it has none or is hidden.
    pub value: Value,
    /// Whether it has a value that is not shown.
    pub hidden: bool,
    /// Where it came from.
    pub origin: String,
}

/// All settings, in the order of the defaults file.
pub(super) fn all(settings: &Settings, reader: &Reader<'_>) -> Vec<Shown> {
    let row = |name: &'static str| {
        let (value, hidden) =
            if is_hidden(settings, name) { (Value::Null, true) } else { (value_of(settings, name), false) };
        // It holds as one of the routes; what was written is all there is to show under its name.
        let written = reader.written(name).filter(|_| name == "upstream_url");
        let value = written.and_then(super::written::Written::scalar).map_or(value, Value::from);
        let origin = match reader.origin(name) {
            Origin::Default if name == "billing" => "default, by public_url".to_owned(),
            origin => origin.to_string(),
        };
        Shown { name, value, hidden, origin }
    };
    SETTINGS.iter().map(|setting| row(setting.name)).collect()
}

fn is_hidden(settings: &Settings, name: &str) -> bool {
    let given = |secret: &Option<Hidden>| secret.is_some();
    match name {
        "database_url" => matches!(settings.storage.database, Database::Postgres { .. }),
        "database_control_url" => given(&settings.storage.control),
        "operator_token" => given(&settings.access.operator_token),
        "authz_secret" => given(&settings.access.authz_secret),
        "smtp_url" => settings.mail.is_some(),
        "audit_signing_key" => given(&settings.access.audit_signing_key),
        _ => false,
    }
}

/// Looked for section by section.
fn value_of(settings: &Settings, name: &str) -> Value {
    listener_value(settings, name)
        .or_else(|| site_value(settings, name))
        .or_else(|| product_value(settings, name))
        .or_else(|| running_value(settings, name))
        .unwrap_or(Value::Null)
}

fn texts<T: ToString>(items: &[T]) -> Value {
    items.iter().map(ToString::to_string).collect()
}

fn listener_value(settings: &Settings, name: &str) -> Option<Value> {
    let listeners = &settings.listeners;
    let tls = listeners.tls.as_ref();
    Some(match name {
        "data_dir" => json!(settings.storage.data_dir.display().to_string()),
        "database_url" => json!(settings.storage.database.url()),
        "public_listen" => json!(listeners.public),
        "internal_listen" => json!(listeners.internal),
        "gateway_listen" => json!(listeners.gateway),
        "authz_listen" => json!(listeners.authz),
        "telemetry_listen" => json!(listeners.telemetry),
        "tls_certificate" => json!(tls.map(|files| files.certificate.display().to_string())),
        "tls_key" => json!(tls.map(|files| files.key.display().to_string())),
        "trusted_proxies" => texts(&listeners.trusted_proxies),
        "authz_callers" => texts(&settings.access.authz_callers),
        "shutdown_seconds" => json!(listeners.shutdown.as_secs()),
        _ => return None,
    })
}

fn site_value(settings: &Settings, name: &str) -> Option<Value> {
    let site = &settings.site;
    Some(match name {
        "public_url" => json!(site.public_url.to_string()),
        "insecure_http" => json!(site.insecure_http),
        "brand_name" => json!(site.brand_name),
        "sign_up" => json!(name_of(SIGN_UP_WORDS, site.sign_up)),
        "billing" => json!(name_of(BILLING_WORDS, site.billing)),
        "mail_from" => json!(settings.mail.as_ref().map(|mail| mail.from.to_string())),
        "password_min_length" => json!(site.password_min_length),
        _ => return None,
    })
}

fn product_value(settings: &Settings, name: &str) -> Option<Value> {
    let product = &settings.product;
    Some(match name {
        "key_prefix" => json!(product.key_prefix.as_str()),
        "default_plan" => json!(product.default_plan.as_str()),
        "rotate_after_days" => json!(product.rotate_after.map_or(0, |age| age.as_secs() / 86_400)),
        "plans" => product.plans.iter().map(plan_value).collect(),
        "own_path" => json!(settings.gateway.own_path),
        "routes" => settings.gateway.routes.iter().map(route_value).collect(),
        _ => return None,
    })
}

fn running_value(settings: &Settings, name: &str) -> Option<Value> {
    let decision = &settings.decision;
    let days = |duration: std::time::Duration| json!(duration.as_secs() / 86_400);
    Some(match name {
        "cache_keys" => json!(decision.cache_keys),
        "lookup_concurrency" => json!(decision.lookup_concurrency),
        "node_name" => json!(decision.node_name),
        "trust_seconds" => json!(decision.trust.as_secs()),
        "beat_seconds" => json!(decision.beat.as_secs()),
        "audit_retention_days" => days(settings.retention.audit),
        "usage_retention_days" => days(settings.retention.usage),
        "log_format" => json!(name_of(FORMAT_WORDS, settings.logging.format)),
        "log_level" => json!(name_of(LEVEL_WORDS, settings.logging.level)),
        _ => return None,
    })
}

fn plan_value(plan: &rndrkit_domain::plan::Plan) -> Value {
    json!({
        "id": plan.id.as_str(),
        "name": plan.name,
        "api_access": plan.api_access,
        "active_keys": plan.active_keys,
        "requests_per_minute": plan.rate_limit.per_minute.get(),
        "burst": plan.rate_limit.burst.get(),
    })
}

fn route_value(route: &super::settings::Route) -> Value {
    let [key, host, preflight] = route.words();
    let upstream = route.upstream.to_string();
    json!({
        "path": route.path,
        "upstream": upstream.trim_end_matches('/'),
        "key": key,
        "host": host,
        "preflight": preflight,
    })
}
