//! What a PostgreSQL server says about itself, made to happen on a real one.

use std::time::Duration;

use rndrkit_domain::feed::FeedKind;
use rndrkit_store::{PostgresProbe, notifications_arrive};
use rndrkit_testkit::database::{TestDatabase, on_postgres};
use rndrkit_testkit::on_both_databases;
use sea_orm::ConnectionTrait as _;

use crate::builders::{behind, change, open, tamper};

on_both_databases!(an_entry_at_which_all_is_read_again_can_be_published);

async fn an_entry_at_which_all_is_read_again_can_be_published(database: &TestDatabase) {
    let store = open(database).await;
    let number = store.publish_anything(change(3)).await.unwrap();
    let entries = store.feed_entries(number, 10).await.unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!((entries[0].number, entries[0].kind), (number, FeedKind::ANYTHING));
}

async fn probe(database: &TestDatabase) -> PostgresProbe {
    PostgresProbe::connect(database.url()).await.unwrap()
}

#[test]
fn a_good_server_is_writable_durable_and_lets_notifications_through() {
    on_postgres(async |database: &TestDatabase| {
        open(database).await.close().await.unwrap();
        let probe = probe(database).await;
        let server = probe.server().await.unwrap();
        assert!(server.may_write && server.settings_arrive, "{server:?}");
        assert!(!server.in_recovery && !server.read_only, "{server:?}");
        assert_eq!(probe.durability().await.unwrap().synchronous_commit, "on");
        assert!(probe.notification_queue().await.unwrap() < 0.5);
        assert_eq!(probe.prepared().await.unwrap().oldest_seconds, None);
        assert!(probe.idle_transaction().await.unwrap().is_none());
        assert!(probe.nodes().await.unwrap().is_empty());
        let room = probe.connections().await.unwrap();
        assert!(room.server_limit > 0 && room.server_used > 0 && room.own_used > 0, "{room:?}");
        assert!(probe.database_time().await.unwrap().unix_ms() > 1_700_000_000_000);
        probe.close().await.unwrap();
        assert!(notifications_arrive(database.url()).await.unwrap());
    });
}

#[test]
fn a_role_set_to_lose_commits_is_overruled_and_a_read_only_database_is_seen() {
    on_postgres(async |database: &TestDatabase| {
        open(database).await.close().await.unwrap();
        let name = database.url().rsplit('/').next().unwrap();
        tamper(database, &format!("ALTER DATABASE {name} SET synchronous_commit = off")).await;
        tamper(database, &format!("ALTER DATABASE {name} SET default_transaction_read_only = on")).await;
        let probe = probe(database).await;
        assert_eq!(probe.durability().await.unwrap().synchronous_commit, "on");
        assert!(probe.server().await.unwrap().read_only);
        probe.close().await.unwrap();
    });
}

#[test]
fn a_forgotten_transaction_and_an_old_snapshot_are_seen() {
    on_postgres(async |database: &TestDatabase| {
        open(database).await.close().await.unwrap();
        let somebody = behind(database).await;
        let tx = sea_orm::TransactionTrait::begin(&somebody).await.unwrap();
        tx.execute_unprepared("SET LOCAL application_name = 'forgetful'").await.unwrap();
        tx.execute_unprepared("UPDATE plans SET rank = rank").await.unwrap();
        tokio::time::sleep(Duration::from_millis(1_600)).await;
        let probe = probe(database).await;
        let idle = probe.idle_transaction().await.unwrap().unwrap();
        assert_eq!(idle.application, "forgetful");
        assert!(idle.seconds >= 1, "{idle:?}");
        assert_eq!(probe.oldest_snapshot().await.unwrap().unwrap().pid, idle.pid);
        tx.rollback().await.unwrap();
        assert!(probe.idle_transaction().await.unwrap().is_none());
        probe.close().await.unwrap();
    });
}

#[test]
fn a_node_is_as_silent_as_its_last_beat_is_old() {
    on_postgres(async |database: &TestDatabase| {
        open(database).await.close().await.unwrap();
        tamper(
            database,
            "INSERT INTO nodes (incarnation, name, beat, applied, version, trust_ms, started_at, seen_at)
             VALUES (repeat('a', 32), 'east', repeat('b', 32), 4, '1.2.3', 9000, 1,
                 (extract(epoch FROM clock_timestamp()) * 1000)::bigint - 60000)",
        )
        .await;
        let probe = probe(database).await;
        let nodes = probe.nodes().await.unwrap();
        assert_eq!((nodes.len(), nodes[0].name.as_str(), nodes[0].applied), (1, "east", 4));
        assert!((60_000..90_000).contains(&nodes[0].silent_ms), "{nodes:?}");
        assert_eq!(probe.longest_trust().await.unwrap(), Duration::from_secs(9));
        probe.close().await.unwrap();
    });
}

#[test]
fn an_ordinary_role_may_ask_everything_and_learns_what_it_may_not_do() {
    on_postgres(async |database: &TestDatabase| {
        open(database).await.close().await.unwrap();
        let role = database.url().rsplit('/').next().unwrap().replace("rndrkit_test_", "rndrkit_role_");
        tamper(database, &format!("CREATE ROLE {role} LOGIN PASSWORD 'ordinary' CONNECTION LIMIT 7")).await;
        tamper(database, &format!("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")).await;
        let (_, place) = database.url().split_once('@').unwrap();
        let url = format!("postgres://{role}:ordinary@{place}");
        let probe = PostgresProbe::connect(&url).await.unwrap();
        let server = probe.server().await.unwrap();
        assert!(!server.may_write && !server.sees_all, "{server:?}");
        probe.durability().await.unwrap();
        probe.standbys().await.unwrap();
        probe.idle_transaction().await.unwrap();
        probe.oldest_snapshot().await.unwrap();
        probe.prepared().await.unwrap();
        probe.notification_queue().await.unwrap();
        assert_eq!(probe.nodes().await.unwrap().len(), 0);
        let room = probe.connections().await.unwrap();
        assert_eq!((room.own_limit, room.own_used), (Some(7), 1));
        probe.close().await.unwrap();
        assert!(notifications_arrive(&url).await.unwrap());
        tamper(database, &format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
    });
}
