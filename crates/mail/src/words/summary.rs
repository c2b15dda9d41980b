//! The week, key by key.

use rndrkit_domain::mail::{KeyWeek, WeeklySummary};
use rndrkit_domain::number::grouped;

use super::{Story, Words, typed};

/// Milliseconds of a day: a week ends where the next begins, and is said to end the day before.
const DAY: std::time::Duration = std::time::Duration::from_secs(86_400);

pub(super) fn story(words: &Words, account: &str, week: &WeeklySummary) -> Story {
    let (from, to) = (week.from.date_for_people(), week.to.minus(DAY).date_for_people());
    let mut advice = vec![week.keys.iter().map(line).collect::<Vec<_>>().join("\n")];
    if week.more_keys > 0 {
        advice.push(format!("And {} more keys.", week.more_keys));
    }
    let unused = week.keys.iter().filter(|key| key.allowed + key.limited + key.refused == 0).count();
    if unused > 0 {
        let which = if unused == 1 { "1 key was".to_owned() } else { format!("{unused} keys were") };
        advice.push(format!(
            "{which} not used. Delete what nobody needs: {}",
            words.page("/settings#api-keys")
        ));
    }
    advice.push(format!("Hour by hour: {}", words.page("/usage")));
    Story {
        subject: format!("Your week, {from} to {to}"),
        opening: format!("this is what the API keys of {account} did from {from} to {to} (UTC)."),
        facts: Vec::new(),
        advice,
    }
}

fn line(key: &KeyWeek) -> String {
    format!(
        "  {} ({}…)\n    {} let through, {} over the limit, {} refused",
        typed(&key.key.name),
        key.key.mask,
        grouped(key.allowed),
        grouped(key.limited),
        grouped(key.refused)
    )
}
