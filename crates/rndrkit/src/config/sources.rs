//! Collects what was written for each setting: defaults, file, environment, flags; the last one wins.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::catalog::{DEFAULTS, Setting, Shape, names};
use super::environment::Environment;
use super::file;
use super::mistake::{Mistake, Mistakes};
use super::suggest::nearest;
use super::written::{Origin, Written};

/// Where settings are read from.
#[derive(Debug, Clone)]
pub struct Sources {
    /// `--config`.
    pub config_flag: Option<PathBuf>,
    /// Read when neither `--config` nor `RNDRKIT_CONFIG` names a file, and only if it is there.
    pub default_file: PathBuf,
    /// The environment.
    pub environment: Environment,
    /// Flags of settings: the setting's name (or its `…_file` variant) and the text given.
    pub flags: Vec<(String, String)>,
}

impl Sources {
    /// The sources of a process: `./rndrkit.toml`, no flags.
    #[must_use]
    pub fn new(environment: Environment) -> Self {
        Self {
            config_flag: None,
            default_file: PathBuf::from("rndrkit.toml"),
            environment,
            flags: Vec::new(),
        }
    }

    pub(super) fn collect(&self, mistakes: &mut Mistakes) -> Collected {
        let mut collected = Collected::default();
        collected.add(&file::parse(DEFAULTS, &|_| Origin::Default, mistakes), mistakes);
        collected.add(&self.read_file(mistakes), mistakes);
        let environment = self.environment.settings();
        let environment = environment.map(|(setting, variable, value)| {
            (setting, Written::text(value, Origin::Environment(variable.to_owned())))
        });
        collected.add(&environment.collect(), mistakes);
        let flags = self.flags.iter().map(|(setting, value)| {
            let flag = format!("--{}", setting.replace('_', "-"));
            (setting.clone(), Written::text(value, Origin::Flag(flag)))
        });
        collected.add(&flags.collect(), mistakes);
        collected
    }

    fn read_file(&self, mistakes: &mut Mistakes) -> BTreeMap<String, Written> {
        let environment = self.environment.get("RNDRKIT_CONFIG").map(Path::new);
        let (path, named_by) = match (&self.config_flag, environment) {
            (Some(path), _) => (path.as_path(), Some(Origin::Flag("--config".to_owned()))),
            (None, Some(path)) => (path, Some(Origin::Environment("RNDRKIT_CONFIG".to_owned()))),
            (None, None) => (self.default_file.as_path(), None),
        };
        match file::read_text(path) {
            Ok(text) => file::parse(&text, &file::origins_of(path), mistakes),
            Err(error) if named_by.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
                BTreeMap::new()
            }
            Err(error) => {
                let what = format!("{} cannot be read: {error}", path.display());
                mistakes.push(Mistake::without_value("", named_by, what));
                BTreeMap::new()
            }
        }
    }
}

/// The value that holds for each setting, as it was written.
#[derive(Debug, Default)]
pub(super) struct Collected(BTreeMap<&'static str, Written>);

impl Collected {
    pub(super) fn get(&self, name: &str) -> Option<&Written> {
        self.0.get(name)
    }

    /// Lays one source over those before it.
    fn add(&mut self, layer: &BTreeMap<String, Written>, mistakes: &mut Mistakes) {
        for (name, written) in layer {
            if let Some(setting) = Setting::find(name) {
                self.add_value(setting, written, mistakes);
            } else if let Some(setting) = Setting::of_file_variant(name) {
                if layer.contains_key(setting.name) {
                    let what = format!("set {} or {name}, not both", setting.name);
                    mistakes.push(Mistake::without_value(name, Some(written.origin.clone()), what));
                }
                self.add_secret_file(setting, name, written, mistakes);
            } else {
                let what = nearest(name, names()).map_or_else(
                    || "unknown setting; `rndrkit config show --defaults` lists all".to_owned(),
                    |meant| format!("unknown setting; did you mean {meant}?"),
                );
                mistakes.push(Mistake::without_value(name, Some(written.origin.clone()), what));
            }
        }
    }

    fn add_value(&mut self, setting: &'static Setting, written: &Written, mistakes: &mut Mistakes) {
        let in_a_file = matches!(written.origin, Origin::File { .. } | Origin::Default);
        if setting.shape == Shape::Tables && !in_a_file {
            let what = format!("write [[{}]] into the configuration file", setting.name);
            mistakes.push(Mistake::without_value(setting.name, Some(written.origin.clone()), what));
            return;
        }
        self.0.insert(setting.name, written.clone());
    }

    fn add_secret_file(
        &mut self,
        setting: &'static Setting,
        name: &str,
        written: &Written,
        mistakes: &mut Mistakes,
    ) {
        let Some(path) = written.scalar() else {
            mistakes.push(Mistake::new(name, written, "the path of a file"));
            return;
        };
        match super::read_secret_file(Path::new(path)) {
            Ok(text) => {
                let origin =
                    Origin::SecretFile { path: path.to_owned(), named_by: Box::new(written.origin.clone()) };
                self.0.insert(setting.name, Written::text(text, origin));
            }
            Err(error) => {
                mistakes.push(Mistake::new(name, written, format!("this file cannot be read: {error}")));
            }
        }
    }
}
