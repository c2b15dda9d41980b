//! The audit trail: complete, in order, tamper-evident, and forgetful where it must be.

use rndrkit_domain::audit::{Action, ActorType};
use rndrkit_domain::key::RevokedReason;
use rndrkit_domain::time::Timestamp;
use rndrkit_store::{
    ActivityActor, ActivityFilter, ActivityPlace, AuditFault, AuditPruning, AuditSignature, AuditSigner,
    ExportError, HeadSigning, KnownHead, Store, TrailStart, check_audit_export,
};
use rndrkit_testkit::database::TestDatabase;
use rndrkit_testkit::on_both_databases;

use crate::builders::{account, at, change, event, event_of, key, open, tamper};

on_both_databases!(
    an_event_reads_back_as_it_was_written,
    events_page_newest_first_and_by_account,
    the_chain_verifies_and_survives_erasure,
    tampering_breaks_the_chain,
    dropping_old_events_does_not_break_the_chain,
    what_the_key_had_signed_shows_a_trail_that_was_made_anew,
    a_trail_that_lost_events_is_named_with_the_place_and_not_pruned_over,
    without_a_key_retention_leaves_an_unsigned_checkpoint,
    an_export_checks_out_as_the_database_does,
    activity_is_filtered_and_pages_both_ways,
);

pub(crate) fn signer(digit: u8) -> AuditSigner {
    AuditSigner::parse(&format!("{digit:02x}").repeat(32)).unwrap()
}

pub(crate) async fn sign(store: &Store, hours: u64) -> AuditSignature {
    match store.sign_audit_head(&signer(7), at(hours * 3_600), None).await.unwrap() {
        HeadSigning::Signed(head) => head,
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn fault(store: &Store) -> Option<AuditFault> {
    store.verify_audit_trail(&[signer(7).public_key()]).await.unwrap().fault
}

/// How many events retention drops.
pub(crate) async fn dropped(
    store: &Store,
    before: Timestamp,
    batch: u32,
    now: Timestamp,
    signer: Option<&AuditSigner>,
) -> u64 {
    match store.prune_audit(before, batch, now, signer).await.unwrap() {
        AuditPruning::Done { events, .. } => events,
        refused @ AuditPruning::Refused(_) => panic!("{refused:?}"),
    }
}

pub(crate) async fn with_events(database: &TestDatabase, events: u64) -> Store {
    let store = open(database).await;
    for second in 2..=events {
        let mut new = event(Action::UserSignedIn);
        new.at = at(second);
        store.append_event(change(second), new).await.unwrap();
    }
    store
}

async fn an_event_reads_back_as_it_was_written(database: &TestDatabase) {
    let store = open(database).await;
    let new = event(Action::UserSignedIn);
    store.append_event(change(1), new.clone()).await.unwrap();
    let (seq, read) = store.list_events(None, 1, None).await.unwrap().items.remove(0);
    assert_eq!(seq, 2, "the first event is about the plans");
    assert_eq!((read.id, read.at, read.action.as_str()), (new.id, new.at, "user.signed_in"));
    assert_eq!((read.actor.kind, &read.actor.id), (ActorType::User, &new.actor.id));
    assert_eq!(read.actor.name.as_deref(), Some("Ada"));
    assert_eq!((read.target_kind.as_str(), read.target_id.as_str()), ("key", "key_1"));
    assert_eq!((read.ip.as_deref(), read.user_agent.as_deref()), (Some("192.0.2.7"), Some("curl/8")));
    assert_eq!(read.request_id, new.origin.request_id.map(|id| id.to_string()));
    assert_eq!(read.details, [("from".to_owned(), "starter".to_owned())]);
}

async fn events_page_newest_first_and_by_account(database: &TestDatabase) {
    let store = open(database).await;
    let (ada, bob) = (account(&store, "ada").await, account(&store, "bob").await);
    for second in 1..=3 {
        key(&store, ada.id, second).await;
    }
    key(&store, bob.id, 4).await;
    let first = store.list_events(Some(ada.id), 3, None).await.unwrap();
    assert!(first.has_more);
    let after = first.items.last().unwrap().0;
    let second = store.list_events(Some(ada.id), 3, Some(after)).await.unwrap();
    assert!(!second.has_more);
    let seen: Vec<_> = first.items.iter().chain(&second.items).collect();
    assert!(seen.windows(2).all(|pair| pair[0].0 > pair[1].0));
    assert!(seen.iter().all(|(_, event)| event.account_id == Some(ada.id)));
    assert_eq!(seen.len(), 4);
    assert_eq!(store.list_events(None, 100, None).await.unwrap().items.len(), 7);
}

async fn the_chain_verifies_and_survives_erasure(database: &TestDatabase) {
    let store = open(database).await;
    let owner = account(&store, "ada").await;
    for second in 1..=3 {
        key(&store, owner.id, second).await;
    }
    let report = store.verify_audit_chain().await.unwrap();
    assert_eq!((report.events, report.broken_at()), (5, None));
    store.delete_account(owner.id, change(9), event_of(owner.id, Action::AccountDeleted)).await.unwrap();
    let report = store.verify_audit_chain().await.unwrap();
    assert_eq!((report.events, report.broken_at()), (6, None));
    let events = store.list_events(Some(owner.id), 9, None).await.unwrap().items;
    let erased = events.iter().filter(|(_, event)| event.actor.name.is_none()).count();
    assert_eq!(erased, 4, "all but the deletion's own");
}

async fn tampering_breaks_the_chain(database: &TestDatabase) {
    let store = open(database).await;
    let owner = account(&store, "ada").await;
    key(&store, owner.id, 1).await;
    key(&store, owner.id, 2).await;
    let steps = [
        // What is put in, what is put back.
        ("UPDATE audit_events SET action = 'key.revoked' WHERE seq = 3", "key.created", "action"),
        ("UPDATE audit_events SET target_id = 'key_2' WHERE seq = 3", "key_1", "target_id"),
        ("UPDATE audit_events SET actor_name = 'Eve' WHERE seq = 3", "Ada", "actor_name"),
        ("UPDATE audit_events SET details = '{}' WHERE seq = 3", r#"{"from":"starter"}"#, "details"),
    ];
    for (statement, original, column) in steps {
        assert_eq!(tamper(database, statement).await, 1);
        assert_eq!(store.verify_audit_chain().await.unwrap().broken_at(), Some(3), "{column}");
        tamper(database, &format!("UPDATE audit_events SET {column} = '{original}' WHERE seq = 3")).await;
        assert_eq!(store.verify_audit_chain().await.unwrap().broken_at(), None, "{column}");
    }
    tamper(database, "DELETE FROM audit_events WHERE seq = 4").await;
    assert_eq!(store.verify_audit_chain().await.unwrap().broken_at(), Some(4), "a missing tail");
}

async fn dropping_old_events_does_not_break_the_chain(database: &TestDatabase) {
    let store = open(database).await;
    for second in 1..=6 {
        let mut new = event(Action::UserSignedIn);
        // One clock was behind.
        new.at = if second == 4 { at(0) } else { at(second) };
        store.append_event(change(second), new).await.unwrap();
    }
    let prune = async |before, now| dropped(&store, at(before), 2, at(now), Some(&signer(7))).await;
    assert_eq!(prune(3, 50).await, 2, "in batches, from the old end");
    assert_eq!(prune(3, 50).await, 1, "up to the first that is young enough");
    assert_eq!(prune(3, 50).await, 0);
    let report = store.verify_audit_chain().await.unwrap();
    assert_eq!((report.events, report.broken_at(), report.oldest_at), (4, None, Some(at(3))));
    let TrailStart::Checkpoint(checkpoint) = report.start else { panic!("{report:?}") };
    assert_eq!((checkpoint.seq(), checkpoint.public_key()), (3, Some(signer(7).public_key())));
    while prune(99, 51).await > 0 {}
    let report = store.verify_audit_chain().await.unwrap();
    assert_eq!((report.events, report.broken_at()), (1, None), "the newest stays");
    store.append_event(change(9), event(Action::UserSignedIn)).await.unwrap();
    assert_eq!(store.verify_audit_chain().await.unwrap().broken_at(), None);
}

async fn what_the_key_had_signed_shows_a_trail_that_was_made_anew(database: &TestDatabase) {
    let store = with_events(database, 4).await;
    let head = sign(&store, 0).await;
    assert_eq!((head.seq(), fault(&store).await), (4, None));
    let again = store.sign_audit_head(&signer(7), at(60), None).await.unwrap();
    assert!(matches!(again, HeadSigning::AlreadySigned(_)), "once an hour: {again:?}");
    assert!(!store.verify_audit_trail(&[signer(8).public_key()]).await.unwrap().keys.is_empty());
    let stranger = store.verify_audit_trail(&[signer(8).public_key()]).await.unwrap().fault;
    assert!(matches!(stranger, Some(AuditFault::UnknownKey { seq: 4, .. })), "{stranger:?}");

    // All hashes of another trail fit too: what was signed does not.
    let TestTrail { events, head: (seq, hash) } = TestTrail::of_another_database(4).await;
    tamper(database, "DELETE FROM audit_events").await;
    for event in events {
        let (begin, end) = if database.is_sqlite() { ("x'", "'") } else { ("'\\x", "'::bytea") };
        let statement = event.replace("<blob:", begin).replace('>', end);
        tamper(database, &statement).await;
    }
    tamper(database, &format!("UPDATE audit_head SET seq = {seq}, hash = {}", blob(database, &hash))).await;
    assert_eq!(store.verify_audit_chain().await.unwrap().broken_at(), Some(4));
    assert_eq!(fault(&store).await, Some(AuditFault::SignedOtherwise { seq: 4 }));
    let refused = store.sign_audit_head(&signer(7), at(7_200), None).await.unwrap();
    assert!(matches!(refused, HeadSigning::Refused(AuditFault::SignedOtherwise { seq: 4 })), "{refused:?}");
    tamper(database, "DELETE FROM audit_signatures").await;
    let remembered = KnownHead::from(head);
    let refused = store.sign_audit_head(&signer(7), at(7_200), Some(&remembered)).await.unwrap();
    assert!(matches!(refused, HeadSigning::Refused(_)), "a process remembers: {refused:?}");
}

/// Rows as statements, from a database whose trail is whole and says something else.
struct TestTrail {
    events: Vec<String>,
    head: (i64, String),
}

impl TestTrail {
    async fn of_another_database(events: u64) -> Self {
        let other = TestDatabase::sqlite();
        let store = with_events(&other, events).await;
        let mut file = Vec::new();
        store.export_audit(at(1), &mut file).await.unwrap();
        store.close().await.unwrap();
        let lines: Vec<serde_json::Value> = String::from_utf8(file)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        Self {
            events: lines.iter().filter(|line| line["type"] == "event").map(insert).collect(),
            head: (lines[0]["seq"].as_i64().unwrap(), lines[0]["hash"].as_str().unwrap().to_owned()),
        }
    }
}

pub(crate) fn blob(database: &TestDatabase, hex: &str) -> String {
    if database.is_sqlite() { format!("x'{hex}'") } else { format!("'\\x{hex}'::bytea") }
}

/// Works on both databases: hexadecimal digits become bytes there by a function of each.
fn insert(line: &serde_json::Value) -> String {
    let text = |name: &str| match &line[name] {
        serde_json::Value::Null => "NULL".to_owned(),
        serde_json::Value::Number(number) => number.to_string(),
        other => format!("'{}'", other.as_str().unwrap().replace('\'', "''")),
    };
    let bytes = |name: &str| match line[name].as_str() {
        Some(hex) => format!("<blob:{hex}>"),
        None => "NULL".to_owned(),
    };
    format!(
        "INSERT INTO audit_events (seq, id, at, action, actor_type, actor_id, actor_name, account_id, target_type,
             target_id, ip, user_agent, request_id, details, personal_salt, personal_hash, previous_hash, hash)
         VALUES ({}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {})",
        text("seq"), text("id"), text("at_ms"), text("action"), text("actor_type"), text("actor_id"),
        text("actor_name"), text("account_id"), text("target_type"), text("target_id"), text("ip"),
        text("user_agent"), text("request_id"), text("details"), bytes("personal_salt"), bytes("personal_hash"),
        bytes("previous_hash"), bytes("hash"),
    )
}

async fn a_trail_that_lost_events_is_named_with_the_place_and_not_pruned_over(database: &TestDatabase) {
    let store = with_events(database, 8).await;
    sign(&store, 0).await;
    assert_eq!(dropped(&store, at(4), 99, at(50), Some(&signer(7))).await, 3);
    assert_eq!(fault(&store).await, None);

    tamper(database, "DELETE FROM audit_events WHERE seq = 4").await;
    assert_eq!(fault(&store).await, Some(AuditFault::Missing { from: 4, to: 4 }), "the old end");
    let missing = AuditPruning::Refused(AuditFault::Missing { from: 4, to: 4 });
    assert_eq!(store.prune_audit(at(7), 99, at(51), Some(&signer(7))).await.unwrap(), missing);
    assert_eq!(store.list_events(None, 99, None).await.unwrap().items.len(), 4, "nothing more is gone");

    let moved = "UPDATE audit_signatures SET seq = 4, public_key = NULL, signature = NULL,
                     hash = (SELECT previous_hash FROM audit_events WHERE seq = 5) WHERE kind = 'checkpoint'";
    tamper(database, moved).await;
    assert_eq!(fault(&store).await, None, "whoever writes a checkpoint by hand is warned of alone");
    tamper(database, "DELETE FROM audit_events WHERE seq = 6").await;
    assert_eq!(fault(&store).await, Some(AuditFault::Missing { from: 6, to: 6 }), "the middle");

    let shorter = "UPDATE audit_head SET seq = 5, hash = (SELECT hash FROM audit_events WHERE seq = 5)";
    tamper(database, "DELETE FROM audit_events WHERE seq > 5").await;
    tamper(database, shorter).await;
    assert_eq!(fault(&store).await, Some(AuditFault::CutShort { last: 5, signed: 8 }), "the new end");
}

async fn without_a_key_retention_leaves_an_unsigned_checkpoint(database: &TestDatabase) {
    let store = with_events(database, 6).await;
    assert_eq!(dropped(&store, at(3), 99, at(50), None).await, 2);
    let report = store.verify_audit_chain().await.unwrap();
    let TrailStart::Checkpoint(checkpoint) = &report.start else { panic!("{report:?}") };
    assert_eq!((checkpoint.seq(), checkpoint.signature(), &report.fault), (2, None, &None));
    let unproven = Some(checkpoint.clone());
    let went_on = AuditPruning::Done { events: 1, unproven };
    assert_eq!(store.prune_audit(at(4), 99, at(51), Some(&signer(7))).await.unwrap(), went_on);
    let report = store.verify_audit_trail(&[signer(7).public_key()]).await.unwrap();
    assert_eq!((report.fault, report.signatures), (None, 1), "with a key the next one is signed");
}

async fn an_export_checks_out_as_the_database_does(database: &TestDatabase) {
    let store = open(database).await;
    let owner = account(&store, "ada").await;
    for second in 1..=3 {
        key(&store, owner.id, second).await;
    }
    sign(&store, 0).await;
    store.delete_account(owner.id, change(9), event_of(owner.id, Action::AccountDeleted)).await.unwrap();
    let trusted = [signer(7).public_key()];
    assert_eq!(fault(&store).await, None, "erasing a person breaks nothing that was signed");
    let mut file = Vec::new();
    let summary = store.export_audit(at(60), &mut file).await.unwrap();
    assert_eq!((summary.events, summary.signatures), (6, 1));
    let report = check_audit_export(&*file, &trusted).unwrap();
    assert_eq!(report, store.verify_audit_trail(&trusted).await.unwrap());
    let text = String::from_utf8(file).unwrap();
    assert!(!text.contains("Ada") || text.matches("Ada").count() == 2, "who was erased is not in it");

    let check = |text: &str| check_audit_export(text.as_bytes(), &trusted);
    let changed = check(&text.replacen("key.created", "key.deleted", 1)).unwrap();
    assert_eq!(changed.fault, Some(AuditFault::Changed { seq: 3 }));
    let lines: Vec<&str> = text.lines().collect();
    let without = |skip: usize| {
        let kept: Vec<&str> =
            lines.iter().enumerate().filter(|(n, _)| *n != skip).map(|(_, line)| *line).collect();
        kept.join("\n") + "\n"
    };
    // Line 0 says what it is, line 1 is the signature, event 1 is in line 2.
    assert_eq!(check(&without(4)).unwrap().fault, Some(AuditFault::Missing { from: 3, to: 3 }));
    assert!(matches!(check(&without(1)), Err(ExportError::BadLine { number: 8, .. })), "the signature");
    assert!(matches!(check(&without(8)), Err(ExportError::Cut { lines: 8 })));
    for length in (0..text.len() - 1).step_by(97) {
        assert!(check(&text[..length]).is_err(), "cut after {length} bytes");
    }
}

async fn activity_is_filtered_and_pages_both_ways(database: &TestDatabase) {
    let store = open(database).await;
    let (ada, bob) = (account(&store, "ada").await, account(&store, "bob").await);
    let (first, _) = key(&store, ada.id, 1).await;
    key(&store, ada.id, 2).await;
    key(&store, bob.id, 3).await;
    let mut ended = event_of(ada.id, Action::KeyRevoked);
    ended.target.id = first.id.to_string();
    store.revoke_key(first.id, RevokedReason::User, Some(ada.id), change(4), ended).await.unwrap();
    let list = async |filter: &ActivityFilter, place, limit| {
        let page = store.list_activity(ada.id, filter, place, limit).await.unwrap();
        let words: Vec<String> = page.items.iter().map(|found| found.event.action.clone()).collect();
        (words, page.has_more, page.items.iter().map(|found| found.seq).collect::<Vec<_>>())
    };
    let all = ActivityFilter::default();
    let (words, more, seqs) = list(&all, ActivityPlace::Newest, 9).await;
    assert_eq!((words.len(), more), (4, false), "{words:?}");
    assert_eq!(words[0], "key.revoked");
    assert_eq!(list(&all, ActivityPlace::Before(seqs[1]), 1).await.2, [seqs[2]]);
    assert_eq!(
        list(&all, ActivityPlace::After(seqs[3]), 2).await.2,
        [seqs[1], seqs[2]],
        "the two next newer ones"
    );
    let keys = ActivityFilter { actions: Some(vec![Action::KeyCreated]), ..ActivityFilter::default() };
    assert_eq!(list(&keys, ActivityPlace::Newest, 9).await.0, ["key.created"; 2]);
    let of_key = ActivityFilter { key: Some(first.id), ..ActivityFilter::default() };
    for place in [ActivityPlace::Newest, ActivityPlace::After(seqs[3])] {
        assert_eq!(list(&of_key, place, 9).await.0, ["key.revoked"]);
    }
    let nobody =
        ActivityFilter { actor: Some(ActivityActor::Kind(ActorType::Operator)), ..ActivityFilter::default() };
    assert!(list(&nobody, ActivityPlace::Newest, 9).await.0.is_empty());
    let before = ActivityFilter { until: Some(at(0)), ..ActivityFilter::default() };
    assert!(list(&before, ActivityPlace::Newest, 9).await.0.is_empty());
    let names = store.names_of_keys(ada.id, &[first.id]).await.unwrap();
    assert_eq!(names[&first.id].as_str(), "CI/CD Pipeline");
    assert!(store.names_of_keys(bob.id, &[first.id]).await.unwrap().is_empty(), "accounts are walls");
}
