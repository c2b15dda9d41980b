//! Settings as each part of the server takes them. Conversions only.

use std::sync::Arc;

use rndrkit_control::{Billing, ControlSettings, SignUpPolicy};
use rndrkit_domain::key_text::Digest;
use rndrkit_domain::plan::PlanId;
use rndrkit_edge::{EdgeOptions, HostRule, KeyRule, Limits, PreflightRule, Route};
use rndrkit_mail::Words;
use rndrkit_server::ServerSettings;
use rndrkit_verifier::{Budgets, VerifierOptions};

use crate::config::{self, Settings};

pub(super) fn verifier_options(settings: &Settings) -> VerifierOptions {
    VerifierOptions {
        cache_keys: settings.decision.cache_keys,
        lookup_concurrency: settings.decision.lookup_concurrency,
    }
}

/// Several nodes draw from the budgets that their database keeps; a process on SQLite has them to itself.
pub(super) const fn budgets(settings: &Settings) -> Budgets {
    match settings.storage.database {
        config::Database::Sqlite { .. } => Budgets::Own,
        config::Database::Postgres { .. } => Budgets::Shared,
    }
}

pub(super) fn control_settings(settings: &Settings) -> ControlSettings {
    let (site, product) = (&settings.site, &settings.product);
    ControlSettings {
        public_url: site.public_url.to_string(),
        brand_name: site.brand_name.clone(),
        sign_up: match site.sign_up {
            config::SignUp::Open => SignUpPolicy::Open,
            config::SignUp::Invite => SignUpPolicy::Invite,
            config::SignUp::Closed => SignUpPolicy::Closed,
        },
        billing: match site.billing {
            config::Billing::Off => Billing::Off,
            config::Billing::Operator => Billing::Operator,
        },
        default_plan: product.default_plan.clone(),
        key_prefix: product.key_prefix.clone(),
        rotate_after: product.rotate_after,
        password_min_length: usize::try_from(site.password_min_length).unwrap_or(usize::MAX),
        sends_mail: settings.mail.is_some(),
    }
}

/// What mail says here.
pub(super) fn words(settings: &Settings) -> Words {
    let plans = settings.product.plans.iter().map(|plan| (plan.id.to_string(), plan.name.clone()));
    Words {
        brand: settings.site.brand_name.clone(),
        public_url: settings.site.public_url.to_string(),
        plans: plans.collect(),
        browser: rndrkit_server::dashboard::view::browser_words::browser,
    }
}

pub(super) fn server_settings(settings: &Settings) -> ServerSettings {
    ServerSettings {
        brand_name: settings.site.brand_name.clone(),
        public_url: settings.site.public_url.to_string(),
        own_path: settings.gateway.own_path.clone(),
    }
}

pub(super) fn edge_options(settings: &Settings, operator_token: Digest) -> EdgeOptions {
    let names: Vec<(PlanId, String)> =
        settings.product.plans.iter().map(|plan| (plan.id.clone(), plan.name.clone())).collect();
    let plan_name = move |id: &PlanId| {
        let known = names.iter().find(|(known, _)| known == id);
        known.map_or_else(|| id.to_string(), |(_, name)| name.clone())
    };
    EdgeOptions {
        brand_name: settings.site.brand_name.clone(),
        own_path: settings.gateway.own_path.clone(),
        routes: settings.gateway.routes.iter().map(route).collect(),
        separate_gateway: settings.listeners.gateway.is_some(),
        trusted_proxies: settings.listeners.trusted_proxies.clone(),
        separate_authz: settings.listeners.authz.is_some(),
        authz_callers: settings.access.authz_callers.clone(),
        authz_secret: settings.access.authz_secret.as_ref().map(|secret| Digest::of(secret.reveal())),
        plan_names: Arc::new(plan_name),
        limits: Limits { shutdown: settings.listeners.shutdown, ..Limits::default() },
        ..EdgeOptions::new(settings.site.public_url.to_string(), operator_token)
    }
}

fn route(configured: &config::Route) -> Route {
    Route {
        path: configured.path.clone(),
        upstream: configured.upstream.clone(),
        key: match configured.key {
            config::KeyRule::Required => KeyRule::Required,
            config::KeyRule::None => KeyRule::None,
        },
        host: match configured.host {
            config::HostRule::Client => HostRule::Client,
            config::HostRule::Upstream => HostRule::Upstream,
        },
        preflight: match configured.preflight {
            config::PreflightRule::Refuse => PreflightRule::Refuse,
            config::PreflightRule::Pass => PreflightRule::Pass,
        },
    }
}
