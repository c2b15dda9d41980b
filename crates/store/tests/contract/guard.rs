//! One process at a time serves a PostgreSQL database.

use rndrkit_store::{Error, NodeGuard};
use rndrkit_testkit::database::{TestDatabase, on_postgres};
use sea_orm::ConnectionTrait as _;

use crate::builders::behind;

#[test]
fn a_second_claim_is_refused_until_the_first_is_released() {
    on_postgres(async |database: &TestDatabase| {
        let first = NodeGuard::claim(database.url()).await.unwrap();
        first.ping().await.unwrap();
        assert!(matches!(NodeGuard::claim(database.url()).await, Err(Error::AlreadyServed)));
        first.ping().await.unwrap();
        first.release().await.unwrap();
        let second = NodeGuard::claim(database.url()).await.unwrap();
        second.ping().await.unwrap();
    });
}

#[test]
fn a_lost_session_is_noticed_and_frees_the_right() {
    on_postgres(async |database: &TestDatabase| {
        let first = NodeGuard::claim(database.url()).await.unwrap();
        let server = behind(database).await;
        let kill = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'
                    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        server.execute_unprepared(kill).await.unwrap();
        let lost = first.ping().await;
        assert!(matches!(lost, Err(Error::Unavailable(_))), "{lost:?}");
        // Also when the pool has connected anew behind it.
        assert!(first.ping().await.is_err());
        NodeGuard::claim(database.url()).await.unwrap();
    });
}
