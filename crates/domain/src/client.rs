//! Where a request came from, as far as the listener can tell. It travels beside the request, not in it.
//!
//! Deliberately absent: how it is found out (which proxies are believed is the listener's business).

use std::net::IpAddr;

/// The client behind a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientInfo {
    /// Its address: the peer's, or the one that a trusted proxy reported.
    pub ip: IpAddr,
    /// Whether it came to us, or to that proxy, by HTTPS.
    pub https: bool,
}
