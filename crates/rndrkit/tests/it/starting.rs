//! Starting and stopping: what is said when something is wrong, what is left on the disk, and how it ends.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use rndrkit_testkit::{database, visible};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use crate::harness::{Server, client, wait_for_end};
use crate::people::{PASSWORD, cookie_of, link_text};

fn program(folder: &Path, args: &[&str], settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rndrkit"));
    command.args(args).env_clear().envs(settings.iter().copied()).current_dir(folder).stdin(Stdio::null());
    command
}

/// Runs a command that must end by itself: exit code, and all that it said.
fn run(folder: &Path, args: &[&str], settings: &[(&str, &str)]) -> (Option<i32>, String) {
    let path = folder.join("said");
    let said = File::create(&path).unwrap();
    let mut command = program(folder, args, settings);
    let child = command.stdout(said.try_clone().unwrap()).stderr(said).spawn().unwrap();
    let code = wait_for_end(child);
    (code, std::fs::read_to_string(path).unwrap())
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn every_wrong_setting_is_named_at_once_with_its_value_and_what_is_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let file = "cache_keys = 0\nbrand_nmae = \"Acme\"\n[[plans]]\nid = \"starter\"\nname = \"Starter\"\n\
                api_access = true\nactive_keys = 5\nrequests_per_minute = 0\nburst = 1\n";
    std::fs::write(folder.path().join("rndrkit.toml"), file).unwrap();
    let settings = [
        ("RNDRKIT_LOG_LEVEL", "loud"),
        ("RNDRKIT_PUBLIC_LISTEN", "here"),
        ("RNDRKIT_OPERATOR_TOKEN", "hunter2"),
    ];
    let (code, said) = run(folder.path(), &["serve", "--sign-up", "maybe"], &settings);
    assert_eq!(code, Some(2), "{said}");
    for wrong in [
        "rndrkit.toml:1",
        "cache_keys = 0",
        "did you mean brand_name?",
        "plans[1].requests_per_minute = 0",
        "RNDRKIT_LOG_LEVEL",
        "loud",
        "error, warn, info, debug",
        "RNDRKIT_PUBLIC_LISTEN",
        "operator_token",
        "--sign-up",
        "open, invite",
    ] {
        assert!(said.contains(wrong), "{wrong} is not in:\n{said}");
    }
    assert!(!said.contains("hunter2"), "a secret was repeated:\n{said}");
    assert!(!folder.path().join("rndrkit-data").exists(), "something was made before the settings held");
}

#[tokio::test]
async fn a_taken_port_is_named_with_the_line_that_works_instead() {
    let folder = tempfile::tempdir().unwrap();
    for (setting, flag) in
        [("RNDRKIT_PUBLIC_LISTEN", "--public-listen"), ("RNDRKIT_INTERNAL_LISTEN", "--internal-listen")]
    {
        let holder = TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = holder.local_addr().unwrap().to_string();
        let mut settings =
            vec![("RNDRKIT_PUBLIC_LISTEN", "127.0.0.1:0"), ("RNDRKIT_INTERNAL_LISTEN", "127.0.0.1:0")];
        settings.retain(|(name, _)| *name != setting);
        settings.push((setting, &taken));
        let (code, said) = run(folder.path(), &["serve"], &settings);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(&format!("{taken} is in use")), "{said}");
        assert!(!folder.path().join("rndrkit-data").exists(), "the port is looked at first");
        let line = said.lines().find_map(|line| line.trim().strip_prefix("rndrkit serve ")).unwrap();
        let arguments: Vec<&str> = line.split(' ').collect();
        assert_eq!(arguments[0], flag, "{said}");
        // Bound and given back by the process that named it: whoever follows the advice gets the port.
        let free: SocketAddr = arguments[1].parse().unwrap();
        assert_ne!(free.port(), holder.local_addr().unwrap().port());
        assert!(TcpListener::bind(free).is_ok(), "{free} is no better");
    }
}

#[tokio::test]
async fn a_second_process_on_the_same_data_folder_is_refused_and_the_first_goes_on() {
    let server = Server::start(&[]).await;
    let account = server.account("ada@example.com", "agency").await;
    let (_, secret) = server.key(&account, "Production").await;
    let (data, other) = (server.data().display().to_string(), tempfile::tempdir().unwrap());
    let settings = [
        ("RNDRKIT_DATA_DIR", data.as_str()),
        ("RNDRKIT_PUBLIC_LISTEN", "127.0.0.1:0"),
        ("RNDRKIT_INTERNAL_LISTEN", "127.0.0.1:0"),
    ];
    let (code, said) = run(other.path(), &[], &settings);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(&format!("(process {})", server.pid())) && said.contains("--data-dir"), "{said}");
    assert_eq!(server.get_with_key("/api/rk/account", &secret).await.status(), 200);
    assert_eq!(server.key(&account, "Another").await.0.len(), 30);
}

#[tokio::test]
async fn a_database_that_needs_a_newer_version_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start_in(folder.path(), &[], None).await;
    server.account("ada@example.com", "agency").await;
    assert_eq!(server.terminate(), Some(0));
    let file = server.data().join("rndrkit.db");
    let url = format!("sqlite://{}", file.display());
    database::meddle(&url, "UPDATE schema_version SET version = 99, oldest_runnable = 98").await;
    let before = std::fs::read(&file).unwrap();
    let data = server.data().display().to_string();
    let settings = [
        ("RNDRKIT_DATA_DIR", data.as_str()),
        ("RNDRKIT_PUBLIC_LISTEN", "127.0.0.1:0"),
        ("RNDRKIT_INTERNAL_LISTEN", "127.0.0.1:0"),
    ];
    for command in ["serve", "migrate"] {
        let (code, said) = run(folder.path(), &[command], &settings);
        assert_eq!(code, Some(1), "{command}: {said}");
        assert!(said.contains("99") && said.contains("98"), "{command}: {said}");
        assert!(std::fs::read(&file).unwrap() == before, "{command} wrote to the database");
    }
    // One that is newer and says that this version may run on it is served.
    database::meddle(&url, "UPDATE schema_version SET version = 99, oldest_runnable = 1").await;
    server.spawn().await;
    let (_, accounts) = server.operator("GET", "/v1/accounts", Value::Null).await;
    assert_eq!(accounts["data"][0]["email"], "ada@example.com");
}

#[test]
fn a_data_folder_that_cannot_be_made_is_named_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    let behind_a_file = folder.path().join("file/data").display().to_string();
    // Not even root can make a folder there.
    for path in [behind_a_file.as_str(), "/proc/rndrkit-data"] {
        let settings = [
            ("RNDRKIT_DATA_DIR", path),
            ("RNDRKIT_PUBLIC_LISTEN", "127.0.0.1:0"),
            ("RNDRKIT_INTERNAL_LISTEN", "127.0.0.1:0"),
        ];
        let (code, said) = run(folder.path(), &["serve"], &settings);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(&format!("cannot make {path}: ")), "{said}");
    }
}

#[tokio::test]
async fn what_a_start_makes_is_private_and_never_committed() {
    let mut server = Server::start(&[]).await;
    assert_eq!(server.terminate(), Some(0));
    let data = server.data();
    assert_eq!(mode(&data), 0o700);
    assert_eq!(std::fs::read_to_string(data.join(".gitignore")).unwrap(), "*\n");
    let token = server.operator_token();
    assert!(token.len() >= 32);
    for entry in std::fs::read_dir(&data).unwrap() {
        let path = entry.unwrap().path();
        let is_open = mode(&path) & 0o077 != 0;
        assert!(!is_open || path.ends_with(".gitignore"), "{}: {:o}", path.display(), mode(&path));
    }
    assert_eq!(mode(&data.join("operator-token")), 0o600);
    server.spawn().await;
    assert_eq!(server.operator_token(), token, "the token is made once");
    assert_eq!(server.operator("GET", "/v1/accounts", Value::Null).await.0, 200);
    assert!(!server.log().contains(&token), "the operator token was printed");
}

#[test]
fn config_show_says_what_holds_where_it_came_from_and_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("rndrkit.toml"), "brand_name = \"Acme\"\n").unwrap();
    let token = "0123456789abcdef0123456789abcdef";
    let settings = [
        ("RNDRKIT_DATABASE_URL", "postgres://me:hunter2@db.example/keys"),
        ("RNDRKIT_OPERATOR_TOKEN", token),
        ("RNDRKIT_CACHE_KEYS", "1000"),
    ];
    let (code, said) = run(folder.path(), &["config", "show", "--log-level", "debug"], &settings);
    assert_eq!(code, Some(0), "{said}");
    let row = |name: &str| said.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    for (name, value, origin) in [
        ("brand_name", "Acme", "rndrkit.toml"),
        ("cache_keys", "1000", "RNDRKIT_CACHE_KEYS"),
        ("log_level", "debug", "--log-level"),
        ("database_url", "(hidden)", "RNDRKIT_DATABASE_URL"),
        ("operator_token", "(hidden)", "RNDRKIT_OPERATOR_TOKEN"),
        ("key_prefix", "rk_live_", "default"),
    ] {
        assert!(row(name).contains(value) && row(name).contains(origin), "{name}: {}", row(name));
    }
    let (_, as_json) = run(folder.path(), &["config", "show", "--json"], &settings);
    for text in [&said, &as_json] {
        assert!(!text.contains("hunter2") && !text.contains(token), "{text}");
    }
}

/// The link that the latest start has printed, if it has printed one since `from`.
fn first_account_link(server: &Server, from: usize) -> Option<String> {
    let log = server.log();
    let line = log[from..].lines().find(|line| line.starts_with("Create the first account: "))?.to_owned();
    let own = format!("http://localhost:{}/sign-up?link=", server.public.port());
    assert!(line.contains(&own), "{line}");
    Some(link_text(&line))
}

/// The same, waited for: a server is ready a moment before it says where it is.
async fn printed_link(server: &Server, from: usize) -> String {
    for _ in 0..500 {
        if let Some(link) = first_account_link(server, from) {
            return link;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("no link was printed:\n{}", server.log());
}

#[tokio::test]
async fn the_first_account_link_is_printed_until_somebody_joined_and_replaced_by_each_start() {
    let mut server = Server::start(&[]).await;
    let first = printed_link(&server, 0).await;
    let page = |link: &str| format!("/sign-up?link={link}");
    assert_eq!(server.page(&page(&first), "").await.status(), 200);
    server.terminate();
    let from = server.log().len();
    server.spawn().await;
    let second = printed_link(&server, from).await;
    assert_eq!(server.page(&page(&first), "").await.status(), 410, "the old link still works");
    let fields = [("link", second.as_str()), ("email", "ada@example.com"), ("password", PASSWORD)];
    let joined = server.form("/sign-up", "", &fields).await;
    assert_eq!(joined.status(), 303);
    assert_eq!(server.page("/settings", &cookie_of(&joined)).await.status(), 200);
    assert_eq!(server.form("/sign-up", "", &fields).await.status(), 410, "a link works once");
    server.terminate();
    let from = server.log().len();
    server.spawn().await;
    let announced = async |server: &Server| server.log()[from..].contains("Operator API");
    assert!(server.eventually(announced).await, "{}", server.log());
    // What it has to say is printed at once, and the end of the process is the end of it.
    server.terminate();
    assert_eq!(first_account_link(&server, from), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_lets_requests_in_progress_finish_and_takes_no_new_ones() {
    let upstream = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", upstream.local_addr().unwrap());
    let mut server = Server::start(&[("RNDRKIT_UPSTREAM_URL", &url)]).await;
    let account = server.account("ada@example.com", "agency").await;
    let (key, secret) = server.key(&account, "Production").await;
    let request = client().get(server.public_url("/api/slow")).header("X-Api-Key", &secret);
    let request = tokio::spawn(request.send());
    let (mut in_progress, _) = upstream.accept().await.unwrap();
    server.signal("TERM");
    assert!(server.eventually(async |server| !server.is_ready().await).await, "readiness never failed");
    // Longer than the notice to load balancers: by now the listeners are closed.
    let closed = async |server: &Server| tokio::net::TcpStream::connect(server.public).await.is_err();
    assert!(server.eventually(closed).await, "connections are still taken");
    in_progress.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone").await.unwrap();
    let answer = request.await.unwrap().unwrap();
    assert_eq!((answer.status().as_u16(), answer.text().await.unwrap().as_str()), (200, "done"));
    assert_eq!(server.terminate(), Some(0), "{}", server.log());
    // What was counted last is written before the end.
    server.spawn().await;
    let (_, shown) = server.operator("GET", &format!("/v1/keys/{key}"), Value::Null).await;
    assert_ne!(shown["last_used_at"], json!(null));
}

#[tokio::test]
async fn it_starts_with_no_configuration_at_all() {
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    if !is_free(8080) || !is_free(8081) {
        visible::say("not run: the start without configuration (another program has port 8080 or 8081)");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let log = File::create(folder.path().join("log")).unwrap();
    let mut command = program(folder.path(), &[], &[]);
    let mut child = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
    let said = || std::fs::read_to_string(folder.path().join("log")).unwrap();
    let http = client();
    let mut ready = false;
    for _ in 0..600 {
        let answer = http.get("http://127.0.0.1:8081/readyz").send().await;
        ready = answer.is_ok_and(|answer| answer.status() == 200);
        if ready || child.try_wait().unwrap().is_some() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    if ready {
        let page = http.get("http://localhost:8080/sign-in").send().await.unwrap();
        assert_eq!(page.status(), 200);
        assert!(
            said().contains("Create the first account: http://localhost:8080/sign-up?link="),
            "{}",
            said()
        );
        assert_eq!(mode(&folder.path().join("rndrkit-data")), 0o700);
    }
    let _ = child.kill();
    let _ = child.wait();
    if said().contains("is in use") {
        visible::say("not run: the start without configuration (another program took port 8080 or 8081)");
    } else {
        assert!(ready, "{}", said());
    }
}

#[tokio::test]
async fn the_listener_for_watchers_shows_health_and_metrics_and_nothing_else() {
    let watchers = crate::harness::free_address();
    let server = Server::start(&[("RNDRKIT_TELEMETRY_LISTEN", &watchers.to_string())]).await;
    let http = client();
    for (path, status) in [("/livez", 200), ("/readyz", 200), ("/metrics", 200), ("/v1/accounts", 404)] {
        let answer = http.get(format!("http://{watchers}{path}")).bearer_auth(server.operator_token()).send();
        assert_eq!(answer.await.unwrap().status(), status, "{path}");
    }
    let verify = http.post(format!("http://{watchers}/v1/keys/verify")).bearer_auth(server.operator_token());
    assert_eq!(verify.json(&json!({"secret": "x"})).send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn a_second_start_of_the_same_installation_is_told_so_and_not_sent_to_another_port() {
    let server = Server::start(&[]).await;
    let (public, internal) = (server.public.to_string(), server.internal.to_string());
    let data = server.data().display().to_string();
    let settings = [
        ("RNDRKIT_DATA_DIR", data.as_str()),
        ("RNDRKIT_PUBLIC_LISTEN", public.as_str()),
        ("RNDRKIT_INTERNAL_LISTEN", internal.as_str()),
    ];
    let (code, said) = run(&server.data(), &["serve"], &settings);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("in use by another rndrkit process"), "{said}");
    assert!(!said.contains("Run this instead"), "{said}");
}
