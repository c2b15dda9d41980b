//! The threads that serve connections: each runs one runtime of its own, and a connection stays where it was put.
//!
//! Work never moves between them, so what a worker pools (connections to upstreams) needs no lock that another
//! waits for. Deliberately absent: accepting, which one task does for all workers (`serve`).

use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::watch;

/// How long a stopped worker waits for what cannot be interrupted: a look-up of a host name, say.
const LEFTOVERS: Duration = Duration::from_secs(1);

/// Who serves connections. Cheap to clone; all clones are the same workers.
#[derive(Clone)]
pub struct Workers(Arc<Seats>);

/// Never empty.
struct Seats {
    first: Seat,
    others: Vec<Seat>,
}

struct Seat {
    number: usize,
    runtime: Handle,
    /// Connections that it serves now, of all listeners.
    open: Arc<AtomicUsize>,
}

impl Seat {
    fn new(number: usize, runtime: Handle) -> Self {
        Self { number, runtime, open: Arc::default() }
    }

    fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

impl Workers {
    /// One worker, number 0: the runtime that this is called in. What tests want, and who has one core.
    ///
    /// # Panics
    ///
    /// Outside of a runtime.
    #[must_use]
    pub fn here() -> Self {
        Self(Arc::new(Seats { first: Seat::new(0, Handle::current()), others: Vec::new() }))
    }

    /// A place at the worker with the fewest connections.
    pub(crate) fn take_place(&self) -> Place {
        let Seats { first, others } = self.0.as_ref();
        let least =
            others.iter().fold(first, |least, seat| if seat.open() < least.open() { seat } else { least });
        least.open.fetch_add(1, Ordering::Relaxed);
        Place { worker: least.number, runtime: least.runtime.clone(), open: least.open.clone() }
    }
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workers").field("count", &(1 + self.0.others.len())).finish()
    }
}

/// A connection's place at a worker, counted while it is kept.
pub(crate) struct Place {
    /// The worker's number, counted from 0.
    pub(crate) worker: usize,
    runtime: Handle,
    open: Arc<AtomicUsize>,
}

impl Place {
    /// What starts tasks on this worker. A task that panics ends alone.
    pub(crate) fn spawner(&self) -> Handle {
        self.runtime.clone()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Running threads, one for each worker. Dropping this ends them, and every connection with them.
#[derive(Debug)]
pub struct WorkerThreads {
    workers: Workers,
    threads: Vec<thread::JoinHandle<()>>,
    stop: watch::Sender<bool>,
}

impl WorkerThreads {
    /// As many workers as the machine lets this process run at once.
    #[must_use]
    pub fn suitable_count() -> NonZeroUsize {
        thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
    }

    /// Starts the threads.
    pub fn start(count: NonZeroUsize) -> io::Result<Self> {
        let (stop, stopping) = watch::channel(false);
        let mut threads = Vec::with_capacity(count.get());
        let first = start_one(0, &stopping, &mut threads)?;
        let others = (1..count.get())
            .map(|number| start_one(number, &stopping, &mut threads))
            .collect::<io::Result<Vec<_>>>()?;
        Ok(Self { workers: Workers(Arc::new(Seats { first, others })), threads, stop })
    }

    /// The workers, for [`serve`](crate::serve()).
    #[must_use]
    pub fn workers(&self) -> Workers {
        self.workers.clone()
    }

    /// Ends the threads, with whatever still runs on them, and waits until they are gone.
    pub async fn stop(self) {
        let Self { threads, stop, .. } = self;
        stop.send_replace(true);
        let joined = tokio::task::spawn_blocking(move || {
            for thread in threads {
                if thread.join().is_err() {
                    tracing::error!("a worker thread of the data plane had panicked");
                }
            }
        });
        if let Err(error) = joined.await {
            tracing::error!(%error, "the worker threads of the data plane could not be awaited");
        }
    }
}

fn start_one(
    number: usize,
    stopping: &watch::Receiver<bool>,
    threads: &mut Vec<thread::JoinHandle<()>>,
) -> io::Result<Seat> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let seat = Seat::new(number, runtime.handle().clone());
    let stopped = until_stopped(stopping.clone());
    let thread = thread::Builder::new().name(format!("rndrkit-data-{number}")).spawn(move || {
        runtime.block_on(stopped);
        runtime.shutdown_timeout(LEFTOVERS);
    })?;
    threads.push(thread);
    Ok(seat)
}

async fn until_stopped(mut stopping: watch::Receiver<bool>) {
    // An error means that the owner of the threads is gone.
    let _ = stopping.wait_for(|stop| *stop).await;
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    async fn name_of_thread(place: &Place) -> String {
        let (say, said) = oneshot::channel();
        place.spawner().spawn(async move {
            let _ = say.send(thread::current().name().unwrap_or_default().to_owned());
        });
        said.await.unwrap()
    }

    #[tokio::test]
    async fn a_connection_goes_to_the_worker_that_has_the_fewest() {
        let threads = WorkerThreads::start(NonZeroUsize::new(3).unwrap()).unwrap();
        let workers = threads.workers();
        let mut places: Vec<Place> = (0..6).map(|_| workers.take_place()).collect();
        let numbers: Vec<usize> = places.iter().map(|place| place.worker).collect();
        assert_eq!(numbers, [0, 1, 2, 0, 1, 2]);
        drop(places.remove(4));
        assert_eq!(workers.take_place().worker, 1);
        assert_eq!(name_of_thread(&places[2]).await, "rndrkit-data-2");
        threads.stop().await;
    }

    #[tokio::test]
    async fn a_task_that_panics_ends_alone() {
        let threads = WorkerThreads::start(NonZeroUsize::MIN).unwrap();
        let place = threads.workers().take_place();
        let panicking = place.spawner().spawn(async { panic!("the test says so") });
        assert!(panicking.await.is_err());
        assert_eq!(name_of_thread(&place).await, "rndrkit-data-0");
        threads.stop().await;
    }

    #[tokio::test]
    async fn stopping_ends_what_runs_and_waits_for_the_threads() {
        let threads = WorkerThreads::start(NonZeroUsize::MIN).unwrap();
        let (held, released) = oneshot::channel::<()>();
        threads.workers().take_place().spawner().spawn(async move {
            let _held = held;
            std::future::pending::<()>().await;
        });
        threads.stop().await;
        assert!(released.await.is_err());
    }
}
