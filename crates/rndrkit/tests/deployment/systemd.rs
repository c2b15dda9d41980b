//! The unit: systemd's own checker understands all of it, and the product knows what it sets.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rndrkit::config::{Database, Settings};
use rndrkit_testkit::visible;
use tempfile::TempDir;

use crate::files::{read, resolve, write_secrets};

const UNIT: &str = "deploy/systemd/rndrkit.service";
const ON_POSTGRES: &str = "deploy/systemd/rndrkit.service.d/postgresql.conf";
/// Where the unit expects the program.
const PROGRAM: &str = "/usr/local/bin/rndrkit";
/// Highest exposure that we accept, in tenths: `systemd-analyze` calls up to 20 safe, a unit without any
/// protection has 96.
const EXPOSURE_MAX: &str = "15";

/// The unit and its drop-in, as they would be installed, around the program that was just built. The extra
/// line ends the drop-in.
fn installed(extra: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let unit = read(UNIT).replace(PROGRAM, env!("CARGO_BIN_EXE_rndrkit"));
    std::fs::write(folder.path().join("rndrkit.service"), unit).unwrap();
    std::fs::create_dir(folder.path().join("rndrkit.service.d")).unwrap();
    let drop_in = format!("{}\n{extra}\n", read(ON_POSTGRES));
    std::fs::write(folder.path().join("rndrkit.service.d/postgresql.conf"), drop_in).unwrap();
    folder
}

/// Whether it is content, and what it said. None: it is not on this machine.
fn analyze(arguments: &[&str], unit: &Path) -> Option<(bool, String)> {
    let mut command = Command::new("systemd-analyze");
    let Ok(output) = command.args(arguments).arg(unit).output() else {
        visible::required_or_notice("the check of the systemd unit", "systemd-analyze");
        return None;
    };
    let said = [output.stdout, output.stderr].concat();
    Some((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
}

#[test]
fn systemd_understands_every_line_of_the_unit() {
    let folder = installed("");
    let Some((content, said)) = analyze(&["verify", "--man=no"], &folder.path().join("rndrkit.service"))
    else {
        return;
    };
    // It ignores what it does not know, and says so.
    assert!(content && said.trim().is_empty(), "{said}");
    let folder = installed("RestartSecond=1");
    let (_, said) = analyze(&["verify", "--man=no"], &folder.path().join("rndrkit.service")).unwrap();
    assert!(said.contains("RestartSecond"), "a line that means nothing went unnoticed: {said}");
}

#[test]
fn the_unit_gives_the_service_little_to_break_out_with() {
    let folder = installed("");
    let threshold = format!("--threshold={EXPOSURE_MAX}");
    let arguments = ["security", "--offline=true", "--no-pager", &threshold];
    let Some((content, said)) = analyze(&arguments, &folder.path().join("rndrkit.service")) else { return };
    assert!(content, "{said}");
}

/// The values of all lines with this key.
fn values(text: &str, key: &str) -> Vec<String> {
    let found = text.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    found.map(str::to_owned).collect()
}

/// What the service would run with, its folders laid into the test's own.
fn settings(units: &[&str]) -> (TempDir, Settings) {
    let folder = tempfile::tempdir().unwrap();
    write_secrets(folder.path());
    std::fs::write(folder.path().join("rndrkit.toml"), "log_format = \"json\"\n").unwrap();
    let here = folder.path().display().to_string();
    let lines = units.iter().flat_map(|unit| values(&read(unit), "Environment"));
    let variables = lines.map(|line| {
        let (name, value) = line.split_once('=').unwrap();
        let value = value.replace("/etc/rndrkit", &here).replace("%d", &here).replace("%S", "/var/lib");
        (name.to_owned(), value)
    });
    let settings = resolve(&variables.collect::<Vec<_>>());
    (folder, settings)
}

#[test]
fn alone_the_unit_keeps_its_data_where_it_may_write() {
    let (_folder, settings) = settings(&[UNIT]);
    let state = values(&read(UNIT), "StateDirectory").remove(0);
    assert_eq!(settings.storage.data_dir, Path::new("/var/lib").join(state));
    assert!(settings.storage.database.sqlite_path().unwrap().starts_with(&settings.storage.data_dir));
}

#[test]
fn on_postgresql_the_secrets_come_from_files_that_systemd_hands_over() {
    let (_folder, settings) = settings(&[UNIT, ON_POSTGRES]);
    assert!(matches!(settings.storage.database, Database::Postgres { .. }));
    assert!(settings.access.operator_token.is_some());
    let credentials = values(&read(ON_POSTGRES), "LoadCredential");
    let names: Vec<&str> = credentials.iter().filter_map(|line| Some(line.split_once(':')?.0)).collect();
    assert_eq!(names, ["database-url", "operator-token"]);
}

#[test]
fn a_stop_is_not_cut_short() {
    let unit = read(UNIT);
    let granted = values(&unit, "TimeoutStopSec").remove(0);
    let granted = Duration::from_secs(granted.strip_suffix('s').unwrap().parse().unwrap());
    let (_folder, settings) = settings(&[UNIT]);
    assert!(granted >= settings.listeners.shutdown + Duration::from_secs(10));
    // A wrong setting ends with this code, and no other start would mend it.
    assert_eq!(values(&unit, "RestartPreventExitStatus"), ["2"]);
}
