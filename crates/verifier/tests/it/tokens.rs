//! Tokens of the operator API: from memory, and gone the moment they are deleted.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rndrkit_domain::token::Scope;
use rndrkit_verifier::TokenDenial;

use crate::world::{World, beginning, until};

#[tokio::test]
async fn a_token_is_known_by_its_text_and_has_its_scope() {
    let world = World::new();
    let id = world.add_token("a token", Scope::Verify, None);
    world.apply();
    let token = world.verifier.authenticate_token("a token").await.unwrap();
    assert_eq!((token.id, token.scope), (id, Scope::Verify));
    for _ in 0..100 {
        assert!(world.verifier.authenticate_token("a token").await.is_ok());
        assert_eq!(world.verifier.authenticate_token("another").await, Err(TokenDenial::Invalid));
    }
    assert_eq!(world.verifier.authenticate_token("").await, Err(TokenDenial::Missing));
    assert_eq!(world.verifier.authenticate_token(&"a".repeat(600)).await, Err(TokenDenial::Invalid));
    assert_eq!(world.source.token_loads.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_deleted_token_is_refused_as_soon_as_the_entry_is_applied_and_a_new_one_works() {
    let world = World::new();
    let id = world.add_token("a token", Scope::Admin, None);
    world.apply();
    assert!(world.verifier.authenticate_token("a token").await.is_ok());
    world.delete_token(id);
    world.add_token("a new token", Scope::Admin, None);
    world.apply();
    assert_eq!(world.verifier.authenticate_token("a token").await, Err(TokenDenial::Invalid));
    assert!(world.verifier.authenticate_token("a new token").await.is_ok());
}

#[tokio::test]
async fn a_token_ends_at_its_moment() {
    let world = World::new();
    world.add_token("a token", Scope::Read, Some(beginning().plus(Duration::from_secs(10))));
    world.apply();
    assert!(world.verifier.authenticate_token("a token").await.is_ok());
    world.pass(Duration::from_secs(10));
    assert_eq!(world.verifier.authenticate_token("a token").await, Err(TokenDenial::Invalid));
}

#[tokio::test]
async fn a_token_deleted_while_the_tokens_are_read_is_refused() {
    let world = World::new();
    let id = world.add_token("a token", Scope::Admin, None);
    world.apply();
    let gate = world.source.hold_answers();
    let asked: Vec<_> = (0..3)
        .map(|_| {
            let verifier = Arc::clone(&world.verifier);
            tokio::spawn(async move { verifier.authenticate_token("a token").await })
        })
        .collect();
    until(|| world.source.token_loads.load(Ordering::SeqCst) == 1).await;
    world.delete_token(id);
    world.apply();
    gate.add_permits(10);
    for answer in asked {
        assert_eq!(answer.await.unwrap(), Err(TokenDenial::Invalid));
    }
    assert_eq!(world.source.token_loads.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn changes_of_keys_do_not_make_the_tokens_be_read_again() {
    let world = World::new();
    world.add_token("a token", Scope::Admin, None);
    let key = world.old_key(world.account());
    world.apply();
    assert!(world.verifier.authenticate_token("a token").await.is_ok());
    world.revoke(&key);
    world.apply();
    assert!(world.verifier.authenticate_token("a token").await.is_ok());
    assert_eq!(world.source.token_loads.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn not_knowing_is_unavailable_and_not_invalid() {
    let world = World::new();
    world.add_token("a token", Scope::Admin, None);
    world.apply();
    world.source.failing.store(true, Ordering::SeqCst);
    assert_eq!(world.verifier.authenticate_token("a token").await, Err(TokenDenial::Unavailable));
    world.source.failing.store(false, Ordering::SeqCst);
    let gate = world.source.hold_answers();
    assert_eq!(world.verifier.authenticate_token("a token").await, Err(TokenDenial::Unavailable));
    gate.add_permits(10);
    assert!(world.verifier.authenticate_token("a token").await.is_ok());
    world.verifier.untrust();
    assert_eq!(world.verifier.authenticate_token("a token").await, Err(TokenDenial::Unavailable));
    assert_eq!(world.verifier.authenticate_token("another").await, Err(TokenDenial::Unavailable));
}
