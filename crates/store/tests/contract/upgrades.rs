//! A version that must not run on the schema any more is neither let in nor believed.

use std::time::Duration;

use rndrkit_domain::node::{Beat, BeatMark, Incarnation, Registration};
use rndrkit_domain::random::OsEntropy;
use rndrkit_store::{Error, NodeLine};
use rndrkit_testkit::database::{TestDatabase, on_postgres};

use crate::builders::{open, tamper};

#[test]
fn no_beat_is_taken_of_a_version_that_the_schema_has_left_behind() {
    on_postgres(async |database: &TestDatabase| {
        open(database).await;
        let line = NodeLine::new(database.url(), Duration::from_secs(5)).unwrap();
        let (incarnation, confirmed) = (Incarnation::generate(&OsEntropy), BeatMark::generate(&OsEntropy));
        let node = Registration {
            incarnation,
            name: "ada".to_owned(),
            beat: confirmed,
            trust: Duration::from_secs(5),
            version: "1.0.0".to_owned(),
        };
        line.register(node.clone()).await.unwrap();
        tamper(database, "UPDATE schema_version SET version = 99").await;
        let next = BeatMark::generate(&OsEntropy);
        let beat = Beat { incarnation, confirmed, attempted: confirmed, next, applied: 1, wakes: false };
        line.beat(beat).await.unwrap().expect("a schema that has only grown is fine");

        tamper(database, "UPDATE schema_version SET oldest_runnable = 99").await;
        let later = Beat { confirmed: next, attempted: next, next: confirmed, ..beat };
        assert_eq!(line.beat(later).await.unwrap(), None);
        let again = Registration { incarnation: Incarnation::generate(&OsEntropy), ..node };
        let refused = line.register(again).await;
        assert!(matches!(refused, Err(Error::NewerSchema { found: 99, needs: 99, .. })), "{refused:?}");
    });
}
