//! The states of a rotation, for the gallery.

use std::time::Duration;

use rndrkit_control::RotationUse;
use rndrkit_domain::id::KeyId;
use rndrkit_domain::key::PreviousSecret;
use rndrkit_domain::key_text::Mask;
use rndrkit_domain::random::OsEntropy;
use rndrkit_domain::rotation::{Stretch, Uses};
use rndrkit_domain::time::Timestamp;
use rndrkit_server::dashboard::view::frame::Place;
use rndrkit_server::dashboard::view::keys::{KeyRow, LastUsed, Revealed};
use rndrkit_server::dashboard::view::rotation::{EndPreviousPage, OldSecret, RotateForm, RotateKeyPage};

use super::{
    HOUR_MS, MINUTE_MS, NOW_MS, before, draw, frame, now, past_keys, repeated_form, row, section, settings,
    used,
};

/// A rotated key, whose old secret is still in use or is not any more.
pub fn rotated(is_safe: bool) -> KeyRow {
    let quiet_hours = if is_safe { 30 } else { 2 };
    let at = |hours: i64| before(hours * HOUR_MS);
    let pause = Duration::from_secs(8 * 3_600);
    let stretches = [Stretch { first_at: at(160), last_at: at(quiet_hours), longest_pause: pause }];
    let uses = Uses {
        old_made_at: at(900),
        old_last_at: Some(at(quiet_hours)),
        old_stretches: &stretches,
        new_last_at: Some(before(4 * MINUTE_MS)),
    };
    let known = RotationUse {
        key_id: KeyId::generate(now(), &OsEntropy),
        old_last_at: uses.old_last_at,
        old_ip: Some("2001:db8:4a7c:12::8f3e".parse().unwrap()),
        old_user_agent: Some("python-requests/2.32".to_owned()),
        new_last_at: uses.new_last_at,
        advice: uses.advice(now()),
    };
    with_old(Some(&known))
}

/// A rotated key; without who uses its old secret when that cannot be read.
fn with_old(known: Option<&RotationUse>) -> KeyRow {
    let old = PreviousSecret {
        mask: Mask::from_stored("rk_live_Ab3X".to_owned()),
        works_until: Timestamp::from_unix_ms(NOW_MS + 22 * HOUR_MS),
    };
    KeyRow {
        old: Some(OldSecret::new(&old, known, now())),
        ..row("Deployment Script", "9fQz", 64, used(4 * MINUTE_MS))
    }
}

pub fn states() -> Vec<(&'static str, String)> {
    let frame = || frame(Place::Settings, "Agency");
    let form = || RotateForm::fresh("form-4".to_owned());
    let faulty = RotateForm { problem: Some("Choose when the old secret ends.".to_owned()), ..form() };
    let mut new_secret = section(vec![rotated(false)], Vec::new());
    let secret = format!("rk_live_{}", "9fQz7hYt".repeat(4));
    let old = Some("The old secret works until tomorrow at 14:05 UTC.".to_owned());
    new_secret.created = Some(Revealed { name: "Deployment Script".to_owned(), secret, old });
    let mut repeated = section(vec![rotated(false)], Vec::new());
    repeated.repeated = Some(repeated_form(true));
    let page = |key, form| draw(&RotateKeyPage { frame: frame(), key, form });
    let end = |key, problem| draw(&EndPreviousPage { frame: frame(), key, problem });
    let unsure = "We could not confirm that the old secret has ended. It may still work: end it again.";
    let two = vec![rotated(false), rotated(true), row("Staging", "tT0c", 20, LastUsed::Never)];
    vec![
        ("rotate-list", settings("Agency", section(two, past_keys()), vec![])),
        ("rotate-unknown", settings("Agency", section(vec![with_old(None)], past_keys()), vec![])),
        ("rotate-created", settings("Agency", new_secret, vec![])),
        ("rotate-repeated", settings("Agency", repeated, vec![])),
        ("rotate-page", page(row("CI/CD Pipeline", "9fQz", 12, used(3 * MINUTE_MS)), form())),
        ("rotate-again", page(rotated(false), faulty)),
        ("rotate-end", end(rotated(false), None)),
        ("rotate-end-safe", end(rotated(true), None)),
        ("rotate-end-failed", end(rotated(false), Some(unsure.to_owned()))),
        ("rotate-end-nothing", end(row("CI/CD Pipeline", "9fQz", 12, LastUsed::Never), None)),
    ]
}
