//! Programs that are measured: bound to one core, their CPU time read from the kernel.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::processes::{Group, Interrupt};
use crate::report::{Outcome, now};

/// How long a program may take to answer. A server with a million keys, or one below valgrind, needs a while.
const START_PATIENCE: Duration = Duration::from_secs(120);
/// How often it is tried.
const POLL: Duration = Duration::from_millis(2);

/// Where a program runs. What is measured has the first core for itself, what measures it the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Core {
    /// What is measured, with the helpers that are counted to it.
    Server,
    /// The load and the upstream.
    Load,
}

impl Core {
    const fn number(self) -> &'static str {
        match self {
            Self::Server => "0",
            Self::Load => "1",
        }
    }

    /// `program`, bound to this core, ended by the kernel if this task is killed.
    pub(crate) fn command(self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig=TERM", "--", "taskset", "-c", self.number()]).arg(program.as_ref());
        command
    }
}

/// A started program.
#[derive(Debug)]
pub(crate) struct Running {
    group: Group,
    /// Where it listens.
    pub(crate) port: u16,
}

impl Running {
    /// Starts it, with what it says in `log`, and waits until it takes connections.
    pub(crate) fn start(
        command: &mut Command,
        port: u16,
        log: &Path,
        interrupt: &Interrupt,
    ) -> Outcome<Self> {
        let mut running = Self::spawn(command, port, log)?;
        running.until(interrupt, log, || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok())?;
        Ok(running)
    }

    /// Starts it without waiting.
    pub(crate) fn spawn(command: &mut Command, port: u16, log: &Path) -> Outcome<Self> {
        let output = File::create(log)?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        Ok(Self { group: Group::spawn(command)?, port })
    }

    /// Waits until `ready` says so; an error with the log's end when the program ends first.
    pub(crate) fn until(
        &mut self,
        interrupt: &Interrupt,
        log: &Path,
        mut ready: impl FnMut() -> bool,
    ) -> Outcome<()> {
        let deadline = now() + START_PATIENCE;
        while now() < deadline {
            interrupt.check()?;
            if let Some(status) = self.group.child().try_wait()? {
                let said = fs::read_to_string(log).unwrap_or_default();
                return Err(format!("it ended ({status}) instead of listening:\n{said}").into());
            }
            if ready() {
                return Ok(());
            }
            thread::sleep(POLL);
        }
        Err(format!("it does not answer on port {}; see {}", self.port, log.display()).into())
    }

    /// Its process id.
    pub(crate) fn id(&mut self) -> u32 {
        self.group.child().id()
    }
}

/// CPU time of a process and all that it started, in clock ticks: in user space, and in the kernel for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct CpuTicks {
    pub(crate) user: u64,
    pub(crate) system: u64,
}

/// Ticks of a second in `/proc`. Linux shows this number to programs whatever the kernel's own is.
pub(crate) const TICKS_PER_SECOND: u64 = 100;

/// What these processes and their descendants have used so far.
pub(crate) fn cpu_ticks(roots: &[u32]) -> CpuTicks {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    let mut used = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        let Some((parent, ticks)) = read_stat(&stat) else { continue };
        children.entry(parent).or_default().push(id);
        used.insert(id, ticks);
    }
    let (mut sum, mut left) = (CpuTicks::default(), roots.to_vec());
    while let Some(id) = left.pop() {
        let ticks = used.get(&id).copied().unwrap_or_default();
        sum = CpuTicks { user: sum.user + ticks.user, system: sum.system + ticks.system };
        left.extend(children.get(&id).into_iter().flatten());
    }
    sum
}

/// The parent and the times in `/proc/<id>/stat` (proc(5)). The name, in brackets, may hold anything.
fn read_stat(stat: &str) -> Option<(u32, CpuTicks)> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |place: usize| fields.get(place)?.parse::<u64>().ok();
    Some((u32::try_from(number(1)?).ok()?, CpuTicks { user: number(11)?, system: number(12)? }))
}

/// A port that nothing listens on right now.
pub(crate) fn free_port() -> Outcome<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// The status of one plain `GET`, or `None` when nobody answers.
pub(crate) fn get_status(port: u16, path: &str, header: &str) -> Option<u16> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n{header}Connection: close\r\n\r\n").ok()?;
    let mut answer = Vec::new();
    // A reset after the answer changes nothing about it.
    let _ = stream.read_to_end(&mut answer);
    std::str::from_utf8(answer.get(9..12)?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_any_name() {
        let stat = "77 (a) b) S 5 77 77 0 -1 4194560 1 2 3 4 150 30 0 0 20 0 1 0 99 1 1";
        assert_eq!(read_stat(stat), Some((5, CpuTicks { user: 150, system: 30 })));
        assert_eq!(read_stat("77"), None);
    }

    #[test]
    fn a_process_is_counted_with_its_children() {
        let own = cpu_ticks(&[std::process::id()]);
        let all = cpu_ticks(&[1, std::process::id()]);
        assert!(all.user >= own.user && all.system >= own.system);
    }
}
