//! A flag for every setting, made from the table of settings, so that none can be missing.

use std::sync::LazyLock;

use clap::{Arg, ArgMatches, Args, Command, Error, FromArgMatches};

use crate::config::{SETTINGS, Setting, Shape};

/// The settings given as flags: name of the setting (or its `…_file` variant) and the text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SettingFlags(pub Vec<(String, String)>);

/// The heading in the help.
const HEADING: &str = "Settings";

/// Settings that have a flag, with its name. Kept for good, because the parser borrows names for good.
static FLAGS: LazyLock<Vec<(&'static Setting, String)>> =
    LazyLock::new(|| SETTINGS.iter().filter_map(|setting| Some((setting, setting.flag()?))).collect());

/// The name that the sources know: secrets are given by file.
fn source_name(setting: &Setting) -> String {
    match setting.shape {
        Shape::Secret => format!("{}_file", setting.name),
        _ => setting.name.to_owned(),
    }
}

impl FromArgMatches for SettingFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        for (setting, _) in FLAGS.iter() {
            if let Some(text) = matches.get_one::<String>(setting.name) {
                self.0.push((source_name(setting), text.clone()));
            }
        }
        Ok(())
    }
}

impl Args for SettingFlags {
    fn augment_args(command: Command) -> Command {
        FLAGS.iter().fold(command, |command, (setting, flag)| {
            command.arg(
                Arg::new(setting.name)
                    .long(flag.as_str())
                    .value_name(setting.placeholder)
                    .help(setting.summary)
                    .help_heading(HEADING),
            )
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_but_tables_has_a_flag_and_secrets_are_given_by_file() {
        let given =
            SETTINGS.iter().filter_map(Setting::flag).flat_map(|flag| [format!("--{flag}"), "x".to_owned()]);
        let command = SettingFlags::augment_args(Command::new("t"));
        let matches = command.get_matches_from(std::iter::once("t".to_owned()).chain(given));
        let flags = SettingFlags::from_arg_matches(&matches).unwrap();
        let names: Vec<&str> = flags.0.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names.len(), SETTINGS.len() - 2);
        assert!(names.contains(&"operator_token_file") && !names.contains(&"operator_token"));
    }
}
