//! Throw-away servers for one test run: PostgreSQL and chromedriver, on free ports, in one temporary folder
//! that is removed with them.

use std::fmt::Write as _;
use std::fs::{self, File, Permissions};
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::processes::{Group, Interrupt, run_quietly};
use crate::report::{Outcome, now, say};
use crate::tools;

/// How long a server may take to answer; a busy two-core machine needs some seconds.
const START_PATIENCE: Duration = Duration::from_secs(60);
/// A free port can be taken between our look and the server's: try another.
const PORT_ATTEMPTS: u32 = 5;
/// Every test has a pool of its own, and they run side by side.
const MAX_CONNECTIONS: u32 = 400;

/// Both servers. Fields are dropped in this order: the folder last.
#[derive(Debug)]
pub(crate) struct Servers {
    _chromedriver: Group,
    _postgres: Group,
    _folder: TempDir,
    /// Where the tests find PostgreSQL, password included.
    pub(crate) postgres_url: String,
    /// Where the tests find chromedriver.
    pub(crate) webdriver_url: String,
}

impl Servers {
    /// Starts both and waits until they answer.
    pub(crate) fn start(interrupt: &Interrupt) -> Outcome<Self> {
        let folder = tempfile::Builder::new().prefix("rndrkit-test-").tempdir()?;
        // PostgreSQL runs as another user when we are root, and must reach its folder below this one.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
        let (postgres, postgres_url) = start_postgres(folder.path(), interrupt)?;
        let (chromedriver, webdriver_url) = start_chromedriver(folder.path())?;
        Ok(Self {
            _chromedriver: chromedriver,
            _postgres: postgres,
            _folder: folder,
            postgres_url,
            webdriver_url,
        })
    }
}

/// Who runs PostgreSQL when we are root, which it refuses.
struct OtherUser {
    user: u32,
    group: u32,
}

impl OtherUser {
    fn when_root() -> Outcome<Option<Self>> {
        if !tools::is_root() {
            return Ok(None);
        }
        let accounts = fs::read_to_string("/etc/passwd")?;
        let find = |name: &str| {
            let mut fields =
                accounts.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":x:"))?.split(':');
            Some(Self { user: fields.next()?.parse().ok()?, group: fields.next()?.parse().ok()? })
        };
        let found = find("postgres").or_else(|| find("nobody"));
        found.map(Some).ok_or_else(|| "neither postgres nor nobody is in /etc/passwd".into())
    }
}

/// A command that ends with this process, and that another user runs when we are root.
fn contained(program: &Path, user: Option<&OtherUser>, stop: &str) -> Command {
    let Some(setpriv) = tools::on_path("setpriv") else { return Command::new(program) };
    let mut command = Command::new(setpriv);
    if let Some(user) = user {
        command
            .arg(format!("--reuid={}", user.user))
            .arg(format!("--regid={}", user.group))
            .arg("--clear-groups");
    }
    command.arg(format!("--pdeathsig={stop}")).arg("--").arg(program);
    command
}

fn start_postgres(folder: &Path, interrupt: &Interrupt) -> Outcome<(Group, String)> {
    let programs = tools::POSTGRES.path()?;
    let user = OtherUser::when_root()?;
    let home = folder.join("postgres");
    let password = random_hex()?;
    let password_file = home.join("password");
    fs::create_dir(&home)?;
    fs::write(&password_file, &password)?;
    for path in [&home, &password_file] {
        fs::set_permissions(path, Permissions::from_mode(0o700))?;
        if let Some(user) = &user {
            chown(path, Some(user.user), Some(user.group))?;
        }
    }
    initialise(&programs, &home, user.as_ref())?;
    for _ in 0..PORT_ATTEMPTS {
        let port = free_port()?;
        let mut group = spawn_postgres(&programs, &home, user.as_ref(), port)?;
        if postgres_answers(&programs, port, &mut group, interrupt)? {
            say(&format!("PostgreSQL answers on port {port} ({})", programs.display()));
            return Ok((group, format!("postgres://postgres:{password}@127.0.0.1:{port}/postgres")));
        }
    }
    let log = fs::read_to_string(home.join("log")).unwrap_or_default();
    Err(format!("PostgreSQL does not start; its log says:\n{log}").into())
}

fn initialise(programs: &Path, home: &Path, user: Option<&OtherUser>) -> Outcome<()> {
    let mut command = contained(&programs.join("initdb"), user, "KILL");
    command.current_dir(home).arg("--pgdata=data").arg("--pwfile=password").args([
        "--username=postgres",
        // Cheap to check, and nobody else on this machine gets in.
        "--auth-host=password",
        "--auth-local=reject",
        "--encoding=UTF8",
        "--locale=C",
        // Only the set-up; the server itself runs with fsync on, as in production.
        "--no-sync",
    ]);
    run_quietly(&mut command)
}

fn spawn_postgres(programs: &Path, home: &Path, user: Option<&OtherUser>, port: u16) -> Outcome<Group> {
    let log = File::create(home.join("log"))?;
    let mut command = contained(&programs.join("postgres"), user, "QUIT");
    command.current_dir(home).args(["-D", "data", "-p", &port.to_string()]);
    for setting in [
        "listen_addresses=127.0.0.1",
        "unix_socket_directories=",
        "fsync=on",
        &format!("max_connections={MAX_CONNECTIONS}"),
    ] {
        command.args(["-c", setting]);
    }
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    // SIGINT is the server's fast shutdown; SIGTERM would wait for clients to leave.
    Ok(Group::spawn(&mut command)?.stop_with(Signal::INT))
}

/// Waits for the server; false when it ended instead.
fn postgres_answers(programs: &Path, port: u16, group: &mut Group, interrupt: &Interrupt) -> Outcome<bool> {
    let deadline = now() + START_PATIENCE;
    while now() < deadline {
        interrupt.check()?;
        if group.child().try_wait()?.is_some() {
            return Ok(false);
        }
        let mut ready = Command::new(programs.join("pg_isready"));
        ready.args(["--quiet", "--host=127.0.0.1", &format!("--port={port}")]);
        if run_quietly(&mut ready).is_ok() {
            return Ok(true);
        }
        thread::sleep(Duration::from_millis(100));
    }
    Err("PostgreSQL was started and does not answer".into())
}

fn start_chromedriver(folder: &Path) -> Outcome<(Group, String)> {
    let home = folder.join("chromium");
    fs::create_dir(&home)?;
    let mut command = contained(&tools::CHROMEDRIVER.path()?, None, "TERM");
    command.arg("--port=0").env("HOME", &home).env("TMPDIR", &home);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(home.join("log"))?);
    let mut group = Group::spawn(&mut command)?;
    let output = group.child().stdout.take().ok_or("chromedriver has no standard output")?;
    let (sender, receiver) = mpsc::channel();
    // Reads on to the end, so that the driver never waits for a full pipe.
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if let Some(port) = announced_port(&line) {
                let _ = sender.send(port);
            }
        }
    });
    let port = receiver
        .recv_timeout(START_PATIENCE)
        .map_err(|_| format!("chromedriver does not start; see {}", home.join("log").display()))?;
    say(&format!("chromedriver answers on port {port}"));
    Ok((group, format!("http://127.0.0.1:{port}")))
}

/// The port in `ChromeDriver was started successfully on port 40055.`
fn announced_port(line: &str) -> Option<u16> {
    line.split_once("started successfully on port ")?.1.trim_end_matches('.').parse().ok()
}

/// A port that nothing listens on right now.
fn free_port() -> Outcome<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn random_hex() -> Outcome<String> {
    let mut bytes = [0_u8; 16];
    File::open(PathBuf::from("/dev/urandom"))?.read_exact(&mut bytes)?;
    let mut text = String::with_capacity(32);
    for byte in bytes {
        write!(text, "{byte:02x}")?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drivers_port_is_read_from_its_greeting() {
        assert_eq!(announced_port("ChromeDriver was started successfully on port 40055."), Some(40055));
        assert_eq!(announced_port("Starting ChromeDriver 156.0.8078.79 on port 0"), None);
    }

    #[test]
    fn passwords_are_long_and_differ() {
        let (one, two) = (random_hex().unwrap(), random_hex().unwrap());
        assert_eq!(one.len(), 32);
        assert_ne!(one, two);
    }
}
