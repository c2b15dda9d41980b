//! Where people reach the dashboard: the one address that decides about HTTPS, cookies and host names.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::parse;

/// Scheme, host and perhaps a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl {
    https: bool,
    authority: String,
    host: String,
}

impl PublicUrl {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let uri = parse::origin(text)?;
        let https = uri.scheme_str() == Some("https");
        let authority = uri.authority()?.as_str().to_ascii_lowercase();
        // Browsers leave the scheme's own port out of `Host` and `Origin`; so do we.
        let own_port = if https { ":443" } else { ":80" };
        let authority = authority.strip_suffix(own_port).unwrap_or(&authority).to_owned();
        Some(Self { https, authority, host: uri.host()?.to_ascii_lowercase() })
    }

    /// Whether people reach it over HTTPS.
    #[must_use]
    pub const fn is_https(&self) -> bool {
        self.https
    }

    /// The host name, in lower case, without the port; IPv6 in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Host and port as they are written: what a `Host` header holds.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Whether the host is this machine and nothing else.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let host = self.host.as_str();
        host == "localhost"
            || host.ends_with(".localhost")
            || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
            || host.trim_matches(['[', ']']).parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback())
    }

    /// The address of a page, such as `/billing`.
    #[must_use]
    pub fn page(&self, path: &str) -> String {
        format!("{self}{path}")
    }
}

impl fmt::Display for PublicUrl {
    /// Without a final `/`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.https { "https" } else { "http" }, self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_this_machine_and_no_name_that_looks_like_it() {
        for local in [
            "http://localhost:8080",
            "http://a.localhost",
            "http://127.1.2.3",
            "http://[::1]:80",
            "http://LOCALHOST",
        ] {
            assert!(PublicUrl::parse(local).unwrap().is_loopback(), "{local}");
        }
        for remote in [
            "http://keys.example",
            "http://localhost.example",
            "http://notlocalhost",
            "http://128.0.0.1",
            "http://0.0.0.0",
            "http://[::2]",
            "http://127.0.0.1.example",
        ] {
            assert!(!PublicUrl::parse(remote).unwrap().is_loopback(), "{remote}");
        }
    }

    #[test]
    fn it_is_written_without_a_final_slash() {
        let url = PublicUrl::parse("https://Keys.Example:8443/").unwrap();
        assert_eq!(url.to_string(), "https://keys.example:8443");
        assert_eq!(url.page("/billing"), "https://keys.example:8443/billing");
        assert_eq!(PublicUrl::parse("https://a.example:443").unwrap().to_string(), "https://a.example");
        assert_eq!((url.host(), url.authority()), ("keys.example", "keys.example:8443"));
    }
}
