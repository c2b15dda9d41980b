//! `cargo xtask …`: what a checkout needs done beside `cargo` itself.
//!
//! Command line only; the work is in the modules.

mod bench;
mod cargo_test;
mod faults;
mod fuzz;
mod instructions;
mod processes;
mod report;
mod servers;
mod tidy;
mod tools;

use std::process::ExitCode;
use std::time::Duration;

use report::Outcome;

const HELP: &str = "\
cargo xtask test [--no-install] [--quick] [-- <arguments of cargo test>]
    Installs what the tests need (through apt, when it may), starts throw-away servers on free ports in a
    temporary folder, runs every test and the fuzzer for a minute, and stops what it started.
      --no-install  never install; say what is missing and stop
      --quick       leave out the fuzzer, as any argument after `--` does
cargo xtask tidy
    Checks the house rules: file headers, lengths, banned words, dependency arrows, links.
cargo xtask fuzz [--seconds N | --runs N]
    Fuzzes the reader of key texts on the stable toolchain (60 seconds when not told).
cargo xtask bench [gateway|forward-auth|verification|memory|flood|start|cold|dashboard|all] [--rounds N] [--seconds S]
                  [--quick] [--json] [--programs FOLDER]
    Measures the product beside its peers, in turns, and writes docs/benchmarks.md. Keep the machine quiet meanwhile.
      --quick     short and small, to see that everything works; writes nothing
      --programs  takes rndrkit and rndrkit-bench, ready built, from a folder
cargo xtask instructions [--write]
    Counts the instructions of one verification in the process and compares them with crates/verifier/instructions.txt.
cargo xtask instructions gateway [--profile release] [--programs FOLDER] [--path /]
                                 [--top | --inclusive]
cargo xtask instructions authz --path /authz/nginx [...]
    Counts the instructions of one request to the gateway or to forward auth in user space (valgrind): 1,000 keys,
    upstream nginx. --top shows the functions that take the most by themselves, --inclusive those that do with all
    that they call; --programs takes rndrkit and rndrkit-bench, ready built, from a folder.
cargo xtask faults [--only NAME] [--seeds N]
    Plants one fault at a time in a copy of the checkout and says what of the simulation catches it.";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments.split_first() {
        Some((&"test", rest)) => test(rest),
        Some((&"tidy", [])) => tidy::run(),
        Some((&"fuzz", rest)) => fuzz_alone(rest),
        Some((&"faults", rest)) => plant_faults(rest),
        Some((&"bench", rest)) => bench::Options::read(rest).and_then(|options| bench::run(&options)),
        Some((&"instructions", rest)) => count_instructions(rest),
        Some((&("help" | "--help" | "-h"), _)) => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        _ => return wrong_usage(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report::say(&format!("failed: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn wrong_usage() -> ExitCode {
    eprintln!("{HELP}");
    ExitCode::from(2)
}

fn test(arguments: &[&str]) -> Outcome<()> {
    let mut options = cargo_test::Options::default();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match *argument {
            "--no-install" => options.install = tools::Install::Never,
            "--quick" => options.quick = true,
            "--" => options.cargo_arguments = rest.by_ref().map(ToString::to_string).collect(),
            other => return Err(format!("test does not know {other}; see cargo xtask help").into()),
        }
    }
    cargo_test::run(&options)
}

fn fuzz_alone(arguments: &[&str]) -> Outcome<()> {
    let budget = match arguments {
        [] => fuzz::Budget::Time(Duration::from_secs(60)),
        ["--seconds", seconds] => fuzz::Budget::Time(Duration::from_secs(seconds.parse()?)),
        ["--runs", runs] => fuzz::Budget::Runs(runs.parse()?),
        _ => return Err("fuzz takes --seconds N or --runs N".into()),
    };
    tools::require(&[tools::CPP_COMPILER], tools::Install::WhenAllowed)?;
    fuzz::run(budget, &processes::Interrupt::install()?)
}

fn plant_faults(arguments: &[&str]) -> Outcome<()> {
    let mut options = faults::Options { only: None, seeds: faults::SEEDS };
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match (*argument, rest.next()) {
            ("--only", Some(name)) => options.only = Some((*name).to_owned()),
            ("--seeds", Some(seeds)) => options.seeds = seeds.parse()?,
            _ => return Err("faults takes --only NAME and --seeds N".into()),
        }
    }
    faults::run(&options)
}

fn count_instructions(arguments: &[&str]) -> Outcome<()> {
    let authz = match arguments.first() {
        None => return instructions::verification::run(false),
        Some(&"--write") => return instructions::verification::run(true),
        Some(&"gateway") => false,
        Some(&"authz") => true,
        _ => return Err("instructions takes gateway, authz, --write or nothing".into()),
    };
    let path = if authz { "/authz/nginx" } else { "/" };
    let mut options = instructions::door::Options {
        profile: "release".to_owned(),
        authz,
        path: path.to_owned(),
        top: None,
        programs: None,
    };
    let mut rest = arguments.iter().skip(1);
    while let Some(argument) = rest.next() {
        match *argument {
            "--top" => options.top = Some(instructions::door::Costs::Own),
            "--inclusive" => options.top = Some(instructions::door::Costs::Whole),
            "--profile" => options.profile = value(rest.next())?,
            "--path" => options.path = value(rest.next())?,
            "--programs" => options.programs = Some(value(rest.next())?.into()),
            other => return Err(format!("instructions does not know {other}; see cargo xtask help").into()),
        }
    }
    instructions::door::count(&options)
}

fn value(argument: Option<&&str>) -> Outcome<String> {
    argument.map(ToString::to_string).ok_or_else(|| "a value is missing; see cargo xtask help".into())
}
