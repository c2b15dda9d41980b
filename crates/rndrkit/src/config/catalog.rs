//! The table of settings: the one list that files, environment, flags and suggestions go by.

/// The commented defaults file. It is the defaults.
pub const DEFAULTS: &str = include_str!("defaults.toml");

/// What a setting's value looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// One value.
    Scalar,
    /// Several values; commas in the environment and in flags.
    List,
    /// Tables, in a file only.
    Tables,
    /// One value that nobody should see: not a flag, but also a file that holds it (`<name>_file`).
    Secret,
}

/// A setting.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// In files; in capitals with `RNDRKIT_` in the environment; with `-` as a flag.
    pub name: &'static str,
    /// What its value looks like.
    pub shape: Shape,
    /// What stands for the value in the help of its flag.
    pub placeholder: &'static str,
    /// One line of help.
    pub summary: &'static str,
}

const fn scalar(name: &'static str, placeholder: &'static str, summary: &'static str) -> Setting {
    Setting { name, shape: Shape::Scalar, placeholder, summary }
}

const fn list(name: &'static str, placeholder: &'static str, summary: &'static str) -> Setting {
    Setting { name, shape: Shape::List, placeholder, summary }
}

const fn tables(name: &'static str, summary: &'static str) -> Setting {
    Setting { name, shape: Shape::Tables, placeholder: "TABLES", summary }
}

const fn secret(name: &'static str, summary: &'static str) -> Setting {
    Setting { name, shape: Shape::Secret, placeholder: "FILE", summary }
}

/// Every setting, in the order of the defaults file.
pub const SETTINGS: &[Setting] = &[
    scalar("data_dir", "DIR", "Folder for the database, the operator token and the lock"),
    secret("database_url", "File that holds the address of the database"),
    secret("database_control_url", "File that holds the address past a pooler (PostgreSQL)"),
    scalar("public_listen", "ADDRESS", "Listener of the dashboard and /api"),
    scalar("internal_listen", "ADDRESS", "Listener of the operator API, health and metrics"),
    scalar("gateway_listen", "ADDRESS", "Listener of its own for your API, on every path"),
    scalar("authz_listen", "ADDRESS", "Listener of its own for forward auth"),
    scalar("telemetry_listen", "ADDRESS", "Listener of its own for metrics"),
    scalar("tls_certificate", "FILE", "Certificate chain for HTTPS (PEM)"),
    scalar("tls_key", "FILE", "Private key for HTTPS (PEM)"),
    list("trusted_proxies", "NETWORKS", "Proxies whose X-Forwarded-* headers are believed"),
    scalar("shutdown_seconds", "SECONDS", "How long a stop waits for requests that are under way"),
    secret("operator_token", "File that holds the token of the operator API"),
    list("authz_callers", "NETWORKS", "Who may ask forward auth"),
    secret("authz_secret", "File that holds what forward auth's callers also send"),
    scalar("public_url", "URL", "Where people reach the dashboard"),
    scalar("insecure_http", "BOOLEAN", "Serve plain HTTP beyond loopback names"),
    scalar("brand_name", "NAME", "What pages call the product"),
    scalar("sign_up", "RULE", "Who may make an account: open, invite or closed"),
    scalar("billing", "RULE", "Who changes plans: off or operator"),
    scalar("password_min_length", "NUMBER", "The fewest characters of a password"),
    secret("smtp_url", "File that holds the address of the mail server"),
    scalar("mail_from", "ADDRESS", "Who mail comes from"),
    scalar("key_prefix", "PREFIX", "What secrets begin with"),
    scalar("default_plan", "PLAN", "The plan of a new account"),
    scalar("rotate_after_days", "DAYS", "Age of a secret from which on rotation is suggested; 0 = never"),
    scalar("upstream_url", "URL", "Short for one route: /api/ to this upstream, key required"),
    scalar("own_path", "PATH", "The paths that rndrkit keeps for itself"),
    scalar("cache_keys", "NUMBER", "Keys held in memory"),
    scalar("lookup_concurrency", "NUMBER", "Look-ups of unknown keys at once"),
    scalar("node_name", "NAME", "What people call this node (PostgreSQL)"),
    scalar("trust_seconds", "SECONDS", "How long a node rides out a lost database (PostgreSQL)"),
    scalar("beat_seconds", "SECONDS", "How often a node asks for news (PostgreSQL)"),
    scalar("audit_retention_days", "DAYS", "How long audit events are kept"),
    scalar("usage_retention_days", "DAYS", "How long days of use are kept"),
    secret("audit_signing_key", "File that holds the key that signs the audit trail"),
    scalar("log_format", "FORMAT", "text or json"),
    scalar("log_level", "LEVEL", "error, warn, info, debug or trace"),
    tables("plans", "What accounts may do"),
    tables("routes", "Your API behind the gateway"),
];

impl Setting {
    /// The setting of that name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.name == name)
    }

    /// The secret setting that `<name>_file` belongs to.
    pub(super) fn of_file_variant(name: &str) -> Option<&'static Self> {
        name.strip_suffix("_file").and_then(Self::find).filter(|setting| setting.shape == Shape::Secret)
    }

    /// The name of the flag without dashes: secrets have one for the file alone; tables have none.
    #[must_use]
    pub fn flag(&self) -> Option<String> {
        let name = self.name.replace('_', "-");
        match self.shape {
            Shape::Scalar | Shape::List => Some(name),
            Shape::Secret => Some(format!("{name}-file")),
            Shape::Tables => None,
        }
    }
}

/// Every name that may be written, `…_file` variants included.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    // The variants are few and fixed; a test keeps them complete.
    SETTINGS.iter().map(|setting| setting.name).chain(FILE_VARIANTS)
}

const FILE_VARIANTS: [&str; 6] = [
    "database_url_file",
    "database_control_url_file",
    "operator_token_file",
    "authz_secret_file",
    "smtp_url_file",
    "audit_signing_key_file",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_documented_in_the_defaults_file_and_secrets_with_their_file() {
        for setting in SETTINGS {
            let shown = match setting.shape {
                Shape::Tables => format!("[[{}]]", setting.name),
                _ => format!("{} = ", setting.name),
            };
            let documented =
                DEFAULTS.lines().any(|line| line.strip_prefix("# ").unwrap_or(line).starts_with(&shown));
            assert!(documented, "{shown}");
        }
        for variant in FILE_VARIANTS {
            assert!(DEFAULTS.contains(&format!("`{variant}`")), "{variant}");
        }
    }

    #[test]
    fn every_secret_can_be_read_from_a_file() {
        let secrets: Vec<String> = SETTINGS
            .iter()
            .filter(|s| s.shape == Shape::Secret)
            .map(|s| format!("{}_file", s.name))
            .collect();
        assert_eq!(secrets, FILE_VARIANTS);
    }

    #[test]
    fn settings_stand_in_the_order_of_the_defaults_file() {
        let place = |name: &str| DEFAULTS.find(&format!("{name} = ")).unwrap_or(usize::MAX);
        let places: Vec<usize> =
            SETTINGS.iter().filter(|s| s.shape != Shape::Tables).map(|s| place(s.name)).collect();
        assert!(places.is_sorted(), "{places:?}");
    }
}
