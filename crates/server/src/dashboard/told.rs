//! Who follows a change that a form has just made, carried to the page that the form leads to.
//!
//! In a cookie for a minute and not in the address: a link cannot make it up, any node can read it, and nothing
//! is kept on a server. Deliberately absent: whether the change happened at all, which the page reads for itself.

use std::time::Duration;

use http::HeaderMap;
use rndrkit_control::Confirmation;

use super::cookie;

/// As long as a browser may take to follow to the next page, and not so long that it is shown beside
/// something else.
const LIFETIME: Duration = Duration::from_secs(60);
/// Stands where a change that nodes follow has its figures.
const DONE: &str = "done";
/// What a change of the own plan is called, where a deletion has the key's id.
pub(super) const PLAN: &str = "plan";

/// Puts it down for the next page.
pub(super) fn put(headers: &mut HeaderMap, is_https: bool, subject: &str, who: &Confirmation) {
    let Confirmation { nodes_confirmed, nodes_expired, took } = who;
    let value = format!("{subject}.{nodes_confirmed}.{nodes_expired}.{}", took.as_millis());
    cookie::set_told(headers, is_https, &value, LIFETIME);
}

/// Puts down that something was done which no node has to follow.
pub(super) fn note(headers: &mut HeaderMap, is_https: bool, subject: &str) {
    cookie::set_told(headers, is_https, &format!("{subject}.{DONE}"), LIFETIME);
}

/// Whether that was put down about this subject.
pub(super) fn noted(headers: &HeaderMap, is_https: bool, subject: &str) -> bool {
    let value = cookie::read_told(headers, is_https);
    value.and_then(|value| value.strip_prefix(subject)?.strip_prefix('.')).is_some_and(|rest| rest == DONE)
}

/// What was put down about this subject; none when it was about another, or is no more.
pub(super) fn take(headers: &HeaderMap, is_https: bool, subject: &str) -> Option<Confirmation> {
    let value = cookie::read_told(headers, is_https)?;
    let mut parts = value.strip_prefix(subject)?.strip_prefix('.')?.split('.');
    let nodes_confirmed = parts.next()?.parse().ok()?;
    let nodes_expired = parts.next()?.parse().ok()?;
    let took = Duration::from_millis(parts.next()?.parse().ok()?);
    parts.next().is_none().then_some(Confirmation { nodes_confirmed, nodes_expired, took })
}

#[cfg(test)]
mod tests {
    use http::header::{COOKIE, SET_COOKIE};
    use http::{HeaderMap, HeaderValue};

    use super::*;

    const WHO: Confirmation =
        Confirmation { nodes_confirmed: 2, nodes_expired: 1, took: Duration::from_millis(7_012) };

    fn after(cookie: &str) -> HeaderMap {
        [(COOKIE, HeaderValue::from_str(cookie).unwrap())].into_iter().collect()
    }

    #[test]
    fn what_was_put_down_is_taken_up_about_the_same_subject_only() {
        let mut answer = HeaderMap::new();
        put(&mut answer, true, "key_a", &WHO);
        let line = answer[SET_COOKIE].to_str().unwrap();
        assert!(line.starts_with("__Host-rk_told=key_a.2.1.7012; Path=/; Max-Age=60; HttpOnly;"), "{line}");
        let next = after("__Host-rk_told=key_a.2.1.7012");
        assert_eq!(take(&next, true, "key_a"), Some(WHO));
        assert_eq!(take(&next, true, "key_b"), None);
        assert_eq!(take(&next, true, "key"), None);
        assert_eq!(take(&next, false, "key_a"), None);
    }

    #[test]
    fn what_no_node_has_to_follow_is_noted_under_its_own_name() {
        let mut answer = HeaderMap::new();
        note(&mut answer, false, "password");
        assert!(answer[SET_COOKIE].to_str().unwrap().starts_with("rk_told_local=password.done; "));
        assert!(noted(&after("rk_told_local=password.done"), false, "password"));
        assert!(!noted(&after("rk_told_local=password.done"), false, "pass"));
        assert!(!noted(&after("rk_told_local=password.0.0.0"), false, "password"));
        assert!(!noted(&HeaderMap::new(), false, "password"));
    }

    #[test]
    fn what_was_not_put_down_by_us_is_not_read() {
        for value in
            ["key_a", "key_a.2.1", "key_a.2.1.x", "key_a.2.1.7.8", "key_a.-1.0.1", "key_a.99999999999.0.1"]
        {
            assert_eq!(take(&after(&format!("rk_told_local={value}")), false, "key_a"), None, "{value}");
        }
    }
}
