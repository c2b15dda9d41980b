//! Connections that ask without a pause, and what they were answered.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::bad::Bad;
use crate::wire::Wire;
use crate::world::{World, client, question};

/// All of them together; a tenth is a whole number.
pub const CONNECTIONS: usize = 60;
/// How long one turn takes.
const TURN: Duration = Duration::from_secs(2);

/// Which way a decision is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    Authz,
    Gateway,
}

impl Door {
    pub const ALL: [Self; 2] = [Self::Authz, Self::Gateway];

    pub fn name(self) -> &'static str {
        match self {
            Self::Authz => "authz",
            Self::Gateway => "gateway",
        }
    }

    fn address(self, world: &World) -> SocketAddr {
        match self {
            Self::Authz => world.server.internal,
            Self::Gateway => world.server.public,
        }
    }

    fn request(self, client: std::net::IpAddr, secret: &str) -> Vec<u8> {
        match self {
            Self::Authz => question(client, secret),
            Self::Gateway => format!(
                "GET /api/x HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: {client}\r\nX-Api-Key: {secret}\r\n\r\n"
            )
            .into_bytes(),
        }
    }
}

/// How good and bad requests share the connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// All are good.
    Peace,
    /// A tenth of the connections is good.
    Apart,
    /// A tenth of each connection's requests is good.
    Mixed,
}

impl Share {
    fn is_good(self, connection: usize, request: usize) -> bool {
        match self {
            Self::Peace => true,
            Self::Apart => connection.is_multiple_of(10),
            Self::Mixed => (connection + request).is_multiple_of(10),
        }
    }
}

/// Answers a second.
#[derive(Debug, Clone, Copy, Default)]
pub struct Turn {
    pub good: f64,
    /// With 401, 429 and 503.
    pub refused: [f64; 3],
}

impl Turn {
    fn count(&mut self, good: bool, status: u16) {
        match (good, status) {
            (true, 200) => self.good += 1.0,
            (false, 401) => self.refused[0] += 1.0,
            (false, 429) => self.refused[1] += 1.0,
            (false, 503) => self.refused[2] += 1.0,
            other => panic!("whether good, and what it was answered: {other:?}"),
        }
    }

    pub fn bad(&self) -> f64 {
        self.refused.iter().sum()
    }

    /// Asks for a while.
    pub async fn run(world: &World, door: Door, share: Share, bad: &Arc<Mutex<Bad>>) -> Self {
        let counted = Arc::new(Mutex::new(Self::default()));
        let begun = Instant::now();
        let mut connections = JoinSet::new();
        for number in 0..CONNECTIONS {
            let connection = Connection {
                number,
                door,
                share,
                address: door.address(world),
                good: Arc::clone(&world.good),
                bad: Arc::clone(bad),
                counted: Arc::clone(&counted),
            };
            connections.spawn(connection.ask_until(begun + TURN));
        }
        while let Some(connection) = connections.join_next().await {
            connection.unwrap();
        }
        let seconds = begun.elapsed().as_secs_f64();
        let counted = *counted.lock().unwrap();
        Self { good: counted.good / seconds, refused: counted.refused.map(|count| count / seconds) }
    }
}

struct Connection {
    number: usize,
    door: Door,
    share: Share,
    address: SocketAddr,
    good: Arc<Vec<String>>,
    // One thread asks, so that nobody waits for these.
    bad: Arc<Mutex<Bad>>,
    counted: Arc<Mutex<Turn>>,
}

impl Connection {
    async fn ask_until(self, end: Instant) {
        let mut wire = Wire::open(self.address).await.unwrap();
        let mut request = 0;
        while Instant::now() < end {
            let good = self.share.is_good(self.number, request);
            let bytes = if good {
                let secret = &self.good[(self.number + request) % self.good.len()];
                self.door.request(client(self.number), secret)
            } else {
                let mut bad = self.bad.lock().unwrap();
                let (client, secret) = bad.next();
                self.door.request(client, secret)
            };
            request += 1;
            let status = wire.ask(&bytes).await.unwrap().status;
            self.counted.lock().unwrap().count(good, status);
        }
    }
}
