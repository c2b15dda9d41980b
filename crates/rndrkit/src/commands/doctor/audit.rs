//! The audit trail, in the database or in an export: that nobody has changed it, and who says so.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::time::Duration;

use rndrkit_domain::time::{Clock as _, SystemClock, Timestamp};
use rndrkit_store::{
    AuditFault, AuditPublicKey, AuditSigner, ChainReport, ExportError, OpenOptions, Store, TrailStart,
    check_activity_file, check_audit_export,
};

use super::Finding;
use crate::commands::{Exit, Failure};
use crate::config::{DataFolder, Settings};

const TRAIL: &str = "audit trail";
const ACCOUNT_FILE: &str = "audit export of an account";
const SIGNATURES: &str = "audit signatures";
/// Names come from elsewhere and words from a version, so that nobody could put the sentences together again here.
const SENTENCES: &str = "no hash covers the sentences (`what`), so they were not checked; actions, actors, targets and \
     details were";
/// A running server signs once an hour; two may be missed while the database is away.
const STALE_AFTER: Duration = Duration::from_secs(3 * 3_600);
/// A head may be this much later than the clock here: clocks of several machines differ by seconds.
const AHEAD_FROM: Duration = Duration::from_secs(60);
const KEEP: &str = "compare with a backup or an export from before; do not delete anything";
const WHY_SIGN: &str =
    "without signatures, whoever can write to the database can also make a new trail whose hashes all fit";

/// What there is to check signatures with.
struct Keys {
    /// The installation's own.
    own: Option<AuditPublicKey>,
    /// Those of the command line: whoever names a key knows that it has signed.
    named: Vec<AuditPublicKey>,
}

impl Keys {
    fn trusted(&self) -> Vec<AuditPublicKey> {
        self.own.iter().chain(&self.named).copied().collect()
    }
}

pub(super) async fn check(settings: &Settings, named: &[AuditPublicKey], is_running: bool) -> Vec<Finding> {
    let own = match own_key(settings) {
        Ok(own) => own,
        Err(finding) => return vec![finding],
    };
    let keys = Keys { own, named: named.to_vec() };
    let report = match verify(&settings.storage.database.url(), &keys.trusted()).await {
        Ok(report) => report,
        Err(error) => {
            let advice = "run this again when the database is at rest";
            return vec![Finding::fail(TRAIL, error.to_string(), advice)];
        }
    };
    let mut findings = judge_trail(&report, &keys);
    findings.extend(judge_signatures(&report, &keys));
    let now = SystemClock::default().now();
    findings.extend(judge_freshness(&report, &keys, now).filter(|_| is_running));
    findings.extend(judge_clock(&report, now));
    findings
}

fn own_key(settings: &Settings) -> Result<Option<AuditPublicKey>, Finding> {
    if let Some(key) = &settings.access.audit_signing_key {
        return Ok(AuditSigner::parse(key.reveal()).ok().map(|signer| signer.public_key()));
    }
    if settings.storage.database.sqlite_path().is_none() {
        return Ok(None);
    }
    match DataFolder::read_audit_signer(&settings.storage.data_dir) {
        Ok(signer) => Ok(signer.map(|signer| signer.public_key())),
        Err(error) => Err(Finding::fail(SIGNATURES, error.to_string(), "put the right key back")),
    }
}

async fn verify(url: &str, trusted: &[AuditPublicKey]) -> Result<ChainReport, rndrkit_store::Error> {
    let store = Store::open(&OpenOptions::new(url).with_connections(1)).await?;
    let report = store.verify_audit_trail(trusted).await;
    store.close().await?;
    report
}

/// An export needs no settings: it may have been carried to another machine, where only a key is known.
pub(super) fn check_export(file: &Path, named: &[AuditPublicKey]) -> Result<Vec<Finding>, Failure> {
    let opened = File::open(file);
    let opened = opened.map_err(|error| Failure::new(Exit::Usage, format!("{}: {error}", file.display())))?;
    let report = match check_audit_export(BufReader::new(opened), named) {
        Ok(report) => report,
        Err(ExportError::NotAnExport) => return Ok(check_account_file(file)),
        Err(ExportError::Io(error)) => {
            return Err(Failure::new(Exit::Unknown, format!("{}: {error}", file.display())));
        }
        Err(error) => {
            let advice = "copy the export again, or make a new one: rndrkit audit export FILE";
            return Ok(vec![Finding::fail("audit export", format!("{}: {error}", file.display()), advice)]);
        }
    };
    let keys = Keys { own: None, named: named.to_vec() };
    let mut findings = judge_trail(&report, &keys);
    findings.extend(judge_signatures(&report, &keys));
    Ok(findings)
}

/// What an account's people have downloaded: events of their own, between which there are others'.
fn check_account_file(file: &Path) -> Vec<Finding> {
    let shown = file.display();
    let advice = "give a file of `rndrkit audit export`, or the JSON file of a dashboard's page Activity";
    let report = match File::open(file).map_err(ExportError::from).and_then(check_activity_file) {
        Ok(report) => report,
        Err(error) => return vec![Finding::fail("audit export", format!("{shown}: {error}"), advice)],
    };
    if let Some(seq) = report.changed {
        let detail = format!("event {seq} was changed, or it does not say any more who did it");
        return vec![Finding::fail(ACCOUNT_FILE, detail, "download it again")];
    }
    let whole = format!(
        "{} events of account {}, each gives its hash; whether some are missing only the operator's export shows",
        report.events, report.account_id
    );
    vec![Finding::ok(ACCOUNT_FILE, whole), Finding::ok(ACCOUNT_FILE, SENTENCES)]
}

/// Hashes: what fits what, and how it begins.
fn judge_trail(report: &ChainReport, keys: &Keys) -> Vec<Finding> {
    let fault = report.fault.as_ref().filter(|fault| !is_about_signatures(fault));
    if let Some(fault) = fault {
        return vec![Finding::fail(TRAIL, format!("{fault}: somebody changed the trail"), KEEP)];
    }
    let events = report.events;
    let fits = match events {
        1 => "1 event".to_owned(),
        _ => format!("{events} events, each fits the one before"),
    };
    let mut findings = vec![judge_start(report, keys, fits)];
    findings.extend(report.unfollowed.map(|seq| {
        let detail = format!(
            "of event {seq}, and maybe of later ones, it was not looked whether the account was deleted whose event lost \
             who did it: too many at once"
        );
        Finding::warn(TRAIL, detail, KEEP)
    }));
    findings
}

/// How a trail without a fault begins.
fn judge_start(report: &ChainReport, keys: &Keys, fits: String) -> Finding {
    match &report.start {
        TrailStart::First => Finding::ok(TRAIL, fits),
        TrailStart::Checkpoint(checkpoint) if checkpoint.public_key().is_some() => {
            let dropped = format!(
                "{fits}; retention dropped those up to {} and signed for it, last on {}",
                checkpoint.seq(),
                checkpoint.at()
            );
            Finding::ok(TRAIL, dropped)
        }
        TrailStart::Checkpoint(checkpoint) => {
            let dropped =
                format!("{fits}; those up to {} were dropped without a signature", checkpoint.seq());
            let advice = if keys.own.is_some() || report.newest_head.is_some() {
                "if that was before there was a key, retention signs the next time; if not, somebody else dropped them: \
                 compare with a backup or an export from before"
            } else {
                "set audit_signing_key: then retention signs for what it drops"
            };
            Finding::warn(TRAIL, dropped, advice)
        }
    }
}

const fn is_about_signatures(fault: &AuditFault) -> bool {
    matches!(fault, AuditFault::BadSignature { .. } | AuditFault::UnknownKey { .. })
}

/// Signatures: whether they hold, and whose they are.
fn judge_signatures(report: &ChainReport, keys: &Keys) -> Option<Finding> {
    match &report.fault {
        Some(fault @ AuditFault::UnknownKey { public_key, .. }) => {
            let advice = format!(
                "if that was this installation's key once, add --audit-public-key {public_key}; if not, somebody made \
                 this trail anew: {KEEP}"
            );
            return Some(Finding::fail(SIGNATURES, fault.to_string(), advice));
        }
        Some(fault) if is_about_signatures(fault) => {
            return Some(Finding::fail(SIGNATURES, format!("{fault}: somebody changed it"), KEEP));
        }
        // The trail's own finding says it.
        Some(_) => return None,
        None => {}
    }
    let Some(head) = &report.newest_head else { return Some(judge_unsigned(keys)) };
    let by: Vec<String> = report.keys.iter().map(ToString::to_string).collect();
    let by = by.join(", ");
    let detail = format!("{} hold, the newest over event {} on {}", report.signatures, head.seq(), head.at());
    Some(if keys.trusted().is_empty() {
        let advice = format!("compare with the log of the server, and name it: --audit-public-key {by}");
        Finding::warn(SIGNATURES, format!("{detail}, by a key that you have not named: {by}"), advice)
    } else {
        Finding::ok(SIGNATURES, format!("{detail}, by {by}"))
    })
}

/// A trail of which no end is signed; a checkpoint alone says nothing of the events that are there.
fn judge_unsigned(keys: &Keys) -> Finding {
    if !keys.named.is_empty() {
        let detail = "you named a key that signs this trail, and no end of it is signed: somebody took the signatures out, \
                      or it is another trail";
        let advice = "compare with a line of the server's log or with an export from before; leave --audit-public-key out \
                      if nothing was ever signed";
        return Finding::fail(SIGNATURES, detail, advice).because(WHY_SIGN);
    }
    match keys.own {
        Some(_) => Finding::ok(SIGNATURES, "none yet; a running server makes one every hour"),
        None => Finding::warn(
            SIGNATURES,
            "nothing is signed",
            "set audit_signing_key (openssl rand -hex 32), the same on every node; on SQLite the next start makes one",
        )
        .because(WHY_SIGN),
    }
}

/// Whether the server still signs.
fn judge_freshness(report: &ChainReport, keys: &Keys, now: Timestamp) -> Option<Finding> {
    let head = report.newest_head.as_ref().filter(|_| keys.own.is_some() && report.fault.is_none())?;
    (now.since(head.at()) >= STALE_AFTER).then(|| {
        let detail = format!("the newest is of {}, and a server is running", head.at());
        Finding::warn(SIGNATURES, detail, "look for `audit head` in its log")
    })
}

/// Whether a node signs by a clock that is ahead.
fn judge_clock(report: &ChainReport, now: Timestamp) -> Option<Finding> {
    let latest = report.latest_head_at.filter(|_| report.fault.is_none())?;
    (latest.since(now) > AHEAD_FROM).then(|| {
        let detail = format!("one is of {latest}, and it is {now} here");
        let advice = "set the clock of the node that signed it right: its time proves nothing";
        Finding::warn(SIGNATURES, detail, advice)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole() -> ChainReport {
        ChainReport { events: 4, ..ChainReport::default() }
    }

    #[test]
    fn a_trail_with_too_many_erased_accounts_to_follow_is_not_called_whole() {
        let keys = Keys { own: None, named: Vec::new() };
        let said = |report: &ChainReport| format!("{:?}", judge_trail(report, &keys));
        assert!(!said(&whole()).contains("too many at once"));
        let unfollowed = said(&ChainReport { unfollowed: Some(3), ..whole() });
        assert!(unfollowed.contains("of event 3, and maybe of later ones"), "{unfollowed}");
    }

    #[test]
    fn a_head_of_a_clock_that_is_ahead_is_named() {
        let now: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        let ahead_by = |seconds| {
            let latest_head_at = Some(now.plus(Duration::from_secs(seconds)));
            let report = ChainReport { latest_head_at, signatures: 1, ..whole() };
            judge_clock(&report, now)
        };
        assert!(ahead_by(0).is_none() && ahead_by(59).is_none());
        let said = format!("{:?}", ahead_by(3_600));
        assert!(
            said.contains("one is of 2026-11-23T13:00:00.000Z, and it is 2026-11-23T12:00:00.000Z here"),
            "{said}"
        );
    }

    #[test]
    fn of_an_accounts_file_it_is_said_that_no_hash_covers_its_sentences() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("activity.json");
        std::fs::write(&file, r#"{"form":"rndrkit activity","account_id":"acct_1","events":[]}"#).unwrap();
        let said = format!("{:?}", check_export(&file, &[]).ok().unwrap());
        assert!(
            said.contains("0 events of account acct_1") && said.contains("each gives its hash"),
            "{said}"
        );
        assert!(said.contains("no hash covers the sentences (`what`), so they were not checked"), "{said}");
        std::fs::write(&file, "{}").unwrap();
        let said = format!("{:?}", check_export(&file, &[]).ok().unwrap());
        assert!(!said.contains("sentences") && said.contains("rndrkit audit export"), "{said}");
    }
}
