//! The reserved tree (`/api/rk/`): judged here, answered by the control plane behind an opaque service.

use http::{Method, Request, Response};
use hyper::body::Incoming;
use rndrkit_api::error::ErrorCode;
use rndrkit_domain::decision::{Decision, Denial};

use crate::body::EdgeBody;
use crate::edge::{Edge, Exchange, Fallback};
use crate::meters::Door;
use crate::observe::Presented;
use crate::problem;

/// Below the reserved tree: ends the key that is sent.
const SELF_DELETE: &str = "keys/self";

/// Judges a request to the reserved tree, and passes it on with the [`Decision`] beside it.
pub(crate) async fn serve(
    edge: &Edge,
    exchange: &Exchange,
    fallback: Fallback,
    mut request: Request<Incoming>,
) -> Response<EdgeBody> {
    let ends_itself = request.method() == Method::DELETE
        && request.uri().path().strip_prefix(edge.options.own_path.as_str()) == Some(SELF_DELETE);
    // A key must be able to end itself whatever its budget is, so that takes nothing from it.
    let cost = u32::from(!ends_itself);
    let client = exchange.client.info.ip;
    let judged = edge.decide(Door::Own, request.headers(), client, cost).await;
    // What a key is refused and does all the same is not a refusal.
    let is_let_through = |decision: &Decision| match decision {
        Decision::Denied { denial, caller, .. } => {
            ends_itself && caller.is_some() && may_still_end_itself(*denial)
        }
        Decision::Allowed { .. } => true,
    };
    let ends = ends_itself && is_let_through(&judged.verified.decision);
    if !ends {
        let asked = (request.method(), request.uri().path());
        let presented = Presented::directly(exchange.request_id, client, cost, asked, request.headers());
        edge.note(Door::Own, &judged, &presented);
    }
    if let Some(taken_from) = judged.taken_from {
        taken_from.remove(request.headers_mut());
    }
    let decision = judged.verified.decision;
    if let Decision::Denied { denial, budget, .. } = &decision
        && !is_let_through(&decision)
    {
        return exchange.deny(edge, *denial, judged.detail, budget.as_ref());
    }
    let budget = problem::budget_of(&decision).copied();
    let own_path = edge.options.own_path.as_str();
    // Whoever answers takes paths as they are spelled: `/api/%72k/` would be a page of the dashboard there.
    let mut response = if request.uri().path().starts_with(own_path) {
        request.extensions_mut().insert(decision);
        exchange.pass_on(fallback, request).await
    } else {
        let detail = format!("There is no such path. Spell it {own_path}…, without percent signs.");
        exchange.refuse(edge, ErrorCode::NotFound, detail)
    };
    if let Some(budget) = budget {
        problem::set_rate_limit(response.headers_mut(), &budget);
    }
    response
}

/// Whether a denial is about what the account may do now, and not about the key.
const fn may_still_end_itself(denial: Denial) -> bool {
    matches!(denial, Denial::AccountSuspended | Denial::PlanRequired | Denial::RateLimited)
}
