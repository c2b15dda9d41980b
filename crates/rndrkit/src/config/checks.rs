//! Checks of settings against each other. Each speaks only when the settings it compares are right by themselves.

use std::net::SocketAddr;

use super::reader::Reader;
use super::settings::{Access, Billing, Database, Decision, Listeners, Product, SignUp, Site, Storage};

pub(super) fn check_database(reader: &mut Reader<'_>, storage: Option<&Storage>, access: Option<&Access>) {
    let on_postgres = storage.is_some_and(|storage| matches!(storage.database, Database::Postgres { .. }));
    if on_postgres && access.is_some_and(|access| access.operator_token.is_none()) {
        reader.reject(
            "operator_token",
            "with PostgreSQL you must give it, 32 characters or more, the same on every node; a good one: \
             openssl rand -hex 32",
        );
    }
}

pub(super) fn check_listeners(reader: &mut Reader<'_>, listeners: Option<&Listeners>) {
    let pair = ["tls_certificate", "tls_key"].map(|name| reader.written(name).is_some());
    match pair {
        [true, false] => reader.reject("tls_certificate", "needs tls_key beside it"),
        [false, true] => reader.reject("tls_key", "needs tls_certificate beside it"),
        _ => {}
    }
    let Some(listeners) = listeners else { return };
    let all: [(&'static str, Option<SocketAddr>); 5] = [
        ("public_listen", Some(listeners.public)),
        ("internal_listen", Some(listeners.internal)),
        ("gateway_listen", listeners.gateway),
        ("authz_listen", listeners.authz),
        ("telemetry_listen", listeners.telemetry),
    ];
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

pub(super) fn check_site(reader: &mut Reader<'_>, site: Option<&Site>, listeners: Option<&Listeners>) {
    let Some(site) = site else { return };
    let url = &site.public_url;
    if !url.is_https() && !url.is_loopback() && !site.insecure_http {
        reader.reject(
            "public_url",
            "must be https beyond loopback names; put a proxy with HTTPS in front, or set tls_certificate and \
             tls_key, or, knowing that passwords and keys then travel readable, insecure_http = true",
        );
    }
    if listeners.is_some_and(|listeners| listeners.tls.is_some()) && !url.is_https() {
        reader.reject("public_url", "must be https when tls_certificate is set");
    }
    if site.sign_up == SignUp::Open && site.billing == Billing::Off && !url.is_loopback() {
        reader.reject(
            "sign_up",
            "open together with billing = \"off\" would give every stranger every plan; set one of them otherwise",
        );
    }
}

pub(super) fn check_product(reader: &mut Reader<'_>, product: Option<&Product>) {
    let Some(product) = product else { return };
    if !product.plans.iter().any(|plan| plan.id == product.default_plan) {
        let ids: Vec<&str> = product.plans.iter().map(|plan| plan.id.as_str()).collect();
        reader.reject("default_plan", format!("must be the id of a plan: {}", ids.join(", ")));
    }
}

pub(super) fn check_decision(reader: &mut Reader<'_>, decision: Option<&Decision>) {
    // Two beats may be lost before trust ends.
    if decision.is_some_and(|decision| decision.beat * 3 >= decision.trust) {
        reader.reject("trust_seconds", "must be more than three times beat_seconds");
    }
}
