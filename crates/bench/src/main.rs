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
mod response;
mod seed;
mod servers;

use arguments::Arguments;

const HELP: &str = "\
rndrkit-bench load --port P [--connections 64] [--seconds 3 | --requests N] [--path /] [--header x-api-key]
    [--keys FILE] [--bad-keys FILE [--bad-of-ten 9] [--addresses 1]]
  Closed loop over keep-alive connections, one thread; walks the file of keys. Prints one line of JSON.
  With bad keys, so many requests of ten carry one of them, from so many addresses (X-Forwarded-For); only
  the others count as good. An answer that is not 200 to a good key, or is 200 to a bad one, is counted bad.
rndrkit-bench floor --port P           an empty 200, hyper, one thread
rndrkit-bench auth --port P --keys F   200 or 401 by a map of SHA-256, hyper, one thread
rndrkit-bench keys --count N [--seed 1]      well-formed keys, one a line
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
        "keys" => keys::print(&arguments),
        "seed" => seed::run(&arguments),
        _ => print!("{HELP}"),
    }
}
