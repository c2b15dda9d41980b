//! Where one request ends and the next begins, in a connection's stream of bytes.

use std::sync::Arc;

use super::chunks::{ChunkScan, Step};
use super::head::{Framing, Head, HeadScan};
use super::tally::Tally;
use super::violation::Violation;

#[derive(Debug)]
enum State {
    /// Before or in a head, of which nothing was passed on.
    Head(HeadScan),
    /// In a body with so many bytes left.
    Length(u64),
    /// In a body of chunks.
    Chunks(Box<ChunkScan>),
    /// After a request for another protocol that was not answered yet.
    Undecided,
    /// In another protocol.
    Other,
    /// At the end of what is read.
    Ended(End),
}

/// Why nothing more is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// In a head: the request is refused.
    InHead,
    /// In a body, whose head was passed on.
    InBody,
}

/// Follows a stream of requests.
#[derive(Debug)]
pub(super) struct Boundaries {
    state: State,
    /// Heads that were passed on.
    heads: u64,
    /// Whether the request under way asks for another protocol.
    wants_upgrade: bool,
    tally: Arc<Tally>,
}

impl Boundaries {
    pub(super) fn new(tally: Arc<Tally>) -> Self {
        Self { state: State::Head(HeadScan::default()), heads: 0, wants_upgrade: false, tally }
    }

    /// The stream is not HTTP/1, and no concern of ours.
    pub(super) fn ignore(&mut self) {
        self.state = State::Other;
    }

    /// How many of the bytes may be passed on. The rest begins a head that is not complete, waits for a decision, or
    /// is bad; the next call repeats it, with what came after it.
    pub(super) fn pass(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let passed = self.step(rest);
            at += passed;
            if passed == 0 {
                break;
            }
        }
        at
    }

    fn step(&mut self, bytes: &[u8]) -> usize {
        match &mut self.state {
            State::Head(scan) => match scan.advance(bytes) {
                Ok(None) => 0,
                Ok(Some(head)) => self.enter(head),
                Err(violation) => self.refuse(violation),
            },
            State::Length(left) => {
                let passed = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                *left -= passed as u64;
                if *left == 0 {
                    self.next();
                }
                passed
            }
            State::Chunks(scan) => match scan.advance(bytes) {
                Step::More => bytes.len(),
                Step::Done(passed) => {
                    self.next();
                    passed
                }
                Step::Bad(passed) => {
                    self.state = State::Ended(End::InBody);
                    passed
                }
            },
            State::Undecided => self.decide(bytes),
            State::Other => bytes.len(),
            State::Ended(_) => 0,
        }
    }

    fn enter(&mut self, head: Head) -> usize {
        self.heads += 1;
        self.wants_upgrade = head.wants_upgrade;
        match head.framing {
            Framing::Length(0) => self.next(),
            Framing::Length(length) => self.state = State::Length(length),
            Framing::Chunked => self.state = State::Chunks(Box::new(ChunkScan::new())),
        }
        head.length
    }

    /// A request has ended.
    fn next(&mut self) {
        self.state = if self.wants_upgrade { State::Undecided } else { State::Head(HeadScan::default()) };
    }

    fn refuse(&mut self, violation: Violation) -> usize {
        self.tally.refuse(self.heads + 1, violation);
        self.state = State::Ended(End::InHead);
        0
    }

    fn decide(&mut self, bytes: &[u8]) -> usize {
        if self.tally.has_other_protocol() {
            self.state = State::Other;
        } else if self.tally.has_answered(self.heads) {
            self.state = State::Head(HeadScan::default());
        } else {
            return 0;
        }
        self.step(bytes)
    }

    /// Whether what follows depends on an answer that is still to come.
    pub(super) const fn is_undecided(&self) -> bool {
        matches!(self.state, State::Undecided)
    }

    /// Whether nothing more is read, and why.
    pub(super) const fn end(&self) -> Option<End> {
        match self.state {
            State::Ended(end) => Some(end),
            _ => None,
        }
    }

    /// Whether the caller may be in the middle of sending a request.
    pub(super) const fn is_within_request(&self) -> bool {
        matches!(self.state, State::Length(_) | State::Chunks(_) | State::Ended(_))
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::{Index, select};

    use super::*;

    /// Feeds a stream in pieces. What was passed on, and how it ended.
    fn feed(stream: &[u8], cuts: &[Index]) -> (Vec<u8>, Option<End>, u64) {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        cuts.push(stream.len());
        cuts.sort_unstable();
        let (mut boundaries, mut passed, mut held) =
            (Boundaries::new(Arc::default()), Vec::new(), Vec::new());
        let mut from = 0;
        for to in cuts {
            held.extend_from_slice(&stream[from..to]);
            from = to;
            let good = boundaries.pass(&held);
            passed.extend(held.drain(..good));
        }
        (passed, boundaries.end(), boundaries.heads)
    }

    fn good_request() -> impl Strategy<Value = Vec<u8>> {
        let lines = select(vec![
            "",
            "X-A: b\r\n",
            "Cookie: a=b; c=d\r\nAccept: */*\r\n",
            "X-Long: 0123456789012345678901234567890\r\n",
        ]);
        let body = select(vec![
            "\r\n",
            "Content-Length: 0\r\n\r\n",
            "Content-Length: 5\r\n\r\nhello",
            "Content-Length: 4\r\n\r\n\r\n\r\n",
            "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "Transfer-Encoding: chunked\r\n\r\n5;e=f\r\nhello\r\na\r\n0123456789\r\n0\r\nT: 1\r\n\r\n",
        ]);
        (lines, body)
            .prop_map(|(lines, body)| format!("POST /a?b HTTP/1.1\r\nHost: a\r\n{lines}{body}").into_bytes())
    }

    fn bad_head() -> impl Strategy<Value = &'static str> {
        select(vec![
            "GET / HTTP/1.1\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nX: a\r\n b\r\n\r\n",
            "GET / HTTP/1.1\r\nX: a\rb\r\n\r\n",
            "GET / HTTP/1.1\r\nX : a\r\n\r\n",
            "GET  / HTTP/1.1\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        ])
    }

    proptest! {
        #[test]
        fn good_requests_pass_unchanged_however_they_are_cut(
            requests in vec(good_request(), 1..4), cuts in vec(any::<Index>(), 0..12)
        ) {
            let stream = requests.concat();
            let (passed, end, heads) = feed(&stream, &cuts);
            prop_assert_eq!((passed, end, heads), (stream, None, requests.len() as u64));
        }

        #[test]
        fn nothing_of_a_bad_request_passes_and_all_before_it_does(
            requests in vec(good_request(), 0..3), bad in bad_head(), cuts in vec(any::<Index>(), 0..12)
        ) {
            let good = requests.concat();
            let stream = [good.as_slice(), bad.as_bytes(), b"GET / HTTP/1.1\r\n\r\n"].concat();
            let (passed, end, _) = feed(&stream, &cuts);
            prop_assert_eq!((passed, end), (good, Some(End::InHead)));
        }

        #[test]
        fn any_bytes_are_judged_alike_however_they_are_cut(
            tail in vec(select(b"0a;:\r\n \tXG/".to_vec()), 0..40),
            chunked in any::<bool>(),
            cuts in vec(any::<Index>(), 0..12),
        ) {
            let head: &[u8] = if chunked {
                b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
            } else {
                b"POST / HTTP/1.1\r\n"
            };
            let stream = [head, &tail].concat();
            prop_assert_eq!(feed(&stream, &cuts), feed(&stream, &[]));
        }
    }

    #[test]
    fn what_follows_a_request_for_another_protocol_waits_for_the_answer() {
        let head = b"GET / HTTP/1.1\r\nUpgrade: x\r\n\r\n".as_slice();
        let both = [head, b"\x81\x00\n"].concat();
        for (changes, passes, end) in [(true, 3, None), (false, 0, Some(End::InHead))] {
            let tally = Arc::new(Tally::default());
            let mut boundaries = Boundaries::new(tally.clone());
            assert_eq!(boundaries.pass(&both), head.len());
            assert_eq!(boundaries.pass(b"\x81\x00\n"), 0);
            assert!(boundaries.is_undecided() && tally.begin().is_none());
            tally.answer(changes);
            assert_eq!((boundaries.pass(b"\x81\x00\n"), boundaries.end()), (passes, end));
        }
    }
}
