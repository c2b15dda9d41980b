//! The data plane: what every listener and every door shares, and what each knows of one request.
//!
//! Everything that is not the data plane's own goes to an opaque service, the [`Fallback`]. Deliberately absent: which part
//! answers which path (`service`).

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

use http::header::{CONNECTION, HeaderMap, HeaderValue};
use http::{Request, Response};
use hyper::body::Incoming;
use rndrkit_api::error::ErrorCode;
use rndrkit_domain::decision::{BudgetState, Decision, Denial};
use rndrkit_domain::id::RequestId;
use rndrkit_domain::key_text::Digest;
use rndrkit_domain::random::Entropy;
use rndrkit_domain::time::{Clock, Monotonic};
use rndrkit_verifier::{Ask, Observations, Verified, Verifier};
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;

use crate::body::EdgeBody;
use crate::client_address::Client;
use crate::connection::Connection;
use crate::credential::{self, Credential, TakenFrom};
use crate::gateway::path::RouteTable;
use crate::gateway::upstream::{Upstream, default_tls};
use crate::meters::{Door, Meters};
use crate::options::{EdgeOptions, Route};
use crate::problem::{self, Wording};

/// The service behind everything that the data plane does not answer itself: dashboard, `/api/rk`, operator API.
///
/// Its requests carry a [`ClientInfo`](rndrkit_domain::client::ClientInfo) and a [`RequestId`] as extensions, and those of the
/// reserved tree a [`Decision`].
pub type Fallback = BoxCloneSyncService<Request<Incoming>, Response<EdgeBody>, Infallible>;

/// What keeps a data plane from being made.
#[derive(Debug, thiserror::Error)]
pub enum EdgeError {
    /// An upstream is not an `http` or `https` origin.
    #[error("the upstream of {path} is not an http or https origin")]
    Upstream {
        /// The route's path.
        path: String,
    },
    /// An `https` upstream is configured, and the machine has no certificates to check it with.
    #[error("the machine's certificates could not be read")]
    Certificates(#[source] std::io::Error),
}

/// The data plane, shared by all listeners.
pub struct Edge {
    pub(crate) options: EdgeOptions,
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) wording: Wording,
    pub(crate) meters: Meters,
    pub(crate) upstream: Upstream,
    pub(crate) entropy: Arc<dyn Entropy>,
    /// What pages are to tell of requests.
    pub(crate) observations: Arc<Observations>,
    /// What `/api` of the public listener leads to.
    pub(crate) public_routes: RouteTable,
    /// What the gateway's own listener leads to.
    pub(crate) gateway_routes: RouteTable,
}

impl Edge {
    /// Prepares a data plane; nothing is bound or connected yet.
    pub fn new(
        options: EdgeOptions,
        verifier: Arc<Verifier>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Arc<Self>, EdgeError> {
        if let Some(route) = options.routes.iter().find(|route| !is_origin(route)) {
            return Err(EdgeError::Upstream { path: route.path.clone() });
        }
        let https = options.routes.iter().any(|route| route.upstream.scheme_str() == Some("https"));
        let tls = match &options.upstream_tls {
            Some(tls) => tls.as_ref().clone(),
            None => default_tls(https).map_err(EdgeError::Certificates)?,
        };
        let own_path = Some(options.own_path.clone());
        let (public_routes, gateway_routes) = if options.separate_gateway {
            (RouteTable::new(own_path, Vec::new()), RouteTable::new(None, options.routes.clone()))
        } else {
            (RouteTable::new(own_path, options.routes.clone()), RouteTable::new(None, Vec::new()))
        };
        Ok(Arc::new(Self {
            wording: Wording::new(&options.public_url, &options.brand_name),
            meters: Meters::new(),
            upstream: Upstream::new(&options, tls),
            options,
            verifier,
            clock,
            entropy,
            observations: Arc::default(),
            public_routes,
            gateway_routes,
        }))
    }

    /// What was noted of requests, for an [`ObservationFlusher`](rndrkit_verifier::ObservationFlusher).
    #[must_use]
    pub const fn observations(&self) -> &Arc<Observations> {
        &self.observations
    }

    /// Whether there is no sign of a key.
    pub(crate) fn carries_no_key(&self, headers: &HeaderMap) -> bool {
        matches!(self.read(headers), Credential::Refused { denial: Denial::MissingKey, .. })
    }

    /// Reads the key of a request and decides on it.
    pub(crate) async fn decide(&self, door: Door, headers: &HeaderMap, client: IpAddr, cost: u32) -> Judged {
        self.judge(door, self.read(headers), Some(client), cost).await
    }

    /// Reads the key of a request. A Bearer token is the upstream's only if no prefix of ours begins it, which
    /// nobody knows before the prefixes are read, and without trust: another may have come meanwhile.
    pub(crate) fn read<'a>(&self, headers: &'a HeaderMap) -> Credential<'a> {
        const UNAVAILABLE: Credential<'static> =
            Credential::Refused { denial: Denial::Unavailable, detail: None };
        let prefixes = self.verifier.prefixes();
        let credential = credential::extract(headers, &prefixes);
        let is_missing = matches!(credential, Credential::Refused { denial: Denial::MissingKey, .. });
        if is_missing && credential::has_bearer(headers) {
            // Trust first, and the prefixes once more after it: those are as new as what trust vouches for.
            let is_trusted = self.verifier.is_trusted();
            let prefixes = self.verifier.prefixes();
            let is_known = is_trusted && !prefixes.is_empty();
            return if is_known { credential::extract(headers, &prefixes) } else { UNAVAILABLE };
        }
        if prefixes.is_empty() { UNAVAILABLE } else { credential }
    }

    /// Decides on a credential, and counts that.
    pub(crate) async fn judge(
        &self,
        door: Door,
        credential: Credential<'_>,
        client: Option<IpAddr>,
        cost: u32,
    ) -> Judged {
        let began = self.clock.monotonic();
        let mut judged = match credential {
            Credential::Key { text, taken_from } => {
                let verified = self.verifier.verify(&Ask { secret: text, cost, client }).await;
                let presented = digest_of(&verified, text);
                Judged { verified, presented, at: began, taken_from: Some(taken_from), detail: None }
            }
            Credential::Refused { denial, detail } => {
                let verified = Verified { decision: Decision::denied(denial), watch: None };
                Judged { verified, presented: None, at: began, taken_from: None, detail }
            }
        };
        judged.at = self.clock.monotonic();
        self.meters.decided(door, &judged.verified.decision, judged.at.since(began));
        judged
    }
}

/// Which secret a decision was about, if it is a known one that has not ended: only such a one moves its last use,
/// and so its last sighting. An admission brings that along; a refusal on account of the account has time for reading
/// the text once more, and a flood of ended secrets costs nothing here.
fn digest_of(verified: &Verified, text: &[u8]) -> Option<Digest> {
    match (&verified.watch, &verified.decision) {
        (Some(watch), _) => Some(*watch.digest()),
        (None, Decision::Denied { denial, caller: Some(_), .. }) if !denial.is_of_ended_secret() => {
            Some(Digest::of_bytes(text))
        }
        _ => None,
    }
}

/// Said of a body that is larger than [`Limits::max_body_bytes`](crate::Limits::max_body_bytes).
pub(crate) const BODY_TOO_LARGE: &str =
    "The request's body is larger than what is passed on. Send it in parts.";

fn is_origin(route: &Route) -> bool {
    let upstream = &route.upstream;
    matches!(upstream.scheme_str(), Some("http" | "https"))
        && upstream.authority().is_some_and(|authority| !authority.as_str().contains('@'))
        && matches!(upstream.path(), "" | "/")
        && upstream.query().is_none()
}

/// A decision, and what was learned on the way to it.
pub(crate) struct Judged {
    /// The decision.
    pub(crate) verified: Verified,
    /// The secret, when it is a known one that has not ended.
    pub(crate) presented: Option<Digest>,
    /// When it was decided.
    pub(crate) at: Monotonic,
    /// Which headers held the key.
    pub(crate) taken_from: Option<TakenFrom>,
    /// What exactly is wrong with the credential's shape.
    pub(crate) detail: Option<&'static str>,
}

/// One request's circumstances.
pub(crate) struct Exchange {
    /// Its name in answers and logs.
    pub(crate) request_id: RequestId,
    /// Who sent it.
    pub(crate) client: Client,
    /// The host that it is meant for.
    pub(crate) host: Option<HeaderValue>,
    /// What it came on.
    pub(crate) connection: Arc<Connection>,
}

impl Exchange {
    /// The answer to a denied request.
    pub(crate) fn deny(
        &self,
        edge: &Edge,
        denial: Denial,
        detail: Option<&str>,
        budget: Option<&BudgetState>,
    ) -> Response<EdgeBody> {
        problem::denied(&edge.wording, denial, detail, budget, self.request_id)
    }

    /// The answer to a request that is refused for another reason than its key.
    pub(crate) fn refuse(
        &self,
        edge: &Edge,
        code: ErrorCode,
        detail: impl Into<String>,
    ) -> Response<EdgeBody> {
        problem::refused(&edge.wording, code, detail, self.request_id)
    }

    /// The same, after which nothing more is read from the connection: where the request ends is not certain.
    pub(crate) fn refuse_and_close(
        &self,
        edge: &Edge,
        code: ErrorCode,
        detail: impl Into<String>,
    ) -> Response<EdgeBody> {
        let mut response = self.refuse(edge, code, detail);
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        response
    }

    /// Has the opaque service answer.
    pub(crate) async fn pass_on(
        &self,
        fallback: Fallback,
        mut request: Request<Incoming>,
    ) -> Response<EdgeBody> {
        request.extensions_mut().insert(self.client.info);
        request.extensions_mut().insert(self.request_id);
        match fallback.oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}
