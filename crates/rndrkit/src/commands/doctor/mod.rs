//! `rndrkit doctor`: looks at everything that a start and several nodes need, changes nothing (`--flush` and
//! `--mail-to` apart), and says what to do. It works with the server down, and beside a running one.

mod audit;
mod database;
mod flush;
mod folder;
mod mail;
mod network;
mod nodes;
mod postgres;

use std::path::Path;

use rndrkit_store::AuditPublicKey;
use serde::Serialize;
use serde_json::json;

use super::console::Console;
use super::{Exit, Failure};
use crate::config::{self, DataFolder, Settings, Sources};

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    /// Nothing to do.
    Ok,
    /// It works, and could be better or will not last.
    Warn,
    /// A start or a request would fail.
    Fail,
}

/// What a check found.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    name: &'static str,
    status: Status,
    detail: String,
    /// Why that matters, where it is not plain.
    why: Option<&'static str>,
    /// What to do about it.
    advice: Option<String>,
}

impl Finding {
    fn ok(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, status: Status::Ok, detail: detail.into(), why: None, advice: None }
    }

    fn warn(name: &'static str, detail: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { status: Status::Warn, ..Self::ok(name, detail).advising(advice) }
    }

    fn fail(name: &'static str, detail: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { status: Status::Fail, ..Self::ok(name, detail).advising(advice) }
    }

    fn advising(self, advice: impl Into<String>) -> Self {
        Self { advice: Some(advice.into()), ..self }
    }

    fn because(self, why: &'static str) -> Self {
        Self { why: Some(why), ..self }
    }
}

/// What is done only if asked for, and what is needed for it.
pub(super) struct Extra {
    /// Make every node read all again.
    pub(super) flush: bool,
    /// Send a test mail there.
    pub(super) mail_to: Option<String>,
    /// Keys that have signed the audit trail, beside the installation's own.
    pub(super) audit_public_keys: Vec<AuditPublicKey>,
}

/// Checks an export of the audit trail, which needs nothing else of this installation.
pub(super) fn run_on_export(
    file: &Path,
    keys: &[AuditPublicKey],
    console: &mut Console<'_>,
) -> Result<Exit, Failure> {
    Ok(conclude(&audit::check_export(file, keys)?, Exit::No, console))
}

pub(super) async fn run(sources: &Sources, extra: &Extra, console: &mut Console<'_>) -> Exit {
    let (findings, if_failed) = match config::load(sources) {
        Ok(resolved) => (examine(&resolved.settings, extra).await, Exit::No),
        Err(mistakes) => {
            let advice = "mend these first; the other checks need them";
            (vec![Finding::fail("settings", mistakes.to_string(), advice)], Exit::Usage)
        }
    };
    conclude(&findings, if_failed, console)
}

fn conclude(findings: &[Finding], if_failed: Exit, console: &mut Console<'_>) -> Exit {
    let failed = findings.iter().any(|finding| finding.status == Status::Fail);
    if console.json {
        console.document(&json!({ "ok": !failed, "checks": findings }));
    } else {
        for finding in findings {
            show(console, finding);
        }
    }
    if failed { if_failed } else { Exit::Done }
}

async fn examine(settings: &Settings, extra: &Extra) -> Vec<Finding> {
    let folder = &settings.storage.data_dir;
    let has_folder = DataFolder::is_in_use(folder);
    let is_running = has_folder || network::is_served(&settings.listeners).await;
    let mut findings = vec![settings_finding(has_folder, is_running)];
    findings.extend(folder::check(settings));
    findings.extend(database::check(settings, &extra.audit_public_keys, is_running).await);
    findings.extend(network::check_listeners(&settings.listeners, is_running));
    findings.extend(network::check_certificate(settings.listeners.tls.as_ref()));
    findings.extend(network::check_upstreams(&settings.gateway.routes).await);
    findings.extend(mail::check(settings).await);
    if let Some(recipient) = &extra.mail_to {
        findings.push(mail::send_trial(settings, recipient).await);
    }
    if extra.flush {
        findings.push(flush::run(&settings.storage.database, has_folder).await);
    }
    findings
}

fn settings_finding(has_folder: bool, is_running: bool) -> Finding {
    let server = if has_folder {
        "a server is running on this data folder, perhaps with others"
    } else if is_running {
        "this node is running here, perhaps with others"
    } else {
        "no server is running here"
    };
    Finding::ok("settings", format!("those of this shell and folder are acceptable; {server}"))
}

fn show(console: &mut Console<'_>, finding: &Finding) {
    let word = match finding.status {
        Status::Ok => "ok",
        Status::Warn => "warn",
        Status::Fail => "fail",
    };
    console.line(format!("{word:<4}  {}: {}", finding.name, finding.detail));
    if let Some(why) = finding.why {
        console.line(format!("      {why}"));
    }
    if let Some(advice) = &finding.advice {
        console.line(format!("      {advice}"));
    }
}
