//! Where somebody sits who signs in: the network and the kind of browser, coarse enough that the same desk stays
//! the same place. Deliberately absent: which places are known (the store's).

use std::fmt;
use std::net::IpAddr;

use crate::browser::browser;
use crate::observation::network_of;

/// A place.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place(String);

impl Place {
    /// The place behind an address and a browser's description of itself. The version of a browser is no part of it:
    /// an update is not a move.
    #[must_use]
    pub fn of(ip: Option<IpAddr>, user_agent: Option<&str>) -> Self {
        let network = ip.map_or_else(|| "unknown network".to_owned(), network_of);
        Self(format!("{network}, {}", browser(user_agent.unwrap_or_default())))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

    fn place(ip: &str, user_agent: &str) -> String {
        Place::of(Some(ip.parse().unwrap()), Some(user_agent)).to_string()
    }

    #[test]
    fn the_same_desk_is_the_same_place_with_another_address_and_a_newer_browser() {
        assert_eq!(place("192.0.2.7", FIREFOX), "192.0.2.0/24, Firefox on Linux");
        assert_eq!(place("192.0.2.99", &FIREFOX.replace("140", "141")), place("192.0.2.7", FIREFOX));
        assert_eq!(place("2001:db8:1:2::9", FIREFOX), "2001:db8:1::/48, Firefox on Linux");
    }

    #[test]
    fn another_network_or_another_browser_is_another_place() {
        assert_ne!(place("192.0.3.7", FIREFOX), place("192.0.2.7", FIREFOX));
        assert_ne!(place("192.0.2.7", "curl/8.14.1"), place("192.0.2.7", FIREFOX));
        assert_eq!(Place::of(None, None).to_string(), "unknown network, An unknown program");
    }

    #[test]
    fn a_place_is_short_whatever_a_client_says() {
        assert!(place("2001:db8:ffff:ffff::1", &"x".repeat(5_000)).len() < 300);
    }
}
