//! What the handlers share.

use std::fmt;
use std::sync::Arc;

use http::Uri;
use rndrkit_control::Control;
use rndrkit_domain::random::Entropy;

use super::assets;
use super::downloads::Downloads;
use super::view::frame::Gate;
use super::view::keys::Sample;

/// Shared by all handlers; cheap to clone.
#[derive(Clone)]
pub struct DashboardState {
    inner: Arc<Inner>,
}

struct Inner {
    control: Control,
    entropy: Arc<dyn Entropy>,
    own_path: String,
    is_https: bool,
    public_host: String,
    downloads: Downloads,
}

impl fmt::Debug for DashboardState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DashboardState").field("public_url", &self.public_url()).finish_non_exhaustive()
    }
}

impl DashboardState {
    /// `own_path` is where a key's holder may call the installation itself, such as `/api/rk/`.
    #[must_use]
    pub fn new(control: Control, entropy: Arc<dyn Entropy>, own_path: &str) -> Self {
        let public: Uri = control.settings().public_url.parse().unwrap_or_default();
        let inner = Inner {
            entropy,
            own_path: own_path.trim_end_matches('/').to_owned(),
            is_https: public.scheme_str() == Some("https"),
            public_host: public.host().unwrap_or_default().to_ascii_lowercase(),
            downloads: Downloads::default(),
            control,
        };
        Self { inner: Arc::new(inner) }
    }

    pub(super) fn control(&self) -> &Control {
        &self.inner.control
    }

    /// Files that are being taken away, of all accounts.
    pub(super) fn downloads(&self) -> &Downloads {
        &self.inner.downloads
    }

    pub(super) fn entropy(&self) -> &dyn Entropy {
        &*self.inner.entropy
    }

    /// Whether people reach the dashboard by HTTPS, whatever the last hop looks like.
    pub(super) fn is_https(&self) -> bool {
        self.inner.is_https
    }

    /// The host name of `public_url`, in lower case.
    pub(super) fn public_host(&self) -> &str {
        &self.inner.public_host
    }

    pub(super) fn public_url(&self) -> &str {
        &self.control().settings().public_url
    }

    pub(super) fn brand(&self) -> &str {
        &self.control().settings().brand_name
    }

    pub(super) fn gate(&self) -> Gate {
        Gate { brand: self.brand().to_owned(), assets: assets::urls() }
    }

    /// Lines to paste.
    pub(super) fn sample(&self) -> Sample {
        Sample {
            origin: self.public_url().to_owned(),
            self_path: format!("{}/account", self.inner.own_path),
            variable: variable_name(self.brand()),
        }
    }
}

/// `RNDRKIT_API_KEY`: the brand as shells take it.
fn variable_name(brand: &str) -> String {
    let mut name: String =
        brand.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
    name = name.trim_matches('_').to_owned();
    match name.chars().next() {
        Some(first) if first.is_ascii_alphabetic() => format!("{name}_API_KEY"),
        _ => "API_KEY".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::variable_name;

    #[test]
    fn a_variable_is_named_after_the_brand_as_shells_allow() {
        assert_eq!(variable_name("RndrKit"), "RNDRKIT_API_KEY");
        assert_eq!(variable_name("Acme Maps!"), "ACME_MAPS_API_KEY");
        assert_eq!(variable_name("9 Lives"), "API_KEY");
        assert_eq!(variable_name("地図"), "API_KEY");
    }
}
