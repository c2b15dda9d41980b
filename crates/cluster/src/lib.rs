//! Several nodes on one database: who is there, how long each may be believed, and when a change is in
//! force on all of them.
//!
//! A node ([`Member`]) believes what it holds only until a term after a question that it sent itself; whoever
//! makes a change ([`Waiter`]) waits until every node has applied it or can believe nothing older any more.
//! Deliberately absent: SQL and HTTP (the database is behind [`mod@line`]'s traits), and the decision on a request
//! (the verifier's).

pub mod line;

mod beat;
mod follow;
mod handle;
mod machine;
mod marks;
mod member;
mod meters;
mod readings;
mod roll;
mod shared;
mod spans;
mod standing;
mod waiter;

pub use handle::{LostHistory, MemberHandle, MemberStatus};
pub use machine::{Machine, Rest, TimerRest};
pub use member::{Member, MemberOptions};
pub use meters::describe_metrics;
pub use waiter::{Confirmed, WaitError, Waiter};
