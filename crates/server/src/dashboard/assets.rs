//! The static files, built into the program, under names that carry a digest of their content.
//!
//! A name never changes its content, so browsers may keep it for ever; a new version has new names.

use std::fmt::Write as _;
use std::sync::LazyLock;

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use rndrkit_domain::key_text::Digest;

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
}

static ASSETS: LazyLock<[Asset; 3]> = LazyLock::new(|| {
    [
        asset("app", "css", "text/css; charset=utf-8", CSS),
        asset("app", "js", "text/javascript; charset=utf-8", JS),
        asset("icon", "svg", "image/svg+xml", ICON),
    ]
});

fn asset(stem: &str, extension: &str, content_type: &'static str, body: &'static str) -> Asset {
    let digest = Digest::of(body).0;
    let mut path = format!("{ROOT}{stem}.");
    for byte in digest.iter().take(NAME_DIGEST_BYTES) {
        let _infallible = write!(path, "{byte:02x}");
    }
    path.push('.');
    path.push_str(extension);
    Asset { path, content_type, body }
}

/// Every static file.
pub fn all() -> &'static [Asset] {
    &*ASSETS
}

/// `GET /assets/{name}`.
pub(super) async fn serve(Path(name): Path<String>) -> Response {
    let asset = all().iter().find(|asset| asset.path.strip_prefix(ROOT) == Some(name.as_str()));
    match asset {
        Some(asset) => {
            let headers =
                [(CONTENT_TYPE, asset.content_type), (CACHE_CONTROL, "public, max-age=31536000, immutable")];
            (headers, asset.body).into_response()
        }
        None => failure::not_found().await.into_response(),
    }
}

/// The addresses that pages name.
#[must_use]
pub fn urls() -> AssetUrls {
    let [css, js, icon] = &*ASSETS;
    AssetUrls { css: css.path.clone(), js: js.path.clone(), icon: icon.path.clone() }
}
