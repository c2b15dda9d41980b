//! Starts the sample services as their documents say, and asks them as callers do.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use reqwest::header::HeaderValue;
use rndrkit_client::Client;
use rndrkit_testkit::processes::{PATIENCE, free_address};
use rndrkit_testkit::visible::required_or_notice;
use serde_json::Value;

use crate::axum_service;
use crate::harness::client;

/// The frameworks with a sample service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framework {
    Axum,
    Express,
    FastApi,
    NetHttp,
}

/// A sample service that runs; ended when dropped.
pub struct Service {
    address: SocketAddr,
    child: Option<Child>,
    _log: tempfile::NamedTempFile,
    log_path: PathBuf,
    http: reqwest::Client,
}

/// What a caller was told.
#[derive(Debug)]
pub struct Told {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
    pub took: Duration,
}

impl Told {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }
}

/// The top of the checkout.
pub fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn on_path(program: &str) -> bool {
    let path = std::env::var("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Go's program, built once for all tests; none after one visible line without Go.
fn go_program() -> Option<&'static Path> {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    let build = || {
        if !on_path("go") {
            required_or_notice("the sample service for net/http", "go");
            return None;
        }
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let program = folder.join("net-http-service");
        let built = Command::new("go")
            .args(["build", "-o"])
            .arg(&program)
            .current_dir(top().join("examples/net-http"))
            // Everything that it needs comes with the compiler; nothing is fetched.
            .envs([
                ("GOTOOLCHAIN", "local"),
                ("GOFLAGS", "-mod=mod"),
                ("GOPROXY", "off"),
                ("CGO_ENABLED", "0"),
            ])
            .env("GOCACHE", folder.join("go-cache"))
            .output()
            .unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        Some(program)
    };
    PROGRAM.get_or_init(build).as_deref()
}

/// The command that starts the service of another language; none after one visible line without its framework.
fn command(framework: Framework, port: u16) -> Option<Command> {
    let debian_python = Path::new("/usr/lib/python3/dist-packages");
    let mut command = match framework {
        Framework::Axum => return None,
        Framework::Express => {
            if !Path::new("/usr/share/nodejs/express").is_dir() {
                required_or_notice("the sample service for Express", "node-express");
                return None;
            }
            let mut command = Command::new("node");
            command.arg("server.js").current_dir(top().join("examples/express"));
            // Where Debian puts it, for a Node that is not Debian's.
            command.env("NODE_PATH", "/usr/share/nodejs");
            command
        }
        Framework::FastApi => {
            if !["fastapi", "uvicorn", "httpx"].iter().all(|module| debian_python.join(module).is_dir()) {
                required_or_notice(
                    "the sample service for FastAPI",
                    "python3-fastapi with uvicorn and httpx",
                );
                return None;
            }
            let mut command = Command::new("/usr/bin/python3");
            command.args(["-B", "-m", "uvicorn", "--port"]).arg(port.to_string()).arg("service:app");
            command.current_dir(top().join("examples/fastapi"));
            command
        }
        Framework::NetHttp => Command::new(go_program()?),
    };
    command.env("PORT", port.to_string());
    Some(command)
}

impl Service {
    /// Starts the service so that it asks the server at `url` with `token`; none when it cannot run here.
    pub async fn start(framework: Framework, url: &str, token: &str) -> Option<Self> {
        let address = free_address();
        let log = tempfile::NamedTempFile::new().unwrap();
        let log_path = log.path().to_owned();
        let mut child = None;
        if framework == Framework::Axum {
            let service = axum_service::service(Client::new(url, token).unwrap());
            let listener = tokio::net::TcpListener::bind(address).await.unwrap();
            let service = service.into_make_service_with_connect_info::<SocketAddr>();
            tokio::spawn(async move { axum::serve(listener, service).await });
        } else {
            let output = log.reopen().unwrap();
            let mut command = command(framework, address.port())?;
            command
                .envs([("KEYS_URL", url), ("KEYS_TOKEN", token)])
                .stdin(Stdio::null())
                .stdout(output.try_clone().unwrap())
                .stderr(output);
            child = Some(command.spawn().unwrap());
        }
        let mut service = Self { address, child, _log: log, log_path, http: client() };
        service.wait_until_it_listens().await;
        Some(service)
    }

    async fn wait_until_it_listens(&mut self) {
        let begun = Instant::now();
        while tokio::net::TcpStream::connect(self.address).await.is_err() {
            let ended = self.child.as_mut().and_then(|child| child.try_wait().unwrap());
            assert!(ended.is_none(), "the service ended at start: {ended:?}\n{}", self.log());
            assert!(begun.elapsed() < PATIENCE, "the service does not listen:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    /// What it has printed; nothing for the one that runs in this process.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log_path).unwrap()
    }

    /// One request with these `X-Api-Key` headers.
    pub async fn ask(&self, keys: &[&[u8]]) -> Told {
        let mut request = self.http.get(format!("http://{}/api/reports", self.address));
        for key in keys {
            request = request.header("X-Api-Key", HeaderValue::from_bytes(key).unwrap());
        }
        let begun = Instant::now();
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = answer.bytes().await.unwrap();
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        Told { status, headers, body, took: begun.elapsed() }
    }

    /// One request with one key.
    pub async fn with_key(&self, key: &str) -> Told {
        self.ask(&[key.as_bytes()]).await
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
