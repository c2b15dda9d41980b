//! Between domain types and column values, in both directions.

use std::fmt::Display;
use std::str::FromStr;

use rndrkit_domain::key_text::Digest;
use rndrkit_domain::time::Timestamp;
use sea_orm::Value;

use crate::error::Error;

/// Ids and other checked texts.
pub(crate) fn text(value: impl Display) -> Value {
    Value::String(Some(value.to_string()))
}

/// A text or NULL.
pub(crate) fn optional_text(value: Option<impl Display>) -> Value {
    Value::String(value.map(|value| value.to_string()))
}

/// UTC milliseconds.
pub(crate) fn time(value: Timestamp) -> Value {
    Value::BigInt(Some(value.unix_ms()))
}

/// UTC milliseconds or NULL.
pub(crate) fn optional_time(value: Option<Timestamp>) -> Value {
    Value::BigInt(value.map(Timestamp::unix_ms))
}

/// A count that SQL keeps as a signed number.
pub(crate) fn count(value: u64) -> Value {
    Value::BigInt(Some(i64::try_from(value).unwrap_or(i64::MAX)))
}

/// 32 bytes.
pub(crate) fn digest(value: &Digest) -> Value {
    bytes(&value.0)
}

/// Any bytes.
pub(crate) fn bytes(value: &[u8]) -> Value {
    Value::Bytes(Some(value.to_vec()))
}

/// Reads an id.
pub(crate) fn read_id<T: FromStr>(column: &str) -> Result<T, Error> {
    column.parse().map_err(|_| Error::corrupt("an id has the wrong shape"))
}

/// Reads an id or NULL.
pub(crate) fn read_optional_id<T: FromStr>(column: Option<&str>) -> Result<Option<T>, Error> {
    column.map(read_id).transpose()
}

/// Reads a digest.
pub(crate) fn read_digest(column: &[u8]) -> Result<Digest, Error> {
    column.try_into().map(Digest).map_err(|_| Error::corrupt("a digest is not 32 bytes long"))
}

/// Reads UTC milliseconds.
pub(crate) fn read_time(column: i64) -> Timestamp {
    Timestamp::from_unix_ms(column)
}

/// Reads UTC milliseconds or NULL.
pub(crate) fn read_optional_time(column: Option<i64>) -> Option<Timestamp> {
    column.map(Timestamp::from_unix_ms)
}

/// Reads a count.
pub(crate) fn read_count(column: i64) -> Result<u64, Error> {
    u64::try_from(column).map_err(|_| Error::corrupt("a count is negative"))
}

/// Reads a small count.
pub(crate) fn read_small(column: i64) -> Result<u32, Error> {
    u32::try_from(column).map_err(|_| Error::corrupt("a number is out of range"))
}

/// Reads what a parser of the domain accepts; `what` names it in the error, never the value.
pub(crate) fn read<T, E>(parsed: Result<T, E>, what: &str) -> Result<T, Error> {
    parsed.map_err(|_| Error::corrupt(what))
}
