//! Debian's aiosmtpd as a mail server that counts, fails on demand, and keeps every mail that it was given.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rndrkit_testkit::visible;
use serde_json::Value;

const AIOSMTPD: &str = "/usr/lib/python3/dist-packages/aiosmtpd";
const PATIENCE: Duration = Duration::from_secs(60);

/// A mail as it came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    pub to: String,
    pub text: String,
    pub over_tls: bool,
}

impl Mail {
    pub fn id(&self) -> &str {
        self.header("Message-ID: ")
    }

    pub fn header(&self, name: &str) -> &str {
        self.text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default()
    }
}

pub struct Receiver {
    child: Child,
    folder: tempfile::TempDir,
    pub port: u16,
}

impl Receiver {
    /// Starts; none after one visible line when aiosmtpd is not installed.
    pub async fn start_or_notice() -> Option<Self> {
        Self::start(&[]).await
    }

    /// With a certificate and its key: asks for STARTTLS, and for `ada` with `p@ss:word`.
    pub async fn with_tls_or_notice(certificate: &Path, key: &Path) -> Option<Self> {
        Self::start(&[certificate.to_owned(), key.to_owned()]).await
    }

    async fn start(files: &[PathBuf]) -> Option<Self> {
        if !Path::new(AIOSMTPD).exists() {
            visible::required_or_notice("tests with a mail server", "aiosmtpd");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("mode"), "accept").unwrap();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mail/receiver.py");
        let child = Command::new("/usr/bin/python3")
            .arg(script)
            .arg(folder.path())
            .args(files)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let mut receiver = Self { child, folder, port: 0 };
        let port = || std::fs::read_to_string(receiver.folder.path().join("port")).ok()?.parse().ok();
        assert!(until(async || port().is_some()).await, "the mail server did not start");
        receiver.port = port().unwrap();
        Some(receiver)
    }

    pub fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    /// How it behaves from now on: `accept`, `refuse`, `later`, `silent`, `close-in-data`, `hang-in-data`, `hold`.
    pub fn behave(&self, mode: &str) {
        let new = self.folder.path().join("mode.new");
        std::fs::write(&new, mode).unwrap();
        std::fs::rename(new, self.folder.path().join("mode")).unwrap();
    }

    fn lines(&self, file: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.path().join(file)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// How often it came to a step: `connected`, `data`, `answered`.
    pub fn steps(&self, name: &str) -> usize {
        self.lines("steps").iter().filter(|step| *step == name).count()
    }

    /// Everything it was given, in order.
    pub fn mails(&self) -> Vec<Mail> {
        let read = |line: &String| {
            let mail: Value = serde_json::from_str(line).unwrap();
            let to = mail["to"].as_array().unwrap().iter().map(|to| to.as_str().unwrap());
            Mail {
                to: to.collect::<Vec<_>>().join(","),
                text: mail["text"].as_str().unwrap().to_owned(),
                over_tls: mail["tls"].as_bool().unwrap(),
            }
        };
        self.lines("mails.jsonl").iter().map(read).collect()
    }

    /// Waits until it has been given so many.
    pub async fn wait_for_mails(&self, count: usize) -> Vec<Mail> {
        let there = until(async || self.mails().len() >= count).await;
        assert!(there, "{} of {count} mails came:\n{:#?}", self.mails().len(), self.mails());
        self.mails()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether it came true within a minute.
pub async fn until(check: impl AsyncFn() -> bool) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if check().await {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    false
}
