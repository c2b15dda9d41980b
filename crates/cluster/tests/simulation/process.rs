//! One process of the product: the code that ships, over a wire, behind a gate.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use rndrkit_cluster::{Machine, Member, MemberHandle, MemberOptions, Rest, Waiter};
use rndrkit_domain::random::Entropy;
use rndrkit_domain::time::Clock;
use rndrkit_verifier::{BoxFuture, Budgets, Drawer, KeySource, Verifier, VerifierOptions};
use tokio::sync::Notify;
use tokio::task::spawn_local;
use tokio::time::sleep;

use crate::adapters::Access;
use crate::clocks::NodeClock;
use crate::gate::Gate;
use crate::random::Random;
use crate::wire::{Hold, Listener, Shared, Wire};

/// The term and the beat of these worlds, and how many of them one look-up of a list of nodes may cost.
pub(crate) const TRUST: Duration = Duration::from_secs(3);
pub(crate) const BEAT: Duration = Duration::from_millis(700);

/// Where a process runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// Its node's place among the nodes.
    pub(crate) slot: usize,
    /// Its own number; no two processes of a world share one.
    pub(crate) process: usize,
    /// How fast the machine's clock is.
    pub(crate) rate_percent: u32,
    /// How wrong its wall clock is.
    pub(crate) wall_offset_ms: i64,
}

/// A running process.
pub(crate) struct Process {
    pub(crate) place: Place,
    pub(crate) gate: Arc<Gate>,
    pub(crate) clock: Arc<NodeClock>,
    pub(crate) wire: Arc<Wire>,
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) handle: MemberHandle,
    pub(crate) waiter: Waiter,
    leave: Arc<Notify>,
    /// Real time of the last stop, if it ever was stopped.
    pub(crate) last_stop: Cell<Option<Duration>>,
}

struct NodeRest(Arc<NodeClock>);

impl Rest for NodeRest {
    fn rest(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(sleep(self.0.real_span(duration)))
    }
}

impl Process {
    pub(crate) fn start(shared: &Arc<Shared>, seed: u64, place: Place) -> Rc<Self> {
        let gate = Arc::new(Gate::default());
        let fault = shared.planted.clock();
        let clock = Arc::new(NodeClock::new(shared.real, place.rate_percent, place.wall_offset_ms, fault));
        let random = Arc::new(Random::new(seed, 100 + u64::try_from(place.process).unwrap()));
        let wire = wire(shared, place, &gate, &random, &clock);
        let access = Arc::new(Access(Arc::clone(&wire)));
        let verifier = verifier(&clock, &access, &random, &gate);
        let machine = Machine {
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            entropy: Arc::clone(&random) as Arc<dyn Entropy>,
            rest: Arc::new(NodeRest(Arc::clone(&clock))),
        };
        let behaviour = MemberOptions {
            name: format!("node-{}", place.slot),
            version: String::from("simulated"),
            trust: TRUST,
            beat: BEAT,
        };
        let (member, handle) =
            Member::new(Arc::clone(&verifier), Arc::clone(&access) as _, machine, behaviour);
        let leave = Arc::new(Notify::new());
        let left = Arc::clone(&leave);
        spawn_local(gate.run(member.run(async move { left.notified().await })));
        if clock.is_coarse() {
            spawn_local(gate.run(tick(Arc::clone(&clock))));
        }
        let waiter = Waiter::new(&handle, access);
        let last_stop = Cell::new(None);
        Rc::new(Self { place, gate, clock, wire, verifier, handle, waiter, leave, last_stop })
    }

    pub(crate) fn runs(&self) -> bool {
        !self.gate.has_ended() && !self.gate.is_stopped()
    }

    /// `SIGSTOP`.
    pub(crate) fn stop(&self) {
        self.last_stop.set(Some(self.wire.shared.real.now()));
        self.clock.stop();
        self.gate.stop();
    }

    /// `SIGCONT`.
    pub(crate) fn go_on(&self) {
        self.last_stop.set(Some(self.wire.shared.real.now()));
        self.clock.go_on();
        self.gate.go_on();
    }

    /// `kill -9`.
    pub(crate) fn kill(&self) {
        self.gate.end();
    }

    /// `SIGTERM`.
    pub(crate) fn leave(&self) {
        self.leave.notify_one();
    }
}

async fn tick(clock: Arc<NodeClock>) {
    loop {
        clock.tick();
        sleep(Duration::from_millis(10)).await;
    }
}

fn wire(
    shared: &Arc<Shared>,
    place: Place,
    gate: &Arc<Gate>,
    random: &Arc<Random>,
    clock: &Arc<NodeClock>,
) -> Arc<Wire> {
    let listener =
        Listener { news: Arc::default(), confirmed: Arc::default(), cut: Arc::new(AtomicBool::new(false)) };
    shared.listeners.lock().push(listener.clone());
    Arc::new(Wire {
        shared: Arc::clone(shared),
        process: place.process,
        gate: Arc::clone(gate),
        random: Arc::clone(random),
        listener,
        hold_loads: Hold::default(),
        hold_entries: Hold::default(),
        hold_reaps: Hold::default(),
        drawn: parking_lot::Mutex::default(),
        clock: Arc::clone(clock),
    })
}

/// A verifier that shares its budgets, and its drawer.
fn verifier(
    clock: &Arc<NodeClock>,
    access: &Arc<Access>,
    random: &Arc<Random>,
    gate: &Arc<Gate>,
) -> Arc<Verifier> {
    let options = VerifierOptions { cache_keys: 12, lookup_concurrency: 4 };
    let source = Arc::clone(access) as Arc<dyn KeySource>;
    let verifier = Verifier::with_budgets(Budgets::Shared, options, Arc::clone(clock) as _, source);
    let drawer = Drawer::new(Arc::clone(&verifier), Arc::clone(access) as _, Arc::clone(random) as _);
    spawn_local(gate.run(drawer.run(std::future::pending())));
    verifier
}
