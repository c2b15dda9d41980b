//! Which upstream a path belongs to, judged on a normalised path; what is ambiguous is refused, not guessed.
//!
//! A path is read in two ways: strictly, where `%2F`, `\`, `//` and `;x` are data, and loosely, as a lenient
//! upstream might read it. When both readings lead to the same route, the path passes with its bytes unchanged.
//! Where no key is wanted it is read a third time, as carelessly as any server does, and must not lead to
//! where one is.

use std::borrow::Cow;

use crate::options::{KeyRule, Route};

/// Why a path is not served. The text is for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PathError {
    /// Not a path at all: `*`, or nothing.
    #[error("The request needs a path that begins with a slash.")]
    NotAPath,
    /// `%` without two hexadecimal digits.
    #[error("The path holds a % that is not followed by two hexadecimal digits.")]
    BadEscape,
    /// A byte 0, encoded.
    #[error("The path holds an encoded NUL.")]
    Nul,
    /// A character in more bytes of UTF-8 than it needs: `%C0%AE` is `.` to a careless decoder.
    #[error("The path holds an overlong UTF-8 sequence.")]
    Overlong,
    /// `.` or `..` as a segment, in whatever spelling.
    #[error("The path holds a dot segment. Send the path that you mean.")]
    DotSegment,
    /// The two readings lead to different routes.
    #[error(
        "The path can be read in two ways. Remove encoded slashes, backslashes, semicolons and double slashes."
    )]
    Ambiguous,
}

/// Both readings of a path.
#[derive(Debug, PartialEq, Eq)]
struct Readings<'a> {
    strict: Cow<'a, [u8]>,
    loose: Cow<'a, [u8]>,
}

/// Where a path leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target<'a> {
    /// The reserved tree.
    Own,
    /// An upstream.
    Route(&'a Route),
    /// Nowhere.
    Nothing,
}

/// How often a careless server may decode a path. What is encoded more often is refused where it matters.
const MOST_DECODINGS: usize = 3;

/// Routes in order of judgement, and the reserved tree.
#[derive(Debug)]
pub(crate) struct RouteTable {
    own_path: Option<String>,
    routes: Vec<Route>,
    /// Paths that want a key or are ours, and those that want none, as a careless server reads them; the
    /// longest first.
    careless: Vec<(Vec<u8>, KeyRule)>,
}

impl RouteTable {
    /// A table; without `own_path` there is no reserved tree on this listener.
    pub(crate) fn new(own_path: Option<String>, mut routes: Vec<Route>) -> Self {
        routes.sort_by_key(|route| std::cmp::Reverse(route.path.len()));
        let own = own_path.iter().map(|own| (read_carelessly(own.as_bytes()), KeyRule::Required));
        let rules = routes.iter().map(|route| (read_carelessly(route.path.as_bytes()), route.key));
        let mut careless: Vec<_> =
            own.chain(rules).filter_map(|(path, rule)| Some((path.ok()?, rule))).collect();
        // Of two that are the same to a careless server, the one that wants a key decides.
        careless.sort_by_key(|(path, rule)| (std::cmp::Reverse(path.len()), *rule == KeyRule::None));
        Self { own_path, routes, careless }
    }

    /// Finds where a request's path leads.
    pub(crate) fn find(&self, path: &str) -> Result<Target<'_>, PathError> {
        let readings = read(path)?;
        let target = self.look_up(&readings.strict);
        if readings.strict != readings.loose && self.look_up(&readings.loose) != target {
            return Err(PathError::Ambiguous);
        }
        if matches!(target, Target::Route(route) if route.key == KeyRule::None)
            && self.wants_a_key(&read_carelessly(&readings.loose)?)
        {
            return Err(PathError::Ambiguous);
        }
        Ok(target)
    }

    /// Whether a key is wanted for what a careless server takes the path for.
    fn wants_a_key(&self, path: &[u8]) -> bool {
        let within = |prefix: &[u8]| {
            let bare = prefix.strip_suffix(b"/").unwrap_or(prefix);
            path.strip_prefix(bare).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
        };
        self.careless
            .iter()
            .find(|(prefix, _)| within(prefix))
            .is_none_or(|(_, rule)| *rule == KeyRule::Required)
    }

    fn look_up(&self, path: &[u8]) -> Target<'_> {
        if self.own_path.as_deref().is_some_and(|own| is_within(path, own)) {
            return Target::Own;
        }
        let leads = |route: &&Route| is_within(path, &route.path) || is_bare_spelling(path, route);
        match self.routes.iter().find(leads) {
            Some(route) => Target::Route(route),
            None => Target::Nothing,
        }
    }
}

/// Whether `path` is `route` but for the slash at its end, and the route wants a key. Many upstreams serve
/// both alike, so leaving the slash out must not lead past the key.
fn is_bare_spelling(path: &[u8], route: &Route) -> bool {
    let bare = route.path.strip_suffix('/').map(str::as_bytes);
    bare == Some(path) && route.key == KeyRule::Required
}

/// Whether `path` is `prefix` or lies below it, segment by segment.
fn is_within(path: &[u8], prefix: &str) -> bool {
    match path.strip_prefix(prefix.as_bytes()) {
        Some(rest) => prefix.ends_with('/') || rest.is_empty() || rest.starts_with(b"/"),
        None => false,
    }
}

fn read(path: &str) -> Result<Readings<'_>, PathError> {
    let bytes = path.as_bytes();
    if bytes.first() != Some(&b'/') {
        return Err(PathError::NotAPath);
    }
    let plain = !bytes.iter().any(|byte| matches!(byte, b'%' | b'\\' | b';'))
        && !bytes.windows(2).any(|pair| pair == b"//" || pair == b"/.");
    if plain {
        return Ok(Readings { strict: Cow::Borrowed(bytes), loose: Cow::Borrowed(bytes) });
    }
    let strict = decode(bytes)?;
    if has_overlong(&strict) {
        return Err(PathError::Overlong);
    }
    let loose = loosen(&strict);
    if has_dot_segment(&loose) || has_dot_segment(&decoded_again(&strict)) {
        return Err(PathError::DotSegment);
    }
    Ok(Readings { strict: Cow::Owned(strict), loose: Cow::Owned(loose) })
}

fn has_dot_segment(path: &[u8]) -> bool {
    path.split(|byte| *byte == b'/').any(|segment| segment == b"." || segment == b"..")
}

/// The path as an upstream reads it that decodes twice: `%252e%252e` would climb out of its route there.
/// Empty when it was encoded once only, or is no path when decoded again.
fn decoded_again(strict: &[u8]) -> Vec<u8> {
    let mut encoded_once = Vec::with_capacity(strict.len());
    let mut rest = strict;
    while let Some((byte, after)) = rest.split_first() {
        encoded_once.push(*byte);
        rest = if rest.starts_with(b"%25") { after.get(2..).unwrap_or_default() } else { after };
    }
    if encoded_once.len() == strict.len() {
        return Vec::new();
    }
    decode(&encoded_once).map(|decoded| loosen(&decoded)).unwrap_or_default()
}

/// Decodes escapes, except those of characters that separate: they stay apart as `%2F`, `%5C`, `%3B`, `%25`.
fn decode(bytes: &[u8]) -> Result<Vec<u8>, PathError> {
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'%' {
            decoded.push(*byte);
            continue;
        }
        let (digits, after) = after.split_at_checked(2).ok_or(PathError::BadEscape)?;
        rest = after;
        match hexadecimal(digits).ok_or(PathError::BadEscape)? {
            0 => return Err(PathError::Nul),
            b'/' => decoded.extend_from_slice(b"%2F"),
            b'\\' => decoded.extend_from_slice(b"%5C"),
            b';' => decoded.extend_from_slice(b"%3B"),
            b'%' => decoded.extend_from_slice(b"%25"),
            other => decoded.push(other),
        }
    }
    Ok(decoded)
}

fn hexadecimal(digits: &[u8]) -> Option<u8> {
    digits.iter().try_fold(0_u8, |value, digit| {
        let digit = char::from(*digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())?;
        Some(value << 4 | digit)
    })
}

/// The same path as a lenient reader has it: every separator is one, parameters are gone, runs are single.
fn loosen(strict: &[u8]) -> Vec<u8> {
    let mut loose = Vec::with_capacity(strict.len());
    let mut in_parameters = false;
    let mut rest = strict;
    while let Some((byte, after)) = rest.split_first() {
        let (byte, after) = match (byte, after.get(..2)) {
            (b'%', Some(b"2F" | b"5C")) => (b'/', after.get(2..).unwrap_or_default()),
            (b'%', Some(b"3B")) => (b';', after.get(2..).unwrap_or_default()),
            (b'\\', _) => (b'/', after),
            (other, _) => (*other, after),
        };
        rest = after;
        match byte {
            b'/' => {
                in_parameters = false;
                if loose.last() != Some(&b'/') {
                    loose.push(b'/');
                }
            }
            b';' => in_parameters = true,
            other if !in_parameters => loose.push(other),
            _ => {}
        }
    }
    loose
}

/// Whether a character is written in more bytes than it needs.
fn has_overlong(path: &[u8]) -> bool {
    path.windows(2)
        .any(|pair| matches!(pair, [0xC0 | 0xC1, 0x80..=0xBF] | [0xE0, 0x80..=0x9F] | [0xF0, 0x80..=0x8F]))
}

/// The path as the most careless server has it: decoded until nothing is left to decode, loosened, in lower
/// case, and without the points and spaces at the end of a segment that some file systems do not see. What such
/// a server may end a path at, or drop from it, is refused.
fn read_carelessly(path: &[u8]) -> Result<Vec<u8>, PathError> {
    let mut plain = loosen(path);
    for _ in 0..MOST_DECODINGS {
        plain = loosen(&decoded_throughout(&plain));
    }
    if decoded_throughout(&plain).len() != plain.len() {
        return Err(PathError::Ambiguous);
    }
    if has_overlong(&plain) {
        return Err(PathError::Overlong);
    }
    if plain.iter().any(|byte| byte.is_ascii_control() || matches!(byte, b'#' | b'?')) {
        return Err(PathError::Ambiguous);
    }
    let mut careless = Vec::with_capacity(plain.len());
    for segment in plain.split(|byte| *byte == b'/').skip(1) {
        let end = segment.iter().rposition(|byte| !matches!(byte, b'.' | b' ')).map_or(0, |last| last + 1);
        if end == 0 && !segment.is_empty() {
            return Err(PathError::DotSegment);
        }
        careless.push(b'/');
        careless.extend(segment.iter().take(end).map(u8::to_ascii_lowercase));
    }
    Ok(careless)
}

/// Decodes every escape once; what is none stays as it is.
fn decoded_throughout(path: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((byte, after)) = rest.split_first() {
        let escaped = after.get(..2).filter(|_| *byte == b'%').and_then(hexadecimal);
        decoded.push(escaped.unwrap_or(*byte));
        rest = if escaped.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(path: &str) -> Route {
        Route::new(path, "http://127.0.0.1:1".parse().unwrap())
    }

    fn table() -> RouteTable {
        let routes = vec![route("/api/"), route("/api/webhooks/"), route("/api/webhooks/private")];
        RouteTable::new(Some("/api/rk/".to_owned()), routes)
    }

    fn found(path: &str) -> Result<String, PathError> {
        table().find(path).map(|target| match target {
            Target::Own => "own".to_owned(),
            Target::Route(route) => route.path.clone(),
            Target::Nothing => "nothing".to_owned(),
        })
    }

    #[test]
    fn the_longest_matching_path_wins_by_whole_segments() {
        for (path, expected) in [
            ("/api/", "/api/"),
            ("/api/x", "/api/"),
            ("/api/webhooks", "/api/webhooks/"),
            ("/api/webhooksandmore", "/api/"),
            ("/api/webhooks/x", "/api/webhooks/"),
            ("/api/webhooks/private", "/api/webhooks/private"),
            ("/api/webhooks/private/x", "/api/webhooks/private"),
            ("/api/webhooks/privately", "/api/webhooks/"),
            ("/api/rk/account", "own"),
            ("/api/rkx", "/api/"),
            ("/api", "/api/"),
            ("/else", "nothing"),
        ] {
            assert_eq!(found(path).unwrap(), expected, "{path}");
        }
    }

    #[test]
    fn leaving_the_last_slash_out_leads_past_no_key() {
        let open = Route { key: KeyRule::None, ..route("/api/hooks/") };
        let table = RouteTable::new(None, vec![route("/api/"), open, route("/api/hooks/admin/")]);
        let led_to = |path| match table.find(path).unwrap() {
            Target::Route(route) => route.path.clone(),
            other => format!("{other:?}"),
        };
        assert_eq!(led_to("/api/hooks/admin"), "/api/hooks/admin/");
        assert_eq!(led_to("/api/hooks/admins"), "/api/hooks/");
        assert_eq!(led_to("/api/hooks"), "/api/", "the wider route wants a key, so it stays");
        assert_eq!(led_to("/api"), "/api/");
    }

    #[test]
    fn escapes_that_change_nothing_pass_and_are_seen_through() {
        for (path, expected) in [
            ("/api/%77ebhooks/x", "/api/webhooks/"),
            ("/api/r%6B/account", "own"),
            ("/api/files/group%2Fproject", "/api/"),
            ("/api/a//b", "/api/"),
            ("/api/x;v=1/y", "/api/"),
            ("/api/100%2525/a%252Fb", "/api/"),
            ("/api/.well-known/..x", "/api/"),
            ("/api/%C3%A9", "/api/"),
        ] {
            assert_eq!(found(path).unwrap(), expected, "{path}");
        }
    }

    #[test]
    fn a_path_that_two_readers_route_differently_is_refused() {
        for path in [
            "/api/webhooks%2Fx",
            "/api/webhooks%5cx",
            "/api//webhooks/x",
            "/api/webhooks\\x",
            "/api/webhooks/private;x/y",
            "/api/webhooks/private%3Bx/y",
            "/api/webhooks/%2Fprivate",
            "/api//rk/account",
            "/api/rk%2Faccount",
            "/api;x/rk/account",
            "/%2fapi/x",
            "//api/x",
        ] {
            assert_eq!(found(path), Err(PathError::Ambiguous), "{path}");
        }
    }

    fn led_without_a_key(path: &str) -> Result<String, PathError> {
        let open = Route { key: KeyRule::None, ..route("/api/Hooks/") };
        let routes = vec![route("/api/"), open, route("/api/Hooks/Admin/")];
        let table = RouteTable::new(Some("/api/Hooks/rk/".to_owned()), routes);
        table.find(path).map(|target| match target {
            Target::Route(route) => route.path.clone(),
            other => format!("{other:?}"),
        })
    }

    #[test]
    fn no_careless_reading_leads_from_where_no_key_is_wanted_to_where_one_is() {
        for path in [
            "/api/Hooks/admin/x",
            "/api/Hooks/ADMIN",
            "/api/Hooks/Admin./x",
            "/api/Hooks/Admin%20/x",
            "/api/Hooks/Admin%20.%20/x",
            "/api/Hooks/%2541dmin/x",
            "/api/Hooks/%252541dmin/x",
            "/api/Hooks/x%2525252541",
            "/api/Hooks/Admin%23/x",
            "/api/Hooks/Admin%3Fx",
            "/api/Hooks/Admin%0A",
            "/api/Hooks/Admin%253Bx/y",
            "/api/Hooks/x%252F/y%255c",
            "/api/Hooks/RK/account",
        ] {
            let found = led_without_a_key(path);
            let harmless = path.contains("x%252F") && found.is_ok();
            assert!(harmless || found == Err(PathError::Ambiguous), "{path}: {found:?}");
        }
        for path in
            ["/api/Hooks/...", "/api/Hooks/..%20/x", "/api/Hooks/%25252e%25252e/x", "/api/Hooks/.%20./x"]
        {
            assert_eq!(led_without_a_key(path), Err(PathError::DotSegment), "{path}");
        }
    }

    #[test]
    fn careful_paths_pass_where_no_key_is_wanted() {
        for path in [
            "/api/Hooks/",
            "/api/Hooks/Stripe",
            "/api/Hooks/administrator",
            "/api/Hooks/x/admin/y",
            "/api/Hooks/100%25",
            "/api/Hooks/v1.0/a%20b",
            "/api/Hooks/%C3%A9",
            "/api/Hooks/%E9",
            "/api/Hooks/%C0la",
        ] {
            assert_eq!(led_without_a_key(path).unwrap(), "/api/Hooks/", "{path}");
        }
        assert_eq!(led_without_a_key("/api/hooks/Admin/x").unwrap(), "/api/", "it wants a key either way");
    }

    #[test]
    fn overlong_sequences_are_refused_wherever_they_lead() {
        for path in
            ["/api/%c0%ae%C0%AE/x", "/api/%c0%af", "/api/%e0%80%ae", "/api/%F0%80%80%AE", "/api/%C1%9C"]
        {
            assert_eq!(found(path), Err(PathError::Overlong), "{path}");
        }
    }

    #[test]
    fn dot_segments_nul_and_broken_escapes_are_refused_in_every_spelling() {
        for path in [
            "/api/..",
            "/api/../x",
            "/api/./x",
            "/api/%2e%2E/x",
            "/api/.%2e/x",
            "/api/x/..;/y",
            "/api/%2e;v/y",
            "/api/a%2F..%2Fb",
            "/api/a\\..\\b",
            "/api/a%5c..%5cb",
            "/api/..%3Bx/y",
            "/api/%252e%252e/x",
            "/api/a%252F..%252Fb",
        ] {
            assert_eq!(found(path), Err(PathError::DotSegment), "{path}");
        }
        assert_eq!(found("/api/%00"), Err(PathError::Nul));
        for path in ["/api/%", "/api/%2", "/api/%zz", "/api/%+1"] {
            assert_eq!(found(path), Err(PathError::BadEscape), "{path}");
        }
        for path in ["*", "", "api/x"] {
            assert_eq!(found(path), Err(PathError::NotAPath), "{path}");
        }
    }
}
