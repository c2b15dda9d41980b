//! Which process serves the database, as the next one finds it.

use rndrkit_testkit::database::TestDatabase;
use rndrkit_testkit::on_both_databases;

use crate::builders::{at, open};

on_both_databases!(a_process_that_did_not_stop_in_order_is_noticed_once);

async fn a_process_that_did_not_stop_in_order_is_noticed_once(database: &TestDatabase) {
    let store = open(database).await;
    let register = |incarnation| store.replace_nodes(incarnation, "0.1.0", 5_000, at(1));
    assert!(!register("first").await.unwrap());
    assert!(register("second").await.unwrap(), "the first left its row behind");
    assert!(!register("second").await.unwrap(), "its own row is nobody else's");
    store.remove_node("first").await.unwrap();
    assert!(register("third").await.unwrap(), "a row goes by its own name only");
    store.remove_node("third").await.unwrap();
    assert!(!register("fourth").await.unwrap());
}
