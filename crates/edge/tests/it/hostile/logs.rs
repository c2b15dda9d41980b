//! What the data plane writes about requests at its most talkative: never a key, a cookie of ours, or a part of them.

use std::fmt::{Debug, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use super::client::send;
use super::vanishing::upstream;
use super::{Way, on_both_ways};

/// Keeps the text of everything at every level.
#[derive(Clone, Default)]
struct Everything {
    text: Arc<Mutex<String>>,
    spans: Arc<AtomicU64>,
}

struct Words<'a>(&'a mut String);

impl Visit for Words<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }
}

impl Subscriber for Everything {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        span.record(&mut Words(&mut self.text.lock()));
        Id::from_u64(self.spans.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut Words(&mut self.text.lock()));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = self.text.lock();
        event.record(&mut Words(&mut text));
        text.push('\n');
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

async fn no_log_holds_a_key_or_a_cookie_of_ours(way: Way) {
    let everything = Everything::default();
    // Everything runs on this thread.
    let _guard = tracing::subscriber::set_default(everything.clone());
    let upstream = upstream().await;
    let world = super::impatient(way, upstream.uri()).await;
    let key = world.key();
    let text = &key.text;
    let secret = "c00kie5ecret";
    let cookie = format!("Cookie: rk_session={secret}");
    for (first, lines) in [
        ("GET /api/answered", format!("X-Api-Key: {text}")),
        ("GET /api/answered", format!("Authorization: Bearer {text}")),
        ("GET /api/garbage", format!("X-Api-Key: {text}")),
        ("GET /api/closed", format!("X-Api-Key: {text}")),
        ("GET /api/silent", format!("X-Api-Key: {text}")),
        ("GET /api/reset", format!("X-Api-Key: {text}")),
        ("GET /api/x", format!("X-Api-Key: {text}\r\nX-Api-Key: {text}")),
        ("GET /api/x", format!("X-Api-Key: {text}x")),
        ("GET /api/x", format!("X-Api-Key: {text}\r\nContent-Length: 1\r\nTransfer-Encoding: chunked")),
        ("GET /api/x", format!("X-Api-Key: {text}\r\n folded {text}")),
        ("GET /api/x", format!("X-Api-Key: {text}\r\nBad Name {text}: 1")),
        ("GET /api/../x", format!("X-Api-Key: {text}")),
        ("POST /api/x", format!("X-Api-Key: {text}\r\nContent-Length: 9")),
        ("POST /api/x", format!("X-Api-Key: {text}\r\nTransfer-Encoding: chunked\r\n\r\nzz {text}")),
        ("GET /settings", format!("X-Api-Key: {text}")),
        ("GET /api/rk/account", format!("X-Api-Key: {text}")),
    ] {
        let bytes =
            format!("{first} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{cookie}\r\n{lines}\r\n\r\n");
        send(world.public, bytes).await;
    }
    world.source.failing.store(true, Ordering::SeqCst);
    let other = format!("X-Api-Key: {}", world.key().text);
    send(world.public, format!("GET /api/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{other}\r\n\r\n"))
        .await;

    let written = everything.text.lock();
    assert!(written.contains("upstream"), "failures are written down: {written}");
    // Beyond its prefix and the four characters that a mask shows.
    let (body, other) = (&text["rk_live_".len() + 4..], &other[other.len() - 24..]);
    for hidden in [body, &body[..8], other, secret] {
        assert!(!written.contains(hidden), "{hidden}: {written}");
    }
}

on_both_ways! {
    no_log_holds_a_key_or_a_cookie_of_ours,
}
