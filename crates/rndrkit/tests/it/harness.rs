//! Starts the real binary in a folder of its own and talks to it over real sockets.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub use rndrkit_testkit::processes::{free_address, wait_for_end};
use serde_json::{Value, json};

/// How long a server may take to start on a busy machine.
const START_DEADLINE: Duration = Duration::from_secs(60);
/// How often it is looked whether a stopped process stands still, a millisecond apart.
const STOP_CHECKS: u32 = 5_000;

/// A running `rndrkit serve`, killed when dropped.
pub struct Server {
    child: Option<Child>,
    folder: PathBuf,
    settings: Vec<(String, String)>,
    /// A shell script that ends in `exec "$0" serve`; none: the program itself is started.
    script: Option<String>,
    log_path: PathBuf,
    pub public: SocketAddr,
    pub internal: SocketAddr,
    pub http: reqwest::Client,
    _owned_folder: Option<tempfile::TempDir>,
}

/// An HTTP client that follows nothing and hides nothing.
pub fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(Duration::from_secs(60))
        .build()
        .unwrap()
}

impl Server {
    /// Starts on embedded SQLite with these settings beside the usual ones.
    pub async fn start(settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        Self::start_in(&path, settings, Some(folder)).await
    }

    /// Starts in a given folder.
    pub async fn start_in(
        folder: &Path,
        settings: &[(&str, &str)],
        owned: Option<tempfile::TempDir>,
    ) -> Self {
        Self::start_by(None, folder, settings, owned).await
    }

    /// Starts from a shell script that ends in `exec "$0" serve`, for what only a shell can arrange.
    pub async fn start_by(
        script: Option<String>,
        folder: &Path,
        settings: &[(&str, &str)],
        owned: Option<tempfile::TempDir>,
    ) -> Self {
        let (public, internal) = (free_address(), free_address());
        let mut all: Vec<(String, String)> = vec![
            ("RNDRKIT_DATA_DIR".into(), folder.join("data").display().to_string()),
            ("RNDRKIT_PUBLIC_LISTEN".into(), public.to_string()),
            ("RNDRKIT_INTERNAL_LISTEN".into(), internal.to_string()),
            ("RNDRKIT_PUBLIC_URL".into(), format!("http://localhost:{}", public.port())),
        ];
        for (name, value) in settings {
            all.retain(|(known, _)| known != name);
            all.push(((*name).to_owned(), (*value).to_owned()));
        }
        let mut server = Self {
            child: None,
            folder: folder.to_owned(),
            settings: all,
            script,
            log_path: folder.join("server.log"),
            public,
            internal,
            http: client(),
            _owned_folder: owned,
        };
        server.spawn().await;
        server
    }

    /// Starts the process (again) and waits until it is ready.
    pub async fn spawn(&mut self) {
        let log = File::options().create(true).append(true).open(&self.log_path).unwrap();
        let program = env!("CARGO_BIN_EXE_rndrkit");
        let mut command = match &self.script {
            None => Command::new(program),
            Some(_) => Command::new("sh"),
        };
        match &self.script {
            None => command.arg("serve"),
            Some(script) => command.args(["-c", script, program]),
        };
        let child = command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        let begun = Instant::now();
        while !self.is_ready().await {
            let exited = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(exited.is_none(), "the server ended at start: {exited:?}\n{}", self.log());
            assert!(begun.elapsed() < START_DEADLINE, "the server did not become ready:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    /// Whether it can decide now.
    pub async fn is_ready(&self) -> bool {
        let answer = self.http.get(self.internal_url("/readyz")).send().await;
        answer.is_ok_and(|answer| answer.status() == 200)
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Sends a signal, such as `TERM`.
    pub fn signal(&self, name: &str) {
        Command::new("kill").arg(format!("-{name}")).arg(self.pid().to_string()).status().unwrap();
        // The kernel tells each thread by itself, and one that runs just now may answer another request yet.
        for _ in 0..STOP_CHECKS {
            if name != "STOP" || self.stands_still() {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Whether none of its threads runs (`proc(5)`: the state comes after the name in brackets); also when it is gone.
    fn stands_still(&self) -> bool {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.pid())).into_iter().flatten().flatten();
        let mut states =
            threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("stat")).ok());
        states.all(|stat| stat.rsplit_once(") ").is_some_and(|(_, state)| state.starts_with('T')))
    }

    /// SIGTERM, and waits for the end.
    pub fn terminate(&mut self) -> Option<i32> {
        self.signal("TERM");
        wait_for_end(self.child.take()?)
    }

    /// The process's id.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// Everything it has printed so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log_path).unwrap_or_default()
    }

    /// The data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    pub fn public_url(&self, path: &str) -> String {
        format!("http://localhost:{}{path}", self.public.port())
    }

    pub fn internal_url(&self, path: &str) -> String {
        format!("http://{}{path}", self.internal)
    }

    /// The operator token: as set, else as the data folder has it.
    pub fn operator_token(&self) -> String {
        let given = self.settings.iter().find(|(name, _)| name == "RNDRKIT_OPERATOR_TOKEN");
        given.map_or_else(
            || std::fs::read_to_string(self.data().join("operator-token")).unwrap().trim().to_owned(),
            |(_, token)| token.clone(),
        )
    }

    /// A call of the operator API; `body` null sends none. Answers status and JSON (null if none).
    pub async fn operator(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request =
            self.http.request(method, self.internal_url(path)).bearer_auth(self.operator_token());
        if !body.is_null() {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or(Value::Null))
    }

    /// Waits until `check` says yes; false when it has not for a minute.
    pub async fn eventually(&self, check: impl AsyncFn(&Self) -> bool) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < START_DEADLINE {
            if check(self).await {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        false
    }

    /// `GET /metrics`.
    pub async fn metrics(&self) -> String {
        self.http.get(self.internal_url("/metrics")).send().await.unwrap().text().await.unwrap()
    }

    /// One metric, by its name with labels as `/metrics` writes them.
    pub async fn metric(&self, name: &str) -> f64 {
        let text = self.metrics().await;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("{name} is not among the metrics:\n{text}")).parse().unwrap()
    }

    /// Decides on a secret without spending: status and answer.
    pub async fn look(&self, secret: &str) -> (u16, Value) {
        self.operator("POST", "/v1/keys/verify", json!({"secret": secret, "cost": 0})).await
    }

    /// A new account on a plan; its id.
    pub async fn account(&self, email: &str, plan: &str) -> String {
        let (status, account) =
            self.operator("POST", "/v1/accounts", json!({"email": email, "plan": plan})).await;
        assert_eq!(status, 201, "{account}");
        account["id"].as_str().unwrap().to_owned()
    }

    /// A new key; its id and secret.
    pub async fn key(&self, account: &str, name: &str) -> (String, String) {
        let path = format!("/v1/accounts/{account}/keys");
        let (status, key) = self.operator("POST", &path, json!({"name": name})).await;
        assert_eq!(status, 201, "{key}");
        (key["id"].as_str().unwrap().to_owned(), key["secret"].as_str().unwrap().to_owned())
    }

    /// `GET` on the public listener with a key.
    pub async fn get_with_key(&self, path: &str, secret: &str) -> reqwest::Response {
        self.http.get(self.public_url(path)).header("X-Api-Key", secret).send().await.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
