//! The nodes that share a database: who has fallen silent, and where they differ.

use std::collections::BTreeSet;

use rndrkit_store::NodeFacts;

use super::Finding;

pub(super) const NODES: &str = "nodes";

/// A node beats several times within its trust; after three times that long, it is not there.
const TRUSTS_OF_SILENCE: i64 = 3;

pub(super) fn is_silent(node: &NodeFacts) -> bool {
    node.silent_ms > node.trust_ms.saturating_mul(TRUSTS_OF_SILENCE)
}

pub(super) fn judge(nodes: &[NodeFacts]) -> Vec<Finding> {
    let (silent, live): (Vec<&NodeFacts>, Vec<&NodeFacts>) = nodes.iter().partition(|node| is_silent(node));
    let mut findings: Vec<Finding> = silent.into_iter().map(|node| judge_silent(node, live.len())).collect();
    findings.extend(judge_versions(&live));
    findings.extend(judge_trust(&live));
    if findings.is_empty() {
        let detail = match live.len() {
            0 => "none is registered".to_owned(),
            1 => "one, and it beats".to_owned(),
            count => format!("{count}, all beat and are alike"),
        };
        findings.push(Finding::ok(NODES, detail));
    }
    findings
}

fn judge_silent(node: &NodeFacts, others: usize) -> Finding {
    let detail = format!("{} has said nothing for {} s", name(node), node.silent_ms / 1_000);
    let advice = if others == 0 {
        "start a node: it waits until this one cannot answer any more, then takes its row away"
    } else {
        "look whether it runs and reaches the database; the other nodes take its row away by themselves"
    };
    Finding::warn(NODES, detail, advice).because("a deletion waits for it once, for up to the longest trust")
}

fn judge_versions(live: &[&NodeFacts]) -> Option<Finding> {
    let versions: BTreeSet<&str> = live.iter().map(|node| node.version.as_str()).collect();
    (versions.len() > 1).then(|| {
        let list: Vec<&str> = versions.into_iter().collect();
        Finding::warn(
            NODES,
            format!("they run different versions: {}", list.join(", ")),
            "finish the upgrade, or the way back, on all of them",
        )
        .because("two versions side by side are for an upgrade; the next one may need the last finished")
    })
}

fn judge_trust(live: &[&NodeFacts]) -> Option<Finding> {
    let trusts: BTreeSet<i64> = live.iter().map(|node| node.trust_ms).collect();
    (trusts.len() > 1).then(|| {
        let list: Vec<String> = trusts.iter().map(|ms| format!("{} s", ms / 1_000)).collect();
        Finding::warn(
            NODES,
            format!("their trust_seconds differ: {}", list.join(", ")),
            "set the same trust_seconds and beat_seconds on all of them",
        )
        .because("a deletion that has to wait for a dead node waits by the longest of them")
    })
}

fn name(node: &NodeFacts) -> &str {
    if node.name.is_empty() { "a node without a name" } else { &node.name }
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;

    fn node(name: &str, version: &str, trust_ms: i64, silent_ms: i64) -> NodeFacts {
        NodeFacts { name: name.to_owned(), version: version.to_owned(), trust_ms, applied: 7, silent_ms }
    }

    fn said(nodes: &[NodeFacts]) -> Vec<(Status, String)> {
        judge(nodes).into_iter().map(|finding| (finding.status, finding.detail)).collect()
    }

    #[test]
    fn nodes_that_are_alike_and_beat_are_fine() {
        assert_eq!(said(&[]), [(Status::Ok, "none is registered".to_owned())]);
        let alike = [node("a", "1.0.0", 5_000, 900), node("b", "1.0.0", 5_000, 14_000)];
        assert_eq!(said(&alike), [(Status::Ok, "2, all beat and are alike".to_owned())]);
    }

    #[test]
    fn a_silent_node_is_named_and_not_compared() {
        let nodes = [node("a", "1.0.0", 5_000, 900), node("b", "0.9.0", 30_000, 95_000)];
        assert_eq!(said(&nodes), [(Status::Warn, "b has said nothing for 95 s".to_owned())]);
    }

    #[test]
    fn different_versions_and_trusts_are_told_apart() {
        let nodes = [node("a", "1.0.0", 5_000, 900), node("b", "1.1.0", 30_000, 900)];
        let details: Vec<String> = said(&nodes).into_iter().map(|(_, detail)| detail).collect();
        assert_eq!(
            details,
            ["they run different versions: 1.0.0, 1.1.0", "their trust_seconds differ: 5 s, 30 s"]
        );
    }
}
