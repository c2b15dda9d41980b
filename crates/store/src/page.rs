//! Pages of lists: newest first, continued after the last item of the page before.

use rndrkit_domain::time::Timestamp;
use sea_orm::Value;

use crate::value::{text, time};

/// The most items of one page, whatever the caller asks for.
const MAX_PAGE_ITEMS: u32 = 1_000;

/// Which page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// Items wanted; at most 1,000 are given.
    pub limit: u32,
    /// Time and id of the last item of the page before.
    pub after: Option<(Timestamp, String)>,
}

impl PageRequest {
    /// One more than wanted, to see whether there are more.
    pub(crate) fn probe(&self) -> Value {
        probe(self.limit)
    }

    /// The position as two parameters; at the start, one that is after everything: `OR $1 IS NULL` in a
    /// statement would keep SQLite from using an index.
    pub(crate) fn position(&self) -> [Value; 2] {
        match &self.after {
            Some((at, id)) => [time(*at), text(id)],
            None => [Value::BigInt(Some(i64::MAX)), text("")],
        }
    }
}

/// One more than `limit`, as a parameter.
pub(crate) fn probe(limit: u32) -> Value {
    Value::BigInt(Some(i64::from(limit.min(MAX_PAGE_ITEMS)) + 1))
}

/// One page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Whether there are more after them.
    pub has_more: bool,
}

impl<T> Page<T> {
    /// Cuts rows that were read with [`probe`] to the page.
    pub(crate) fn cut(mut items: Vec<T>, limit: u32) -> Self {
        let wanted = usize::try_from(limit.min(MAX_PAGE_ITEMS)).unwrap_or(usize::MAX);
        let has_more = items.len() > wanted;
        items.truncate(wanted);
        Self { items, has_more }
    }
}
