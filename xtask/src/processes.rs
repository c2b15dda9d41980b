//! Child processes that never outlive the task: each has a process group of its own, which is ended when
//! its owner is dropped, on Ctrl-C, and (Linux) when this process is killed.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::report::{Outcome, now};

/// How often a running child and the interrupt are looked at.
const POLL: Duration = Duration::from_millis(20);
/// How long a child may take to stop when asked politely. PostgreSQL writes its last checkpoint in this time.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// Cargo, as a shell would call it. What cargo tells the programs that it runs, this one too, names a package; build
/// scripts that look at such names would run again, and everything above them would be built again.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new("cargo");
    for (name, _) in std::env::vars_os() {
        let told = name
            .to_str()
            .is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"));
        if told {
            command.env_remove(name);
        }
    }
    command
}

/// Whether somebody asked this process to stop.
#[derive(Debug, Clone)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From now on Ctrl-C and polite kills are noted here, so that what was started is stopped first.
    pub(crate) fn install() -> Outcome<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&flag))?;
        }
        Ok(Self(flag))
    }

    /// An error once somebody asked to stop.
    pub(crate) fn check(&self) -> Outcome<()> {
        if self.0.load(Ordering::Relaxed) { Err("interrupted".into()) } else { Ok(()) }
    }
}

/// A child with its process group, ended when dropped.
#[derive(Debug)]
pub(crate) struct Group {
    child: Child,
    stop_signal: Signal,
}

impl Group {
    /// Starts the command as the leader of a new process group.
    pub(crate) fn spawn(command: &mut Command) -> Outcome<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let child =
            command.process_group(0).spawn().map_err(|error| format!("cannot start {name}: {error}"))?;
        Ok(Self { child, stop_signal: Signal::TERM })
    }

    /// Asks for the end with another signal than `SIGTERM`.
    pub(crate) fn stop_with(mut self, signal: Signal) -> Self {
        self.stop_signal = signal;
        self
    }

    /// The child, to take its pipes from.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Waits for the end. An interrupt is an error; dropping the group then ends it.
    pub(crate) fn wait(&mut self, interrupt: &Interrupt) -> Outcome<ExitStatus> {
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            interrupt.check()?;
            thread::sleep(POLL);
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // A group that is gone already is what we want.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(self.stop_signal);
        let deadline = now() + STOP_PATIENCE;
        while matches!(self.child.try_wait(), Ok(None)) && now() < deadline {
            thread::sleep(POLL);
        }
        // Also the grandchildren that a child which has ended left behind.
        self.signal(Signal::KILL);
        let _ = self.child.wait();
    }
}

/// Runs a command to its end and hands every line of its standard output to `on_line`.
pub(crate) fn run_by_line(
    command: &mut Command,
    interrupt: &Interrupt,
    mut on_line: impl FnMut(&str) + Send + 'static,
) -> Outcome<ExitStatus> {
    let mut group = Group::spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()))?;
    let output = group.child().stdout.take().ok_or("the child has no standard output")?;
    let reader = thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            on_line(&String::from_utf8_lossy(&line));
        }
    });
    let status = group.wait(interrupt)?;
    // Ends grandchildren that would keep the pipe open, and with it the reader.
    drop(group);
    reader.join().map_err(|_| "the reader of the output panicked")?;
    Ok(status)
}

/// Runs a quiet command; its output is shown only when it fails.
pub(crate) fn run_quietly(command: &mut Command) -> Outcome<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output =
        command.stdin(Stdio::null()).output().map_err(|error| format!("cannot start {name}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(format!("{name}: {}\n{}", output.status, String::from_utf8_lossy(&said)).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interrupt() -> Interrupt {
        Interrupt(Arc::new(AtomicBool::new(false)))
    }

    fn is_running(pid: &str) -> bool {
        // A process that has ended but was not waited for yet counts as ended.
        std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
    }

    #[test]
    fn dropping_a_group_ends_its_grandchildren() {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 300 & echo $!; wait"]).stdout(Stdio::piped());
        let mut group = Group::spawn(&mut command).unwrap();
        let mut line = String::new();
        BufReader::new(group.child().stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(is_running(line.trim()));
        drop(group);
        let deadline = now() + STOP_PATIENCE;
        while is_running(line.trim()) && now() < deadline {
            thread::sleep(POLL);
        }
        assert!(!is_running(line.trim()));
    }

    #[test]
    fn an_interrupt_ends_the_wait_with_an_error() {
        let interrupt = interrupt();
        let mut group = Group::spawn(Command::new("sleep").arg("300")).unwrap();
        interrupt.0.store(true, Ordering::Relaxed);
        assert_eq!(group.wait(&interrupt).unwrap_err().to_string(), "interrupted");
    }

    #[test]
    fn lines_and_the_exit_status_come_back() {
        let (sender, lines) = std::sync::mpsc::channel();
        let mut command = Command::new("sh");
        command.args(["-c", "echo one; echo two; exit 3"]);
        let status =
            run_by_line(&mut command, &interrupt(), move |line| sender.send(line.to_owned()).unwrap());
        assert_eq!(status.unwrap().code(), Some(3));
        assert_eq!(lines.into_iter().collect::<Vec<_>>(), ["one", "two"]);
    }
}
