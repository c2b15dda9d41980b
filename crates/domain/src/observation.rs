//! What the data plane notes beside counting: who last presented a secret, from which networks a key is used,
//! when a secret was in use, and what a refusal was judged by. Personal: it goes when its account is deleted.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use crate::account::AccountStatus;
use crate::decision::Denial;
use crate::id::{AccountId, KeyId, RequestId};
use crate::key_text::{BODY_CHARS, CHECKSUM_CHARS, Digest, MASK_CHARS};
use crate::plan::{PlanId, RateLimit};
use crate::rotation::USE_LOOKED_BACK;
use crate::text::is_trickery;
use crate::time::Timestamp;

/// Networks of a key are kept by stretches of this length: "within an hour" is then off by ten minutes at most.
pub const NETWORK_SLOT: Duration = Duration::from_secs(600);
/// Use of a secret is kept by stretches of this length.
pub const SECRET_HOUR: Duration = Duration::from_secs(3_600);
/// How long it is kept from which networks keys were used.
pub const NETWORKS_KEPT_FOR: Duration = Duration::from_secs(48 * 3_600);
/// How long it is kept when secrets were in use.
pub const SECRET_HOURS_KEPT_FOR: Duration = USE_LOOKED_BACK;
/// How long refusals are kept.
pub const REFUSALS_KEPT_FOR: Duration = Duration::from_secs(7 * 86_400);
/// How long it is kept who last presented a secret, after that.
pub const SIGHTINGS_KEPT_FOR: Duration = Duration::from_secs(90 * 86_400);
/// The most that is kept of what a client says about itself, in characters.
pub const MAX_USER_AGENT_CHARS: usize = 256;
/// The most that is kept of a path, in characters: enough to tell one call from another.
pub const MAX_PATH_CHARS: usize = 512;
/// The most that is kept of a method, in characters.
pub const MAX_METHOD_CHARS: usize = 32;
/// Letters and digits of a secret after its prefix.
const SECRET_CHARS: usize = BODY_CHARS + CHECKSUM_CHARS;
/// Refusals that are kept of an account.
pub const REFUSALS_KEPT: usize = 200;

/// The last time that somebody presented a secret which was active.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// Which secret.
    pub digest: Digest,
    /// Its key.
    pub key_id: KeyId,
    /// The key's account.
    pub account_id: AccountId,
    /// When.
    pub at: Timestamp,
    /// From where, if that is known.
    pub ip: Option<IpAddr>,
    /// What the client said it was; cleaned by [`clean`].
    pub user_agent: Option<String>,
}

/// In which way a request was asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Door {
    /// It came through the gateway.
    Gateway,
    /// A proxy asked.
    ForwardAuth,
    /// A service asked.
    Verify,
    /// It was one of our own calls.
    OwnCalls,
}

impl Door {
    /// Every door.
    pub const ALL: [Self; 4] = [Self::Gateway, Self::ForwardAuth, Self::Verify, Self::OwnCalls];

    /// The word in the database and on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::ForwardAuth => "forward_auth",
            Self::Verify => "verify",
            Self::OwnCalls => "own_calls",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|door| door.as_str() == text)
    }
}

/// The budget as a refusal met it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BucketFacts {
    /// The plan's figures at that moment.
    pub limit: RateLimit,
    /// Whole requests in the bucket when the request came.
    pub before: u32,
    /// Whole requests in it afterwards. A refused request takes nothing, so that this is the same.
    pub after: u32,
    /// Seconds until one more request fits, as the answer said.
    pub retry_after_seconds: u64,
    /// Several nodes share the budget: then `before` and `after` are what this node held of it.
    pub shared: bool,
}

/// What a refusal was judged by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusalFacts {
    /// How it was asked about.
    pub door: Door,
    /// The request's method, if it is known.
    pub method: Option<String>,
    /// The request's path, never with its query, if it is known.
    pub path: Option<String>,
    /// The account's plan at that moment.
    pub plan: PlanId,
    /// The plan's name, if it is known.
    pub plan_name: Option<String>,
    /// Whether the plan had API access. `None`: the decision ended before that was looked at.
    pub api_access: Option<bool>,
    /// The account's status. `None`: the decision ended before that was looked at.
    pub account_status: Option<AccountStatus>,
    /// Requests that it asked for.
    pub cost: u32,
    /// The budget. `None`: the decision ended before it was looked at.
    pub bucket: Option<BucketFacts>,
}

impl RefusalFacts {
    /// What the order of a decision says about plan and account, given where it ended.
    #[must_use]
    pub const fn judged(denial: Denial) -> (Option<bool>, Option<AccountStatus>) {
        match denial {
            Denial::AccountSuspended => (None, Some(AccountStatus::Suspended)),
            Denial::PlanRequired => (Some(false), Some(AccountStatus::Active)),
            Denial::RateLimited => (Some(true), Some(AccountStatus::Active)),
            _ => (None, None),
        }
    }
}

/// A refused request whose secret is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The request, as its answer named it.
    pub request_id: RequestId,
    /// Whose key.
    pub account_id: AccountId,
    /// The key.
    pub key_id: KeyId,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub code: Denial,
    /// What it was judged by.
    pub facts: RefusalFacts,
    /// From where, if that is known.
    pub ip: Option<IpAddr>,
    /// What the client said it was; cleaned by [`clean`].
    pub user_agent: Option<String>,
}

/// When a secret was in use within one hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecretHour {
    /// Which secret.
    pub digest: Digest,
    /// Where the hour begins.
    pub hour: Timestamp,
    /// The first use that was noted in it.
    pub first_at: Timestamp,
    /// The last one.
    pub last_at: Timestamp,
    /// The longest time between two that were noted, never shorter than the real pause: use is noted every few
    /// seconds, by its last moment. The pause from hour to hour is the reader's to find.
    pub longest_pause: Duration,
}

/// The network that an address belongs to: the /24 of IPv4, the /48 of IPv6.
#[must_use]
pub fn network_of(ip: IpAddr) -> String {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            format!("{}/24", Ipv4Addr::new(a, b, c, 0))
        }
        IpAddr::V6(ip) => {
            let [a, b, c, ..] = ip.segments();
            format!("{}/48", Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0))
        }
    }
}

/// A text from outside, fit to be kept and shown: without control characters and characters that change how others
/// are read, without what looks like a secret, and not longer than that.
#[must_use]
pub fn clean(text: &str, max_chars: usize) -> String {
    // A little more than is kept, so that a secret at the end is seen whole.
    let looked_at = max_chars.saturating_add(SECRET_CHARS);
    let text: String = text.chars().filter(|c| !is_trickery(*c)).take(looked_at).collect();
    without_secrets(&text).chars().take(max_chars).collect()
}

/// Leaves of each text that looks like a secret what a mask shows of it: somebody may have put a key into a path, or
/// into the name of their client. An underscore, as it stands or as `%5F`, and 32 letters and digits or more.
fn without_secrets(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, from)) =
        rest.find(|c: char| c.is_ascii_alphanumeric()).map(|at| rest.split_at(at))
    {
        shown.push_str(before);
        let end = from.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(from.len());
        let (run, after) = from.split_at(end);
        match masked(&shown, run) {
            Some(part) => shown.extend([part, "…"]),
            None => shown.push_str(run),
        }
        rest = after;
    }
    shown.push_str(rest);
    shown
}

/// What is shown of letters and digits that come after `before`, when they look like the end of a secret.
fn masked<'a>(before: &str, run: &'a str) -> Option<&'a str> {
    const ENCODED: &str = "5f";
    let follows_encoded = before.ends_with('%')
        && run.get(..ENCODED.len()).is_some_and(|code| code.eq_ignore_ascii_case(ENCODED));
    let code = if follows_encoded { ENCODED.len() } else { 0 };
    let is_secret = (follows_encoded || before.ends_with('_')) && run.len() >= code + SECRET_CHARS;
    is_secret.then(|| run.get(..code + MASK_CHARS)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_network_are_told_from_others() {
        let network = |ip: &str| network_of(ip.parse().unwrap());
        assert_eq!(network("192.0.2.7"), "192.0.2.0/24");
        assert_eq!(network("192.0.2.255"), "192.0.2.0/24");
        assert_eq!(network("::ffff:192.0.2.7"), "192.0.2.0/24");
        assert_eq!(network("192.0.3.7"), "192.0.3.0/24");
        assert_eq!(network("2001:db8:1:ffff::9"), "2001:db8:1::/48");
        assert_eq!(network("2001:db8:2::9"), "2001:db8:2::/48");
    }

    #[test]
    fn what_clients_say_is_cut_and_cannot_play_tricks() {
        assert_eq!(clean("curl/8\r\n\u{202e}evil\0", 256), "curl/8evil");
        assert_eq!(clean(&"ä".repeat(300), 256).chars().count(), 256);
    }

    #[test]
    fn a_secret_that_somebody_put_into_a_path_or_a_client_is_not_kept() {
        let body = "Ab3Xyz0123".repeat(3) + "Zz";
        for (text, kept) in [
            (format!("/v1/rk_live_{body}/things"), "/v1/rk_live_Ab3X…/things"),
            (format!("curl rk_live_{body}"), "curl rk_live_Ab3X…"),
            (format!("/v1/rk%5Flive%5f{body}/things"), "/v1/rk%5Flive%5fAb3X…/things"),
            (format!("rk_live_{body}rk_live_{body}"), "rk_live_Ab3X…_live_Ab3X…"),
            ("/renders/req_01jd3n8q4w6x9y2z5b7c0d1e2f".to_owned(), "/renders/req_01jd3n8q4w6x9y2z5b7c0d1e2f"),
            (format!("/files/{body}"), &format!("/files/{body}")),
        ] {
            assert_eq!(clean(&text, 512), kept, "{text}");
        }
        // Cut in its middle, nothing more of it is there than of a whole one.
        let cut = clean(&format!("{}_{body}", "x".repeat(240)), 256);
        assert_eq!(cut, format!("{}_Ab3X…", "x".repeat(240)));
        assert_eq!(clean(&cut, 256), cut);
    }

    #[test]
    fn words_of_doors_read_back() {
        for door in Door::ALL {
            assert_eq!(Door::parse(door.as_str()), Some(door));
        }
        assert_eq!(Door::parse("window"), None);
    }
}
