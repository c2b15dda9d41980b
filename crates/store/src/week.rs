//! A week's summary as its row in the outbox holds it.

use rndrkit_domain::mail::{KeyWeek, MailContent, NamedKey, WeeklySummary};
use serde_json::{Value as Json, json};

use crate::error::Error;
use crate::value::read_time;

/// Keys that a summary names. With names of 64 characters, four bytes each, its row stays below its limit.
pub(crate) const KEYS_MAX: usize = 15;

pub(crate) fn write(week: &WeeklySummary) -> String {
    let keys: Vec<Json> = week
        .keys
        .iter()
        .take(KEYS_MAX)
        .map(|key| json!([key.key.name, key.key.mask, key.allowed, key.limited, key.refused]))
        .collect();
    json!({
        "from": week.from.unix_ms(),
        "to": week.to.unix_ms(),
        "keys": keys,
        "more": week.more_keys,
    })
    .to_string()
}

pub(crate) fn read(written: &str) -> Result<MailContent, Error> {
    let wrong = || Error::corrupt("a week's summary");
    let json: Json = serde_json::from_str(written).map_err(|_| wrong())?;
    let moment = |name: &str| json.get(name).and_then(Json::as_i64).map(read_time);
    let keys: Option<Vec<KeyWeek>> =
        json.get("keys").and_then(Json::as_array).and_then(|keys| keys.iter().map(read_key).collect());
    let more = json.get("more").and_then(Json::as_u64).and_then(|more| u32::try_from(more).ok());
    let summary =
        (|| Some(WeeklySummary { from: moment("from")?, to: moment("to")?, keys: keys?, more_keys: more? }))(
        );
    summary.map(MailContent::Week).ok_or_else(wrong)
}

fn read_key(key: &Json) -> Option<KeyWeek> {
    let text = |index: usize| key.get(index).and_then(Json::as_str).map(str::to_owned);
    let number = |index: usize| key.get(index).and_then(Json::as_u64);
    Some(KeyWeek {
        key: NamedKey { name: text(0)?, mask: text(1)? },
        allowed: number(2)?,
        limited: number(3)?,
        refused: number(4)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_reads_back_and_the_longest_fits_its_column() {
        let key = |name: &str| KeyWeek {
            key: NamedKey { name: name.repeat(64), mask: "abcdefghij_abcdefgh_AbCd".to_owned() },
            allowed: u64::MAX,
            limited: u64::MAX,
            refused: u64::MAX,
        };
        let keys = vec![key("\u{1f511}"); KEYS_MAX];
        let week = WeeklySummary { from: read_time(1), to: read_time(2), keys, more_keys: 7 };
        let written = write(&week);
        // PostgreSQL and SQLite count characters; JSON escapes none of these.
        assert!(written.len() <= 8_192, "{}", written.len());
        assert_eq!(read(&written).unwrap(), MailContent::Week(week));
        assert!(read("{}").is_err());
    }
}
