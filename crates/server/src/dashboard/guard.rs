//! Two rules before any page: the request was for one of our names, and a form came from one of our pages.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, Method, StatusCode, Uri};
use rndrkit_domain::client::ClientInfo;

use super::failure::Failure;
use super::state::DashboardState;

const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// Answers only to the name of `public_url` and to this machine's own names. Under any other name a browser
/// would keep our cookies for, or show our pages to, somebody else's site.
pub(super) async fn own_names_only(
    State(state): State<DashboardState>,
    request: Request,
    next: Next,
) -> Response {
    let is_ours = authority(request.uri(), request.headers()).is_some_and(|authority| {
        let host = authority.host().to_ascii_lowercase();
        host == state.public_host() || is_this_machine(&host)
    });
    if is_ours { next.run(request).await } else { misdirected(&state).into_response() }
}

fn misdirected(state: &DashboardState) -> Failure {
    let address = state.public_url();
    Failure::new(StatusCode::MISDIRECTED_REQUEST, "This server does not answer to that name")
        .say(format!("The dashboard is at {address}."))
        .say("If you run this server, `public_url` in its settings decides the name.")
        .lead("Open the dashboard", address)
}

/// Refuses a form that another site made the browser send.
pub(super) async fn own_forms_only(
    State(state): State<DashboardState>,
    request: Request,
    next: Next,
) -> Response {
    let is_safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let is_https = request.extensions().get::<ClientInfo>().is_some_and(|client| client.https);
    if is_safe || is_own_form(request.uri(), request.headers(), is_https, state.public_url()) {
        return next.run(request).await;
    }
    Failure::new(StatusCode::FORBIDDEN, "This form came from another site")
        .say("Nothing was changed. Open the page here and send the form again.")
        .lead("Go to the overview", "/")
        .into_response()
}

/// `Sec-Fetch-Site` says it outright, but browsers send it only to HTTPS and to this machine. Without it
/// the `Origin`, which every browser sends with a form, must be the request's own or `public_url`'s.
fn is_own_form(uri: &Uri, headers: &HeaderMap, is_https: bool, public_url: &str) -> bool {
    if headers.contains_key(SEC_FETCH_SITE) {
        return matches!(single(headers, SEC_FETCH_SITE), Some("same-origin" | "none"));
    }
    let Some(origin) = single(headers, ORIGIN.as_str()) else { return false };
    let scheme = if is_https { "https" } else { "http" };
    let own = authority(uri, headers).map(|authority| format!("{scheme}://{authority}"));
    origin.eq_ignore_ascii_case(public_url) || own.is_some_and(|own| origin.eq_ignore_ascii_case(&own))
}

/// The name that the request was for; none when it names none, or two.
fn authority(uri: &Uri, headers: &HeaderMap) -> Option<Authority> {
    match uri.authority() {
        Some(authority) => Some(authority.clone()),
        None => single(headers, HOST.as_str())?.parse().ok(),
    }
}

fn single<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// `localhost`, `*.localhost`, `127.0.0.0/8`, `[::1]`: names that never leave this machine.
fn is_this_machine(host: &str) -> bool {
    let loopback_address = || {
        host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    };
    host == "localhost" || host.ends_with(".localhost") || loopback_address()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn is_own(lines: &[(&'static str, &'static str)]) -> bool {
        let headers: HeaderMap = lines
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        is_own_form(&Uri::from_static("/billing"), &headers, false, "https://keys.example")
    }

    #[test]
    fn a_browser_that_says_where_a_form_came_from_is_believed() {
        assert!(is_own(&[("sec-fetch-site", "same-origin")]));
        assert!(is_own(&[("sec-fetch-site", "none")]));
        for other in ["cross-site", "same-site", "", "Same-Origin, none"] {
            assert!(!is_own(&[("sec-fetch-site", other), ("origin", "https://keys.example")]), "{other}");
        }
    }

    #[test]
    fn without_that_the_origin_must_be_our_own() {
        assert!(is_own(&[("origin", "https://keys.example")]));
        assert!(is_own(&[("origin", "http://box.lan:8080"), ("host", "box.lan:8080")]));
        for other in ["null", "https://evil.example", "http://box.lan", "https://box.lan:8080"] {
            assert!(!is_own(&[("origin", other), ("host", "box.lan:8080")]), "{other}");
        }
        assert!(!is_own(&[]));
    }

    #[test]
    fn names_of_this_machine_are_told_from_look_alikes() {
        for own in ["localhost", "a.localhost", "127.0.0.1", "127.9.9.9", "[::1]"] {
            assert!(is_this_machine(own), "{own}");
        }
        for other in
            ["localhost.evil.example", "notlocalhost", "128.0.0.1", "[::2]", "127.0.0.1.evil.example"]
        {
            assert!(!is_this_machine(other), "{other}");
        }
    }
}
