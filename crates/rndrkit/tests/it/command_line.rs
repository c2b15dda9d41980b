//! The command line as a process: exit codes, standard input, the demonstration from start to end.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::harness::{Server, free_address};

fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rndrkit"));
    command.args(args).env_clear().env("PATH", "/usr/bin:/bin").current_dir(folder);
    command
}

/// A command in an empty folder.
fn run(args: &[&str]) -> (Option<i32>, String, String) {
    let folder = tempfile::tempdir().unwrap();
    texts(command(folder.path(), args).output().unwrap())
}

fn texts(output: Output) -> (Option<i32>, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// A command as its operator types it beside a running server.
fn beside(server: &Server, args: &[&str], stdin: &str) -> (Option<i32>, String, String) {
    let folder = server.data();
    let mut child = command(&folder, args)
        .env("RNDRKIT_DATA_DIR", &folder)
        .env("RNDRKIT_PUBLIC_LISTEN", server.public.to_string())
        .env("RNDRKIT_INTERNAL_LISTEN", server.internal.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that reads nothing may be gone before this is written.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    texts(child.wait_with_output().unwrap())
}

#[test]
fn exit_codes_tell_usage_from_a_no_from_not_knowing() {
    let free = format!("http://{}", free_address());
    let token = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(token.path(), "t").unwrap();
    let token = token.path().display().to_string();
    let unreachable = ["token", "list", "--url", free.as_str(), "--token-file", token.as_str()];
    let cases: [(&[&str], i32); 7] = [
        (&["--version"], 0),
        (&["account", "--help"], 0),
        (&["config", "show"], 0),
        (&["backup", "copy.db"], 1),
        (&["nonsense"], 2),
        (&["config", "show", "--log-level", "loud"], 2),
        (&unreachable, 3),
    ];
    for (args, code) in cases {
        let (got, out, err) = run(args);
        assert_eq!(got, Some(code), "{args:?}\n{out}{err}");
    }
}

#[test]
fn an_account_and_its_key_are_managed_from_the_shell() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(Server::start(&[]));
    let json = |args: &[&str]| -> Value {
        let (code, out, err) = beside(&server, args, "");
        assert_eq!(code, Some(0), "{args:?}\n{err}");
        serde_json::from_str(&out).unwrap()
    };
    let account = json(&["account", "create", "--email", "ada@example.com", "--plan", "agency", "--json"]);
    let account = account["id"].as_str().unwrap();
    let created = json(&["key", "create", "--account", account, "--name", "Deployment Script", "--json"]);
    let (key, secret) = (created["id"].as_str().unwrap(), created["secret"].as_str().unwrap());

    let (code, out, _) = beside(&server, &["key", "verify"], &format!("{secret}\n"));
    assert_eq!((code, out.lines().next()), (Some(0), Some("valid")));
    let (_, listed, _) = beside(&server, &["key", "list", "--account", account], "");
    assert!(listed.contains("Deployment Script") && !listed.contains(secret), "{listed}");

    json(&["account", "set-plan", account, "pro", "--json"]);
    let (code, out, _) = beside(&server, &["key", "verify"], secret);
    assert_eq!(code, Some(1));
    assert!(out.contains("plan_required (403)"), "{out}");

    let receipt = json(&["key", "delete", key, "--json"]);
    assert_eq!(receipt["nodes_confirmed"], 1);
    let (code, out, _) = beside(&server, &["key", "verify"], secret);
    assert_eq!(code, Some(1));
    assert!(out.contains("key_revoked (401)"), "{out}");
}

#[test]
fn doctor_and_backup_work_beside_a_running_server_and_migrate_does_not() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(Server::start(&[]));
    let (code, out, err) = beside(&server, &["doctor"], "");
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.contains("a server is running"), "{out}");
    let (code, out, err) = beside(&server, &["backup", "copy.db"], "");
    assert_eq!(code, Some(0), "{out}{err}");
    let (code, _, err) = beside(&server, &["migrate"], "");
    assert_eq!(code, Some(1));
    assert!(err.contains(&format!("process {}", server.pid())), "{err}");
}

#[test]
fn the_demonstration_shows_every_answer_of_a_keys_life_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let output = command(folder.path(), &["demo", "--exit", "--json"]).env("TMPDIR", folder.path()).output();
    let (code, out, err) = texts(output.unwrap());
    assert_eq!(code, Some(0), "{out}{err}");
    let steps: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let statuses: Vec<u64> = steps.iter().map(|step| step["response"]["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [201, 201, 200, 401, 401, 200, 403, 200, 200, 429, 200, 401]);
    let limited = &steps[9]["response"]["headers"];
    for header in ["RateLimit", "RateLimit-Policy", "Retry-After"] {
        assert!(limited[header].is_string(), "{limited}");
    }
    assert_eq!(steps[11]["response"]["body"]["code"], "key_revoked");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "something was left behind");
}

#[test]
fn the_demonstration_stays_up_until_ctrl_c_and_then_removes_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = command(folder.path(), &["demo"])
        .env("TMPDIR", folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let link = lines.find(|line| line.contains("/sign-in?link=")).expect("a sign-in link");
    assert!(link.contains("http://localhost:"), "{link}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    Command::new("kill").arg("-INT").arg(child.id().to_string()).status().unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "something was left behind");
}
