//! The first request of each of many keys: every one is a look-up in SQLite.

use std::fmt::Write as _;

use super::{Measured, Setting};
use crate::bench::load::{self, Load};
use crate::bench::tables::whole;
use crate::report::{Outcome, grouped, say};

/// This part of the keys is asked for again.
const AGAIN: u32 = 5;

pub(super) fn measure(setting: &Setting<'_>) -> Outcome<Measured> {
    let upstream = setting.peers().upstream()?;
    let keys = setting.many_keys();
    let larger = format!("cache_keys = {}", keys + keys / 4);
    let mut text = String::from(
        "| `cache_keys` | first requests/s | p50 µs | p99 µs | a fifth of them again, requests/s | wrong answers |\n\
         |--:|--:|--:|--:|--:|--:|\n",
    );
    for (name, settings) in [("200,000 (default)", ""), ("room for all", larger.as_str())] {
        say(&format!("{} keys, cache_keys: {name}", grouped(u64::from(keys))));
        let folder = format!("cold-{}", settings.len());
        let installation = setting.installation(&folder, keys, upstream.port, settings)?;
        let running = installation.start_pinned(setting.interrupt)?;
        let ask = |requests: u32| {
            let more = vec!["--requests".to_owned(), requests.to_string()];
            let port = installation.gateway;
            load::run(&setting.built.helper, &Load { port, path: "/", keys: &installation.keys, more })
        };
        let (first, again) = (ask(keys)?, ask(keys / AGAIN)?);
        drop(running);
        let (rate, rate_again) = (first.requests / first.seconds, again.requests / again.seconds);
        writeln!(
            text,
            "| {name} | {} | {:.0} | {:.0} | {} | {:.0} |",
            whole(rate),
            first.p50_us,
            first.p99_us,
            whole(rate_again),
            first.bad + again.bad
        )?;
    }
    Ok(Measured { text, verdicts: Vec::new() })
}
