//! A full disk: what needs it is refused as unavailable, decisions go on, and room is all it takes to recover.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use rndrkit_testkit::visible;
use serde_json::{Value, json};

use crate::harness::Server;
use crate::people::PASSWORD;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// Runs its arguments in a mount namespace of their own: what is mounted there is seen by them alone and gone
/// with them. None where the machine does not allow it.
fn namespace() -> Option<&'static str> {
    ["unshare --mount", "unshare --map-root-user --mount"].into_iter().find(|command| {
        let trial = format!("{command} sh -c 'mount -t tmpfs -o size=64k none /mnt'");
        let status = Command::new("sh").args(["-c", &trial]).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    })
}

/// What the writing half answers while nothing can be written.
async fn assert_writes_are_unavailable(server: &Server, account: &str, key: &str, cookie: &str) {
    for (method, path, body) in [
        ("POST", format!("/v1/accounts/{account}/keys"), json!({"name": "no room"})),
        ("POST", "/v1/accounts".to_owned(), json!({"email": "noroom@example.com"})),
        ("PATCH", format!("/v1/accounts/{account}"), json!({"name": "No room"})),
        ("DELETE", format!("/v1/keys/{key}"), Value::Null),
    ] {
        let (status, answer) = server.operator(method, &path, body).await;
        assert_eq!((status, &answer["code"]), (503, &json!("unavailable")), "{method} {path}: {answer}");
        let text = answer.to_string();
        assert!(!text.contains("disk") && !text.contains("database"), "the cause is for the log: {text}");
    }
    let form = server.form("/settings/api-keys", cookie, &[("name", "no room")]).await;
    assert_eq!(form.status(), 503);
    let credentials = [("email", "ada@example.com"), ("password", PASSWORD)];
    assert_eq!(server.form("/sign-in", "", &credentials).await.status(), 503);
}

/// What reads and decides goes on.
async fn assert_decisions_go_on(server: &Server, known: &str, not_looked_up: &str, cookie: &str) {
    for _ in 0..20 {
        let (status, answer) = server.look(known).await;
        assert_eq!((status, &answer["valid"]), (200, &json!(true)), "{answer}");
    }
    let (status, answer) = server.look(not_looked_up).await;
    assert_eq!((status, &answer["valid"]), (200, &json!(true)), "a look-up needs no room: {answer}");
    assert_eq!(server.get_with_key("/api/rk/account", known).await.status(), 200);
    assert_eq!(server.page("/settings", cookie).await.status(), 200);
    assert!(server.is_ready().await);
}

/// Fills the disk, tries everything, makes room, tries again.
async fn try_a_full_disk(server: &Server, fill: impl AsyncFn(), make_room: impl AsyncFn()) {
    let account = server.account("ada@example.com", "agency").await;
    let (key, known) = server.key(&account, "known").await;
    let (_, not_looked_up) = server.key(&account, "not looked up").await;
    let cookie = server.join(&account, "ada@example.com").await;
    server.look(&known).await;

    fill().await;
    assert_writes_are_unavailable(server, &account, &key, &cookie).await;
    assert_decisions_go_on(server, &known, &not_looked_up, &cookie).await;

    make_room().await;
    let path = format!("/v1/accounts/{account}/keys");
    let (status, made) = server.operator("POST", &path, json!({"name": "room again"})).await;
    assert_eq!(status, 201, "no recovery: {made}\n{}", server.log());
    assert_eq!(server.look(made["secret"].as_str().unwrap()).await.1["valid"], json!(true));
    // Nothing that was refused happened after all.
    let (_, keys) = server.operator("GET", &path, Value::Null).await;
    let names: Vec<&str> =
        keys["data"].as_array().unwrap().iter().map(|key| key["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["room again", "not looked up", "known"]);
    assert_eq!(server.look(&known).await.1["valid"], json!(true), "the refused delete");
    assert_eq!(server.operator("DELETE", &format!("/v1/keys/{key}"), Value::Null).await.0, 200);
    assert_eq!(server.look(&known).await.1["code"], json!("key_revoked"));
    // What was counted while there was no room is written with the next flush.
    let other = keys["data"][1]["id"].as_str().unwrap();
    let is_counted = async |server: &Server| {
        let (_, key) = server.operator("GET", &format!("/v1/keys/{other}"), Value::Null).await;
        !key["last_used_at"].is_null()
    };
    assert!(server.eventually(is_counted).await, "the use of a full disk's time was lost");
}

/// Takes all the room there is, down to the last byte.
fn fill_up(path: &Path) {
    let mut filler = File::create(path).unwrap();
    let mut piece = vec![0_u8; 64 * 1024];
    while !piece.is_empty() {
        if filler.write_all(&piece).is_err() {
            piece.truncate(piece.len() / 2);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_full_file_system_writes_are_unavailable_and_decisions_go_on() {
    let Some(namespace) = namespace() else {
        visible::say(
            "not run: the full file system (this machine allows no mounts; the limit on files is tried)",
        );
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let inner = format!("mount -t tmpfs -o size=8m,mode=0700 none {} && exec \"$0\" serve", data.display());
    let script = format!("exec {namespace} sh -c '{inner}' \"$0\"");
    let settings = [("RNDRKIT_OPERATOR_TOKEN", TOKEN)];
    let server = Server::start_by(Some(script), folder.path(), &settings, None).await;
    let filler = format!("/proc/{}/root{}/filler", server.pid(), data.display());
    let fill = async || fill_up(Path::new(&filler));
    let make_room = async || std::fs::remove_file(&filler).unwrap();
    try_a_full_disk(&server, fill, make_room).await;
}

/// The process's limit on the size of a file it writes: `prlimit`'s own words.
fn limit_files(server: &Server, bytes: &str) {
    let limit = format!("--fsize={bytes}:");
    let status = Command::new("prlimit").args(["--pid", &server.pid().to_string(), &limit]).status();
    assert!(status.is_ok_and(|status| status.success()), "prlimit {limit}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_files_may_not_grow_writes_are_unavailable_and_decisions_go_on() {
    if Command::new("prlimit").arg("--version").stdout(Stdio::null()).status().is_err() {
        visible::say("not run: the limit on files (prlimit is not installed)");
        return;
    }
    // The signal that comes with the limit is ignored, so that writing fails as it does under a quota.
    let script = "trap '' XFSZ; exec \"$0\" serve".to_owned();
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_by(Some(script), folder.path(), &[], None).await;
    let fill = async || limit_files(&server, "4096");
    let make_room = async || limit_files(&server, "unlimited");
    try_a_full_disk(&server, fill, make_room).await;
}
