//! Our cookies never reach an upstream, and no upstream sets one: `rk_*` and `__Host-rk_*`.

use http::header::{COOKIE, HeaderMap, HeaderValue, SET_COOKIE};

/// Whether `name[=value]` is one of ours. A cookie without a name is sent back as its bare value, so
/// `=rk_session=x` would come back as `rk_session=x`.
fn is_ours(pair: &[u8]) -> bool {
    let start = pair.iter().position(|byte| !matches!(byte, b' ' | b'\t' | b'='));
    let pair = start.and_then(|start| pair.get(start..)).unwrap_or_default();
    pair.starts_with(b"rk_") || pair.starts_with(b"__Host-rk_")
}

/// Removes our cookies from a request, and leaves the bytes of all others.
pub(crate) fn remove_ours_from_request(headers: &mut HeaderMap) {
    let ours = |value: &HeaderValue| value.as_bytes().split(|byte| *byte == b';').any(is_ours);
    if !headers.get_all(COOKIE).iter().any(ours) {
        return;
    }
    let lines: Vec<HeaderValue> = headers.get_all(COOKIE).iter().filter_map(without_ours).collect();
    headers.remove(COOKIE);
    for line in lines {
        headers.append(COOKIE, line);
    }
}

fn without_ours(value: &HeaderValue) -> Option<HeaderValue> {
    let kept: Vec<&[u8]> =
        value.as_bytes().split(|byte| *byte == b';').filter(|pair| !is_ours(pair)).collect();
    let line = kept.join(&b';');
    let line = line.trim_ascii();
    if line.is_empty() { None } else { HeaderValue::from_bytes(line).ok() }
}

/// Removes `Set-Cookie` of our names from an upstream's answer.
pub(crate) fn remove_ours_from_response(headers: &mut HeaderMap) {
    if !headers.get_all(SET_COOKIE).iter().any(|value| is_ours(value.as_bytes())) {
        return;
    }
    let kept: Vec<HeaderValue> =
        headers.get_all(SET_COOKIE).iter().filter(|value| !is_ours(value.as_bytes())).cloned().collect();
    headers.remove(SET_COOKIE);
    for line in kept {
        headers.append(SET_COOKIE, line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(lines: &[&str]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(COOKIE, line.parse().unwrap());
        }
        remove_ours_from_request(&mut headers);
        headers.get_all(COOKIE).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn our_cookies_go_and_the_rest_stays_as_it_was() {
        assert_eq!(left(&["a=1; rk_session=s; b=2"]), ["a=1; b=2"]);
        assert_eq!(left(&["__Host-rk_session=s"]), Vec::<String>::new());
        assert_eq!(left(&["rk_a=1;b=2", "c=3"]), ["b=2", "c=3"]);
        assert_eq!(left(&["ark_x=1;  work=2"]), ["ark_x=1;  work=2"]);
        assert_eq!(left(&["x=1; =rk_session=s; rk_flag"]), ["x=1"]);
    }

    #[test]
    fn an_upstream_cannot_set_a_cookie_of_ours() {
        let mut headers = HeaderMap::new();
        for line in
            ["sid=1; Path=/", "rk_session=x", "__Host-rk_session=x; Secure", "=rk_session=x", " rk_a=1"]
        {
            headers.append(SET_COOKIE, line.parse().unwrap());
        }
        remove_ours_from_response(&mut headers);
        let left: Vec<_> = headers.get_all(SET_COOKIE).iter().collect();
        assert_eq!(left, ["sid=1; Path=/"]);
    }
}
