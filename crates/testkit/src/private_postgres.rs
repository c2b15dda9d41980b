//! A PostgreSQL of a test's own: to stop and start again, to copy, to put back to an older state, and to give
//! a standby that takes over. Debian's programs, files in a temporary folder.

#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    clippy::disallowed_methods,
    reason = "a set-up that fails must end the test, and real processes need the real clock"
)]

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::processes::{PATIENCE, free_address, wait_for_end};
use crate::visible;

/// Where the database's files are, in the server's folder.
const DATA: &str = "data";
/// Where a copy of them is.
const COPY: &str = "copy";

/// A running server, stopped when dropped.
#[derive(Debug)]
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
        let other_user = if rustix::process::geteuid().is_root() { unprivileged_user() } else { None };
        let mut server = Self::prepare(programs, other_user);
        let mut initialise = server.command("initdb");
        initialise.args(["--pgdata", DATA, "--username=postgres", "--auth=trust", "--encoding=UTF8"]);
        run(initialise.args(["--locale=C", "--no-sync"]));
        server.start().await;
        Some(server)
    }

    /// A server without files.
    fn prepare(programs: PathBuf, other_user: Option<(u32, u32)>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();
        if let Some((user, group)) = other_user {
            chown(folder.path(), Some(user), Some(group)).unwrap();
        }
        Self { programs, folder, port: free_address().port(), other_user, child: None }
    }

    fn command(&self, program: &str) -> Command {
        self.run_as_its_user(&self.programs.join(program).display().to_string())
    }

    fn run_as_its_user(&self, program: &str) -> Command {
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
    #[must_use]
    pub fn url(&self) -> String {
        self.url_by(self.port)
    }

    /// Where it is for somebody who goes through another port, such as a proxy's.
    #[must_use]
    pub fn url_by(&self, port: u16) -> String {
        format!("postgres://postgres@127.0.0.1:{port}/postgres")
    }

    /// The port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Starts it (again) on the same port, and waits until it answers.
    pub async fn start(&mut self) {
        let begun = Instant::now();
        self.spawn();
        while !self.answers() {
            // Somebody else may have the port for a moment.
            if self.child.as_mut().is_none_or(|child| child.try_wait().unwrap().is_some()) {
                self.spawn();
            }
            let log = || fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(begun.elapsed() < PATIENCE, "PostgreSQL does not answer:\n{}", log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn spawn(&mut self) {
        let log = File::options().create(true).append(true).open(self.folder.path().join("log")).unwrap();
        let mut command = self.command("postgres");
        command.args(["-D", DATA, "-p", &self.port.to_string(), "-c", "listen_addresses=127.0.0.1"]);
        command.args(["-c", "unix_socket_directories="]);
        self.child = Some(command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap());
    }

    fn answers(&self) -> bool {
        let port = format!("--port={}", self.port);
        let mut ask = Command::new(self.programs.join("pg_isready"));
        ask.args(["--quiet", "--host=127.0.0.1", &port]).status().unwrap().success()
    }

    /// Stops it at once, as a crash would: connections break.
    pub fn crash(&mut self) {
        self.end_by("QUIT");
    }

    /// Stops it in order, but waits for nobody.
    pub fn stop(&mut self) {
        self.end_by("INT");
    }

    fn end_by(&mut self, signal: &str) {
        if let Some(child) = self.child.take() {
            let _ = Command::new("kill").arg(format!("-{signal}")).arg(child.id().to_string()).status();
            let _ = wait_for_end(child);
        }
    }

    /// Runs SQL; the rows as lines, columns separated by `|`.
    #[must_use]
    pub fn sql(&self, statements: &str) -> String {
        let mut psql = self.command("psql");
        run(psql.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-d", &self.url(), "-c", statements]))
    }

    /// Keeps a copy of its files as they are now, in place of the copy before.
    pub async fn keep_copy(&mut self) {
        self.stop();
        run(self.run_as_its_user("rm").args(["-rf", COPY]));
        run(self.run_as_its_user("cp").args(["-a", DATA, COPY]));
        self.start().await;
    }

    /// Puts the files back to what they were when the copy was made: everything since is lost.
    pub async fn put_copy_back(&mut self) {
        self.crash();
        run(self.run_as_its_user("rm").args(["-rf", DATA]));
        run(self.run_as_its_user("cp").args(["-a", COPY, DATA]));
        self.start().await;
    }

    /// A second server that follows this one. From now on no commit is acknowledged before the second has it.
    pub async fn synchronous_standby(&self) -> Self {
        let mut standby = Self::prepare(self.programs.clone(), self.other_user);
        let mut copy = standby.command("pg_basebackup");
        run(copy.args(["-D", DATA, "-R", "-X", "stream", "-c", "fast", "--no-sync", "-d", &self.url()]));
        standby.start().await;
        let _ = self.sql("ALTER SYSTEM SET synchronous_standby_names = '*'");
        let _ = self.sql("SELECT pg_reload_conf()");
        let begun = Instant::now();
        while self.sql("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'") != "1" {
            assert!(begun.elapsed() < PATIENCE, "the standby does not follow");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        standby
    }

    /// Makes a standby the primary, and waits until it takes writes.
    pub fn promote(&self) {
        let promoted = self.sql("SELECT pg_promote(true, 60)");
        assert_eq!(promoted, "t", "the standby was not promoted");
    }
}

/// Runs a program to its end; what it printed.
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

impl Drop for PrivatePostgres {
    fn drop(&mut self) {
        self.crash();
    }
}
