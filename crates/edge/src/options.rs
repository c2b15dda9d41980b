//! What the data plane is told at start: plain typed values, filled by the binary from its settings.
//!
//! Deliberately absent: reading settings and judging them (the binary does both), and everything that can
//! change while the process runs.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::num::{NonZeroU64, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use ipnet::IpNet;
use rndrkit_domain::key_text::Digest;
use rndrkit_domain::plan::PlanId;

/// Whether a route wants an API key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KeyRule {
    /// A decision is made, and only an admitted request passes.
    #[default]
    Required,
    /// Everybody passes, as nobody: no identity headers are added.
    None,
}

/// Which `Host` the upstream sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HostRule {
    /// The caller's.
    #[default]
    Client,
    /// The upstream's own name.
    Upstream,
}

/// What happens to a CORS preflight without a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PreflightRule {
    /// It is judged like any request: no key, no answer from the upstream.
    #[default]
    Refuse,
    /// It passes, as nobody.
    Pass,
}

/// One upstream behind a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Path prefix, beginning with `/`; matches whole segments only.
    pub path: String,
    /// Scheme and authority; the request's own path and query are sent unchanged.
    pub upstream: Uri,
    /// Whether a key is wanted.
    pub key: KeyRule,
    /// Which `Host` is sent.
    pub host: HostRule,
    /// What happens to a preflight.
    pub preflight: PreflightRule,
}

impl Route {
    /// A route with the defaults: key required, the caller's host, preflights refused.
    #[must_use]
    pub fn new(path: impl Into<String>, upstream: Uri) -> Self {
        Self {
            path: path.into(),
            upstream,
            key: KeyRule::default(),
            host: HostRule::default(),
            preflight: PreflightRule::default(),
        }
    }
}

/// Bounds on what one client, one connection and one upstream may take. `Default` has the product's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections that one listener holds at once, upgraded ones included; further ones wait unaccepted.
    pub max_connections: usize,
    /// Connections that one address (/64 in IPv6) holds at once on one listener; further ones are closed. Trusted
    /// proxies speak for many and have no such bound.
    pub max_connections_per_address: usize,
    /// The largest body of a request that is passed on, in bytes.
    pub max_body_bytes: u64,
    /// Longest time from a connection's readiness to the end of a request's headers. Also how long an idle
    /// connection is kept. A new plain connection has it twice: for the first bytes, which say what it speaks, and
    /// then for the headers; and up to a quarter more, since heads are timed in ticks.
    pub header_timeout: Duration,
    /// Longest time for a TLS handshake.
    pub handshake_timeout: Duration,
    /// How often the TLS files are looked at, to take new ones.
    pub tls_check_interval: Duration,
    /// Longest time in which a client may take none of the bytes that wait for it, and an upstream that has answered
    /// already none of the request's rest. A small body's rest has to be taken whole in that time.
    pub write_stall: Duration,
    /// Longest pause between two pieces of a request's body.
    pub body_stall: Duration,
    /// Longest time in which a caller is waited for in all, while it sends a body of known length. What arrives gives
    /// time back, a second for each [`Self::body_rate`] bytes. Bodies of unknown length are streams, which may say
    /// little for as long as they like; they are watched, and have [`Self::body_stall`] alone.
    pub body_wait: Duration,
    /// Bytes per second of a body that suffice for it to take any time.
    pub body_rate: NonZeroU64,
    /// Longest time to reach an upstream, its TLS handshake included.
    pub connect_timeout: Duration,
    /// Longest time from the end of the request, or of what the upstream takes of it, to its response headers. While
    /// the caller is waited for, it does not run.
    pub response_timeout: Duration,
    /// Longest silence of a response's body or an upgraded connection.
    pub stream_idle: Duration,
    /// How often a watched exchange is judged again without a change, for ends that only time brings.
    pub recheck_interval: Duration,
    /// How long an exchange with an end of its own goes on after its key's: one of known length, or one that
    /// waits for its answer. Upgraded connections, event streams and bodies of unknown length have none.
    pub plain_grace: Duration,
    /// How long a watched exchange goes on at most while this node cannot tell whether its key is good, because
    /// it has lost its database and with it its trust. New requests are refused from the first moment.
    pub untrusted_grace: Duration,
    /// How long a shutdown waits for requests and streams in progress.
    pub shutdown: Duration,
}

/// What the worst mobile lines carry.
const BODY_RATE: NonZeroU64 = NonZeroU64::new(1_024).expect("it is not zero");

impl Default for Limits {
    fn default() -> Self {
        Self {
            // Each costs a descriptor here and one toward the upstream; containers often allow 16 Ki or more.
            max_connections: 8_192,
            // A quarter: one client can be busy, and cannot shut the others out.
            max_connections_per_address: 2_048,
            // Nothing is collected here, so it is the upstream that knows how much it can take. This is what the
            // usual object stores take in one piece.
            max_body_bytes: 5 * 1024 * 1024 * 1024,
            // A head fits in a few packets; the usual 30 s leave room for the worst mobile link.
            header_timeout: Duration::from_secs(30),
            handshake_timeout: Duration::from_secs(10),
            // Two small files; certificates are renewed days ahead.
            tls_check_interval: Duration::from_secs(10),
            write_stall: Duration::from_secs(60),
            body_stall: Duration::from_secs(60),
            // Slower for longer is no line that somebody works over, but a connection that somebody holds.
            body_wait: Duration::from_secs(300),
            body_rate: BODY_RATE,
            connect_timeout: Duration::from_secs(5),
            response_timeout: Duration::from_secs(60),
            // Longer than any usual heartbeat, short enough that dead peers do not fill the table.
            stream_idle: Duration::from_secs(600),
            // A look costs a look into memory, and an expired key keeps a stream for no longer than that.
            recheck_interval: Duration::from_secs(5),
            // Ample for an answer that is nearly there, and too short to be of use to a key that is gone.
            plain_grace: Duration::from_secs(5),
            // Rides out the restart of a database and most fail-overs, so that those do not end every stream
            // of every customer; a key that was deleted meanwhile has its streams no longer than this.
            untrusted_grace: Duration::from_secs(60),
            shutdown: Duration::from_secs(25),
        }
    }
}

/// Finds the name that people know a plan by.
pub type PlanNames = Arc<dyn Fn(&PlanId) -> String + Send + Sync>;

/// Everything that the data plane is told at start.
#[derive(Clone)]
pub struct EdgeOptions {
    /// Where people reach the dashboard, without a final `/`.
    pub public_url: String,
    /// The product's name: the realm of challenges, and in texts.
    pub brand_name: String,
    /// The reserved tree, such as `/api/rk/`; ends with `/`.
    pub own_path: String,
    /// Upstreams by path.
    pub routes: Vec<Route>,
    /// Whether routes live on a listener of their own; the public one then keeps only [`Self::own_path`].
    pub separate_gateway: bool,
    /// Whose forwarded headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether forward auth has a listener of its own; the internal one then does not answer it.
    pub separate_authz: bool,
    /// Who may ask forward auth.
    pub authz_callers: Vec<IpNet>,
    /// Digest of what callers of forward auth send in `X-Rk-Authz-Secret` too, if that is wanted.
    pub authz_secret: Option<Digest>,
    /// Digest of the operator token.
    pub operator_token: Digest,
    /// Names of plans, for answers.
    pub plan_names: PlanNames,
    /// How many workers serve the listeners; each has pools of its own toward the upstreams, and further ones would
    /// share them.
    pub workers: NonZeroUsize,
    /// Bounds.
    pub limits: Limits,
    /// Whether every request takes the general way to its upstream, for tests of that way.
    #[doc(hidden)]
    pub only_general_upstream: bool,
    /// How `https` upstreams are checked; default: TLS 1.2 or later, the machine's own certificates.
    pub upstream_tls: Option<Arc<rustls::ClientConfig>>,
}

impl EdgeOptions {
    /// Options with the product's defaults and no route.
    #[must_use]
    pub fn new(public_url: impl Into<String>, operator_token: Digest) -> Self {
        Self {
            public_url: public_url.into(),
            brand_name: "RndrKit".to_owned(),
            own_path: "/api/rk/".to_owned(),
            routes: Vec::new(),
            separate_gateway: false,
            trusted_proxies: Vec::new(),
            separate_authz: false,
            authz_callers: vec![
                IpNet::from(IpAddr::from([127, 0, 0, 1])),
                IpNet::from(IpAddr::from(Ipv6Addr::LOCALHOST)),
            ],
            authz_secret: None,
            operator_token,
            plan_names: Arc::new(|plan: &PlanId| plan.as_str().to_owned()),
            workers: NonZeroUsize::MIN,
            limits: Limits::default(),
            only_general_upstream: false,
            upstream_tls: None,
        }
    }
}

impl fmt::Debug for EdgeOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EdgeOptions")
            .field("public_url", &self.public_url)
            .field("own_path", &self.own_path)
            .field("routes", &self.routes)
            .field("separate_gateway", &self.separate_gateway)
            .field("trusted_proxies", &self.trusted_proxies)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
