//! News that no call brings: keys about to end or long unused, limits reached, and the week's summary. Every node
//! looks, and each thing is told once.

use std::time::Duration;

use rndrkit_domain::audit::{Action, NewEvent};
use rndrkit_domain::id::{AccountId, EventId, KeyId};
use rndrkit_domain::time::Timestamp;
use rndrkit_store::RestingKey;

use crate::event::Subject;
use crate::{Context, Control, Error};

const DAY: Duration = Duration::from_secs(86_400);
/// How many days before its end a key is told of, and down to how many it still counts as this news and not as
/// the next.
const ENDING: [(u32, u32); 2] = [(7, 1), (1, 0)];
/// How many days a key must rest to be told of.
const RESTING_DAYS: [u32; 2] = [30, 90];
/// How far back a rest may have become news. A server that was off for longer tells less; one that is new to an
/// installation with a thousand old keys does not tell of all of them at once.
const RESTING_WINDOW: Duration = Duration::from_secs(3 * 86_400);
/// How far back minutes are looked at for limits that were reached. Rounds are ten minutes apart.
const LIMIT_WINDOW: Duration = Duration::from_secs(3_600);
/// Things found by one statement.
const BATCH: u32 = 200;
/// Keys of one page of the walk.
const WALK_BATCH: u32 = 1_000;
/// Batches of one kind in one round: all that an installation has, and an end to a mistake of ours.
const BATCHES_MAX: u32 = 5_000;
/// A new week's summary waits until the last counts of the old one are written.
const COUNTED_AFTER: Duration = Duration::from_secs(300);

impl Control {
    /// One round: tells what is news now; how much that was. Safe to run on every node, as often as one likes.
    pub async fn tell_news(&self) -> Result<u64, Error> {
        let mut told = 0;
        for (days, until) in ENDING {
            told += self.tell_ending_keys(days, until).await?;
        }
        told += self.tell_reached_limits().await?;
        told += self.tell_resting_keys().await?;
        if self.settings().sends_mail {
            told += self.write_summaries().await?;
        }
        Ok(told)
    }

    fn news(&self, at: Timestamp, action: Action, account_id: AccountId, subject: Subject) -> NewEvent {
        self.event(&Context::system(), at, action, Some(account_id), subject)
    }

    async fn tell_ending_keys(&self, days: u32, down_to: u32) -> Result<u64, Error> {
        let mut told = 0;
        for _ in 0..BATCHES_MAX {
            let now = self.now();
            let span = (now.plus(DAY * down_to), now.plus(DAY * days));
            let keys = self.store().list_ending_keys(days, span, BATCH).await?;
            for key in &keys {
                let subject = Subject::Key(key.key_id);
                let mut event = self.news(now, Action::KeyExpiring, key.account_id, subject);
                event.details = vec![("expires_at", key.expires_at.to_string()), ("days", days.to_string())];
                let name = key.name(days);
                let once = self.store().tell_once(&name, key.account_id, self.change(now), event).await?;
                told += u64::from(once);
            }
            if keys.len() < BATCH as usize {
                break;
            }
        }
        Ok(told)
    }

    async fn tell_reached_limits(&self) -> Result<u64, Error> {
        let mut told = 0;
        for _ in 0..BATCHES_MAX {
            let now = self.now();
            let limits = self.store().list_reached_limits(now.minus(LIMIT_WINDOW), BATCH).await?;
            for limit in &limits {
                let subject = Subject::Account(limit.account_id);
                let mut event = self.news(now, Action::AccountLimitReached, limit.account_id, subject);
                event.details = vec![("minute", limit.minute.to_string())];
                let change = self.change(now);
                let once = self.store().tell_once(&limit.name(), limit.account_id, change, event).await?;
                told += u64::from(once);
            }
            if limits.len() < BATCH as usize {
                break;
            }
        }
        Ok(told)
    }

    /// Walks through all keys, once a day and on one node.
    async fn tell_resting_keys(&self) -> Result<u64, Error> {
        let now = self.now();
        if !self.store().claim_once(&format!("round.key_unused.{}", now.date()), now).await? {
            return Ok(0);
        }
        let (mut told, mut after): (u64, Option<KeyId>) = (0, None);
        loop {
            let keys = self.store().walk_keys(after, WALK_BATCH).await?;
            let Some(last) = keys.last() else { return Ok(told) };
            after = Some(last.key_id);
            for key in &keys {
                let now = self.now();
                if let Some(days) = rests_since(key, now) {
                    told += u64::from(self.tell_resting_key(key, days, now).await?);
                }
            }
        }
    }

    async fn tell_resting_key(&self, key: &RestingKey, days: u32, now: Timestamp) -> Result<bool, Error> {
        let mut event = self.news(now, Action::KeyUnused, key.account_id, Subject::Key(key.key_id));
        event.details = vec![("days", days.to_string())];
        if key.was_used {
            event.details.push(("last_used_at", key.since.to_string()));
        }
        let change = self.change(now);
        Ok(self.store().tell_once(&key.name(days), key.account_id, change, event).await?)
    }

    async fn write_summaries(&self) -> Result<u64, Error> {
        let Some(week) = week_to_sum_up(self.now()) else { return Ok(0) };
        let mut written = 0;
        for _ in 0..BATCHES_MAX {
            let accounts = self.store().list_accounts_without_summary(week.1, BATCH).await?;
            for account_id in &accounts {
                let now = self.now();
                let event_id = EventId::generate(now, self.entropy());
                let wrote = self.store().write_summary(*account_id, week, self.change(now), event_id).await?;
                written += u64::from(wrote);
            }
            if accounts.len() < BATCH as usize {
                break;
            }
        }
        Ok(written)
    }
}

/// The days under which a key's rest is news now; none when it is none.
fn rests_since(key: &RestingKey, now: Timestamp) -> Option<u32> {
    let ended = key.revoked_at.is_some() || key.expires_at.is_some_and(|end| end <= now);
    let rest = now.since(key.since);
    let is_news = |days: &u32| rest >= DAY * *days && rest < DAY * *days + RESTING_WINDOW;
    RESTING_DAYS.into_iter().find(|days| !ended && is_news(days))
}

/// On a Monday (UTC) the seven days before it.
fn week_to_sum_up(now: Timestamp) -> Option<(Timestamp, Timestamp)> {
    /// 1 January 1970 was a Thursday.
    const MONDAY: u128 = 4;
    let today = now.floor_to(DAY);
    let days = today.since(Timestamp::from_unix_ms(0)).as_millis() / DAY.as_millis();
    let is_monday = days % 7 == MONDAY;
    (is_monday && now.since(today) >= COUNTED_AFTER).then(|| (today.minus(DAY * 7), today))
}

#[cfg(test)]
mod tests {
    use rndrkit_domain::random::OsEntropy;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn the_week_is_summed_up_on_monday_once_it_is_counted() {
        let week = (at("2026-11-23T00:00:00Z"), at("2026-11-30T00:00:00Z"));
        assert_eq!(week_to_sum_up(at("2026-11-30T00:05:00Z")), Some(week));
        assert_eq!(week_to_sum_up(at("2026-11-30T23:59:59Z")), Some(week));
        assert_eq!(week_to_sum_up(at("2026-11-30T00:04:59Z")), None);
        assert_eq!(week_to_sum_up(at("2026-12-01T12:00:00Z")), None);
        assert_eq!(week_to_sum_up(at("2026-11-29T12:00:00Z")), None);
    }

    #[test]
    fn a_rest_is_news_when_it_reaches_30_and_90_days_and_not_long_after() {
        let now = at("2026-11-30T12:00:00Z");
        let rested = |days: u32| {
            let since = now.minus(DAY * days);
            let id = KeyId::generate(since, &OsEntropy);
            let account_id = AccountId::generate(since, &OsEntropy);
            RestingKey { key_id: id, account_id, since, was_used: false, revoked_at: None, expires_at: None }
        };
        for (days, told) in
            [(29, None), (30, Some(30)), (32, Some(30)), (33, None), (90, Some(90)), (93, None), (500, None)]
        {
            assert_eq!(rests_since(&rested(days), now), told, "{days}");
        }
        assert_eq!(rests_since(&RestingKey { revoked_at: Some(now), ..rested(30) }, now), None);
        assert_eq!(rests_since(&RestingKey { expires_at: Some(now), ..rested(30) }, now), None);
    }
}
