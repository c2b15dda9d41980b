//! Reading the checkout's files, and resolving settings the way that the product does.

use std::path::{Path, PathBuf};
use std::sync::Once;

use rndrkit::config::{self, Environment, Settings, Sources};

/// What a test puts where a deployment's secrets come from.
const DATABASE_URL: &str = "postgres://rndrkit@db.example.com/rndrkit";
const OPERATOR_TOKEN: &str = "only-for-tests-only-for-tests-only";

/// A file of the checkout, named from its top.
pub fn path_of(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name)
}

pub fn read(name: &str) -> String {
    std::fs::read_to_string(path_of(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The two secrets as files in `folder`, under the names that deployments give them.
pub fn write_secrets(folder: &Path) {
    std::fs::write(folder.join("database-url"), format!("{DATABASE_URL}\n")).unwrap();
    std::fs::write(folder.join("operator-token"), format!("{OPERATOR_TOKEN}\n")).unwrap();
}

/// What holds in a process with exactly these variables. Every name that is no setting is a mistake.
pub fn resolve(variables: &[(String, String)]) -> Settings {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    let sources = Sources::new(Environment::from_pairs(variables.iter().cloned()));
    match config::load(&sources) {
        Ok(resolved) => resolved.settings,
        Err(mistakes) => panic!("{mistakes}"),
    }
}
