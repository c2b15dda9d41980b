//! Help in place, for the gallery: every hint there is.

use std::num::NonZeroU32;

use rndrkit_domain::hint::{KeyHint, LimitHint};
use rndrkit_domain::plan::RateLimit;
use rndrkit_domain::text::Name;
use rndrkit_server::dashboard::view::hints::HintLine;
use rndrkit_server::dashboard::view::keys::{KeyRow, LastUsed};
use rndrkit_server::dashboard::view::overview::Attention;

use super::{DAY_MS, HOUR_MS, MINUTE_MS, in_environment, row, used};

const KEY_ID: &str = "key_01jd3n8q4w6x9y2z5b7c0d1e2f";

fn key_hint(hint: KeyHint, name: &str) -> HintLine {
    HintLine::of_key(hint, KEY_ID.parse().unwrap(), &Name::parse(name).unwrap())
}

pub(super) fn hinted(hint: KeyHint, row: KeyRow) -> KeyRow {
    KeyRow { hint: Some(key_hint(hint, &row.name)), ..row }
}

pub(super) fn limit_hint(hint: LimitHint) -> HintLine {
    let number = |number| NonZeroU32::new(number).unwrap();
    HintLine::of_limit(hint, RateLimit { per_minute: number(600), burst: number(100) })
}

/// On the keys that they fit.
pub(super) fn hinted_keys() -> Vec<KeyRow> {
    vec![
        hinted(KeyHint::ManyNetworks { networks: 5 }, row("CI/CD Pipeline", "9fQz", 12, used(3 * MINUTE_MS))),
        hinted(KeyHint::LongUnused { days: 97 }, row("Trade fair", "Ev3n", 160, used(97 * DAY_MS))),
        hinted(KeyHint::Unused { days: 34 }, row("مفتاح النشر للإنتاج", "x9Lm", 64, used(34 * DAY_MS))),
        hinted(KeyHint::NeverUsed { days: 8 }, row(&"W".repeat(64), "Zz00", 8, LastUsed::Never)),
        in_environment(
            "production",
            hinted(KeyHint::RotationDue { days: 193 }, row("Checkout", "pR0d", 193, used(HOUR_MS))),
        ),
    ]
}

pub(super) fn attention() -> Attention {
    let hints = vec![
        limit_hint(LimitHint::Near { percent: 83 }),
        key_hint(KeyHint::ManyNetworks { networks: 5 }, "CI/CD Pipeline").naming_its_key(),
        key_hint(KeyHint::LongUnused { days: 97 }, "مفتاح النشر للإنتاج").naming_its_key(),
        key_hint(KeyHint::RotationDue { days: 193 }, &"W".repeat(64)).naming_its_key(),
    ];
    Attention::Some { hints, more: 2 }
}
