//! A PostgreSQL of a test's own, that it may stop and start again.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rndrkit_testkit::visible;

use crate::harness::{free_address, wait_for_end};

/// How long it may take to answer on a busy machine.
const START_DEADLINE: Duration = Duration::from_secs(60);

pub struct PrivatePostgres {
    programs: PathBuf,
    folder: tempfile::TempDir,
    port: u16,
    /// Who runs it when we are root, which it refuses.
    other_user: Option<(u32, u32)>,
    child: Option<Child>,
}

/// Debian keeps the server's programs in a folder for each version.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
    let mut folders: Vec<PathBuf> = versions.map(|entry| entry.path().join("bin")).collect();
    folders.retain(|folder| folder.join("initdb").is_file());
    folders.sort();
    folders.pop()
}

fn unprivileged_user() -> Option<(u32, u32)> {
    let accounts = fs::read_to_string("/etc/passwd").unwrap();
    ["postgres:", "nobody:"].into_iter().find_map(|name| {
        let mut fields = accounts.lines().find(|line| line.starts_with(name))?.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    })
}

impl PrivatePostgres {
    /// Starts one, or says in one visible line that there is none.
    pub async fn start_or_notice() -> Option<Self> {
        let Some(programs) = programs() else {
            visible::say("not run: tests that stop PostgreSQL (it is not in /usr/lib/postgresql)");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let other_user = if rustix::process::geteuid().is_root() { unprivileged_user() } else { None };
        fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();
        if let Some((user, group)) = other_user {
            chown(folder.path(), Some(user), Some(group)).unwrap();
        }
        let mut server = Self { programs, folder, port: free_address().port(), other_user, child: None };
        let mut initialise = server.command("initdb");
        initialise.args(["--pgdata=data", "--username=postgres", "--auth=trust", "--encoding=UTF8"]);
        let made = initialise.args(["--locale=C", "--no-sync"]).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        server.start().await;
        Some(server)
    }

    fn command(&self, program: &str) -> Command {
        let program = self.programs.join(program);
        // It ends with this process, also when the test is killed.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).current_dir(self.folder.path()).stdin(Stdio::null());
        if let Some((user, group)) = self.other_user {
            command.arg(format!("--reuid={user}")).arg(format!("--regid={group}")).arg("--clear-groups");
        }
        command.arg("--").arg(program);
        command
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// Starts it (again) on the same port, and waits until it answers.
    pub async fn start(&mut self) {
        let log = File::options().create(true).append(true).open(self.folder.path().join("log")).unwrap();
        let mut command = self.command("postgres");
        command.args(["-D", "data", "-p", &self.port.to_string(), "-c", "listen_addresses=127.0.0.1"]);
        command.args(["-c", "unix_socket_directories="]);
        self.child = Some(command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap());
        let begun = Instant::now();
        loop {
            let port = format!("--port={}", self.port);
            let mut ask = Command::new(self.programs.join("pg_isready"));
            if ask.args(["--quiet", "--host=127.0.0.1", &port]).status().unwrap().success() {
                return;
            }
            assert!(begun.elapsed() < START_DEADLINE, "PostgreSQL does not answer");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Stops it at once, as a crash would: connections break.
    pub fn crash(&mut self) {
        if let Some(child) = self.child.take() {
            let _ = Command::new("kill").arg("-QUIT").arg(child.id().to_string()).status();
            wait_for_end(child);
        }
    }
}

impl Drop for PrivatePostgres {
    fn drop(&mut self) {
        self.crash();
    }
}
