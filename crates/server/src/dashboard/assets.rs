//! The static files, built into the program, under names that carry a digest of their content.
//!
//! A name never changes its content, so browsers may keep it for ever; a new version has new names.

use std::fmt::Write as _;
use std::sync::LazyLock;

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, StatusCode};
use rndrkit_domain::key_text::Digest;

use super::compression;
use super::failure;
use super::view::frame::AssetUrls;

/// Where all static files live.
pub const ROOT: &str = "/assets/";
/// Bytes of the digest that go into a name: enough to tell versions apart.
const NAME_DIGEST_BYTES: usize = 6;

const CSS: &str = concat!(
    include_str!("../../assets/tokens.css"),
    include_str!("../../assets/base.css"),
    include_str!("../../assets/layout.css"),
    include_str!("../../assets/controls.css"),
    include_str!("../../assets/content.css"),
    include_str!("../../assets/usage.css"),
);
const JS: &str = include_str!("../../assets/app.js");
const ICON: &str = include_str!("../../assets/icon.svg");

/// A static file.
#[derive(Debug)]
pub struct Asset {
    /// Path on the server.
    pub path: String,
    /// `Content-Type`.
    pub content_type: &'static str,
    /// Content.
    pub body: &'static str,
    /// The same as a gzip file, as small as it gets; none when that is no smaller.
    gzip: Option<Vec<u8>>,
    /// The digest, which tells versions apart.
    tag: String,
}

static ASSETS: LazyLock<[Asset; 3]> = LazyLock::new(|| {
    [
        asset("app", "css", "text/css; charset=utf-8", CSS),
        asset("app", "js", "text/javascript; charset=utf-8", JS),
        asset("icon", "svg", "image/svg+xml", ICON),
    ]
});

fn asset(stem: &str, extension: &str, content_type: &'static str, body: &'static str) -> Asset {
    let mut tag = String::new();
    for byte in Digest::of(body).0.iter().take(NAME_DIGEST_BYTES) {
        let _infallible = write!(tag, "{byte:02x}");
    }
    let path = format!("{ROOT}{stem}.{tag}.{extension}");
    Asset { path, content_type, body, gzip: compression::gzip(body.as_bytes(), Compression::best()), tag }
}

/// Every static file.
pub fn all() -> &'static [Asset] {
    &*ASSETS
}

/// `GET /assets/{name}`.
pub(super) async fn serve(Path(name): Path<String>, headers: HeaderMap) -> Response {
    let asset = all().iter().find(|asset| asset.path.strip_prefix(ROOT) == Some(name.as_str()));
    match asset {
        Some(asset) => asset.answer(&headers),
        None => failure::not_found().await.into_response(),
    }
}

impl Asset {
    fn answer(&'static self, asked: &HeaderMap) -> Response {
        let gzip = self.gzip.as_deref().filter(|_| compression::is_accepted(asked));
        // Each form of a file has a tag of its own.
        let tag = format!("\"{}{}\"", self.tag, if gzip.is_some() { "-gzip" } else { "" });
        let known = asked.get_all(IF_NONE_MATCH).iter().any(|tags| names(tags, &tag));
        let mut response = match gzip {
            _ if known => StatusCode::NOT_MODIFIED.into_response(),
            Some(gzip) => {
                ([(CONTENT_TYPE, self.content_type), (CONTENT_ENCODING, "gzip")], gzip).into_response()
            }
            None => ([(CONTENT_TYPE, self.content_type)], self.body).into_response(),
        };
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
        if let Ok(tag) = HeaderValue::from_str(&tag) {
            headers.insert(ETAG, tag);
        }
        compression::vary(headers);
        response
    }
}

/// Whether a list of tags names this one, or any.
fn names(tags: &HeaderValue, tag: &str) -> bool {
    let mut tags = tags.to_str().unwrap_or_default().split(',').map(str::trim);
    tags.any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

/// The addresses that pages name.
#[must_use]
pub fn urls() -> AssetUrls {
    let [css, js, icon] = &*ASSETS;
    AssetUrls { css: css.path.clone(), js: js.path.clone(), icon: icon.path.clone() }
}
