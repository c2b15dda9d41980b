//! Several nodes, one budget: never more than the limit says, and hardly less.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rndrkit_domain::plan::RateLimit;
use tokio::task::LocalSet;
use tokio::time::sleep;

use crate::nodes::{ExactBucket, Nodes};
use crate::world::{TestKey, rate_limit};

/// Requests for five keys of one account over several nodes, checked as they are answered.
struct Load {
    nodes: Nodes,
    keys: Vec<TestKey>,
    limit: RateLimit,
    exact: RefCell<ExactBucket>,
    /// Cost of the requests that are being decided.
    under_way: Cell<u32>,
    admitted: Cell<u32>,
    /// Admitted when the exact bucket would have refused.
    too_many: Cell<u32>,
    asked: Cell<u32>,
    waited: Cell<u32>,
    refused: Cell<u32>,
    /// Largest number of requests that a refusal found still to be had in the exact bucket, less what the
    /// bound allows for at that moment.
    most_over_bound: Cell<i64>,
    most_left: Cell<u32>,
}

impl Load {
    fn new(seed: u64, clocks: &[u32], limit: RateLimit) -> Rc<Self> {
        let nodes = Nodes::new(seed, clocks);
        let account = nodes.world.account_with(limit);
        let keys = (0..5).map(|_| nodes.world.old_key(account)).collect();
        Rc::new(Self {
            nodes,
            keys,
            limit,
            exact: RefCell::new(ExactBucket::full(limit)),
            under_way: Cell::new(0),
            admitted: Cell::new(0),
            too_many: Cell::new(0),
            asked: Cell::new(0),
            waited: Cell::new(0),
            refused: Cell::new(0),
            most_over_bound: Cell::new(i64::MIN),
            most_left: Cell::new(0),
        })
    }

    fn below(&self, bound: u64) -> u64 {
        self.nodes.random.below(bound)
    }

    async fn ask(&self, node: usize, cost: u32) -> &'static str {
        let key = &self.keys[usize::try_from(self.below(5)).unwrap()];
        self.under_way.set(self.under_way.get() + cost);
        let asked = self.nodes.ask(node, key, cost).await;
        self.under_way.set(self.under_way.get() - cost);
        let now = self.nodes.elapsed();
        self.asked.set(self.asked.get() + 1);
        self.waited.set(self.waited.get() + u32::from(asked.waited));
        let code = asked.verified.decision.code();
        match code {
            "valid" => {
                let is_due = self.exact.borrow_mut().admit(cost, now);
                self.too_many.set(self.too_many.get() + u32::from(!is_due));
                self.admitted.set(self.admitted.get() + cost);
            }
            "rate_limited" => {
                let left = self.exact.borrow_mut().left(now).saturating_sub(self.under_way.get());
                self.refused.set(self.refused.get() + 1);
                self.most_left.set(self.most_left.get().max(left));
                let over = i64::from(left) - self.shortfall(cost);
                self.most_over_bound.set(self.most_over_bound.get().max(over));
            }
            _ => {}
        }
        code
    }

    /// The bound on the shortfall, as the documentation of slices states it: reserve, what a nearly full
    /// bucket may lack, credit of each node, credit earned, what is left in the bucket, what flows in until a draw that is due is answered.
    fn shortfall(&self, cost: u32) -> i64 {
        let (rate, burst) =
            (f64::from(self.limit.per_minute.get()) / 60.0, f64::from(self.limit.burst.get()));
        let reserve = rate * 0.55;
        let credit = ((burst - reserve) / 32.0).floor().max(1.0);
        let nodes = f64::from(u32::try_from(self.nodes.verifiers.len()).unwrap());
        let earned = f64::from(self.admitted.get()) / 64.0;
        // Jitter, two pauses, two round trips of the model's line.
        let late = rate * (0.025 + 2.0 * 0.05 + 2.0 * 2.0 * 0.002_1);
        #[expect(clippy::cast_possible_truncation, reason = "some hundreds at most")]
        let bound = (reserve + (burst - reserve) / 16.0 + nodes * credit + earned + f64::from(cost) + late)
            .ceil() as i64;
        bound
    }

    fn until(&self, seconds: u64) -> bool {
        self.nodes.elapsed() < Duration::from_secs(seconds)
    }

    fn assert_limit(&self) {
        assert_eq!(self.too_many.get(), 0, "of {} at {:?} too many", self.admitted.get(), self.limit);
    }

    fn assert_bound(&self) {
        self.assert_limit();
        assert!(
            self.most_over_bound.get() <= 0,
            "{} more than the bound were left",
            self.most_over_bound.get()
        );
    }

    /// For those who look for the figures: `--nocapture`.
    fn print(&self, name: &str) {
        println!(
            "{name}, {} nodes, {:?}: asked {} admitted {} refused {} waited {}, statements {}, at refusals up to {} left, {} within the bound",
            self.nodes.verifiers.len(),
            self.limit,
            self.asked.get(),
            self.admitted.get(),
            self.refused.get(),
            self.waited.get(),
            self.nodes.authority.statements(),
            self.most_left.get(),
            self.most_over_bound.get().saturating_neg(),
        );
    }
}

async fn locally(work: impl Future<Output = ()>) {
    LocalSet::new().run_until(work).await;
}

/// Five keys, each asked for so often a second, at random nodes and at random moments.
async fn steadily(load: &Rc<Load>, per_second_and_key: u64, seconds: u64) {
    let callers: Vec<_> = (0..5)
        .map(|_| {
            let load = Rc::clone(load);
            tokio::task::spawn_local(async move {
                while load.until(seconds) {
                    let node = usize::try_from(load.below(load.nodes.verifiers.len() as u64)).unwrap();
                    let asker = Rc::clone(&load);
                    tokio::task::spawn_local(async move { asker.ask(node, 1).await });
                    sleep(Duration::from_micros(load.below(2_000_000 / per_second_and_key))).await;
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
}

/// Bursts at one node, then a pause in which what it holds lapses, then at another.
async fn hopping(load: &Rc<Load>, seconds: u64) {
    while load.until(seconds) {
        let node = usize::try_from(load.below(load.nodes.verifiers.len() as u64)).unwrap();
        for _ in 0..=load.below(30) {
            load.ask(node, 1).await;
            sleep(Duration::from_millis(load.below(20))).await;
        }
        sleep(Duration::from_millis(load.below(1_200))).await;
    }
}

/// Two requests close together, then a pause: what is drawn ahead for a third is always lost.
async fn in_pairs(load: &Rc<Load>, seconds: u64) {
    let per_second = usize::try_from(load.limit.per_minute.get() / 60).unwrap();
    let callers: Vec<_> = (0..=per_second / 2)
        .map(|caller| {
            let load = Rc::clone(load);
            tokio::task::spawn_local(async move {
                while load.until(seconds) {
                    let node = caller % load.nodes.verifiers.len();
                    load.ask(node, 1).await;
                    load.ask(node, 1).await;
                    sleep(Duration::from_millis(510 + load.below(100))).await;
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
}

/// Requests that cost more than one, at random nodes, each as soon as the one before is answered.
async fn dearly(load: &Rc<Load>, seconds: u64, largest: u64) {
    let callers: Vec<_> = (0..6)
        .map(|_| {
            let load = Rc::clone(load);
            tokio::task::spawn_local(async move {
                while load.until(seconds) {
                    let node = usize::try_from(load.below(load.nodes.verifiers.len() as u64)).unwrap();
                    load.ask(node, u32::try_from(1 + load.below(largest)).unwrap()).await;
                    sleep(Duration::from_millis(load.below(200))).await;
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn at_five_times_the_limit_almost_all_of_it_is_admitted_and_almost_nobody_waits() {
    for seed in 0..5 {
        locally(async move {
            let load = Load::new(seed, &[100, 100, 100], rate_limit(600, 100));
            steadily(&load, 10, 60).await;
            load.print("steady");
            // 100 and 60 times 10 are 700.
            assert!(load.admitted.get() >= 690, "{} of 700 admitted", load.admitted.get());
            let waited = f64::from(load.waited.get()) / f64::from(load.asked.get());
            assert!(waited < 0.006, "{waited} waited");
            load.assert_bound();
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_sharing_costs_an_account_stays_within_the_stated_bound_whoever_asks_for_it() {
    for (seed, nodes) in (0..).zip([1, 2, 3, 5]) {
        let clocks = vec![100; nodes];
        let limits = [rate_limit(600, 100), rate_limit(3_000, 500), rate_limit(60, 10), rate_limit(600, 30)];
        for limit in limits {
            let clocks = clocks.clone();
            locally(async move {
                for (number, name) in (0..).zip(["steady", "hopping", "pairs", "dear"]) {
                    let load = Load::new(seed * 4 + number, &clocks, limit);
                    match name {
                        "steady" => steadily(&load, u64::from(limit.per_minute.get()) / 60 + 1, 40).await,
                        "hopping" => hopping(&load, 40).await,
                        "pairs" => in_pairs(&load, 40).await,
                        _ => dearly(&load, 40, 5).await,
                    }
                    load.print(name);
                    assert!(load.refused.get() > 0 || name == "hopping", "{name}: nothing was ever refused");
                    load.assert_bound();
                }
            })
            .await;
        }
    }
}

/// Clocks that are wrong by a tenth, answers slower than a slice lives, answers lost before and after the
/// draw took effect. The exact bucket is the judge ([`ExactBucket::admit`]).
#[tokio::test(start_paused = true)]
async fn never_is_more_admitted_than_the_limit_whatever_clocks_and_lines_do() {
    let mut admitted = 0;
    for seed in 0..8 {
        let limits = [rate_limit(600, 100), rate_limit(3_000, 50), rate_limit(60, 2), rate_limit(1_200, 1)];
        for limit in limits {
            let seen = Rc::new(Cell::new(0));
            let counted = Rc::clone(&seen);
            locally(async move {
                let load = Load::new(seed, &[90, 100, 110], limit);
                let authority = &load.nodes.authority;
                authority
                    .delay_ms
                    .store([2, 40, 300, 700][usize::try_from(seed % 4).unwrap()], Ordering::SeqCst);
                authority.lost_permille.store(20, Ordering::SeqCst);
                let slow = {
                    let load = Rc::clone(&load);
                    tokio::task::spawn_local(async move { hopping(&load, 30).await })
                };
                steadily(&load, 8, 30).await;
                dearly(&load, 40, 3).await;
                slow.await.unwrap();
                // Those still under way.
                sleep(Duration::from_secs(5)).await;
                load.assert_limit();
                counted.set(load.admitted.get());
            })
            .await;
            admitted += seen.get();
        }
    }
    assert!(admitted > 5_000, "{admitted} admitted");
}
