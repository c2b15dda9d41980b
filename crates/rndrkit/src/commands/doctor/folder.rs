//! The data folder: there, private, writable, with room left.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::Finding;
use crate::config::{DataFolder, Settings};

const FOLDER: &str = "data folder";
const TOKEN: &str = "operator token";
const DISK: &str = "disk space";

/// A day of heavy use writes far less; below it, it is time to look.
const FREE_BYTES_TO_WARN: u64 = 1024 * 1024 * 1024;
/// SQLite needs room for its log; below this, changes soon fail.
const FREE_BYTES_TO_FAIL: u64 = 100 * 1024 * 1024;

pub(super) fn check(settings: &Settings) -> Vec<Finding> {
    let folder = &settings.storage.data_dir;
    let on_sqlite = settings.storage.database.sqlite_path().is_some();
    if !on_sqlite {
        // A node on PostgreSQL keeps nothing here.
        return vec![Finding::ok(TOKEN, "given in the settings")];
    }
    let mut findings = vec![check_folder(folder)];
    findings.push(check_token(settings));
    findings.extend(check_disk(folder));
    findings
}

fn mode(path: &Path) -> std::io::Result<u32> {
    Ok(std::fs::metadata(path)?.permissions().mode() & 0o777)
}

fn is_open_to_others(mode: u32) -> bool {
    mode & 0o077 != 0
}

fn check_folder(folder: &Path) -> Finding {
    let shown = folder.display();
    match mode(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Finding::ok(FOLDER, format!("{shown} is not there yet; the first start makes it"))
        }
        Err(error) => Finding::fail(
            FOLDER,
            format!("{shown} cannot be looked at: {error}"),
            "give the user that runs rndrkit access to it",
        ),
        Ok(mode) if mode & 0o700 != 0o700 || !is_writable(folder) => Finding::fail(
            FOLDER,
            format!("{shown} cannot be written (mode {mode:03o})"),
            "run this as the user that runs rndrkit, or give that user the folder with chown",
        ),
        Ok(mode) if is_open_to_others(mode) => Finding::warn(
            FOLDER,
            format!("{shown} is open to other users of this machine (mode {mode:03o})"),
            format!("chmod 700 {shown}"),
        ),
        Ok(_) => Finding::ok(FOLDER, format!("{shown} is private and writable")),
    }
}

/// Asks the system instead of trying: a look must leave nothing behind.
fn is_writable(folder: &Path) -> bool {
    rustix::fs::access(folder, rustix::fs::Access::WRITE_OK).is_ok()
}

fn check_token(settings: &Settings) -> Finding {
    if settings.access.operator_token.is_some() {
        return Finding::ok(TOKEN, "given in the settings");
    }
    match DataFolder::read_operator_token(&settings.storage.data_dir) {
        Ok(None) => Finding::ok(TOKEN, "not there yet; the first start makes it"),
        Ok(Some(token)) => match mode(&token.path) {
            Ok(mode) if !is_open_to_others(mode) => {
                Finding::ok(TOKEN, format!("{} is readable by its owner alone", token.path.display()))
            }
            _ => Finding::warn(
                TOKEN,
                format!("{} can be read by other users of this machine", token.path.display()),
                format!("chmod 600 {}", token.path.display()),
            ),
        },
        Err(error) => Finding::fail(TOKEN, error.to_string(), "the operator API cannot start without one"),
    }
}

fn check_disk(folder: &Path) -> Option<Finding> {
    // Before the first start, the folder that it will be made in.
    let place = folder.ancestors().find(|place| place.exists()).unwrap_or_else(|| Path::new("."));
    let place = if place.as_os_str().is_empty() { Path::new(".") } else { place };
    let space = rustix::fs::statvfs(place).ok()?;
    Some(judge_disk(space.f_bavail.saturating_mul(space.f_frsize)))
}

fn judge_disk(free_bytes: u64) -> Finding {
    let detail = format!("{} MiB free", free_bytes / (1024 * 1024));
    if free_bytes < FREE_BYTES_TO_FAIL {
        Finding::fail(DISK, detail, "make room: without it no change can be made durable")
    } else if free_bytes < FREE_BYTES_TO_WARN {
        Finding::warn(DISK, detail, "make room soon")
    } else {
        Finding::ok(DISK, detail)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;

    #[test]
    fn little_room_is_warned_of_and_no_room_fails() {
        for (free, status) in [(0, Status::Fail), (200 << 20, Status::Warn), (2 << 30, Status::Ok)] {
            assert_eq!(judge_disk(free).status, status, "{free}");
        }
    }

    #[test]
    fn a_folder_that_others_can_read_is_named_with_the_command_that_closes_it() {
        let folder = tempfile::tempdir().unwrap();
        let set =
            |mode| std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        set(0o755);
        let open = check_folder(folder.path());
        assert_eq!(open.status, Status::Warn);
        assert!(open.advice.unwrap().starts_with("chmod 700 "));
        set(0o700);
        assert_eq!(check_folder(folder.path()).status, Status::Ok);
        assert_eq!(check_folder(&folder.path().join("later")).status, Status::Ok);
    }
}
