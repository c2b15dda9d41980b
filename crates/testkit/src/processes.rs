//! Small things that every test needs which starts a process: a port for it, and its end.

#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    clippy::disallowed_methods,
    reason = "a set-up that fails must end the test, and real processes need the real clock"
)]

use std::net::{SocketAddr, TcpListener};
use std::ops::RangeInclusive;
use std::process::Child;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long a process may take to start or to end on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Ports that tests hand out: below those that systems give to whoever asks for any, so that no connection of
/// ours and no other test takes one before its process does.
const PORTS: RangeInclusive<u16> = 12_000..=31_999;

/// An address whose port was free a moment ago, and that this process gives to nobody else.
#[must_use]
pub fn free_address() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let count = u32::try_from(PORTS.len()).unwrap();
    // Processes that run side by side begin far from each other.
    let first = std::process::id().wrapping_mul(7_919);
    for _ in 0..count {
        let offset = first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % count;
        let port = PORTS.start() + u16::try_from(offset).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
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
