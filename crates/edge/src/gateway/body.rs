//! Bodies on their way through the gateway: passed on piece by piece, with an eye on pauses and trailers.
//!
//! Nothing is collected: a piece is asked for when the other side has room for it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use super::headers;
use super::long::{Kind, StreamGuard, WATCH_AFTER};
use super::upstream::UpstreamBody;
use crate::body::BoxError;
use crate::options::Limits;

/// The other side sent nothing for too long.
#[derive(Debug, thiserror::Error)]
#[error("no piece of the body arrived for {0:?}")]
pub(crate) struct Stalled(Duration);

/// The caller had to be waited for again and again.
#[derive(Debug, thiserror::Error)]
#[error("the body arrived too slowly")]
pub(crate) struct TooSlow;

/// The caller sent more than is passed on.
#[derive(Debug, thiserror::Error)]
#[error("the body is larger than what is passed on")]
pub(crate) struct TooLarge;

/// Measures one pause at a time.
#[derive(Default)]
struct Pause {
    running: bool,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Pause {
    const fn end(&mut self) {
        self.running = false;
    }

    /// Begins to wait for so long, or goes on with what was begun; ready when it is over.
    fn poll(&mut self, cx: &mut Context<'_>, longest: Duration) -> Poll<()> {
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(longest)));
        if !self.running {
            self.running = true;
            sleep.as_mut().set(tokio::time::sleep(longest));
        }
        sleep.as_mut().poll(cx)
    }
}

/// How long a caller may be waited for: in one go, and in all.
struct CallerTime {
    longest_pause: Duration,
    pause: Pause,
    /// When the caller began to be waited for.
    since: Option<Instant>,
    /// None where it may take any time.
    in_all: Option<InAll>,
}

/// Time for pauses. What arrives gives some of it back.
struct InAll {
    left: Duration,
    most: Duration,
    bytes_per_second: u64,
}

impl CallerTime {
    /// For a body whose length is known, or is not: the latter is a stream, which may say little for long.
    fn new(limits: &Limits, is_known: bool) -> Self {
        let (most, bytes_per_second) = (limits.body_wait, limits.body_rate.get());
        let in_all = is_known.then_some(InAll { left: most, most, bytes_per_second });
        Self { longest_pause: limits.body_stall, pause: Pause::default(), since: None, in_all }
    }

    fn is_waiting(&self) -> bool {
        self.since.is_some()
    }

    /// So many bytes came.
    fn arrived(&mut self, bytes: u64) {
        self.pause.end();
        let waited = self.since.take().map_or(Duration::ZERO, |since| since.elapsed());
        if let Some(InAll { left, most, bytes_per_second }) = &mut self.in_all {
            let back = Duration::from_millis(bytes.saturating_mul(1_000) / *bytes_per_second);
            *left = left.saturating_sub(waited).saturating_add(back).min(*most);
        }
    }

    /// Waits on; ready when that was too long.
    #[expect(clippy::disallowed_methods, reason = "the runtime's own, which its sleeps are measured by too")]
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<BoxError> {
        self.since.get_or_insert_with(Instant::now);
        let left = self.in_all.as_ref().map_or(Duration::MAX, |in_all| in_all.left);
        ready!(self.pause.poll(cx, self.longest_pause.min(left)));
        let is_stalled = self.longest_pause <= left;
        Poll::Ready(if is_stalled { Stalled(self.longest_pause).into() } else { TooSlow.into() })
    }
}

/// What both directions of an exchange share: how far the request's body has come, and the guard, which
/// lives until the later of them ends.
pub(crate) struct Passage {
    pieces: AtomicU64,
    /// Whether it is the caller that is waited for.
    awaits_caller: AtomicBool,
    failed: AtomicBool,
    too_large: AtomicBool,
    sent: AtomicBool,
    /// None where no key was wanted.
    guard: Option<StreamGuard>,
}

impl Passage {
    pub(crate) const fn new(guard: Option<StreamGuard>) -> Self {
        Self {
            pieces: AtomicU64::new(0),
            awaits_caller: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            too_large: AtomicBool::new(false),
            sent: AtomicBool::new(false),
            guard,
        }
    }

    /// The guard, where the exchange rests on a key.
    pub(crate) const fn guard(&self) -> Option<&StreamGuard> {
        self.guard.as_ref()
    }

    /// Begins to watch the exchange.
    pub(crate) fn watch(&self, kind: Kind) {
        if let Some(guard) = &self.guard {
            guard.start(kind);
        }
    }

    /// Notes that nothing more of the request's body is passed on.
    pub(crate) fn end_sending(&self) {
        self.sent.store(true, Ordering::Release);
    }

    /// Whether nothing more of the request's body is passed on.
    pub(crate) fn sent(&self) -> bool {
        self.sent.load(Ordering::Acquire)
    }

    /// Pieces taken so far.
    pub(crate) fn pieces(&self) -> u64 {
        self.pieces.load(Ordering::Relaxed)
    }

    /// Whether the next piece was asked for and has not come: the body has bounds of its own for that.
    pub(crate) fn awaits_caller(&self) -> bool {
        !self.sent() && self.awaits_caller.load(Ordering::Relaxed)
    }

    /// Whether the caller sent more than is passed on.
    pub(crate) fn is_too_large(&self) -> bool {
        self.too_large.load(Ordering::Acquire)
    }

    /// Whether the caller broke off, stalled or sent too much.
    pub(crate) fn failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }
}

/// A caller's body on its way to the upstream.
pub(crate) struct RequestBody {
    /// None where there is none.
    inner: Option<Incoming>,
    time: CallerTime,
    /// Bytes that may still come.
    left: u64,
    passage: Arc<Passage>,
}

impl RequestBody {
    pub(crate) fn new(inner: Incoming, limits: &Limits, passage: Arc<Passage>) -> Self {
        let time = CallerTime::new(limits, inner.size_hint().exact().is_some());
        Self { inner: Some(inner), time, left: limits.max_body_bytes, passage }
    }

    /// No body.
    pub(crate) fn none(passage: Arc<Passage>) -> Self {
        let (pause, since, in_all) = (Pause::default(), None, None);
        let time = CallerTime { longest_pause: Duration::MAX, pause, since, in_all };
        Self { inner: None, time, left: 0, passage }
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        self.passage.end_sending();
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(inner) = &mut self.inner else { return Poll::Ready(None) };
        match Pin::new(inner).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                // Its length was looked at before, if it had told one.
                let length = frame.data_ref().map_or(0, |data| data.len() as u64);
                if self.time.is_waiting() {
                    self.passage.awaits_caller.store(false, Ordering::Relaxed);
                }
                self.time.arrived(length);
                let Some(left) = self.left.checked_sub(length) else {
                    self.passage.too_large.store(true, Ordering::Release);
                    self.passage.failed.store(true, Ordering::Release);
                    return Poll::Ready(Some(Err(TooLarge.into())));
                };
                self.left = left;
                self.passage.pieces.fetch_add(1, Ordering::Relaxed);
                Poll::Ready(Some(Ok(cleaned(frame))))
            }
            Poll::Ready(Some(Err(error))) => {
                self.passage.failed.store(true, Ordering::Release);
                Poll::Ready(Some(Err(error.into())))
            }
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => {
                if !self.time.is_waiting() {
                    self.passage.awaits_caller.store(true, Ordering::Relaxed);
                }
                let error = ready!(self.time.poll(cx));
                self.passage.failed.store(true, Ordering::Release);
                Poll::Ready(Some(Err(error)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

/// An upstream's body on its way to the caller.
pub(crate) struct ResponseBody {
    inner: UpstreamBody,
    longest_pause: Duration,
    pause: Pause,
    pieces: u32,
    kind: Kind,
    /// Whether nothing is left to be done about watching.
    watched: bool,
    /// Present until the body has ended.
    passage: Option<Arc<Passage>>,
}

impl ResponseBody {
    pub(crate) fn new(
        inner: UpstreamBody,
        longest_pause: Duration,
        kind: Kind,
        passage: Arc<Passage>,
    ) -> Self {
        let watched = passage.guard().is_none();
        let pause = Pause::default();
        Self { inner, longest_pause, pause, pieces: 0, kind, watched, passage: Some(passage) }
    }

    /// Waits for the next piece, and begins to watch: at once what is long, after a while what is plain.
    /// Ready when the pause has become too long.
    fn poll_pause(&mut self, cx: &mut Context<'_>) -> Poll<Stalled> {
        let mut longest = self.longest_pause;
        if self.kind == Kind::Long {
            self.watch();
        }
        if !self.watched {
            let unwatched = WATCH_AFTER.min(longest);
            ready!(self.pause.poll(cx, unwatched));
            self.pause.end();
            self.watch();
            longest = longest.saturating_sub(unwatched);
        }
        ready!(self.pause.poll(cx, longest));
        Poll::Ready(Stalled(self.longest_pause))
    }

    /// Begins to watch a body that does not end at once. One that is there in a piece needs no watching.
    fn watch(&mut self) {
        if self.watched {
            return;
        }
        self.watched = true;
        if let Some(passage) = &self.passage {
            passage.watch(self.kind);
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                self.pause.end();
                self.pieces = self.pieces.saturating_add(1);
                if self.pieces > 1 && frame.is_data() {
                    self.watch();
                }
                Poll::Ready(Some(Ok(cleaned(frame))))
            }
            Poll::Ready(Some(Err(error))) => {
                self.passage = None;
                Poll::Ready(Some(Err(error)))
            }
            Poll::Ready(None) => {
                self.passage = None;
                Poll::Ready(None)
            }
            Poll::Pending => {
                let stalled = ready!(self.poll_pause(cx));
                Poll::Ready(Some(Err(stalled.into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

fn cleaned(frame: Frame<Bytes>) -> Frame<Bytes> {
    match frame.into_trailers() {
        Ok(mut trailers) => {
            headers::prepare_trailers(&mut trailers);
            Frame::trailers(trailers)
        }
        Err(frame) => frame,
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::num::NonZeroU64;

    use tokio::time::{sleep, timeout};

    use super::*;

    fn time(is_known: bool) -> CallerTime {
        let limits = Limits {
            body_stall: Duration::from_secs(60),
            body_wait: Duration::from_secs(300),
            body_rate: NonZeroU64::new(1_000).unwrap(),
            ..Limits::default()
        };
        CallerTime::new(&limits, is_known)
    }

    /// A caller sends so many bytes after each pause: what was said of it, and after how many pieces.
    async fn sending(mut time: CallerTime, seconds: u64, bytes: u64) -> Option<(String, u32)> {
        for piece in 0..10_000 {
            let waiting = poll_fn(|cx| time.poll(cx));
            if let Ok(error) = timeout(Duration::from_secs(seconds), waiting).await {
                return Some((error.to_string(), piece));
            }
            time.arrived(bytes);
            // The upstream takes its time, which is not the caller's.
            sleep(Duration::from_secs(100)).await;
        }
        None
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_sends_a_byte_now_and_then_is_not_waited_for_for_ever() {
        assert_eq!(sending(time(true), 50, 1).await, Some((TooSlow.to_string(), 6)));
        assert_eq!(sending(time(true), 50, 40_000).await.unwrap().0, TooSlow.to_string());
        let stalled = Stalled(Duration::from_secs(60)).to_string();
        assert_eq!(sending(time(true), 61, 1_000_000).await, Some((stalled.clone(), 0)));
        assert_eq!(sending(time(false), 61, 1).await, Some((stalled, 0)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_sends_as_fast_as_wanted_or_a_stream_may_take_any_time() {
        assert_eq!(sending(time(true), 50, 51_000).await, None);
        assert_eq!(sending(time(false), 50, 1).await, None);
    }
}
