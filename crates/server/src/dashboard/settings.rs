//! `GET /settings`, and the parts that other pages share with it: the frame and the section *API Keys*.

use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use rndrkit_control::{Confirmation, Error, Hints, KeyOverview, RotationUse};
use rndrkit_domain::account::{Account, AccountStatus};
use rndrkit_domain::id::KeyId;
use rndrkit_domain::key::{ApiKey, RevokedReason};
use rndrkit_domain::key_text;
use rndrkit_domain::plan::Plan;
use rndrkit_domain::time::Timestamp;
use serde::Deserialize;

use super::account::{self, AccountExtra};
use super::answer;
use super::assets;
use super::failure::Failure;
use super::form::PageQuery;
use super::notifications;
use super::state::DashboardState;
use super::told;
use super::view::frame::{Frame, Notice, Place, Tone};
use super::view::hints::HintLine;
use super::view::keys::{
    CreateForm, KeyList, KeyRow, KeysSection, KnownKeys, LastUsed, Locked, PastKeyRow, RepeatedCreate,
    Revealed,
};
use super::view::rotation::{OldSecret, RotateForm};
use super::view::settings::SettingsPage;
use super::view::words;
use super::visitor::SignedIn;

/// Characters of a form's one-time number: 131 random bits.
const FORM_ID_CHARS: usize = 22;

/// What another page's form has just done. Each is checked against what is, and then put into words.
#[derive(Deserialize, Default)]
pub(super) struct Done {
    #[serde(default)]
    deleted: String,
    #[serde(default)]
    ended: String,
    #[serde(default)]
    changed: String,
    #[serde(default)]
    saved: String,
    #[serde(default)]
    updated: String,
}

pub(super) async fn show(
    State(state): State<DashboardState>,
    who: SignedIn,
    PageQuery(done): PageQuery<Done>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let keys = [&done.deleted, &done.ended];
    let subject = keys.into_iter().find(|id| !id.is_empty()).map_or(told::PLAN, String::as_str);
    let who_follows = told::take(&headers, state.is_https(), subject);
    let account = AccountExtra::told(&headers, state.is_https(), &done.changed);
    draw(&state, &who, StatusCode::OK, Extra { done, who_follows, account, ..Extra::default() }).await
}

/// The address of the form, opened as a page (after signing in again, say).
pub(super) async fn to_section() -> Response {
    answer::see_other("/settings#api-keys")
}

/// What an answer shows beside the state of things.
#[derive(Default)]
pub(super) struct Extra {
    pub(super) done: Done,
    /// Who acts on what was done.
    pub(super) who_follows: Option<Confirmation>,
    pub(super) created: Option<Revealed>,
    pub(super) repeated: Option<RepeatedCreate>,
    pub(super) notice: Option<Notice>,
    /// What the section *Account* shows beside that.
    pub(super) account: AccountExtra,
}

/// Draws the settings as they are now.
pub(super) async fn draw(
    state: &DashboardState,
    who: &SignedIn,
    status: StatusCode,
    extra: Extra,
) -> Result<Response, Failure> {
    // None of the three sections needs another: they are read side by side.
    let saved = extra.done.saved == "notifications";
    let (read, notifications, account) = tokio::join!(
        state.control().key_overview_with_hints(&who.context, &who.account),
        notifications::section(state, who, saved),
        account::section(state, who, extra.account),
    );
    let read = match read {
        Ok(overview) => Some(overview),
        // A new secret is shown whatever else fails: there is no second chance.
        Err(error) if extra.created.is_some() || matches!(error, Error::Unavailable(_)) => {
            tracing::warn!(%error, "keys cannot be listed");
            None
        }
        Err(error) => return Err(error.into()),
    };
    let (overview, hints) = read.unzip();
    let status = match (&overview, &extra.created) {
        (None, None) => StatusCode::SERVICE_UNAVAILABLE,
        _ => status,
    };
    let plan_name =
        overview.as_ref().map_or_else(|| who.account.plan.to_string(), |known| known.plan.name.clone());
    let frame = frame(state, Place::Settings, &who.account, &plan_name);
    let done =
        overview.as_ref().and_then(|known| done_notice(known, &extra.done, extra.who_follows.as_ref()));
    let mut keys = section(state, who, overview, &hints.unwrap_or_default()).await;
    keys.notices.extend(extra.notice.into_iter().chain(done));
    (keys.created, keys.repeated) = (extra.created, extra.repeated);
    let view = SettingsPage { frame, keys, notifications, account };
    Ok(answer::page(status, &view))
}

/// The frame of a signed-in page.
pub(super) fn frame(state: &DashboardState, place: Place, account: &Account, plan_name: &str) -> Frame {
    let suspended = (account.status == AccountStatus::Suspended).then(|| Notice {
        tone: Tone::Danger,
        title: "This account is suspended.".to_owned(),
        text: format!(
            "Its API keys answer 403 until whoever runs {} resumes it. Nothing was deleted, and you can still \
             delete keys.",
            state.brand()
        ) });
    Frame {
        brand: state.brand().to_owned(),
        place,
        account_name: account.name.to_string(),
        plan_name: plan_name.to_owned(),
        notices: suspended.into_iter().collect(),
        assets: assets::urls(),
    }
}

fn done_notice(known: &KeyOverview, done: &Done, who_follows: Option<&Confirmation>) -> Option<Notice> {
    let good = |title: String, text: &str, servers: Option<String>| {
        let text = format!("{text} {}", servers.unwrap_or_default()).trim_end().to_owned();
        Notice { tone: Tone::Good, title, text }
    };
    if let Ok(id) = done.deleted.parse::<KeyId>() {
        let key = known.past.iter().find(|key| key.id == id && key.revoked.is_some())?;
        let text = "Requests with it get 401 Unauthorized from now on.";
        return Some(good(format!("{} was deleted.", key.name), text, who_follows.map(words::refused)));
    }
    if let Ok(id) = done.updated.parse::<KeyId>() {
        let key = known.active.iter().find(|key| key.id == id)?;
        let text = match &key.environment {
            Some(environment) => format!("Its environment is {environment}."),
            None => "It has no environment.".to_owned(),
        };
        return Some(good(format!("{} is saved.", key.name), &text, None));
    }
    if let Ok(id) = done.ended.parse::<KeyId>() {
        let key = known.active.iter().find(|key| key.id == id && key.previous.is_none())?;
        let text = "Requests with it get 401 Unauthorized from now on; the new one works.";
        let title = format!("The old secret of {} was ended.", key.name);
        return Some(good(title, text, who_follows.map(words::refused)));
    }
    let text = if known.plan.api_access {
        "It includes API access.".to_owned()
    } else {
        format!("It does not include API access. {}", resting(known.active.len())).trim_end().to_owned()
    };
    (done.changed == "plan").then(|| {
        good(format!("You are on the {} plan now.", known.plan.name), &text, who_follows.map(words::in_force))
    })
}

/// What has become of this many keys on a plan without API access; empty when there are none.
pub(super) fn resting(keys: usize) -> String {
    match keys {
        0 => String::new(),
        1 => "Your key answers 403 now, until you are back on a plan with API access.".to_owned(),
        _ => format!("Your {keys} keys answer 403 now, until you are back on a plan with API access."),
    }
}

async fn section(
    state: &DashboardState,
    who: &SignedIn,
    overview: Option<KeyOverview>,
    hints: &Hints,
) -> KeysSection {
    let form = CreateForm { form_id: new_form_id(state), ..CreateForm::default() };
    let (list, locked) = match overview {
        None => (KeyList::Unavailable, None),
        Some(known) => {
            // Without the other plans' names the page still says what this plan lacks.
            let plans = if known.plan.api_access {
                Vec::new()
            } else {
                state.control().list_plans().await.unwrap_or_default()
            };
            let locked = (!known.plan.api_access).then(|| locked(&known.plan, &plans));
            let uses = rotation_uses(state, who, &known.active).await;
            let mut keys = known_keys(&known, hints, &uses, state);
            keys.suspended = who.account.status == AccountStatus::Suspended;
            (KeyList::Known(keys), locked)
        }
    };
    KeysSection {
        list,
        locked,
        created: None,
        repeated: None,
        notices: Vec::new(),
        form,
        rotate_form: RotateForm::fresh(new_form_id(state)),
        sample: state.sample(),
    }
}

/// A one-time number for the form *Create API Key*.
pub(super) fn new_form_id(state: &DashboardState) -> String {
    let mut id = String::new();
    key_text::push_random_base62(&mut id, FORM_ID_CHARS, state.entropy());
    id
}

/// Plans with and without API access, in words: `Agency and Agency+ plans`, `Starter or Pro`.
pub(super) struct PlanNames {
    pub(super) with_access: String,
    pub(super) without_access: String,
}

pub(super) fn plan_names(plans: &[Plan]) -> PlanNames {
    let named = |access: bool| -> Vec<&str> {
        plans.iter().filter(|plan| plan.api_access == access).map(|plan| plan.name.as_str()).collect()
    };
    let with_access = named(true);
    let noun = match with_access.len() {
        0 => "",
        1 => " plan",
        _ => " plans",
    };
    PlanNames {
        with_access: words::list(&with_access, "and") + noun,
        without_access: words::list(&named(false), "or"),
    }
}

fn locked(plan: &Plan, plans: &[Plan]) -> Locked {
    let names = plan_names(plans);
    Locked {
        plan_name: plan.name.clone(),
        plans_with_access: names.with_access,
        plans_without_access: names.without_access,
    }
}

/// Who uses old secrets; without what cannot be read now, and the page says so where it would stand.
pub(super) async fn rotation_uses(
    state: &DashboardState,
    who: &SignedIn,
    keys: &[ApiKey],
) -> Vec<RotationUse> {
    state.control().rotation_uses(&who.context, keys).await.unwrap_or_else(|error| {
        tracing::warn!(%error, "the use of old secrets cannot be read");
        Vec::new()
    })
}

fn known_keys(known: &KeyOverview, hints: &Hints, uses: &[RotationUse], state: &DashboardState) -> KnownKeys {
    let now = state.control().now();
    let active_row = |key: &ApiKey| {
        let hint = hints.of_key(key.id).map(|hint| HintLine::of_key(hint, key.id, &key.name));
        KeyRow { hint, ..row_with_old(key, uses, now) }
    };
    KnownKeys {
        active: known.active.iter().map(active_row).collect(),
        past: known.past.iter().map(|key| past_row(key, now, state.brand())).collect(),
        limit: known.plan.active_keys,
        suspended: false,
        hint: hints.limit.map(|hint| HintLine::of_limit(hint, known.plan.rate_limit)),
    }
}

/// An active key, with its old secret while that works.
pub(super) fn row_with_old(key: &ApiKey, uses: &[RotationUse], now: Timestamp) -> KeyRow {
    KeyRow { old: old_secret(key, uses, now), ..key_row(key, now) }
}

/// The old secret of a key, while it works.
pub(super) fn old_secret(key: &ApiKey, uses: &[RotationUse], now: Timestamp) -> Option<OldSecret> {
    let known = uses.iter().find(|known| known.key_id == key.id);
    key.previous_at(now).map(|old| OldSecret::new(old, known, now))
}

pub(super) fn key_row(key: &ApiKey, now: Timestamp) -> KeyRow {
    KeyRow {
        id: key.id.to_string(),
        name: key.name.to_string(),
        environment: key.environment.as_ref().map(ToString::to_string),
        mask: key.mask.to_string(),
        created: words::day(key.created_at),
        last_used: last_used(key, now),
        expires: key.expires_at.map(|end| words::expiry(now, end)),
        hint: None,
        old: None,
    }
}

pub(super) fn last_used(key: &ApiKey, now: Timestamp) -> LastUsed {
    match key.last_used_at {
        None => LastUsed::Never,
        Some(at) => LastUsed::At(words::past(now, at)),
    }
}

/// When a past key ended, and who ended it and why.
pub(super) fn ended(key: &ApiKey, now: Timestamp, brand: &str) -> (Timestamp, String) {
    match key.revoked {
        Some((at, RevokedReason::User)) => (at, "Deleted in the dashboard".to_owned()),
        Some((at, RevokedReason::Operator)) => (at, format!("Deleted by whoever runs {brand}")),
        Some((at, RevokedReason::Holder)) => (at, "Ended by someone who had the key".to_owned()),
        Some((at, RevokedReason::AccountDeleted)) => (at, "The account was deleted".to_owned()),
        None => (key.expires_at.unwrap_or(now), "Reached its expiry date".to_owned()),
    }
}

fn past_row(key: &ApiKey, now: Timestamp, brand: &str) -> PastKeyRow {
    let (ended, reason) = ended(key, now, brand);
    PastKeyRow {
        id: key.id.to_string(),
        name: key.name.to_string(),
        environment: key.environment.as_ref().map(ToString::to_string),
        mask: key.mask.to_string(),
        created: words::day(key.created_at),
        ended: words::past(now, ended),
        reason,
    }
}
