//! The audit trail by process: exported, carried away, tampered with, and what `rndrkit doctor` then says.

use std::path::Path;
use std::process::Command;

use rndrkit_domain::time::{Clock as _, SystemClock};
use rndrkit_store::{AuditSigner, HeadSigning, OpenOptions, Store};
use rndrkit_testkit::database::{TestDatabase, meddle};
use serde_json::Value;

use crate::harness::Server;

const KEY: &str = "0707070707070707070707070707070707070707070707070707070707070707";
const KEEP_SALTS: &str = "CREATE TABLE kept AS SELECT seq, personal_salt FROM audit_events";
const PUT_SALTS_BACK: &str = "UPDATE audit_events
    SET personal_salt = (SELECT personal_salt FROM kept WHERE kept.seq = audit_events.seq)";
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// Where the data is, for a command beside the server or without one.
struct Place<'a> {
    data: &'a Path,
    settings: Vec<(&'static str, String)>,
}

impl Place<'_> {
    fn run(&self, args: &[&str]) -> (Option<i32>, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rndrkit"));
        command.args(args).env_clear().current_dir(self.data);
        command.env("RNDRKIT_DATA_DIR", self.data);
        command.env("RNDRKIT_PUBLIC_LISTEN", "127.0.0.1:0").env("RNDRKIT_INTERNAL_LISTEN", "127.0.0.1:0");
        for (name, value) in &self.settings {
            command.env(name, value);
        }
        let output = command.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    /// Exit code, and what was found about the trail and its signatures: status and words.
    fn doctor(&self, args: &[&str]) -> (Option<i32>, String) {
        let (code, out, err) = self.run(&[&["doctor", "--json"], args].concat());
        let document: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{err}"));
        let findings = document["checks"].as_array().unwrap().iter();
        let about = findings.filter(|finding| finding["name"].as_str().unwrap().starts_with("audit"));
        let said = about.map(|finding| {
            format!("{} {}: {}\n", finding["status"], finding["name"], finding["detail"]).replace('"', "")
        });
        (code, said.collect())
    }
}

async fn sign(url: &str, key: &str) -> i64 {
    let store = Store::open(&OpenOptions::new(url).with_connections(1)).await.unwrap();
    let now = SystemClock::default().now();
    let signed = store.sign_audit_head(&AuditSigner::parse(key).unwrap(), now, None).await.unwrap();
    store.close().await.unwrap();
    let HeadSigning::Signed(head) = signed else { panic!("{signed:?}") };
    head.seq()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_proves_elsewhere_what_the_database_said_and_names_what_was_changed() {
    let mut server = Server::start(&[]).await;
    let account = server.account("ada@example.com", "agency").await;
    server.key(&account, "Production").await;
    let data = server.data();
    let place = Place { data: &data, settings: Vec::new() };
    let (code, said) = place.doctor(&[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("ok audit trail: 3 events, each fits") && said.contains("none yet"), "{said}");

    let key = std::fs::read_to_string(data.join("audit-signing-key")).unwrap();
    let public_key = AuditSigner::parse(key.trim()).unwrap().public_key().to_string();
    let says_which = async |server: &Server| server.log().contains(&public_key);
    assert!(server.eventually(says_which).await, "a start says with which key it signs");
    assert!(!server.log().contains(key.trim()));
    let url = format!("sqlite://{}", data.join("rndrkit.db").display());
    // Killed on the way, the trail is whole and goes on.
    server.kill();
    assert_eq!(sign(&url, key.trim()).await, 3);
    server.spawn().await;
    let (status, _) = server.operator("DELETE", &format!("/v1/accounts/{account}"), Value::Null).await;
    assert_eq!(status, 200);
    let (code, said) = place.doctor(&[]);
    assert_eq!(code, Some(0), "erasing a person breaks nothing: {said}");
    assert!(said.contains("ok audit trail: 4 events") && said.contains("newest over event 3"), "{said}");

    let (code, out, err) = place.run(&["audit", "export", "trail.jsonl"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("4 events and 1 signatures"), "{out}");
    assert_eq!(place.run(&["audit", "export", "trail.jsonl"]).0, Some(2), "it overwrites nothing");
    server.kill();

    // On another machine: only the file and the key that the log had shown.
    let elsewhere = tempfile::tempdir().unwrap();
    let away = Place { data: elsewhere.path(), settings: Vec::new() };
    let text = std::fs::read_to_string(data.join("trail.jsonl")).unwrap();
    let check = |text: &str, keys: &[&str]| {
        std::fs::write(elsewhere.path().join("copy.jsonl"), text).unwrap();
        away.doctor(&[&["--audit-export", "copy.jsonl"], keys].concat())
    };
    let ours = ["--audit-public-key", public_key.as_str()];
    let (code, said) = check(&text, &ours);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = check(&text, &[]);
    assert_eq!(code, Some(0));
    assert!(said.contains("warn audit signatures") && said.contains(&public_key), "{said}");
    let stranger = AuditSigner::parse(KEY).unwrap().public_key().to_string();
    let (code, said) = check(&text, &["--audit-public-key", &stranger]);
    assert_eq!(code, Some(1));
    assert!(said.contains("by another key"), "{said}");

    let lines: Vec<&str> = text.lines().collect();
    let without = |skip: usize| {
        let kept = lines.iter().enumerate().filter(|(n, _)| *n != skip).map(|(_, line)| format!("{line}\n"));
        kept.collect::<String>()
    };
    for (changed, words) in [
        (text.replacen("key.created", "key.revoked", 1), "fail audit trail: event 3 was changed"),
        (without(3), "fail audit trail: events 2 to 2 are missing"),
        (without(6), "it was cut"),
        (text[..text.len() / 2].to_owned(), "it was cut"),
        ("{\"hello\":1}\n".to_owned(), "not an export"),
        (String::new(), "not an export"),
    ] {
        let (code, said) = check(&changed, &ours);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(words), "{words}: {said}");
    }
    assert_eq!(away.run(&["doctor", "--audit-export", "nowhere.jsonl"]).0, Some(2));
    assert_eq!(away.run(&["doctor", "--audit-export", "copy.jsonl", "--audit-public-key", "x"]).0, Some(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doctor_names_a_trail_that_was_tampered_with_on_both_databases() {
    let sqlite = TestDatabase::sqlite();
    tampered_with(&sqlite).await;
    if let Some(postgres) = TestDatabase::postgres_or_notice().await {
        tampered_with(&postgres).await;
    }
}

async fn tampered_with(database: &TestDatabase) {
    let folder = tempfile::tempdir().unwrap();
    let settings = vec![
        ("RNDRKIT_DATABASE_URL", database.url().to_owned()),
        ("RNDRKIT_OPERATOR_TOKEN", TOKEN.to_owned()),
    ];
    let unsigned = Place { data: folder.path(), settings: settings.clone() };
    let signing = ("RNDRKIT_AUDIT_SIGNING_KEY", KEY.to_owned());
    let place = Place { data: folder.path(), settings: settings.into_iter().chain([signing]).collect() };
    let store = Store::open(&OpenOptions::new(database.url())).await.unwrap();
    for _ in 0..5 {
        append(&store).await;
    }
    store.close().await.unwrap();
    let (code, said) = unsigned.doctor(&[]);
    assert_eq!(code, Some(0));
    assert!(said.contains("warn audit signatures: nothing is signed"), "{said}");
    nothing_is_signed_by_a_key_that_is_named(&unsigned);
    sign(database.url(), KEY).await;
    let (code, said) = place.doctor(&[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("1 hold, the newest over event 5"), "{said}");

    let shorter = "UPDATE audit_head SET seq = 4, hash = (SELECT hash FROM audit_events WHERE seq = 4)";
    for (statements, words) in [
        (
            vec![KEEP_SALTS, "UPDATE audit_events SET personal_salt = NULL WHERE seq = 2"],
            "event 2 lost who did it",
        ),
        (vec![PUT_SALTS_BACK], "ok audit trail"),
        (vec!["UPDATE audit_events SET action = 'x' WHERE seq = 2"], "event 2 was changed"),
        (vec!["UPDATE audit_events SET action = 'plans.changed' WHERE seq = 2"], "ok audit trail"),
        (vec!["UPDATE audit_signatures SET at = at + 1"], "the signature over event 5 is wrong"),
        (vec!["UPDATE audit_signatures SET at = at - 1"], "ok audit signatures"),
        (vec!["DELETE FROM audit_events WHERE seq = 5", shorter], "its end was cut off"),
        (vec!["DELETE FROM audit_events WHERE seq = 3"], "events 3 to 3 are missing"),
        (vec!["DELETE FROM audit_events WHERE seq < 3"], "events 1 to 3 are missing"),
    ] {
        for statement in statements {
            meddle(database.url(), statement).await;
        }
        let (code, said) = place.doctor(&[]);
        assert!(said.contains(words), "{words}: {said}");
        assert_eq!(code, Some(i32::from(!words.starts_with("ok"))), "{said}");
    }
}

/// Without signatures a trail proves nothing to somebody who knows which key should have signed it.
fn nothing_is_signed_by_a_key_that_is_named(unsigned: &Place<'_>) {
    let public_key = AuditSigner::parse(KEY).unwrap().public_key().to_string();
    let ours = ["--audit-public-key", public_key.as_str()];
    assert_eq!(unsigned.run(&["audit", "export", "unsigned.jsonl"]).0, Some(0));
    let export = ["--audit-export", "unsigned.jsonl"];
    let (code, said) = unsigned.doctor(&export);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("warn audit signatures: nothing is signed"), "{said}");
    for (code, said) in [unsigned.doctor(&[export, ours].concat()), unsigned.doctor(&ours)] {
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("ok audit trail: 5 events"), "{said}");
        assert!(said.contains("fail audit signatures: you named a key"), "{said}");
    }
}

async fn append(store: &Store) {
    use rndrkit_domain::audit::{Action, Actor, ActorType, NewEvent, Origin, Target};
    use rndrkit_domain::id::EventId;
    use rndrkit_domain::random::OsEntropy;
    let at = SystemClock::default().now();
    let event = NewEvent {
        id: EventId::generate(at, &OsEntropy),
        at,
        action: Action::PlansChanged,
        actor: Actor { kind: ActorType::System, id: None, name: None },
        account_id: None,
        target: Target { kind: "plans", id: "plans".to_owned() },
        origin: Origin::default(),
        details: Vec::new(),
    };
    store.append_event(rndrkit_store::Change::new(at, &OsEntropy), event).await.unwrap();
}
