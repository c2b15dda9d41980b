//! The cookies: their names and attributes, reading them and taking them away. One is the session; one tells the
//! next page who follows a change.

use std::time::Duration;

use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue};
use rndrkit_domain::key_text::Secret;

/// The longest cookie value that is looked at.
const MAX_VALUE_BYTES: usize = 128;

/// With HTTPS the browser itself guarantees, by the prefix, that no other host or path set the cookie.
/// Without it neither prefix nor `Secure` is possible.
fn name(is_https: bool) -> &'static str {
    if is_https { "__Host-rk_session" } else { "rk_session_local" }
}

fn told_name(is_https: bool) -> &'static str {
    if is_https { "__Host-rk_told" } else { "rk_told_local" }
}

/// The value of the session cookie; none when there is none, or more than one.
pub(super) fn read(headers: &HeaderMap, is_https: bool) -> Option<&str> {
    only(headers, name(is_https))
}

/// The value of the cookie about the change before this page; the same rule.
pub(super) fn read_told(headers: &HeaderMap, is_https: bool) -> Option<&str> {
    only(headers, told_name(is_https))
}

fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(key, value)| *key == name && value.len() <= MAX_VALUE_BYTES);
    let (_, value) = values.next()?;
    // Two cookies of the name: one of them was planted, and nothing says which.
    values.next().is_none().then_some(value)
}

/// Gives the browser a session.
pub(super) fn set(headers: &mut HeaderMap, is_https: bool, value: &Secret, lifetime: Duration) {
    write(headers, name(is_https), is_https, value.reveal(), lifetime.as_secs());
}

/// Takes the session from the browser.
pub(super) fn clear(headers: &mut HeaderMap, is_https: bool) {
    write(headers, name(is_https), is_https, "", 0);
}

/// Tells the next page something.
pub(super) fn set_told(headers: &mut HeaderMap, is_https: bool, value: &str, lifetime: Duration) {
    write(headers, told_name(is_https), is_https, value, lifetime.as_secs());
}

fn write(headers: &mut HeaderMap, name: &str, is_https: bool, value: &str, max_age_seconds: u64) {
    let secure = if is_https { "; Secure" } else { "" };
    let line = format!("{name}={value}; Path=/; Max-Age={max_age_seconds}; HttpOnly; SameSite=Lax{secure}");
    if let Ok(mut line) = HeaderValue::from_str(&line) {
        line.set_sensitive(true);
        headers.append(SET_COOKIE, line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[&str]) -> HeaderMap {
        lines.iter().map(|line| (COOKIE, HeaderValue::from_str(line).unwrap())).collect()
    }

    #[test]
    fn only_the_cookie_of_the_scheme_counts() {
        let both = headers(&["a=1; __Host-rk_session=safe; rk_session_local=plain"]);
        assert_eq!(read(&both, true), Some("safe"));
        assert_eq!(read(&both, false), Some("plain"));
        assert_eq!(read(&headers(&["x__Host-rk_session=a"]), true), None);
    }

    #[test]
    fn a_planted_second_cookie_makes_both_worthless() {
        assert_eq!(read(&headers(&["rk_session_local=a; rk_session_local=b"]), false), None);
        assert_eq!(read(&headers(&["rk_session_local=a", "rk_session_local=b"]), false), None);
    }

    #[test]
    fn the_cookie_is_out_of_reach_of_scripts_and_other_sites() {
        let mut headers = HeaderMap::new();
        set(&mut headers, true, &Secret::from_text("v".to_owned()), Duration::from_secs(60));
        assert_eq!(
            headers[SET_COOKIE],
            "__Host-rk_session=v; Path=/; Max-Age=60; HttpOnly; SameSite=Lax; Secure"
        );
        assert!(headers[SET_COOKIE].is_sensitive());
    }
}
