//! Checks of settings against each other. Each speaks as soon as the very settings that it compares are right by
//! themselves, whatever else is wrong, so that one run reports every mistake.

use std::net::SocketAddr;

use rndrkit_domain::plan::PlanId;

use super::public_url::PublicUrl;
use super::reader::{Reader, number_in};
use super::resolve::{BEAT_SECONDS, BILLING_WORDS, SIGN_UP_WORDS, TRUST_SECONDS};
use super::settings::{Billing, SignUp};
use super::written::{Value, Written};
use super::{parse, resolve};

/// Settings that name a listener's address.
const LISTENERS: [&str; 5] =
    ["public_listen", "internal_listen", "gateway_listen", "authz_listen", "telemetry_listen"];

/// Trust outlasts so many beats.
const BEATS_OF_TRUST: u64 = 4;

/// Everything that two or more settings can get wrong together.
pub(super) fn check_all(reader: &mut Reader<'_>) {
    check_database(reader);
    check_certificate(reader);
    check_listeners(reader);
    check_site(reader);
    check_mail(reader);
    check_default_plan(reader);
    check_trust(reader);
}

fn check_database(reader: &mut Reader<'_>) {
    let on_postgres = reader.peek("database_url", |text| resolve::is_postgres(text).then_some(())).is_some();
    if on_postgres && reader.written("operator_token").is_none() {
        reader.reject(
            "operator_token",
            "with PostgreSQL you must give it, 32 characters or more, the same on every node; a good one: \
             openssl rand -hex 32",
        );
    }
    let on_sqlite = reader.peek("database_url", |text| text.starts_with("sqlite://").then_some(())).is_some();
    if on_sqlite && reader.written("database_control_url").is_some() {
        reader.reject("database_control_url", "needs a database_url that begins with postgres:// beside it");
    }
}

fn check_certificate(reader: &mut Reader<'_>) {
    let pair = ["tls_certificate", "tls_key"].map(|name| reader.written(name).is_some());
    match pair {
        [true, false] => reader.reject("tls_certificate", "needs tls_key beside it"),
        [false, true] => reader.reject("tls_key", "needs tls_certificate beside it"),
        [true, true] if reader.peek("public_url", PublicUrl::parse).is_some_and(|url| !url.is_https()) => {
            reader.reject("public_url", "must be https when tls_certificate is set");
        }
        _ => {}
    }
}

fn check_listeners(reader: &mut Reader<'_>) {
    let all = LISTENERS.map(|name| (name, reader.peek(name, parse::address)));
    for (index, (name, address)) in all.iter().enumerate() {
        let Some(address) = address else { continue };
        let taken =
            all.iter().take(index).find(|(_, other)| other.is_some_and(|other| clash(other, *address)));
        if let Some((other, _)) = taken {
            reader.reject(name, format!("is taken by {other}; each listener needs an address of its own"));
        }
    }
}

/// Whether two listeners cannot both be bound. Port 0 asks the system for a free port.
fn clash(left: SocketAddr, right: SocketAddr) -> bool {
    let same_host = left.ip() == right.ip() || left.ip().is_unspecified() || right.ip().is_unspecified();
    left.port() != 0 && left.port() == right.port() && same_host
}

fn check_site(reader: &mut Reader<'_>) {
    let Some(url) = reader.peek("public_url", PublicUrl::parse) else { return };
    if url.is_loopback() {
        return;
    }
    if !url.is_https() && reader.peek("insecure_http", parse::boolean) == Some(false) {
        reader.reject(
            "public_url",
            "must be https beyond loopback names; put a proxy with HTTPS in front, or set tls_certificate and \
             tls_key, or, knowing that passwords and keys then travel readable, insecure_http = true",
        );
    }
    let is_open = reader.peek("sign_up", parse::word(SIGN_UP_WORDS)) == Some(SignUp::Open);
    // Without `billing` the operator changes plans: this is no loopback name.
    if is_open && reader.peek("billing", parse::word(BILLING_WORDS)) == Some(Billing::Off) {
        reader.reject(
            "sign_up",
            "open together with billing = \"off\" would give every stranger every plan; set one of them otherwise",
        );
    }
}

fn check_mail(reader: &mut Reader<'_>) {
    match ["smtp_url", "mail_from"].map(|name| reader.written(name).is_some()) {
        [true, false] => reader.reject("smtp_url", "needs mail_from beside it"),
        [false, true] => reader.reject("mail_from", "needs smtp_url beside it"),
        _ => {}
    }
}

fn check_default_plan(reader: &mut Reader<'_>) {
    let Some(wanted) = reader.peek("default_plan", |text| PlanId::parse(text).ok()) else { return };
    let Some(ids) = reader.written("plans").and_then(plan_ids) else { return };
    if !ids.contains(&wanted) {
        let ids: Vec<&str> = ids.iter().map(PlanId::as_str).collect();
        reader.reject("default_plan", format!("must be the id of a plan: {}", ids.join(", ")));
    }
}

/// The ids of all plans; none unless there are some and each is right.
fn plan_ids(plans: &Written) -> Option<Vec<PlanId>> {
    let Value::List(plans) = &plans.value else { return None };
    let id = |plan: &Written| match &plan.value {
        Value::Table(fields) => fields.get("id")?.scalar().and_then(|text| PlanId::parse(text).ok()),
        _ => None,
    };
    plans.iter().map(id).collect::<Option<Vec<_>>>().filter(|ids| !ids.is_empty())
}

fn check_trust(reader: &mut Reader<'_>) {
    let trust = reader.peek("trust_seconds", |text| number_in(text, &TRUST_SECONDS));
    let beat = reader.peek("beat_seconds", |text| number_in(text, &BEAT_SECONDS));
    // Two beats may be lost, and the third may take a while, before trust ends.
    if trust.zip(beat).is_some_and(|(trust, beat)| beat * BEATS_OF_TRUST > trust) {
        reader.reject("trust_seconds", "must be at least four times beat_seconds");
    }
}
