//! The process's environment, read once, as plain pairs: tests pass their own.

use std::collections::BTreeMap;

/// Environment variables that concern rndrkit.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

/// What every variable of ours begins with.
pub(super) const PREFIX: &str = "RNDRKIT_";

impl Environment {
    /// What this process was started with.
    #[must_use]
    pub fn of_process() -> Self {
        // Bytes that are no text become a replacement character, which the setting's own check then reports.
        let text = |bytes: std::ffi::OsString| bytes.to_string_lossy().into_owned();
        Self::from_pairs(std::env::vars_os().map(|(name, value)| (text(name), text(value))))
    }

    /// From pairs. An empty value counts as not set, as compose files produce it for missing variables.
    pub fn from_pairs<N: Into<String>, V: Into<String>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let pairs = pairs.into_iter().map(|(name, value)| (name.into(), value.into()));
        Self(pairs.filter(|(name, value)| name.starts_with(PREFIX) && !value.is_empty()).collect())
    }

    /// The value of one variable.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The variables that could be settings, as setting names in lower case with the variable's own name.
    pub(super) fn settings(&self) -> impl Iterator<Item = (String, &str, &str)> {
        self.0.iter().filter(|(name, _)| !is_no_setting(name)).map(|(name, value)| {
            let setting = name.strip_prefix(PREFIX).unwrap_or_default().to_ascii_lowercase();
            (setting, name.as_str(), value.as_str())
        })
    }
}

/// `RNDRKIT_CONFIG`, `RNDRKIT_TOKEN` and `RNDRKIT_MOVE_TO` have other readers, `RNDRKIT_API_KEY` is what callers keep their key
/// in, as README and dashboard show, `RNDRKIT_TEST_…` belongs to tests, and for a service named `rndrkit`
/// Kubernetes puts addresses such as `RNDRKIT_PORT_8080_TCP` into every container.
fn is_no_setting(name: &str) -> bool {
    matches!(name, "RNDRKIT_CONFIG" | "RNDRKIT_TOKEN" | "RNDRKIT_MOVE_TO" | "RNDRKIT_API_KEY")
        || name.starts_with("RNDRKIT_TEST_")
        || name.contains("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.ends_with("_PORT")
        || name.contains("_PORT_")
}

impl std::fmt::Debug for Environment {
    /// Names alone: values may be secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
