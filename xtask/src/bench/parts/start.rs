//! From the start of the process to the first 200 of `/readyz`, with many keys in the database and with ten.

use std::fmt::Write as _;

use super::{Measured, Setting};
use crate::bench::statistics::Spread;
use crate::bench::tables::{Target, Verdict, whole};
use crate::report::{Outcome, grouped, now, say};

/// Starts of each: they take tenths of a second.
const STARTS: usize = 9;
const FEW: u32 = 10;

pub(super) fn measure(setting: &Setting<'_>) -> Outcome<Measured> {
    let many = setting.many_keys();
    say(&format!("filling databases with {FEW} and with {} keys", grouped(u64::from(many))));
    let few_keys = setting.installation("few", FEW, 9, "")?;
    let many_keys = setting.installation("many", many, 9, "")?;
    let (mut few_ms, mut many_ms) = (Vec::new(), Vec::new());
    for start in 0..=STARTS {
        for (installation, times) in [(&few_keys, &mut few_ms), (&many_keys, &mut many_ms)] {
            let started = now();
            let running = installation.start_pinned(setting.interrupt)?;
            let took = now().duration_since(started).as_secs_f64() * 1_000.0;
            drop(running);
            // The first start of each reads the file from the disk.
            if start > 0 {
                times.push(took);
            }
        }
    }
    let ratio = Spread::of(many_ms.iter().zip(&few_ms).map(|(many, few)| many / few));
    let mut text =
        String::from("| keys in the database | start to ready, ms [quartiles] | × |\n|--:|--:|--:|\n");
    for (keys, times, ratio) in [(FEW, few_ms, 1.0), (many, many_ms, ratio.median)] {
        let Spread { low, median, high } = Spread::of(times);
        let keys = grouped(u64::from(keys));
        writeln!(text, "| {keys} | {} [{}–{}] | {ratio:.2} |", whole(median), whole(low), whole(high))?;
    }
    let what = format!("start to ready with {} keys", grouped(u64::from(many)));
    let verdict = Verdict::new(&what, "start with 10 keys", ratio.median, Target::AtMost(2.0, 1.1));
    Ok(Measured { text, verdicts: vec![verdict] })
}
