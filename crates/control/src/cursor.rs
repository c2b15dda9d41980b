//! Pages of lists: opaque cursors over (time, id) or a sequence number, newest first.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rndrkit_domain::time::Timestamp;

use crate::Error;

/// Where the next page begins. Opaque outside: base64url of a version and the last item's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cursor {
    /// Lists ordered by time and id.
    TimeAndId(Timestamp, String),
    /// Lists ordered by sequence number.
    Sequence(i64),
}

/// Longer texts are not cursors of ours.
const MAX_CURSOR_BYTES: usize = 128;

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = match self {
            Self::TimeAndId(at, id) => format!("t1.{}.{id}", at.unix_ms()),
            Self::Sequence(number) => format!("s1.{number}"),
        };
        f.write_str(&URL_SAFE_NO_PAD.encode(plain))
    }
}

impl FromStr for Cursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        parse(text).ok_or(Error::BadCursor)
    }
}

fn parse(text: &str) -> Option<Cursor> {
    if text.len() > MAX_CURSOR_BYTES {
        return None;
    }
    let plain = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
    let (kind, rest) = plain.split_once('.')?;
    match kind {
        "t1" => {
            let (at, id) = rest.split_once('.')?;
            let at = at.parse().ok().filter(|at| *at >= 0)?;
            let id_like = !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            id_like.then(|| Cursor::TimeAndId(Timestamp::from_unix_ms(at), id.to_owned()))
        }
        "s1" => rest.parse().ok().map(Cursor::Sequence),
        _ => None,
    }
}

/// Which page is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageQuery {
    /// How many items, 1 to 100.
    pub limit: u32,
    /// Where the page before ended.
    pub after: Option<Cursor>,
}

impl PageQuery {
    /// The most items of a page.
    pub const MAX_LIMIT: u32 = 100;
    /// Items of a page when nothing is said.
    pub const DEFAULT_LIMIT: u32 = 20;

    fn checked_limit(&self) -> Result<u32, Error> {
        if (1..=Self::MAX_LIMIT).contains(&self.limit) {
            Ok(self.limit)
        } else {
            Err(Error::invalid("limit", "Use a whole number from 1 to 100."))
        }
    }

    /// For lists ordered by time and id.
    pub(crate) fn by_time(&self) -> Result<rndrkit_store::PageRequest, Error> {
        let limit = self.checked_limit()?;
        match &self.after {
            None => Ok(rndrkit_store::PageRequest { limit, after: None }),
            Some(Cursor::TimeAndId(at, id)) => {
                Ok(rndrkit_store::PageRequest { limit, after: Some((*at, id.clone())) })
            }
            Some(Cursor::Sequence(_)) => Err(Error::BadCursor),
        }
    }

    /// For lists ordered by sequence number.
    pub(crate) fn by_sequence(&self) -> Result<(u32, Option<i64>), Error> {
        let limit = self.checked_limit()?;
        match &self.after {
            None => Ok((limit, None)),
            Some(Cursor::Sequence(number)) => Ok((limit, Some(*number))),
            Some(Cursor::TimeAndId(..)) => Err(Error::BadCursor),
        }
    }
}

impl Default for PageQuery {
    fn default() -> Self {
        Self { limit: Self::DEFAULT_LIMIT, after: None }
    }
}

/// One page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items, newest first.
    pub items: Vec<T>,
    /// Where the next page begins; none at the end.
    pub next: Option<Cursor>,
}

impl<T> Page<T> {
    /// From the store's page, given each item's place.
    pub(crate) fn new(stored: rndrkit_store::Page<T>, place: impl Fn(&T) -> Cursor) -> Self {
        let next = if stored.has_more { stored.items.last().map(place) } else { None };
        Self { items: stored.items, next }
    }

    /// Converts every item.
    pub fn map<U>(self, convert: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(convert).collect(), next: self.next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_read_back_and_foreign_texts_are_refused() {
        for cursor in [
            Cursor::TimeAndId(Timestamp::from_unix_ms(1_700_000_000_000), "key_abc".to_owned()),
            Cursor::Sequence(42),
        ] {
            assert_eq!(cursor.to_string().parse::<Cursor>().unwrap(), cursor);
        }
        let hostile = URL_SAFE_NO_PAD.encode("t1.5.x' or 1=1");
        for bad in ["", "!", "AAAA", &"A".repeat(500), &hostile, &URL_SAFE_NO_PAD.encode("t1.-5.x")] {
            assert!(bad.parse::<Cursor>().is_err(), "{bad}");
        }
    }
}
