//! A real proxy with one of the files of `docs/integrations/`.

use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a proxy may take to start on a busy machine.
const START_DEADLINE: Duration = Duration::from_secs(60);

/// A file of `docs/integrations/` with addresses in place of those that it was written with. Each must be
/// there: what is not substituted would be tried against whatever runs on this machine.
pub fn document(name: &str, substitutions: &[(&str, &str)]) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/integrations").join(name);
    let mut text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
    for (written, actual) in substitutions {
        assert!(text.contains(written), "{name} has no {written:?}");
        text = text.replace(written, actual);
    }
    text
}

/// A running proxy, ended when dropped.
pub struct Proxy {
    child: Child,
    log: PathBuf,
    _folder: tempfile::TempDir,
}

impl Proxy {
    /// Starts `program` in a folder of its own, where `files` are, and waits until it listens.
    pub fn start(
        program: &str,
        arguments: &[&str],
        files: &[(&str, String)],
        listens: SocketAddr,
    ) -> Option<Self> {
        let Some(program) = find(program) else {
            let wanted = std::env::var_os("RNDRKIT_TEST_REQUIRE").is_some();
            assert!(!wanted, "{program} is not installed");
            eprintln!("left out: {program} is not installed (cargo xtask test installs it)");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let log = folder.path().join("log");
        let out = File::create(&log).unwrap();
        let child = Command::new(program)
            .args(arguments)
            .env_clear()
            .env("HOME", folder.path())
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(out.try_clone().unwrap())
            .stderr(out)
            .spawn()
            .unwrap();
        let mut proxy = Self { child, log, _folder: folder };
        let begun = Instant::now();
        while TcpStream::connect(listens).is_err() {
            let exited = proxy.child.try_wait().unwrap();
            assert!(exited.is_none(), "the proxy ended at start: {exited:?}\n{}", proxy.log());
            assert!(begun.elapsed() < START_DEADLINE, "the proxy does not listen:\n{}", proxy.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(proxy)
    }

    /// What it has said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Debian keeps servers where only root's search path leads.
fn find(program: &str) -> Option<PathBuf> {
    ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"]
        .iter()
        .map(|folder| Path::new(folder).join(program))
        .find(|file| file.is_file())
}
