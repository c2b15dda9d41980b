//! Small things that every test needs which starts a process: a port for it, and its end.

#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    clippy::disallowed_methods,
    reason = "a set-up that fails must end the test, and real processes need the real clock"
)]

use std::net::{SocketAddr, TcpListener};
use std::process::Child;
use std::time::{Duration, Instant};

/// How long a process may take to start or to end on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// An address whose port was free a moment ago.
#[must_use]
pub fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Waits for a process to end by itself; its exit code, none when it had to be killed.
#[must_use]
pub fn wait_for_end(mut child: Child) -> Option<i32> {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let _ = child.kill();
    let _ = child.wait();
    None
}
