//! The bad keys, and from where they come.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::world::{World, unknown};

/// What the flood consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    UnknownOne,
    UnknownMany,
    UnknownEndless,
    Malformed,
    Revoked,
}

impl Kind {
    pub const ALL: [Self; 5] =
        [Self::UnknownOne, Self::UnknownMany, Self::UnknownEndless, Self::Malformed, Self::Revoked];

    pub fn name(self) -> &'static str {
        match self {
            Self::UnknownOne => "unknown-one",
            Self::UnknownMany => "unknown-many",
            Self::UnknownEndless => "unknown-endless",
            Self::Malformed => "malformed",
            Self::Revoked => "revoked",
        }
    }

    pub fn described(self) -> &'static str {
        match self {
            Self::UnknownOne => "unknown, one address",
            Self::UnknownMany => "unknown, 1,000 addresses that nobody has seen before",
            Self::UnknownEndless => "unknown, another address each time",
            Self::Malformed => "malformed",
            Self::Revoked => "revoked",
        }
    }
}

/// Texts made before the clock runs: more than a server remembers, so that none is answered from memory.
const UNKNOWN: usize = 200_000;
const MANY: u64 = 1_000;

/// Gives out bad keys and addresses.
pub struct Bad {
    kind: Kind,
    unknown: Vec<String>,
    malformed: Vec<String>,
    revoked: Vec<String>,
    given: usize,
    /// Raised with each turn: a server remembers an address for a minute.
    turn: u64,
}

impl Bad {
    pub fn new(world: &World) -> Self {
        let unknown: Vec<_> = (0..UNKNOWN).map(|_| unknown()).collect();
        // The right length and prefix, one character off.
        let malformed = unknown.iter().take(1_000).map(|text| {
            let last = if text.ends_with('0') { "1" } else { "0" };
            format!("{}{last}", &text[..text.len() - 1])
        });
        let malformed = malformed.collect();
        Self { kind: Kind::Revoked, unknown, malformed, revoked: world.revoked.clone(), given: 0, turn: 0 }
    }

    pub fn begin(&mut self, kind: Kind) {
        self.kind = kind;
        self.turn += 1;
    }

    pub fn next(&mut self) -> (IpAddr, &str) {
        self.given += 1;
        let number = self.given as u64;
        let one = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));
        let client = match self.kind {
            Kind::UnknownOne | Kind::Malformed | Kind::Revoked => one,
            Kind::UnknownMany => block(self.turn, number % MANY),
            Kind::UnknownEndless => block(u64::MAX, number),
        };
        let texts = match self.kind {
            Kind::UnknownOne | Kind::UnknownMany | Kind::UnknownEndless => &self.unknown,
            Kind::Malformed => &self.malformed,
            Kind::Revoked => &self.revoked,
        };
        (client, &texts[self.given % texts.len()])
    }
}

/// An address in a /64 of its own.
fn block(group: u64, number: u64) -> IpAddr {
    let group = u128::from(group & 0xffff) << 96;
    IpAddr::V6(Ipv6Addr::from_bits(0x2001 << 112 | group | u128::from(number & 0xffff_ffff) << 64 | 1))
}
