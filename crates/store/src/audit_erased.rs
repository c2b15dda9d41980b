//! Who may be erased from the audit trail: an event loses who did it and from where only by the deletion of its
//! account, which is an event later in the trail. Retention drops the oldest first, so never a deletion alone.

use std::collections::BTreeMap;

use rndrkit_domain::audit::Action;
use rndrkit_domain::id::AccountId;
use sea_orm::{ConnectionTrait, FromQueryResult};

use crate::audit_chain::LinkedRow;
use crate::error::Error;
use crate::sql::Sql;
use crate::value::text;

/// Accounts whose deletion is awaited at once, at most: some 40 MB, and more than are deleted in the time that events
/// are kept.
const MOST_AWAITED: usize = 1_000_000;

/// The erased events whose account's deletion has not come yet.
pub(crate) struct Erasures {
    /// The first of each account; those without an account wait in vain.
    awaited: BTreeMap<Option<AccountId>, i64>,
    most: usize,
    unfollowed: Option<i64>,
}

impl Erasures {
    pub(crate) const fn new() -> Self {
        Self { awaited: BTreeMap::new(), most: MOST_AWAITED, unfollowed: None }
    }

    /// The next event of the trail.
    pub(crate) fn event(&mut self, row: &LinkedRow) {
        let account = row.account_id.as_deref().and_then(|id| id.parse().ok());
        if account.is_some() && row.action == Action::AccountDeleted.as_str() {
            self.awaited.remove(&account);
        }
        // The deletion's own event keeps who deleted, as do those after it: they await another one.
        if row.personal_salt.is_some() {
            return;
        }
        if account.is_some() && self.awaited.len() >= self.most && !self.awaited.contains_key(&account) {
            self.unfollowed.get_or_insert(row.seq);
            return;
        }
        self.awaited.entry(account).or_insert(row.seq);
    }

    /// The first erased event that no deletion explains.
    pub(crate) fn unexplained(&self) -> Option<i64> {
        self.awaited.values().min().copied()
    }

    /// The first erased event that was one too many to look for its deletion.
    pub(crate) const fn unfollowed(&self) -> Option<i64> {
        self.unfollowed
    }
}

#[derive(FromQueryResult)]
struct SeqRow {
    seq: i64,
}

/// The first event that says of an account which lives that it was deleted. Only a database knows; in an export such
/// an event explains everything.
pub(crate) async fn deletion_of_the_living<C: ConnectionTrait>(sql: &Sql<C>) -> Result<Option<i64>, Error> {
    let row: Option<SeqRow> = sql
        .optional(
            "SELECT audit_events.seq FROM audit_events JOIN accounts ON accounts.id = audit_events.account_id
             WHERE audit_events.action = $1 AND accounts.deleted_at IS NULL ORDER BY audit_events.seq LIMIT 1",
            [text(Action::AccountDeleted.as_str())],
        )
        .await?;
    Ok(row.map(|row| row.seq))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn erased(seq: i64, account: Option<&str>) -> LinkedRow {
        LinkedRow {
            seq,
            id: String::new(),
            at: 0,
            action: Action::KeyCreated.as_str().to_owned(),
            actor_type: "user".to_owned(),
            actor_id: None,
            actor_name: None,
            account_id: account.map(str::to_owned),
            target_type: String::new(),
            target_id: String::new(),
            ip: None,
            user_agent: None,
            request_id: None,
            details: String::new(),
            personal_salt: None,
            personal_hash: Vec::new(),
            previous_hash: Vec::new(),
            hash: Vec::new(),
        }
    }

    fn deletion(seq: i64, account: Option<&str>) -> LinkedRow {
        let action = Action::AccountDeleted.as_str().to_owned();
        LinkedRow { action, personal_salt: Some(vec![7]), ..erased(seq, account) }
    }

    const ADA: Option<&str> = Some("acc_00000000000000000000000001");
    const BOB: Option<&str> = Some("acc_00000000000000000000000002");
    const EVE: Option<&str> = Some("acc_00000000000000000000000003");

    fn seen(most: usize, rows: &[LinkedRow]) -> (Option<i64>, Option<i64>) {
        let mut erasures = Erasures { most, ..Erasures::new() };
        for row in rows {
            erasures.event(row);
        }
        (erasures.unexplained(), erasures.unfollowed())
    }

    #[test]
    fn only_the_deletion_of_its_own_account_later_explains_an_erased_event() {
        let of_two = [erased(1, ADA), erased(2, BOB), erased(3, ADA), deletion(4, ADA)];
        assert_eq!(seen(9, &of_two), (Some(2), None));
        assert_eq!(seen(9, &[deletion(1, ADA), erased(2, ADA)]), (Some(2), None), "not an earlier one");
        let itself = LinkedRow { personal_salt: None, ..deletion(2, ADA) };
        assert_eq!(seen(9, &[erased(1, ADA), itself]), (Some(2), None), "not of itself");
        for nobody in [None, Some("nobody"), Some("")] {
            assert_eq!(seen(9, &[erased(1, nobody), deletion(2, nobody)]), (Some(1), None));
        }
    }

    #[test]
    fn what_is_too_much_to_remember_is_said_and_not_called_whole() {
        let rows = [erased(1, ADA), erased(2, BOB), erased(3, EVE), erased(4, ADA), erased(5, None)];
        assert_eq!(seen(2, &rows), (Some(1), Some(3)));
        let deleted = [deletion(6, ADA), deletion(7, BOB), deletion(8, EVE)];
        assert_eq!(seen(2, &[&rows[..4], &deleted].concat()), (None, Some(3)));
        assert_eq!(
            seen(2, &[&rows[..], &deleted].concat()),
            (Some(5), Some(3)),
            "one without an account fits"
        );
    }
}
