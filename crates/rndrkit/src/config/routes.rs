//! Reads `[[routes]]` and `upstream_url`, which is short for one of them.

use super::parse;
use super::reader::Reader;
use super::settings::{HostRule, KeyRule, PreflightRule, Route};
use super::tables::TableReader;

/// More paths than any API needs apart; they are compared one by one.
const ROUTES_MAX: usize = 1_000;
/// Where the public listener serves the API.
pub(super) const API_PATH: &str = "/api/";

const FIELDS: [&str; 5] = ["path", "upstream", "key", "host", "preflight"];
const KEY_WORDS: &[(&str, KeyRule)] = &[("required", KeyRule::Required), ("none", KeyRule::None)];
const HOST_WORDS: &[(&str, HostRule)] = &[("client", HostRule::Client), ("upstream", HostRule::Upstream)];
const PREFLIGHT_WORDS: &[(&str, PreflightRule)] =
    &[("refuse", PreflightRule::Refuse), ("pass", PreflightRule::Pass)];

/// `own_path`: the product's own tree below `/api/`.
pub(super) fn read_own_path(reader: &mut Reader<'_>) -> Option<String> {
    let allowed = "must be a path below /api/ that ends with /, such as /api/rk/";
    reader.required("own_path", allowed, |text| {
        parse::folder_path(text).filter(|path| path.starts_with(API_PATH) && path != API_PATH)
    })
}

/// All routes. `below_api` says that they share the public listener with the dashboard.
pub(super) fn read(reader: &mut Reader<'_>, own_path: Option<&str>, below_api: bool) -> Option<Vec<Route>> {
    let upstream_url = reader.optional("upstream_url", parse::ORIGIN, parse::origin);
    let tables = TableReader::all(reader, "routes", &FIELDS)?;
    if tables.len() > ROUTES_MAX {
        reader.reject("routes", format!("there may be {ROUTES_MAX} [[routes]] at most"));
    }
    let mut routes = Vec::with_capacity(tables.len() + 1);
    for (index, table) in tables.iter().enumerate() {
        let route = read_route(table, reader, below_api);
        if TableReader::repeats(&tables, index, "path") {
            table.reject(reader, "path", "another route has this path");
        }
        let path = table.text("path");
        if below_api && own_path.zip(path).is_some_and(|(own, path)| path.starts_with(own)) {
            table.reject(reader, "path", "is inside own_path, which rndrkit answers itself");
        }
        routes.push(route);
    }
    let has_short_form = upstream_url.as_ref().is_some_and(Option::is_some);
    if has_short_form && tables.iter().any(|table| table.text("path") == Some(API_PATH)) {
        reader.reject("upstream_url", "is short for a route with path /api/, and [[routes]] has one too");
    }
    let mut routes: Vec<Route> = routes.into_iter().collect::<Option<_>>()?;
    if let Some(upstream) = upstream_url? {
        routes.push(Route {
            path: API_PATH.to_owned(),
            upstream,
            key: KeyRule::Required,
            host: HostRule::Client,
            preflight: PreflightRule::Refuse,
        });
    }
    Some(routes)
}

fn read_route(table: &TableReader<'_>, reader: &mut Reader<'_>, below_api: bool) -> Option<Route> {
    let path_rule = if below_api {
        "must be /api/ or a path below it that ends with /; other paths need gateway_listen"
    } else {
        "must be a path that begins and ends with /, such as /v1/"
    };
    let path = table.required(reader, "path", path_rule, |text| {
        parse::folder_path(text).filter(|path| !below_api || path.starts_with(API_PATH))
    });
    let upstream = table.required(reader, "upstream", parse::ORIGIN, parse::origin);
    let key = word_or(table, reader, "key", KeyRule::Required, KEY_WORDS);
    let host = word_or(table, reader, "host", HostRule::Client, HOST_WORDS);
    let preflight = word_or(table, reader, "preflight", PreflightRule::Refuse, PREFLIGHT_WORDS);
    Some(Route { path: path?, upstream: upstream?, key: key?, host: host?, preflight: preflight? })
}

fn word_or<T: Copy>(
    table: &TableReader<'_>,
    reader: &mut Reader<'_>,
    field: &str,
    default: T,
    words: &'static [(&'static str, T)],
) -> Option<T> {
    table.or(reader, field, default, &parse::one_of(words), parse::word(words))
}

impl Route {
    /// The words that a configuration file would have for its rules: key, host, preflight.
    pub(super) fn words(&self) -> [&'static str; 3] {
        [
            name_of(KEY_WORDS, self.key),
            name_of(HOST_WORDS, self.host),
            name_of(PREFLIGHT_WORDS, self.preflight),
        ]
    }
}

/// The word for a value of a closed list.
pub(super) fn name_of<T: PartialEq + Copy>(words: &[(&'static str, T)], wanted: T) -> &'static str {
    words.iter().find(|(_, value)| *value == wanted).map_or("", |(word, _)| word)
}
