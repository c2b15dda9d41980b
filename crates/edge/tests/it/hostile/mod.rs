//! Bad input and faults: raw bytes on one side, an upstream that records or misbehaves on the other.
//!
//! What is known to go wrong with gateways, and where it is tried; the other half of each is with forward auth.
//!
//! | pitfall | tried here by |
//! |---|---|
//! | an identity header in another spelling | `identity` |
//! | two credentials, or two in one | `identity` |
//! | forwarded headers of a stranger | `identity` |
//! | one request that two servers cut apart at different places | `smuggling`, `chunks`, `frames` |
//! | one path that two servers read differently | `paths` |
//! | one request that spends twice, because it is sent twice | `upstreams` |
//! | methods and upgrades that are not like other requests | `smuggling`, `vanishing` |
//! | heads, bodies and readers without an end | `bounds`, `vanishing` |
//! | upstreams that break the protocol | `upstreams` |
//! | what is left behind by all of this | `leaks` |

mod bounds;
mod chunks;
mod client;
mod faulty;
mod frames;
mod identity;
mod leaks;
mod logs;
mod paths;
mod recorder;
mod smuggling;
mod trial;
mod upstreams;
mod vanishing;

use std::time::Duration;

use rndrkit_edge::{EdgeOptions, Limits, Route};

use crate::world::World;

/// Which way requests take to their upstream. Each case is tried on both.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// The one that is meant for them.
    Usual,
    /// The one that is meant for unusual ones.
    General,
}

impl Way {
    /// What the data plane is told for a route `/api/` to an upstream.
    fn lead(self, options: &mut EdgeOptions, upstream: http::Uri) {
        options.routes = vec![Route::new("/api/", upstream)];
        options.only_general_upstream = matches!(self, Self::General);
    }
}

/// Makes two tests of each function.
macro_rules! on_both_ways {
    ($($name:ident),* $(,)?) => {
        mod usual {
            $(#[tokio::test] async fn $name() { super::$name(super::Way::Usual).await; })*
        }
        mod general {
            $(#[tokio::test] async fn $name() { super::$name(super::Way::General).await; })*
        }
    };
}
use on_both_ways;

/// A route `/api/` to an upstream.
async fn world(way: Way, upstream: http::Uri) -> World {
    World::with(|options| way.lead(options, upstream)).await
}

/// The same, with short patience for whatever stands still.
async fn impatient(way: Way, upstream: http::Uri) -> World {
    let longest = Duration::from_millis(400);
    World::with(|options| {
        way.lead(options, upstream);
        options.limits = Limits {
            header_timeout: longest,
            body_stall: longest,
            connect_timeout: longest,
            // Later than the body, so that it is clear who was waited for.
            response_timeout: 2 * longest,
            stream_idle: longest,
            write_stall: longest,
            ..Limits::default()
        };
    })
    .await
}
