//! Instructions of one request to a listener of the running product, by thread and function.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{out_file, total};
use crate::bench::build;
use crate::bench::installation::{Built, Installation, Wish};
use crate::bench::load::{self, Load};
use crate::bench::peers::Peers;
use crate::bench::pinned::{Core, Running};
use crate::processes::{Interrupt, run_quietly};
use crate::report::{Outcome, grouped, say};
use crate::tools::{self, Install};

/// Keys in rotation.
const KEYS: u32 = 1_000;
/// Requests before counting: every key twice, so that caches, pools and connections are there.
const WARM_UP: u64 = 2_000;
/// Requests counted.
const COUNTED: u64 = 10_000;
/// Functions shown of the profile.
const TOP: usize = 40;

/// What a function is shown with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Costs {
    /// What it took by itself.
    Own,
    /// With everything that it called.
    Whole,
}

/// What is counted.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// The workspace's profile.
    pub(crate) profile: String,
    /// Ask the forward-auth listener instead of the gateway.
    pub(crate) authz: bool,
    /// The path to ask for.
    pub(crate) path: String,
    /// Show the functions that take the most.
    pub(crate) top: Option<Costs>,
    /// A folder with both programs, instead of building them.
    pub(crate) programs: Option<PathBuf>,
}

/// Counts the instructions of one request to a door.
pub(crate) fn count(options: &Options) -> Outcome<()> {
    let interrupt = Interrupt::install()?;
    tools::require(&[tools::VALGRIND, tools::NGINX, tools::TASKSET], Install::WhenAllowed)?;
    let built = build::build(&options.profile, options.programs.as_deref())?;
    let folder = tempfile::Builder::new().prefix("rndrkit-count-").tempdir()?;
    let peers = Peers { folder: folder.path(), helper: &built.helper, interrupt: &interrupt };
    let upstream = peers.upstream()?;
    let wish = Wish { keys: KEYS, upstream: upstream.port, settings: String::new() };
    let installation = Installation::make(&folder.path().join("rndrkit"), &built, &wish, &interrupt)?;
    let counted = folder.path().join("callgrind");
    let mut command = Core::Server.command("valgrind");
    command
        .args(["--quiet", "--tool=callgrind", "--separate-threads=yes"])
        .arg(out_file(&counted))
        .arg(&built.rndrkit);
    say("starting rndrkit below valgrind");
    let mut running = installation.start(&mut command, &interrupt)?;
    let port = if options.authz { installation.authz } else { installation.gateway };
    let ask = |requests| ask(&built, &installation, port, &options.path, requests);
    ask(WARM_UP)?;
    control(&mut running, "--zero")?;
    let answers = ask(COUNTED)?;
    control(&mut running, "--dump")?;
    drop(running);
    let dumps = dumps(folder.path())?;
    // The requests are parsed where they are worked on; other threads write counts, watch the feed and rest.
    let (workers, aside): (Vec<_>, Vec<_>) = dumps.iter().partition(|dump| dump.text.contains("httparse::"));
    let each = |some: &[&Dump]| grouped(some.iter().map(|dump| dump.total).sum::<u64>() / answers.max(1));
    println!(
        "{} instructions a request, and {} aside, mostly for what is written once in a while ({} requests, {})",
        each(&workers),
        each(&aside),
        grouped(answers),
        options.profile
    );
    if let Some(costs) = options.top {
        for dump in workers {
            print!("{}", top(&dump.file, costs)?);
        }
    }
    Ok(())
}

/// Sends that many requests; the number of answers, which is a little more.
fn ask(built: &Built, installation: &Installation, port: u16, path: &str, requests: u64) -> Outcome<u64> {
    let more = ["--connections", "16", "--requests", &requests.to_string()].map(str::to_owned).to_vec();
    let sample = load::run(&built.helper, &Load { port, path, keys: &installation.keys, more })?;
    if sample.bad > 0.0 {
        return Err(format!("{} of {} answers were not 200", sample.bad, sample.requests).into());
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of answers")]
    Ok(sample.requests as u64)
}

/// Sets the counters to zero, or writes them to a file of their own.
fn control(running: &mut Running, order: &str) -> Outcome<()> {
    run_quietly(Command::new("callgrind_control").arg(order).arg(running.id().to_string()))
}

/// What one thread did between zero and dump.
struct Dump {
    file: PathBuf,
    text: String,
    total: u64,
}

/// Callgrind numbers what is dumped on order, and the threads: `callgrind.1-03`. What it writes at the end has no `.1`.
fn dumps(folder: &Path) -> Outcome<Vec<Dump>> {
    let mut dumps = Vec::new();
    for file in std::fs::read_dir(folder)?.flatten().map(|entry| entry.path()) {
        if file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("callgrind.1-")) {
            let (text, total) = (std::fs::read_to_string(&file)?, total(&file)?);
            dumps.push(Dump { file, text, total });
        }
    }
    if dumps.is_empty() { Err("callgrind has written nothing".into()) } else { Ok(dumps) }
}

/// The functions that took the most, one a line.
fn top(file: &Path, costs: Costs) -> Outcome<String> {
    let inclusive = if costs == Costs::Whole { "--inclusive=yes" } else { "--inclusive=no" };
    let output = Command::new("callgrind_annotate")
        .args(["--auto=no", inclusive, "--threshold=100"])
        .arg(file)
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let functions = text.lines().skip_while(|line| !line.contains("file:function")).skip(2);
    // What was on the stack when counting began is shown with all of it.
    let functions = functions.filter(|line| !line.contains("(100.0%)")).take(TOP);
    Ok(functions.fold(String::new(), |all, line| all + line + "\n"))
}
