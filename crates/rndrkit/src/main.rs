//! The one binary: reads the command line and hands over.

use std::process::ExitCode;

use clap::Parser as _;
use rndrkit::cli::Cli;
use rndrkit::commands::{self, Console};
use rndrkit::config::Environment;

fn main() -> ExitCode {
    // One TLS implementation for everything in the process; it can only be chosen once, and here it is first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cli = Cli::parse();
    let environment = Environment::of_process();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("rndrkit: the process could not start its threads: {error}");
            return commands::Exit::Unknown.into();
        }
    };
    let mut console = Console {
        input: &mut std::io::stdin(),
        out: &mut std::io::stdout(),
        err: &mut std::io::stderr(),
        json: false,
    };
    runtime.block_on(commands::run(cli, &environment, &mut console)).into()
}
