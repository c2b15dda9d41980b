//! Where a form may lead afterwards: to the dashboard's own pages, by list.

use std::fmt::Write as _;

use rndrkit_domain::id::KeyId;

/// The pages that a person may be sent back to.
const PAGES: [&str; 7] =
    ["/", "/usage", "/activity", "/explain", "/settings", "/billing", "/settings/api-keys/new"];
/// The pages below a key's own address.
const KEY_PAGES: [&str; 4] = ["delete", "label", "rotate", "end-previous"];
/// Forms of the section *Account*.
const ACCOUNT_FORMS: [&str; 3] = ["/settings/password", "/settings/email", "/settings/sessions"];
/// Longer fragments name nothing of ours.
const MAX_FRAGMENT_BYTES: usize = 32;

/// `text` if it is one of our pages, with or without a fragment; never another site.
pub(super) fn checked(text: &str) -> Option<String> {
    let (path, fragment) = text.split_once('#').unwrap_or((text, ""));
    let fragment_ok =
        fragment.len() <= MAX_FRAGMENT_BYTES && fragment.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    let page_ok = PAGES.contains(&path) || is_key_page(path);
    (page_ok && fragment_ok).then(|| text.to_owned())
}

/// `/settings/api-keys/{id}`, and `/settings/api-keys/{id}/delete` and its neighbours.
fn is_key_page(path: &str) -> bool {
    path.strip_prefix("/settings/api-keys/").is_some_and(|rest| match rest.split_once('/') {
        Some((id, page)) => KEY_PAGES.contains(&page) && id.parse::<KeyId>().is_ok(),
        None => rest.parse::<KeyId>().is_ok(),
    })
}

/// The page that a form stands on, for sending somebody back whose session ended in between.
pub(super) fn page_of_form(path: &str) -> &'static str {
    if path == "/settings/notifications" {
        "/settings#notifications"
    } else if ACCOUNT_FORMS.iter().any(|form| path.starts_with(form)) {
        "/settings#account"
    } else if path.starts_with("/settings") {
        "/settings#api-keys"
    } else if path == "/billing" {
        "/billing"
    } else {
        "/"
    }
}

/// `/settings#api-keys` with a query: `/settings?changed=plan#api-keys`.
pub(super) fn with_query(page: &str, query: &str) -> String {
    match page.split_once('#') {
        Some((path, fragment)) => format!("{path}?{query}#{fragment}"),
        None => format!("{page}?{query}"),
    }
}

/// `text` as the value of a query parameter.
pub(super) fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _infallible = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_of_the_dashboard_can_be_returned_to() {
        for good in ["/", "/settings", "/settings#api-keys", "/billing#upgrading", "/settings/api-keys/new"] {
            assert_eq!(checked(good).as_deref(), Some(good));
        }
        for bad in [
            "",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example/settings",
            "/settings?x=1",
            "/settings#<script>",
            "/sign-out",
            "/settings\r\nX: y",
            "/settings/api-keys/../../sign-out/delete",
            "/settings/api-keys/key_0/rotate",
            "/settings/api-keys/../rotate",
        ] {
            assert_eq!(checked(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_query_goes_before_the_fragment() {
        assert_eq!(with_query("/settings#api-keys", "changed=plan"), "/settings?changed=plan#api-keys");
        assert_eq!(with_query("/", "a=b"), "/?a=b");
        assert_eq!(encoded("/settings#api-keys"), "/settings%23api-keys");
    }
}
