//! Budgets that several nodes share: each draws slices of an account's bucket and spends them from memory.
//!
//! * [`terms`]: what an account's limit means for the shared bucket and for a slice, and why what all nodes
//!   admit together stays within the limit.
//! * [`share`]: what one node holds and knows of one account's budget: spend, refuse or wait; how much to draw
//!   ahead, and the bound on what the sharing costs the account.
//! * `held`: the slices themselves, and how much is asked of them.
//! * [`waiting`]: requests that wait for a draw.
//! * [`drawer`]: the one task of a node that draws, for all accounts that need it at once.

pub(crate) mod drawer;
mod held;
pub(crate) mod share;
pub(crate) mod terms;
pub(crate) mod waiting;
