//! `rndrkit move` as its operator runs it: a real server on SQLite, stopped, moved, and started on PostgreSQL.

use std::path::Path;
use std::process::{Command, Output};

use rndrkit_testkit::database::TestDatabase;
use serde_json::{Value, json};

use crate::harness::Server;
use crate::people::PASSWORD;

fn run_move(folder: &Path, args: &[&str], environment: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rndrkit"))
        .arg("move")
        .args(args)
        .env_clear()
        .env("RNDRKIT_DATA_DIR", folder.join("data"))
        .envs(environment.iter().copied())
        .current_dir(folder)
        .output()
        .unwrap()
}

fn texts(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_installation_moves_whole_and_goes_on_with_the_same_keys_people_and_token() {
    let Some(database) = TestDatabase::postgres_or_notice().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut before = Server::start_in(folder.path(), &[], None).await;
    let account = before.account("ada@example.com", "agency").await;
    let (_, secret) = before.key(&account, "Production").await;
    let (gone, gone_secret) = before.key(&account, "Old").await;
    assert_eq!(before.operator("DELETE", &format!("/v1/keys/{gone}"), Value::Null).await.0, 200);
    let cookie = before.join(&account, "grace@example.com").await;
    assert_eq!(before.look(&secret).await.1["valid"], json!(true));

    let refused = run_move(folder.path(), &["--to", database.url()], &[]);
    let (code, _, said) = texts(&refused);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("stop it first") && said.contains(&before.pid().to_string()), "{said}");

    let state = before.state().await;
    assert_eq!(before.terminate(), Some(0));
    let (code, out, said) = texts(&run_move(folder.path(), &[], &[("RNDRKIT_MOVE_TO", database.url())]));
    assert_eq!(code, Some(0), "{out}{said}");
    for word in
        ["api_keys", "each fits the one before", "database_url", "operator-token", "start nothing on it"]
    {
        assert!(out.contains(word), "{word} is not in:\n{out}");
    }
    let again = run_move(folder.path(), &["--to", database.url(), "--json"], &[]);
    let again: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!((&again["moved"], &again["tables"]["api_keys"]), (&json!(false), &json!(2)), "{again}");

    let token = again["operator_token_file"].as_str().unwrap().to_owned();
    let token = std::fs::read_to_string(token).unwrap().trim().to_owned();
    let other = tempfile::tempdir().unwrap();
    let settings = [("RNDRKIT_DATABASE_URL", database.url()), ("RNDRKIT_OPERATOR_TOKEN", token.as_str())];
    let after = Server::start_in(other.path(), &settings, None).await;
    assert_eq!(after.state().await, state, "something changed on the way");
    assert_eq!(after.look(&secret).await.1["valid"], json!(true));
    assert_eq!(after.look(&gone_secret).await.1["code"], json!("key_revoked"));
    assert_eq!(after.page("/settings", &cookie).await.status(), 200, "sessions go on");
    let fields = [("email", "grace@example.com"), ("password", PASSWORD)];
    assert_eq!(after.form("/sign-in", "", &fields).await.status(), 303);
    let (status, _) = after.operator("DELETE", &format!("/v1/accounts/{account}"), Value::Null).await;
    assert!(matches!(status, 200 | 204), "{status}");
    assert_ne!(after.look(&secret).await.1["valid"], json!(true));
    let doctor = doctor(&after, &settings);
    assert!(doctor.contains("each fits the one before"), "{doctor}");
    drop(database);
}

fn doctor(server: &Server, settings: &[(&str, &str)]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_rndrkit"))
        .arg("doctor")
        .env_clear()
        .envs(settings.iter().copied())
        .env("RNDRKIT_PUBLIC_LISTEN", "127.0.0.1:0")
        .env("RNDRKIT_INTERNAL_LISTEN", "127.0.0.1:0")
        .current_dir(server.data().parent().unwrap())
        .output()
        .unwrap();
    texts(&output).1
}

#[tokio::test]
async fn a_move_without_a_sense_says_what_is_wrong_and_repeats_no_password() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("address");
    std::fs::write(&file, "postgres://rk:hunter2@127.0.0.1:9/rk\n").unwrap();
    let file = file.display().to_string();
    let cases: [(&[&str], i32, &str); 5] = [
        (&[], 2, "--to-file"),
        (&["--to", "mysql://rk:hunter2@db/rk"], 2, "must be postgres://"),
        (&["--to", "postgres://rk@db/rk", "--to-file", &file], 2, "cannot be used with"),
        (&["--to", "postgres://rk:hunter2@127.0.0.1:9/rk"], 1, "no database"),
        (&["--to-file", &file], 1, "no database"),
    ];
    for (args, expected, word) in cases {
        let (code, out, said) = texts(&run_move(folder.path(), args, &[]));
        assert_eq!(code, Some(expected), "{args:?}: {out}{said}");
        assert!(said.contains(word), "{args:?}: {said}");
        assert!(!format!("{out}{said}").contains("hunter2"), "{args:?}: {said}");
    }
    assert!(!folder.path().join("data").exists(), "something was made");

    let server = Server::start_in(folder.path(), &[], None).await;
    drop(server);
    let (code, out, said) = texts(&run_move(folder.path(), &["--to-file", &file], &[]));
    assert_eq!(code, Some(3), "nobody knows what a database that does not answer holds: {said}");
    assert!(!format!("{out}{said}").contains("hunter2"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_that_is_killed_leaves_both_sides_as_they_were() {
    let Some(database) = TestDatabase::postgres_or_notice().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start_in(folder.path(), &[], None).await;
    let account = server.account("ada@example.com", "agency").await;
    let (_, secret) = server.key(&account, "Production").await;
    assert_eq!(server.terminate(), Some(0));
    let migrated = Command::new(env!("CARGO_BIN_EXE_rndrkit"))
        .arg("migrate")
        .env_clear()
        .env("RNDRKIT_DATABASE_URL", database.url())
        .env("RNDRKIT_OPERATOR_TOKEN", "t".repeat(40))
        .current_dir(folder.path())
        .status();
    assert!(migrated.unwrap().success());
    let slow = "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
                    'BEGIN PERFORM pg_sleep(5); RETURN NEW; END';
                CREATE TRIGGER slow BEFORE INSERT ON api_keys FOR EACH ROW EXECUTE FUNCTION slow()";
    rndrkit_testkit::database::meddle(database.url(), slow).await;
    let mut child = Command::new(env!("CARGO_BIN_EXE_rndrkit"))
        .args(["move", "--to", database.url()])
        .env_clear()
        .env("RNDRKIT_DATA_DIR", folder.path().join("data"))
        .current_dir(folder.path())
        .spawn()
        .unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert!(child.try_wait().unwrap().is_none(), "it was over before it could be killed");
    child.kill().unwrap();
    child.wait().unwrap();

    server.spawn().await;
    assert_eq!(server.look(&secret).await.1["valid"], json!(true));
    assert_eq!(server.terminate(), Some(0));
    rndrkit_testkit::database::meddle(database.url(), "DROP TRIGGER slow ON api_keys").await;
    let (code, out, said) = texts(&run_move(folder.path(), &["--to", database.url(), "--json"], &[]));
    assert_eq!(code, Some(0), "{said}");
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&report["moved"], &report["tables"]["accounts"]), (&json!(true), &json!(1)));
}
