//! Lists: newest first, by cursor.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// The items.
    pub data: Vec<T>,
    /// Whether there are more.
    pub has_more: bool,
    /// What to send as `after` for the next page; null at the end.
    #[schema(required)]
    pub next_cursor: Option<String>,
}
