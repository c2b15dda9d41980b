//! `cargo xtask bench`: the product beside what people use instead, in alternation on one machine.

pub(crate) mod build;
pub(crate) mod installation;
pub(crate) mod load;
pub(crate) mod peers;
pub(crate) mod pinned;
