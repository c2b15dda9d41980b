//! `/usage` and the rows behind it: what an account's keys did in the last day, week or month.

use axum::extract::State;
use axum::response::Response;
use futures_util::stream::{self, StreamExt as _};
use http::StatusCode;
use rndrkit_control::{Error, UsageRange, UsageReport};
use rndrkit_domain::id::KeyId;
use serde::Deserialize;

use super::answer::{self, see_other};
use super::counted;
use super::downloads;
use super::failure::Failure;
use super::form::PageQuery;
use super::settings::{frame, plan_names};
use super::state::DashboardState;
use super::view::frame::Place;
use super::view::usage::{Nothing, NothingNext, RangeLink, UsageContent, UsagePage, UsageSection};
use super::visitor::SignedIn;
use crate::http::csv;

/// What is asked for, as texts that nobody has looked at.
#[derive(Deserialize, Default)]
pub(super) struct Asked {
    #[serde(default)]
    range: String,
    #[serde(default)]
    key: String,
}

impl Asked {
    /// The range; a week when none that we know is named.
    pub(super) fn range(&self) -> UsageRange {
        UsageRange::parse(&self.range).unwrap_or(UsageRange::Week)
    }

    /// The key; a text that is no id names nobody's key.
    fn key(&self) -> Result<Option<KeyId>, Failure> {
        match self.key.as_str() {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| Error::NotFound.into()),
        }
    }
}

pub(super) async fn show(
    State(state): State<DashboardState>,
    who: SignedIn,
    PageQuery(asked): PageQuery<Asked>,
) -> Result<Response, Failure> {
    let range = asked.range();
    if let Some(id) = asked.key()? {
        return Ok(see_other(&format!("/settings/api-keys/{id}?range={}", range.word())));
    }
    let report = known(state.control().usage_report(&who.context, who.account.id, range).await)?;
    let next = match &report {
        Some(report) if counted::is_nothing(report) => Some(next_step(&state, &who, report).await?),
        _ => None,
    };
    let place = Place::Usage;
    let plan_name = report.as_ref().map_or_else(|| who.account.plan.to_string(), |it| it.plan.name.clone());
    let status = status(report.as_ref());
    let usage = section(report.as_ref(), range, "/usage", None, next)?;
    let frame = frame(&state, place, &who.account, &plan_name);
    Ok(answer::page(status, &UsagePage { frame, usage }))
}

/// `GET /usage.csv`: of the account, or of one key.
pub(super) async fn download(
    State(state): State<DashboardState>,
    who: SignedIn,
    PageQuery(asked): PageQuery<Asked>,
) -> Result<Response, Failure> {
    let (range, key_id) = (asked.range(), asked.key()?);
    let download = state.downloads().begin(who.account.id)?;
    let rows = state.control().usage_rows(&who.context, who.account.id, key_id, range).await?;
    let name = match key_id {
        Some(id) => format!("usage-{id}-{}.csv", range.word()),
        None => format!("usage-{}.csv", range.word()),
    };
    let table = async move {
        let table = move || csv::table(counted::rows_to_take_away(range, &rows));
        downloads::aside(move || table().map_err(|cause| Failure::internal(&cause.to_string()))).await
    };
    download.answer(&name, csv::CONTENT_TYPE, stream::once(table).boxed()).await
}

/// A report, or that it cannot be read now.
pub(super) fn known(report: Result<UsageReport, Error>) -> Result<Option<UsageReport>, Failure> {
    match report {
        Ok(report) => Ok(Some(report)),
        Err(error @ Error::Unavailable(_)) => {
            tracing::warn!(%error, "usage cannot be shown");
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// What we do not know is 503, though the rest of the page is there.
pub(super) fn status(report: Option<&UsageReport>) -> StatusCode {
    if report.is_some() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

/// A range with the ways to the others, on the page at `path`. `next` says what to do when there is nothing.
pub(super) fn section(
    report: Option<&UsageReport>,
    range: UsageRange,
    path: &str,
    one_key: Option<KeyId>,
    next: Option<NothingNext>,
) -> Result<UsageSection, Failure> {
    let address = |range: UsageRange| format!("{path}?range={}", range.word());
    let content = match (report, next) {
        (None, _) => UsageContent::Unavailable(address(range)),
        (Some(_), Some(next)) => {
            let sentence = format!("No requests in the {}.", counted::span_in_words(range));
            UsageContent::Nothing(Nothing { sentence, next })
        }
        (Some(report), None) => UsageContent::Counted(Box::new(
            counted::shown(report, one_key.is_some()).map_err(|cause| Failure::internal(&cause.0))?,
        )),
    };
    let csv = match one_key {
        Some(id) => format!("/usage.csv?range={}&key={id}", range.word()),
        None => format!("/usage.csv?range={}", range.word()),
    };
    let ranges = UsageRange::ALL.into_iter().map(|one| RangeLink {
        label: counted::label(one),
        address: address(one),
        current: one == range,
    });
    Ok(UsageSection {
        title: counted::title(range),
        ranges: ranges.collect(),
        csv,
        one_key: one_key.is_some(),
        content,
    })
}

/// What to do where an account's keys have asked for nothing.
async fn next_step(
    state: &DashboardState,
    who: &SignedIn,
    report: &UsageReport,
) -> Result<NothingNext, Failure> {
    if !report.plan.api_access {
        let names = plan_names(&state.control().list_plans().await?);
        return Ok(NothingNext::Upgrade(without_access(&report.plan.name, &names.with_access)));
    }
    let keys = state.control().key_overview(&who.context, &who.account).await?;
    Ok(if keys.active.is_empty() { NothingNext::CreateKey } else { NothingNext::Call(state.sample()) })
}

/// That a plan has no API access, and which have it.
pub(super) fn without_access(plan: &str, plans_with_access: &str) -> String {
    let lacks = format!("The {plan} plan does not include API access.");
    if plans_with_access.is_empty() {
        lacks
    } else {
        format!("{lacks} API keys are available on the {plans_with_access}.")
    }
}
