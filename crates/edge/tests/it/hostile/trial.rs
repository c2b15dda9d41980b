//! A world and its recording upstream, to which requests are sent that are followed by another on the same
//! connection: that must be served as what it is, or not at all.

use std::cell::RefCell;

use super::Way;
use super::client::{Heard, send};
use super::recorder::Recorder;
use crate::world::World;

/// A world, and what its upstream was sent. What went wrong is told at the end, all of it.
pub(super) struct Trial {
    pub(super) upstream: Recorder,
    pub(super) world: World,
    wrong: RefCell<Vec<String>>,
}

impl Drop for Trial {
    fn drop(&mut self) {
        let wrong = self.wrong.borrow();
        assert!(std::thread::panicking() || wrong.is_empty(), "\n{}", wrong.join("\n"));
    }
}

impl Trial {
    pub(super) async fn begin(way: Way) -> Self {
        let upstream = Recorder::start().await;
        let world = super::world(way, upstream.uri()).await;
        Self { upstream, world, wrong: RefCell::default() }
    }

    /// Notes unless it holds.
    pub(super) fn check(&self, holds: bool, what: &str) {
        if !holds {
            self.wrong.borrow_mut().push(what.to_owned());
        }
    }

    /// Sends bytes in which `{K}` is a good key's header line, and after them a request for `/api/smuggled`.
    pub(super) async fn send(&self, bytes: &str) -> Heard {
        self.upstream.forget();
        let key = self.world.key().line();
        let after = format!("GET /api/smuggled HTTP/1.1\r\nHost: a\r\n{key}\r\nConnection: close\r\n\r\n");
        let heard = send(self.world.public, bytes.replace("{K}", &key) + &after).await;
        self.check(!heard.left_open, &format!("left open after {bytes:?}"));
        heard
    }

    /// The request is refused, with words; nothing of it or after it goes anywhere.
    pub(super) async fn refused(&self, bytes: &str) {
        let heard = self.send(bytes).await;
        let seen = self.upstream.bytes();
        let statuses = heard.statuses();
        let told = statuses == [400] && heard.answers[0].code() == "invalid_request";
        self.check(told && seen.is_empty(), &format!("{statuses:?} {bytes:?} {seen:?}"));
    }

    /// The request passes, as one with this body, and so does the one after it.
    pub(super) async fn passes(&self, bytes: &str, body: &str) {
        let heard = self.send(bytes).await;
        let requests = self.upstream.requests();
        let as_sent = heard.statuses() == [200, 200]
            && self.upstream.targets() == ["/api/x", "/api/smuggled"]
            && requests[0].text() == body;
        let seen = self.upstream.bytes();
        self.check(as_sent, &format!("{:?} {bytes:?} {seen:?}", heard.statuses()));
    }
}
