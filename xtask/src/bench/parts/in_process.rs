//! What other programs of the workspace measure: one verification in the process, memory of a key, a flood of bad keys,
//! and the dashboard's pages. They print their tables; here these are run, kept and judged.

use std::fmt::Write as _;

use super::{Measured, Setting};
use crate::bench::tables::{Target, Verdict};
use crate::processes::{cargo, run_by_line};
use crate::report::{Outcome, root, say};

pub(super) fn verification(setting: &Setting<'_>) -> Outcome<Measured> {
    let lines =
        said(setting, &["bench", "--profile", "dist", "-p", "rndrkit-verifier", "--bench", "verification"])?;
    let mut text = String::from("| | ns | floor and one reading of the clock, ns | × |\n|---|--:|--:|--:|\n");
    let mut verdicts = Vec::new();
    for result in lines.iter().filter_map(|line| line.strip_prefix("result\t")) {
        let fields: Vec<&str> = result.split('\t').collect();
        let [name, ours, floor, ratio, ..] = fields[..] else { continue };
        writeln!(text, "| {name} | {ours} | {floor} | {ratio} |")?;
        let target = if name.contains("hot") { Target::AtMost(1.5, 1.0) } else { Target::AtMost(1.6, 1.0) };
        let what = format!("one verification in the process, {name}");
        verdicts.push(Verdict::new(&what, "the floor and one reading of the clock", ratio.parse()?, target));
    }
    Ok(Measured { text, verdicts })
}

pub(super) fn memory(setting: &Setting<'_>) -> Outcome<Measured> {
    let lines = said(
        setting,
        &["run", "--quiet", "--profile", "dist", "-p", "rndrkit-verifier", "--example", "cache_memory"],
    )?;
    Ok(Measured { text: printed(&lines), verdicts: Vec::new() })
}

pub(super) fn flood(setting: &Setting<'_>) -> Outcome<Measured> {
    let mut arguments = vec!["bench", "--quiet", "-p", "rndrkit", "--bench", "flood", "--", "gateway"];
    if setting.quick {
        arguments.push("unknown-one");
    }
    let lines = said(setting, &arguments)?;
    let text = lines.join("\n");
    Ok(Measured { text, verdicts: lines.iter().flat_map(|line| flood_verdicts(line)).collect() })
}

/// Of a row such as `| gateway | unknown, one address | 0.97 (0.95, 0.99) | 0.96 (0.94, 0.98) | …`.
fn flood_verdicts(line: &str) -> Vec<Verdict> {
    let cells: Vec<&str> = line.split('|').map(str::trim).collect();
    let [_, door, kind, apart, mixed, ..] = cells[..] else { return Vec::new() };
    let verdict = |how: &str, cell: &str| {
        let value = cell.split_whitespace().next()?.parse().ok()?;
        let what = format!("good keys in a flood of nine bad ones to each, {door}, {kind}, {how}");
        Some(Verdict::new(&what, "itself without the flood", value, Target::AtLeast(0.9, 1.0)))
    };
    let both = [verdict("on connections of their own", apart), verdict("on the same connections", mixed)];
    both.into_iter().flatten().collect()
}

pub(super) fn dashboard(setting: &Setting<'_>) -> Outcome<Measured> {
    let lines = said(setting, &["bench", "--quiet", "-p", "rndrkit", "--bench", "dashboard"])?;
    let text = lines.join("\n");
    Ok(Measured { text, verdicts: lines.iter().filter_map(|line| page_verdict(line)).collect() })
}

/// Of a row such as ``| `/settings` | 812 | 2.91 [2.85–2.97] | 1130 |``.
fn page_verdict(line: &str) -> Option<Verdict> {
    let cells: Vec<&str> = line.split('|').map(str::trim).collect();
    let [_, "`/settings`", _, ratio, ..] = cells[..] else { return None };
    let ratio = ratio.split_whitespace().next()?.parse().ok()?;
    let target = Target::AtMost(5.0, 3.0);
    Some(Verdict::new("server time of the settings page", "an empty page of the same server", ratio, target))
}

/// Runs cargo and returns the lines that were printed, showing them as they come.
fn said(setting: &Setting<'_>, arguments: &[&str]) -> Outcome<Vec<String>> {
    say(&format!("cargo {}", arguments.join(" ")));
    let (sender, lines) = std::sync::mpsc::channel();
    let mut command = cargo();
    command.current_dir(root()).args(arguments);
    let status = run_by_line(&mut command, setting.interrupt, move |line| {
        println!("{line}");
        // The receiver lives until the program has ended.
        let _ = sender.send(line.to_owned());
    })?;
    if status.success() {
        Ok(lines.into_iter().collect())
    } else {
        Err(format!("cargo {} failed", arguments.join(" ")).into())
    }
}

fn printed(lines: &[String]) -> String {
    format!("```text\n{}\n```\n", lines.join("\n").trim_matches('\n'))
}

#[cfg(test)]
mod tests {
    use super::{flood_verdicts, page_verdict};

    #[test]
    fn the_settings_are_judged_and_other_pages_only_listed() {
        let verdict = |page: &str| page_verdict(&format!("| `{page}` | 812 | 2.91 [2.85–2.97] | 1130 |"));
        assert_eq!(verdict("/settings").map(|verdict| verdict.value), Some(2.91));
        assert!(verdict("/usage").is_none() && page_verdict("|---|--:|--:|--:|").is_none());
    }

    #[test]
    fn both_shares_of_a_flood_are_judged_and_other_lines_are_not() {
        let row = "| gateway | malformed | 0.97 (0.95, 0.99) | 0.85 (0.80, 0.90) | 1000 | 9000 | 1 : 0 : 0 |";
        let values: Vec<f64> = flood_verdicts(row).iter().map(|verdict| verdict.value).collect();
        assert_eq!(values, [0.97, 0.85]);
        for other in ["|---|---|--:|--:|", "| door | bad keys | apart | mixed |", "text"] {
            assert!(flood_verdicts(other).is_empty(), "{other}");
        }
    }
}
