//! The faults that are planted: what a simpler protocol would do, or a slip of the hand.

/// One fault.
#[derive(Debug)]
pub(super) struct Fault {
    /// How it is called.
    pub(super) name: &'static str,
    /// Where it is.
    pub(super) plant: Plant,
}

/// Where a fault is.
#[derive(Debug)]
pub(super) enum Plant {
    /// In the code that ships.
    Code(&'static [Edit]),
    /// In what the simulated database and machines do; the simulation knows it by its name.
    World,
}

/// One place of the code, and what stands there instead.
#[derive(Debug)]
pub(super) struct Edit {
    pub(super) file: &'static str,
    /// Occurs once.
    pub(super) find: &'static str,
    pub(super) replace: &'static str,
}

const fn world(name: &'static str) -> Fault {
    Fault { name, plant: Plant::World }
}

const fn code(name: &'static str, edits: &'static [Edit]) -> Fault {
    Fault { name, plant: Plant::Code(edits) }
}

const VERIFIER: &str = "crates/verifier/src/verifier.rs";
const POSITION: &str = "crates/verifier/src/position.rs";
const FILL: &str = "crates/verifier/src/fill.rs";
const ACCOUNT: &str = "crates/verifier/src/account.rs";
const HISTORY: &str = "crates/verifier/src/history.rs";
const HELD: &str = "crates/verifier/src/slices/held.rs";
const TERMS: &str = "crates/verifier/src/slices/terms.rs";
const SHARE: &str = "crates/verifier/src/slices/share.rs";
const NODE: &str = "crates/domain/src/node.rs";
const BEAT: &str = "crates/cluster/src/beat.rs";
const STANDING: &str = "crates/cluster/src/standing.rs";
const ROLL: &str = "crates/cluster/src/roll.rs";
const MEMBER: &str = "crates/cluster/src/member.rs";
const WAITER: &str = "crates/cluster/src/waiter.rs";

/// All of them.
pub(super) const FAULTS: &[Fault] = &[
    world("numbers-from-a-sequence"),
    world("head-after-data"),
    world("reap-without-comparing"),
    world("head-before-registration"),
    world("repeat-answers-at-once"),
    world("coarse-clock"),
    world("clock-stops-in-pauses"),
    world("lease-by-database-clock"),
    world("authority-forgets"),
    world("refunds-retried"),
    code(
        "no-fence",
        &[Edit {
            file: POSITION,
            find: "        if read_at.number >= self.number {\n            return true;\n        }\n",
            replace: "        if read_at.number >= 0 {\n            return true;\n        }\n",
        }],
    ),
    code(
        "fence-guards-the-cache-only",
        &[Edit {
            file: FILL,
            find: "        if !position.is_usable(read_at, &Target::Secret(digest, owner)) {\n            return None;\n        }\n",
            replace: "        if !position.is_usable(read_at, &Target::Secret(digest, owner)) {\n            let held = self.hold(&mut position, digest, read_at, loaded.found)?;\n            let holds = position.holds_until(read_at);\n            self.discard(&digest);\n            return Some(Outcome::Found { held, holds });\n        }\n",
        }],
    ),
    code(
        "ring-not-consulted",
        &[Edit {
            file: POSITION,
            find: "covered && !since.any(|entry| target.is_named_by(entry))",
            replace: "covered && (since.next().is_none() || target.is_named_by(&self.recent[0]) || true)",
        }],
    ),
    code(
        "look-ups-of-a-lost-history-land",
        &[Edit {
            file: POSITION,
            find: "if read_at.epoch != self.epoch {",
            replace: "if read_at.epoch > self.epoch {",
        }],
    ),
    code(
        "stale-account-revision-accepted",
        &[Edit {
            file: ACCOUNT,
            find: "let is_older = (facts.revision, head) < view.version;",
            replace: "let is_older = false;",
        }],
    ),
    code(
        "answer-without-trust-from-a-look-up",
        &[
            Edit {
                file: VERIFIER,
                find: "            let now = self.trusted_now().ok_or(Denial::Unavailable)?;\n            if let Some((held, seen)) = self.recall(&digest, now) {",
                replace: "            let now = self.clock.monotonic();\n            if let Some((held, seen)) = self.recall(&digest, now).filter(|_| self.is_trusted()) {",
            },
            Edit {
                file: VERIFIER,
                find: "            let now = self.trusted_now().ok_or(Denial::Unavailable)?;\n            if let Some(seen) = self.confirm(",
                replace: "            let now = self.clock.monotonic();\n            if let Some(seen) = self.confirm(",
            },
        ],
    ),
    code(
        "trust-not-read-again-after-a-look-up",
        &[Edit {
            file: VERIFIER,
            find: "            let now = self.trusted_now().ok_or(Denial::Unavailable)?;\n            if let Some(seen) = self.confirm(",
            replace: "            let now = self.clock.monotonic();\n            if let Some(seen) = self.confirm(",
        }],
    ),
    code(
        "ends-by-the-nodes-own-wall-clock",
        &[Edit {
            file: VERIFIER,
            find: "self.wall.at(now).unwrap_or_else(|| self.clock.now())",
            replace: "self.wall.at(now).map_or_else(|| self.clock.now(), |_| self.clock.now())",
        }],
    ),
    code(
        "prefixes-not-read-again",
        &[Edit {
            file: HISTORY,
            find: "entries.iter().filter(news).any(|entry| entry.kind.may_bring_prefixes())",
            replace: "entries.iter().filter(news).any(|_| false)",
        }],
    ),
    code(
        "tags-not-compared",
        &[
            Edit {
                file: HISTORY,
                find: "} else if head.number == self.number && head.tag != self.tag {",
                replace: "} else if head.number == self.number && head.number < 0 {",
            },
            Edit {
                file: HISTORY,
                find: "Some(first) if first.number == self.number && first.tag != self.tag => {",
                replace: "Some(first) if first.number == self.number && first.number < 0 => {",
            },
        ],
    ),
    code(
        "node-id-reused",
        &[Edit {
            file: BEAT,
            find: "(Incarnation::generate(entropy), BeatMark::generate(entropy))",
            replace: "(format!(\"{:032x}\", self.options.name.bytes().fold(7_u128, |sum, byte| sum * 31 + u128::from(byte))).parse().unwrap_or_else(|_| Incarnation::generate(entropy)), BeatMark::generate(entropy))",
        }],
    ),
    code(
        "trust-from-the-answer",
        &[Edit {
            file: BEAT,
            find: "self.hear(Promise { sent, term, head: answer.head.number }, &answer).await",
            replace: "self.hear(Promise { sent: self.shared.now(), term, head: answer.head.number }, &answer).await",
        }],
    ),
    code(
        "trust-without-having-applied",
        &[Edit {
            file: STANDING,
            find: "let kept = applied >= promise.head;",
            replace: "let kept = applied >= 0;",
        }],
    ),
    code(
        "acknowledged-before-applied",
        &[Edit {
            file: BEAT,
            find: "if elsewhere { 0 } else { self.shared.applied() }",
            replace: "if elsewhere { 0 } else { self.standing.as_ref().and_then(|known| known.head).map_or(0, |head| head.number) }",
        }],
    ),
    code(
        "trust-kept-after-leaving",
        &[Edit {
            file: MEMBER,
            find: "    async fn retire(mut self) {\n        self.shared.stand_as(None);\n",
            replace: "    async fn retire(mut self) {\n",
        }],
    ),
    code(
        "lost-commits-still-believed",
        &[Edit {
            file: BEAT,
            find: "self.timeline.replace(timeline).is_some_and(|before| before != timeline)",
            replace: "self.timeline.replace(timeline).is_some_and(|before| before != timeline && false)",
        }],
    ),
    code(
        "revocations-not-remembered",
        &[Edit {
            file: BEAT,
            find: "let revoked = verifier.remembered_revocations();",
            replace: "let revoked = Vec::new();",
        }],
    ),
    code(
        "reaped-too-early",
        &[Edit {
            file: ROLL,
            find: "                    wait: longest_wait(node.trust),",
            replace: "                    wait: node.trust.mul_f64(0.8),",
        }],
    ),
    code(
        "waits-for-less-than-trust",
        &[Edit {
            file: NODE,
            find: "    Duration::from_secs(wait_ms.saturating_add(pause_ms).div_ceil(1_000))",
            replace: "    let _ = (wait_ms, pause_ms);\n    longest_trust.mul_f64(0.9)",
        }],
    ),
    code(
        "waiter-ignores-its-own-node",
        &[
            Edit {
                file: WAITER,
                find: "self.nodes.get_or_insert_with(|| all_of(roster));",
                replace: "self.nodes.get_or_insert_with(|| { let mut all = all_of(roster); if let Some(own) = self.own { all.remove(&own); } all });",
            },
            Edit {
                file: WAITER,
                find: "        self.is_listed(shared) && shared.applied() >= self.number\n",
                replace: "        shared.applied() >= 0\n",
            },
        ],
    ),
    code(
        "waiter-waits-for-who-joins-later",
        &[Edit {
            file: WAITER,
            find: "let nodes = self.nodes.get_or_insert_with(|| all_of(roster));",
            replace: "let mut grown = self.nodes.take().unwrap_or_default();\n        for (node, said) in all_of(roster) { grown.entry(node).or_insert(said); }\n        let nodes = self.nodes.insert(grown);",
        }],
    ),
    code(
        "list-read-before-the-commit-will-do",
        &[Edit {
            file: WAITER,
            find: "reading.roster.as_ref().filter(|_| reading.covers(self.ticket))",
            replace: "reading.roster.as_ref()",
        }],
    ),
    code(
        "no-full-wait-after-commits-were-lost",
        &[Edit {
            file: WAITER,
            find: "end = end.min(shared.wary_until().unwrap_or(end));",
            replace: "end = end.min(shared.wary_until().map_or(end, |_| self.began));",
        }],
    ),
    code(
        "slices-never-lapse",
        &[Edit {
            file: HELD,
            find: "slice.amount > 0 && slice.lapses_ns <= now.0",
            replace: "slice.amount > 0 && slice.lapses_ns <= now.0 && now.0 == 0",
        }],
    ),
    code(
        "no-reserve-for-slices",
        &[Edit {
            file: TERMS,
            find: "(burst * REQUEST.unsigned_abs()).saturating_sub(reserve_micros)",
            replace: "(burst * REQUEST.unsigned_abs()).saturating_sub(reserve_micros.min(0))",
        }],
    ),
    code(
        "slices-held-from-the-answer",
        &[Edit { file: SHARE, find: "let lapses = sent.at.plus(", replace: "let lapses = now.plus(" }],
    ),
    code(
        "slices-kept-when-the-account-changes",
        &[Edit { file: SHARE, find: "        self.slices = Slices::default();\n", replace: "" }],
    ),
];
