//! What `cargo xtask bench` measures with: a load, the servers to compare with, and data.
//!
//! Development only, and never part of a package. Everything here is as cheap as it can be made without leaving
//! safe Rust, because whatever the load costs is missing from what it measures.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measuring program that cannot measure ends with a sentence, and measures real time"
)]

mod arguments;
mod keys;
mod load;
mod redis;
mod response;
mod seed;
mod servers;

use arguments::Arguments;

const HELP: &str = "\
rndrkit-bench load --port P --keys FILE [--connections 64] [--seconds 3 | --requests N] [--path /] [--header x-api-key]
  Closed loop over keep-alive connections, one thread; walks the file of keys. Prints one line of JSON. An answer that
  is not 200 is counted bad.
rndrkit-bench floor --port P           an empty 200, hyper, one thread
rndrkit-bench auth --port P --keys F   200 or 401 by a map of SHA-256, hyper, one thread
rndrkit-bench redis --port P --keys F  writes a record of each key into Redis
rndrkit-bench seed --database FILE --keys FILE [--count 1000] [--keys-of-account 5] [--plan bench]
  Writes accounts with keys into a stopped installation's SQLite file, and their secrets in mixed order to FILE.
";

fn main() {
    let mut words = std::env::args().skip(1);
    let command = words.next().unwrap_or_default();
    let arguments = Arguments::new(words.collect());
    match command.as_str() {
        "load" => load::run(&arguments),
        "floor" => servers::floor(&arguments),
        "auth" => servers::auth(&arguments),
        "redis" => redis::fill(&arguments),
        "seed" => seed::run(&arguments),
        _ => print!("{HELP}"),
    }
}
