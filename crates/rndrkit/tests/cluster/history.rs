//! What happened in a run: every call with its beginning and its end on one clock, and every fault. Facts
//! only; the judgement is in `checker`.

use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Microseconds since the run began.
pub type Micros = u64;

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// A decision about a key that spends nothing.
    Look,
    /// A decision about a key that spends one request.
    Spend,
    /// A new key.
    Create,
    /// The end of a key.
    Delete,
    /// Ends an account's access: a smaller plan, a suspension.
    Narrow,
    /// Gives an account access again.
    Widen,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The request may pass.
    Accepted,
    /// 429: the key is good, its budget is not.
    Limited,
    /// 401 because it was revoked.
    Revoked,
    /// 401 for any other reason.
    Invalid,
    /// 403: the plan or a suspension.
    Forbidden,
    /// A change was acknowledged.
    Done,
    /// A change was refused for good, such as a sixth key.
    Declined,
    /// 503: not known.
    Unavailable,
    /// No answer: the connection broke, or it took too long.
    NoAnswer,
    /// An answer that no contract allows.
    Odd(u16),
}

/// One call.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    pub act: Act,
    pub node: u8,
    pub account: u32,
    /// Which key; for calls about an account `NO_KEY`.
    pub key: u32,
    /// Before its first byte was written.
    pub begun: Micros,
    /// After the last byte of its answer was read.
    pub ended: Micros,
    pub outcome: Outcome,
    /// How long a delete says that it waited after its commit.
    pub waited: Option<Micros>,
}

/// In place of a key.
pub const NO_KEY: u32 = u32::MAX;

/// What a fault keeps a node from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hurts {
    /// Its process cannot run.
    Running,
    /// It cannot reach the database, or only slowly.
    Reaching,
}

/// Something that was done to the machines.
#[derive(Debug, Clone)]
pub struct Fault {
    /// To which node; none: to the database, and so to all.
    pub node: Option<u8>,
    pub what: &'static str,
    pub hurts: Hurts,
    pub from: Micros,
    pub to: Micros,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |micros: Micros| Duration::from_micros(micros).as_secs_f64();
        let whose = self.node.map_or_else(|| "database".to_owned(), |node| format!("node {node}"));
        write!(
            f,
            "{:6.2} s  {whose}: {} for {:.2} s",
            seconds(self.from),
            self.what,
            seconds(self.to - self.from)
        )
    }
}

/// Everything that happened.
#[derive(Debug, Default)]
pub struct History {
    pub calls: Vec<Call>,
    pub faults: Vec<Fault>,
    /// The product's id of each key by its number here; its account's number.
    pub keys: Vec<(String, u32)>,
}

/// Writes a history while it happens.
pub struct Recorder {
    origin: Instant,
    history: Mutex<History>,
}

impl Recorder {
    /// Time begins now.
    pub fn new() -> Self {
        Self { origin: Instant::now(), history: Mutex::default() }
    }

    /// Now, on the clock of every entry.
    pub fn now(&self) -> Micros {
        u64::try_from(self.origin.elapsed().as_micros()).unwrap()
    }

    /// A call that has ended now.
    pub fn call(&self, act: Act, node: usize, (account, key): (u32, u32), begun: Micros, outcome: Outcome) {
        let (node, ended) = (u8::try_from(node).unwrap(), self.now());
        self.write(Call { act, node, account, key, begun, ended, outcome, waited: None });
    }

    /// A call as it is to be kept.
    pub fn write(&self, call: Call) {
        self.history.lock().unwrap().calls.push(call);
    }

    /// A key that a create call has answered with; its number.
    pub fn key(&self, id: String, account: u32) -> u32 {
        let keys = &mut self.history.lock().unwrap().keys;
        keys.push((id, account));
        u32::try_from(keys.len() - 1).unwrap()
    }

    /// A fault that is over now.
    pub fn fault(&self, node: Option<usize>, what: &'static str, hurts: Hurts, from: Micros) {
        let node = node.map(|node| u8::try_from(node).unwrap());
        let to = self.now();
        self.history.lock().unwrap().faults.push(Fault { node, what, hurts, from, to });
    }

    /// How many deletes have been acknowledged.
    pub fn deletes(&self) -> usize {
        let history = self.history.lock().unwrap();
        history.calls.iter().filter(|call| (call.act, call.outcome) == (Act::Delete, Outcome::Done)).count()
    }

    /// What happened so far; recording begins anew.
    pub fn take(&self) -> History {
        std::mem::take(&mut self.history.lock().unwrap())
    }
}
