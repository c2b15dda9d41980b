//! Settings: where they come from, what they may be, and what holds. The only place that reads the
//! environment. Two steps: collect what was written, with its origin; then resolve it into [`Settings`].

mod catalog;
mod checks;
mod data_folder;
mod environment;
mod file;
mod mistake;
mod parse;
mod plans;
mod public_url;
mod reader;
mod resolve;
mod routes;
mod settings;
mod show;
mod sources;
mod suggest;
mod tables;
#[cfg(test)]
mod tests;
mod written;

pub use catalog::{DEFAULTS, SETTINGS, Setting, Shape};
pub use data_folder::{DataFolder, DataFolderError, OperatorToken};
pub use environment::Environment;
pub use mistake::{Mistake, Mistakes};
pub use public_url::PublicUrl;
pub(crate) use resolve::is_postgres;
pub use settings::{
    Access, Billing, Database, Decision, Gateway, Hidden, HostRule, KeyRule, Listeners, LogFormat, LogLevel,
    Logging, Mail, PreflightRule, Product, Retention, Route, Settings, SignUp, Site, Storage, TlsFiles,
};
pub use show::Shown;
pub use sources::Sources;
pub use written::Origin;

/// Settings that hold, and where each came from.
#[derive(Debug)]
pub struct Resolved {
    /// What holds.
    pub settings: Settings,
    /// Name, value and origin of each, for `config show`.
    pub shown: Vec<Shown>,
}

/// The text of a secret's file, without the line break that editors and `echo` put at its end.
pub fn read_secret_file(path: &std::path::Path) -> std::io::Result<String> {
    let text = file::read_text(path)?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// Reads all sources and resolves them; reports every mistake at once.
pub fn load(sources: &Sources) -> Result<Resolved, Mistakes> {
    let mut mistakes = Mistakes::default();
    let written = sources.collect(&mut mistakes);
    resolve::resolve(&written, mistakes)
}
