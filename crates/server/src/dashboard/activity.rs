//! `/activity`: the account's own part of the audit log.

use std::fmt::Write as _;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use rndrkit_control::{
    Activity, ActivityChoices, ActivityKind, ActivityNames, ActivityPage as Page, ActivityQuery,
    ChainedEvent, Cursor, Error, MAX_FILE_EVENTS, Person, Principal,
};
use rndrkit_domain::audit::StoredEvent;
use rndrkit_domain::time::Timestamp;
use serde::Deserialize;

use super::answer;
use super::failure::Failure;
use super::form::PageQuery;
use super::return_to::encoded;
use super::settings::frame;
use super::state::DashboardState;
use super::view::activity::{ActivityList, ActivityPage, ActivityRow, Choice, FilterForm};
use super::view::activity_words::{self, Facts, Part};
use super::view::browser_words::browser;
use super::view::frame::Place;
use super::view::words;
use super::visitor::SignedIn;

const DAY: Duration = Duration::from_secs(86_400);
const NO_DAY: &str = "Write days like 2026-11-23.";
const DAYS_CROSSED: &str = "The first day is after the last one. Exchange them.";
/// The words of [`Person`] in addresses, beside the ids of people.
const PEOPLE: [(&str, Person); 3] =
    [("operator", Person::Operator), ("itself", Person::Itself), ("key", Person::KeyHolder)];

/// The form as sent, and where a page begins.
#[derive(Deserialize, Default, Clone)]
#[serde(default)]
pub(super) struct Asked {
    kind: String,
    key: String,
    person: String,
    from: String,
    to: String,
    /// Events older than this place.
    older: String,
    /// Events newer than this place.
    newer: String,
}

impl Asked {
    /// The filter, and what is wrong about its days. What does not read filters nothing.
    pub(super) fn query(&self) -> (ActivityQuery, Option<&'static str>) {
        let (from, from_ok) = day(&self.from);
        let (last, to_ok) = day(&self.to);
        let crossed = from.zip(last).is_some_and(|(from, last)| from > last);
        let problem = match (from_ok && to_ok, crossed) {
            (false, _) => Some(NO_DAY),
            (_, true) => Some(DAYS_CROSSED),
            _ => None,
        };
        let word = PEOPLE.iter().find(|(word, _)| *word == self.person).map(|(_, person)| *person);
        let query = ActivityQuery {
            kind: ActivityKind::parse(&self.kind),
            key: self.key.parse().ok(),
            person: word.or_else(|| self.person.parse().ok().map(Person::User)),
            from,
            until: last.map(|day| day.plus(DAY)),
        };
        (query, problem)
    }

    fn page(&self) -> Page {
        match (self.older.parse(), self.newer.parse()) {
            (Ok(cursor), _) => Page::Older(cursor),
            (_, Ok(cursor)) => Page::Newer(cursor),
            _ => Page::Newest,
        }
    }

    /// An address with the same filters, at another place.
    fn address(&self, path: &str, place: Option<(&str, &str)>) -> String {
        let chosen = [
            ("kind", self.kind.as_str()),
            ("key", self.key.as_str()),
            ("person", self.person.as_str()),
            ("from", self.from.as_str()),
            ("to", self.to.as_str()),
        ];
        let mut address = path.to_owned();
        for (name, value) in chosen.into_iter().chain(place).filter(|(_, value)| !value.is_empty()) {
            let mark = if address.len() == path.len() { '?' } else { '&' };
            let _infallible = write!(address, "{mark}{name}={}", encoded(value));
        }
        address
    }
}

/// The moment at which a UTC day begins, and whether the text was one, or empty.
fn day(text: &str) -> (Option<Timestamp>, bool) {
    let shape_ok = text.len() == "2026-11-23".len() && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    let read = shape_ok.then(|| format!("{text}T00:00:00Z").parse().ok()).flatten();
    (read, text.is_empty() || read.is_some())
}

pub(super) async fn show(
    State(state): State<DashboardState>,
    who: SignedIn,
    PageQuery(asked): PageQuery<Asked>,
) -> Result<Response, Failure> {
    let (query, problem) = asked.query();
    let control = state.control();
    let account = who.account.id;
    let (found, status) = match control.account_activity(&who.context, account, &query, asked.page()).await {
        Ok(found) => (Some(found), StatusCode::OK),
        Err(Error::Unavailable(cause)) => {
            tracing::warn!(cause, "activity cannot be listed");
            (None, StatusCode::SERVICE_UNAVAILABLE)
        }
        Err(error) => return Err(error.into()),
    };
    // Without what one can choose from, the list is still worth showing.
    let choices = control.activity_choices(&who.context, account).await.unwrap_or_default();
    let plan = who.account.plan.to_string();
    let plan_name = found.as_ref().and_then(|found| found.names.plans.get(&plan).cloned()).unwrap_or(plan);
    let place = |name, cursor: &Option<Cursor>| {
        cursor.as_ref().map(|cursor| asked.address("/activity", Some((name, &cursor.to_string()))))
    };
    let (newer, older) = found
        .as_ref()
        .map(|found| (place("newer", &found.newer), place("older", &found.older)))
        .unwrap_or_default();
    let list = match &found {
        Some(found) => ActivityList::Known(rows(&state, &who, found)),
        None => ActivityList::Unavailable(asked.address("/activity", None)),
    };
    let view = ActivityPage {
        frame: frame(&state, Place::Activity, &who.account, &plan_name),
        list,
        filter: filter_form(&state, &asked, &query, problem, &choices),
        newer,
        older,
        csv: asked.address("/activity.csv", None),
        json: asked.address("/activity.json", None),
        file_events: words::grouped(MAX_FILE_EVENTS.into()),
    };
    Ok(answer::page(status, &view))
}

fn rows(state: &DashboardState, who: &SignedIn, found: &Activity) -> Vec<ActivityRow> {
    let now = state.control().now();
    let row = |chained: &ChainedEvent| {
        let event = &chained.event;
        ActivityRow {
            what: sentence(state, who, event, &found.names),
            at: words::past(now, event.at),
            address: event.ip.clone(),
            client: event.user_agent.as_ref().map(|full| (browser(full), full.clone())),
            request_id: event.request_id.clone(),
        }
    };
    found.events.iter().map(row).collect()
}

/// What happened, for the person who reads.
pub(super) fn sentence(
    state: &DashboardState,
    who: &SignedIn,
    event: &StoredEvent,
    names: &ActivityNames,
) -> Vec<Part> {
    let reader = match &who.context.principal {
        Principal::User { user: Some(user), .. } => Some(user.id.to_string()),
        _ => None,
    };
    let key = key_id(event).and_then(|id| names.keys.get(&id)).map(ToString::to_string);
    let person = event.target_id.parse().ok().and_then(|id| names.users.get(&id)).map(ToString::to_string);
    let plan = |id: &str| names.plans.get(id).cloned().unwrap_or_else(|| id.to_owned());
    let facts = Facts {
        brand: state.brand(),
        reader: reader.as_deref(),
        key: key.as_deref(),
        person: person.as_deref(),
        plan: &plan,
    };
    activity_words::sentence(event, &facts)
}

/// The key that an event is about.
pub(super) fn key_id(event: &StoredEvent) -> Option<rndrkit_domain::id::KeyId> {
    event.target_id.parse().ok()
}

fn filter_form(
    state: &DashboardState,
    asked: &Asked,
    query: &ActivityQuery,
    problem: Option<&'static str>,
    choices: &ActivityChoices,
) -> FilterForm {
    let choice = |value: String, label: String, chosen: bool| Choice { value, label, chosen };
    let all = |label: &str, chosen: bool| choice(String::new(), label.to_owned(), chosen);
    let mut kinds = vec![all("Everything", query.kind.is_none())];
    kinds.extend(
        ActivityKind::ALL.map(|kind| {
            choice(kind.as_str().to_owned(), kind_label(kind).to_owned(), query.kind == Some(kind))
        }),
    );
    let mut keys = vec![all("All keys", query.key.is_none())];
    keys.extend(
        choices
            .keys
            .iter()
            .map(|(id, name)| choice(id.to_string(), name.to_string(), query.key == Some(*id))),
    );
    let mut people = vec![all("Everybody", query.person.is_none())];
    people.extend(choices.users.iter().map(|(id, email)| {
        choice(id.to_string(), email.to_string(), query.person == Some(Person::User(*id)))
    }));
    people.extend(PEOPLE.map(|(word, person)| {
        let label = match person {
            Person::Operator => activity_words::operator(state.brand()),
            Person::KeyHolder => "Somebody with a key’s secret".to_owned(),
            Person::Itself | Person::User(_) => state.brand().to_owned(),
        };
        choice(word.to_owned(), label, query.person == Some(person))
    }));
    FilterForm {
        kinds,
        keys,
        people,
        from: asked.from.clone(),
        to: asked.to.clone(),
        problem: problem.map(str::to_owned),
        active: *query != ActivityQuery::default() || problem.is_some(),
    }
}

const fn kind_label(kind: ActivityKind) -> &'static str {
    match kind {
        ActivityKind::Keys => "API keys",
        ActivityKind::SignIns => "Sign-ins and passwords",
        ActivityKind::Account => "Account",
        ActivityKind::Plan => "Plan and limits",
        ActivityKind::Notifications => "Notifications",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_read_whole_and_what_is_none_filters_nothing() {
        let asked =
            |from: &str, to: &str| Asked { from: from.to_owned(), to: to.to_owned(), ..Asked::default() };
        let (query, problem) = asked("2026-11-23", "2026-11-23").query();
        assert_eq!(problem, None);
        assert_eq!(query.until.unwrap().since(query.from.unwrap()), DAY);
        assert_eq!(asked("", "").query(), (ActivityQuery::default(), None));
        for bad in ["yesterday", "2026-13-40", "2026-11-23T00:00:00Z", "２０２６-11-23"] {
            assert_eq!(asked(bad, "").query(), (ActivityQuery::default(), Some(NO_DAY)), "{bad}");
        }
        assert_eq!(asked("2026-11-24", "2026-11-23").query().1, Some(DAYS_CROSSED));
    }

    #[test]
    fn filters_stay_from_page_to_page_and_are_encoded() {
        let asked = Asked { kind: "keys".to_owned(), person: "a&b".to_owned(), ..Asked::default() };
        let address = asked.address("/activity", Some(("older", "abc")));
        assert_eq!(address, "/activity?kind=keys&person=a%26b&older=abc");
        assert_eq!(Asked::default().address("/activity.csv", None), "/activity.csv");
    }
}
