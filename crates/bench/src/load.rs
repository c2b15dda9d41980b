//! The load: a closed loop over keep-alive connections on one thread. Each connection sends its next request as
//! soon as the last answer is whole.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use serde_json::json;

use crate::arguments::{Arguments, exit};
use crate::keys;
use crate::response::whole;

/// More than any answer here.
const READ_BYTES: usize = 16 * 1024;
/// Without an answer for so long, the measurement has failed.
const PATIENCE: Duration = Duration::from_secs(20);
/// A server that closes more connections than this is not measured on.
const MOST_RECONNECTS: u64 = 10_000;

/// When to stop.
enum Until {
    Time(Duration),
    Answers(u64),
}

/// What to send, in turn.
struct Requests {
    before_key: Vec<u8>,
    keys: Vec<String>,
    next: usize,
    buffer: Vec<u8>,
}

impl Requests {
    fn new(arguments: &Arguments) -> Self {
        let path = arguments.find("path").unwrap_or("/");
        let header = arguments.find("header").unwrap_or("x-api-key");
        let keys = keys::read(arguments.text("keys"));
        if keys.is_empty() {
            exit("--keys FILE must name at least one key");
        }
        let start = format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nuser-agent: bench\r\naccept: */*\r\n");
        let before_key = format!("{start}{header}: ").into_bytes();
        Self { before_key, keys, next: 0, buffer: Vec::with_capacity(512) }
    }

    /// The next request.
    fn next(&mut self) -> &[u8] {
        let key = self.keys.get(self.next).map_or("", String::as_str);
        self.next = (self.next + 1) % self.keys.len();
        self.buffer.clear();
        self.buffer.extend_from_slice(&self.before_key);
        self.buffer.extend_from_slice(key.as_bytes());
        self.buffer.extend_from_slice(b"\r\n\r\n");
        &self.buffer
    }
}

struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
    sent_at: Instant,
}

#[derive(Default)]
struct Counts {
    bad: u64,
    errors: u64,
    /// Of each answer.
    microseconds: Vec<u32>,
}

impl Counts {
    fn answers(&self) -> u64 {
        self.microseconds.len() as u64
    }

    fn count(&mut self, status: u16, took: Duration) {
        self.bad += u64::from(status != 200);
        self.microseconds.push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
    }

    /// Microseconds below which this share of the answers came.
    fn quantile(&self, per_mille: usize) -> u32 {
        let place = self.microseconds.len() * per_mille / 1000;
        self.microseconds.get(place).or(self.microseconds.last()).copied().unwrap_or(0)
    }
}

/// `rndrkit-bench load`.
pub(crate) fn run(arguments: &Arguments) {
    let mut requests = Requests::new(arguments);
    let until = match arguments.find("requests") {
        Some(_) => Until::Answers(arguments.number("requests", 0)),
        None => Until::Time(Duration::from_secs_f64(arguments.number("seconds", 3.0))),
    };
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, arguments.number("port", 0)));
    let mut poll = Poll::new().expect("epoll");
    let mut connections: Vec<Connection> =
        (0..arguments.number("connections", 64_usize)).map(|place| connect(&poll, address, place)).collect();
    let mut counts = Counts::default();
    counts.microseconds.reserve(1 << 21);
    let started = Instant::now();
    for connection in &mut connections {
        send(connection, &mut requests, started);
    }
    drive(&mut poll, address, &mut connections, &mut requests, &until, &mut counts, started);
    let seconds = started.elapsed().as_secs_f64();
    counts.microseconds.sort_unstable();
    let line = json!({
        "requests": counts.answers(), "bad": counts.bad, "errors": counts.errors, "seconds": seconds,
        "p50_us": counts.quantile(500), "p99_us": counts.quantile(990),
    });
    println!("{line}");
}

fn drive(
    poll: &mut Poll,
    address: SocketAddr,
    connections: &mut [Connection],
    requests: &mut Requests,
    until: &Until,
    counts: &mut Counts,
    started: Instant,
) {
    let mut events = Events::with_capacity(256);
    let mut bytes = vec![0_u8; READ_BYTES];
    loop {
        poll.poll(&mut events, Some(PATIENCE)).expect("epoll");
        if events.is_empty() {
            exit("no answer came for 20 seconds");
        }
        for event in &events {
            let Some(connection) = connections.get_mut(event.token().0) else { continue };
            receive(poll, address, event.token(), connection, requests, counts, &mut bytes);
        }
        let done = match until {
            Until::Time(time) => started.elapsed() >= *time,
            Until::Answers(answers) => counts.answers() >= *answers,
        };
        if done {
            return;
        }
    }
}

fn receive(
    poll: &Poll,
    address: SocketAddr,
    token: Token,
    connection: &mut Connection,
    requests: &mut Requests,
    counts: &mut Counts,
    bytes: &mut [u8],
) {
    let read = match connection.stream.read(bytes) {
        Ok(read) => read,
        Err(error) if error.kind() == ErrorKind::WouldBlock => return,
        Err(_) => 0,
    };
    connection.received.extend_from_slice(bytes.get(..read).unwrap_or_default());
    let answer = whole(&connection.received);
    if read > 0 && answer.is_none() {
        return;
    }
    let now = Instant::now();
    if let Some(answer) = &answer {
        counts.count(answer.status, now.duration_since(connection.sent_at));
        connection.received.drain(..answer.length);
    }
    if read == 0 || answer.is_some_and(|answer| answer.closes) {
        counts.errors += 1;
        if counts.errors > MOST_RECONNECTS {
            exit("the server closes its connections");
        }
        *connection = connect(poll, address, token.0);
    }
    send(connection, requests, now);
}

fn connect(poll: &Poll, address: SocketAddr, place: usize) -> Connection {
    // Blocking until it is there: connecting is not what is measured.
    let stream = std::net::TcpStream::connect(address)
        .unwrap_or_else(|error| exit(&format!("cannot connect to {address}: {error}")));
    stream.set_nodelay(true).and_then(|()| stream.set_nonblocking(true)).expect("socket options");
    let mut stream = TcpStream::from_std(stream);
    poll.registry().register(&mut stream, Token(place), Interest::READABLE).expect("epoll");
    Connection { stream, received: Vec::with_capacity(READ_BYTES), sent_at: Instant::now() }
}

fn send(connection: &mut Connection, requests: &mut Requests, now: Instant) {
    connection.sent_at = now;
    // A few hundred bytes into an empty socket buffer always fit. If the peer is gone, reading will tell.
    let _ = connection.stream.write(requests.next());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_walked_in_order_and_again() {
        let keys = ["one", "two"].map(str::to_owned).to_vec();
        let before_key = b"GET / HTTP/1.1\r\nx-api-key: ".to_vec();
        let mut requests = Requests { before_key, keys, next: 0, buffer: Vec::new() };
        for key in ["one", "two", "one"] {
            assert!(requests.next().ends_with(format!("x-api-key: {key}\r\n\r\n").as_bytes()));
        }
    }

    #[test]
    fn an_answer_that_is_not_200_is_bad() {
        let mut counts = Counts::default();
        for status in [200, 200, 401, 503] {
            counts.count(status, Duration::from_micros(status.into()));
        }
        assert_eq!((counts.answers(), counts.bad), (4, 2));
    }
}
