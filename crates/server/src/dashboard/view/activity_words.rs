//! What happened, as a sentence: `Ada created the key Production`. Every action has one, and so has a word that a
//! newer version wrote.

use rndrkit_domain::audit::{Action, ActorType, StoredEvent};
use rndrkit_domain::notification::{NEW_PLACE, NEW_PLACE_YES};
use rndrkit_domain::rotation::WORKS_UNTIL;
use rndrkit_domain::time::Timestamp;

use super::words;

/// What an erased person is called.
const ERASED: &str = "Somebody whose data was erased";

/// A part of a sentence. Names are apart: they may run from right to left, and stand out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Words of ours.
    Words(String),
    /// A name that somebody chose.
    Name(String),
}

impl Part {
    /// Its text.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Words(text) | Self::Name(text) => text,
        }
    }

    /// Whether it is a name.
    #[must_use]
    pub const fn is_name(&self) -> bool {
        matches!(self, Self::Name(_))
    }
}

/// The sentence as a text.
#[must_use]
pub fn plain(parts: &[Part]) -> String {
    parts.iter().map(Part::text).collect()
}

/// What a sentence needs beside the event.
pub struct Facts<'a> {
    /// The product's name.
    pub brand: &'a str,
    /// Id of the person who reads.
    pub reader: Option<&'a str>,
    /// Name of the key concerned, when it is known.
    pub key: Option<&'a str>,
    /// Address of the person concerned, when it is known.
    pub person: Option<&'a str>,
    /// A plan's name by its id.
    pub plan: &'a dyn Fn(&str) -> String,
}

/// The sentence.
#[must_use]
pub fn sentence(event: &StoredEvent, facts: &Facts<'_>) -> Vec<Part> {
    let Some(action) = Action::parse(&event.action) else { return unknown(event, facts) };
    let detail =
        |name: &str| event.details.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let did = |words: String| said(who(event, facts), &words);
    let to_key = |before: &str, after: &str| to_key(who(event, facts), before, facts, after);
    match action {
        Action::KeyCreated => to_key("created the key", ""),
        Action::KeyRevoked => revoked(event, facts, detail("reason").is_some()),
        Action::KeyRotated => to_key("rotated the key", &overlap(event, &detail)),
        Action::KeyPreviousEnded => to_key("ended the old secret of the key", ""),
        Action::KeyUpdated => to_key(&format!("changed the {} of the key", fields(detail("fields"))), ""),
        Action::KeyExpiring => match detail("days") {
            Some(days) => to_key_alone(facts, &format!(" expires within {}", days_of(days))),
            None => to_key_alone(facts, " expires soon"),
        },
        Action::KeyUnused => match (detail("days"), detail("last_used_at")) {
            (Some(days), Some(_)) => {
                to_key_alone(facts, &format!(" has not been used for {}", days_of(days)))
            }
            (Some(days), None) => {
                to_key_alone(facts, &format!(" was made {} ago and never used", days_of(days)))
            }
            (None, _) => to_key_alone(facts, " has not been used for long"),
        },
        Action::AccountLimitReached => {
            words_only("Requests were refused because this account had used up its rate limit")
        }
        Action::AccountPlanChanged => did(plan_change(detail("from"), detail("to"), facts.plan)),
        Action::AccountUpdated => did(format!("changed this account’s {}", fields(detail("fields")))),
        Action::LinkCreated => did(link(detail("kind")).to_owned()),
        Action::UserSignInFailed if event.actor.kind == ActorType::User => {
            did("typed a wrong current password and was refused".to_owned())
        }
        Action::UserSignInFailed => sign_in_failed(facts),
        Action::UserSignedOutEverywhere if detail("this_too") == Some("yes") => {
            did("signed out everywhere".to_owned())
        }
        action => {
            let words = simple(action, is_reader(event, facts));
            let place = if detail(NEW_PLACE) == Some(NEW_PLACE_YES) { " from a new place" } else { "" };
            did(format!("{words}{place}"))
        }
    }
}

/// Actions that are said in the same words whatever their details.
const fn simple(action: Action, by_reader: bool) -> &'static str {
    match action {
        Action::AccountCreated => "created this account",
        Action::AccountSuspended => "suspended this account",
        Action::AccountResumed => "resumed this account",
        Action::AccountDeleted => "deleted this account",
        Action::UserCreated => "joined this account",
        Action::UserSignedIn => "signed in",
        Action::UserSignedOut => "signed out",
        Action::UserPasswordReset if by_reader => "set your password through a reset link",
        Action::UserPasswordReset => "set their password through a reset link",
        Action::UserPasswordChanged if by_reader => "changed your password",
        Action::UserPasswordChanged => "changed their password",
        Action::UserEmailChangeAsked if by_reader => "asked to change your e-mail address",
        Action::UserEmailChangeAsked => "asked to change their e-mail address",
        Action::UserEmailChanged if by_reader => "changed your e-mail address",
        Action::UserEmailChanged => "changed their e-mail address",
        Action::UserSignedOutEverywhere => "signed out everywhere else",
        Action::UserSessionEnded => "signed out another browser",
        Action::NotificationsChanged => "changed which notifications are sent",
        Action::TokenCreated => "made a token of the operator API",
        Action::TokenDeleted => "ended a token of the operator API",
        Action::PlansChanged => "changed what the plans include",
        // The others have sentences of their own.
        _ => "changed something",
    }
}

fn is_reader(event: &StoredEvent, facts: &Facts<'_>) -> bool {
    event.actor.kind == ActorType::User
        && event.actor.id.is_some()
        && event.actor.id.as_deref() == facts.reader
}

/// Who did it, as the beginning of a sentence.
fn who(event: &StoredEvent, facts: &Facts<'_>) -> Part {
    let words = |text: &str| Part::Words(text.to_owned());
    match event.actor.kind {
        ActorType::User if is_reader(event, facts) => words("You"),
        ActorType::User => match (&event.actor.id, &event.actor.name) {
            (Some(_), Some(name)) => Part::Name(name.clone()),
            (Some(_), None) => words(ERASED),
            (None, _) => words("Somebody with a sign-in link"),
        },
        ActorType::Operator => Part::Words(operator(facts.brand)),
        ActorType::Key => words("Somebody with the key’s secret"),
        ActorType::System => Part::Words(facts.brand.to_owned()),
        ActorType::Anonymous => words("Somebody"),
    }
}

/// What whoever runs the installation is called: they have no name and no address here.
#[must_use]
pub fn operator(brand: &str) -> String {
    format!("Whoever runs {brand}")
}

fn said(subject: Part, words: &str) -> Vec<Part> {
    vec![subject, Part::Words(format!(" {words}"))]
}

fn words_only(text: &str) -> Vec<Part> {
    vec![Part::Words(text.to_owned())]
}

fn to_key(subject: Part, before: &str, facts: &Facts<'_>, after: &str) -> Vec<Part> {
    let mut parts = vec![subject];
    match facts.key {
        Some(name) => {
            parts.extend([Part::Words(format!(" {before} ")), Part::Name(name.to_owned())]);
            parts.extend((!after.is_empty()).then(|| Part::Words(after.to_owned())));
        }
        None => parts.push(Part::Words(format!(" {}{after}", before.replace("the key", "a key")))),
    }
    parts
}

fn to_key_alone(facts: &Facts<'_>, after: &str) -> Vec<Part> {
    match facts.key {
        Some(name) => {
            vec![
                Part::Words("The key ".to_owned()),
                Part::Name(name.to_owned()),
                Part::Words(after.to_owned()),
            ]
        }
        None => vec![Part::Words(format!("A key{after}"))],
    }
}

fn revoked(event: &StoredEvent, facts: &Facts<'_>, again: bool) -> Vec<Part> {
    match event.actor.kind {
        ActorType::Key => to_key(who(event, facts), "ended it: the key", facts, ""),
        ActorType::System if again => {
            to_key(who(event, facts), "ended the key", facts, " again, which the database had forgotten")
        }
        ActorType::System => to_key(who(event, facts), "ended the key", facts, ""),
        _ => to_key(who(event, facts), "deleted the key", facts, ""),
    }
}

/// How long the old secret works on. Events of earlier versions have the overlap alone, which the key's own end may cut.
fn overlap<'a>(event: &StoredEvent, detail: &impl Fn(&str) -> Option<&'a str>) -> String {
    let works_until = detail(WORKS_UNTIL).and_then(|text| text.parse::<Timestamp>().ok());
    let asked_for = || detail("overlap_seconds").and_then(|text| text.parse::<u64>().ok());
    match works_until.map(|end| end.since(event.at).as_secs()).or_else(asked_for) {
        None => String::new(),
        Some(0) => "; its old secret ended at once".to_owned(),
        Some(seconds) => {
            let (number, noun) = match seconds {
                0..3_600 => (seconds.div_ceil(60), "minute"),
                3_600..172_800 => (seconds / 3_600, "hour"),
                _ => (seconds / 86_400, "day"),
            };
            format!("; its old secret works for {} more", words::count(number, noun))
        }
    }
}

fn days_of(text: &str) -> String {
    text.parse().map_or_else(|_| format!("{text} days"), |days| words::count(days, "day"))
}

fn plan_change(from: Option<&str>, to: Option<&str>, name: &dyn Fn(&str) -> String) -> String {
    match (from, to) {
        (Some(from), Some(to)) => format!("changed the plan from {} to {}", name(from), name(to)),
        _ => "changed the plan".to_owned(),
    }
}

fn fields(listed: Option<&str>) -> String {
    let named: Vec<&str> = listed
        .unwrap_or_default()
        .split(", ")
        .map(|field| match field {
            "name" => "name",
            "environment" => "environment",
            "email" => "e-mail address",
            "external_id" => "external id",
            _ => "details",
        })
        .collect();
    words::list(&named, "and")
}

fn link(kind: Option<&str>) -> &'static str {
    match kind {
        Some("invite") => "made an invitation to this account",
        Some("password_reset") => "made a link to set a new password",
        Some("sign_in") => "made a link that signs in to this account",
        _ => "made a link",
    }
}

fn sign_in_failed(facts: &Facts<'_>) -> Vec<Part> {
    match facts.person {
        Some(person) => vec![
            Part::Words("Somebody tried to sign in as ".to_owned()),
            Part::Name(person.to_owned()),
            Part::Words(" and was refused".to_owned()),
        ],
        None => words_only("Somebody tried to sign in and was refused"),
    }
}

/// A word that a newer version wrote.
fn unknown(event: &StoredEvent, facts: &Facts<'_>) -> Vec<Part> {
    let done = format!("did something that this version has no sentence for ({})", event.action);
    match facts.key {
        Some(name) => {
            vec![who(event, facts), Part::Words(format!(" {done} to the key ")), Part::Name(name.to_owned())]
        }
        None => said(who(event, facts), &done),
    }
}

#[cfg(test)]
mod tests {
    use rndrkit_domain::audit::Actor;
    use rndrkit_domain::id::EventId;
    use rndrkit_domain::random::OsEntropy;
    use rndrkit_domain::time::Timestamp;

    use super::*;

    fn event(action: &str, kind: ActorType, details: &[(&str, &str)]) -> StoredEvent {
        let at = Timestamp::from_unix_ms(1_700_000_000_000);
        let is_user = kind == ActorType::User;
        StoredEvent {
            id: EventId::generate(at, &OsEntropy),
            at,
            action: action.to_owned(),
            actor: Actor {
                kind,
                id: is_user.then(|| "usr_1".to_owned()),
                name: is_user.then(|| "ada@example.com".to_owned()),
            },
            account_id: None,
            target_kind: "key".to_owned(),
            target_id: "key_1".to_owned(),
            ip: None,
            user_agent: None,
            request_id: None,
            details: details.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        }
    }

    fn read(event: &StoredEvent, reader: Option<&str>) -> String {
        let plan = |id: &str| id.to_uppercase();
        let (key, person) = (Some("Production"), Some("ada@example.com"));
        plain(&sentence(event, &Facts { brand: "Acme", reader, key, person, plan: &plan }))
    }

    fn say(action: Action, kind: ActorType, details: &[(&str, &str)]) -> String {
        read(&event(action.as_str(), kind, details), None)
    }

    #[test]
    fn every_action_has_a_sentence_by_whoever_did_it() {
        let kinds =
            [ActorType::User, ActorType::Operator, ActorType::Key, ActorType::System, ActorType::Anonymous];
        for action in Action::ALL.iter().copied() {
            for kind in kinds {
                let text = say(action, kind, &[]);
                assert!(
                    text.contains(' ') && !text.contains("  ") && !text.ends_with('.'),
                    "{action:?}: {text}"
                );
                assert!(!text.contains("changed something"), "{action:?} has no words");
                assert!(
                    text.chars().next().is_some_and(|first| first.is_uppercase() || kind == ActorType::User)
                );
            }
        }
    }

    #[test]
    fn what_people_do_to_their_own_way_in_is_told_apart_from_what_strangers_try() {
        let said = |action, details: &[(&str, &str)]| say(action, ActorType::User, details);
        assert_eq!(
            said(Action::UserSignInFailed, &[]),
            "ada@example.com typed a wrong current password and was refused"
        );
        assert_eq!(said(Action::UserSignedOutEverywhere, &[]), "ada@example.com signed out everywhere else");
        let this_too = said(Action::UserSignedOutEverywhere, &[("this_too", "yes")]);
        assert_eq!(this_too, "ada@example.com signed out everywhere");
    }

    #[test]
    fn sentences_say_who_did_what_to_what() {
        use ActorType::{Key, Operator, System, User};
        for (said, text) in [
            (say(Action::KeyCreated, User, &[]), "ada@example.com created the key Production"),
            (say(Action::KeyRevoked, User, &[]), "ada@example.com deleted the key Production"),
            (
                say(Action::KeyRevoked, Key, &[]),
                "Somebody with the key’s secret ended it: the key Production",
            ),
            (say(Action::AccountSuspended, Operator, &[]), "Whoever runs Acme suspended this account"),
            (
                say(Action::KeyRotated, User, &[("overlap_seconds", "86400")]),
                "ada@example.com rotated the key Production; its old secret works for 24 hours more",
            ),
            (
                say(
                    Action::KeyRotated,
                    User,
                    &[("overlap_seconds", "86400"), ("works_until", "2023-11-15T01:13:20.000Z")],
                ),
                "ada@example.com rotated the key Production; its old secret works for 3 hours more",
            ),
            (
                say(Action::KeyRotated, User, &[("overlap_seconds", "604800")]),
                "ada@example.com rotated the key Production; its old secret works for 7 days more",
            ),
            (
                say(Action::AccountPlanChanged, Operator, &[("from", "pro"), ("to", "agency")]),
                "Whoever runs Acme changed the plan from PRO to AGENCY",
            ),
            (
                say(Action::AccountUpdated, Operator, &[("fields", "name, email")]),
                "Whoever runs Acme changed this account’s name and e-mail address",
            ),
            (say(Action::KeyExpiring, System, &[]), "The key Production expires soon"),
            (say(Action::KeyExpiring, System, &[("days", "1")]), "The key Production expires within 1 day"),
            (
                say(
                    Action::KeyUnused,
                    System,
                    &[("days", "30"), ("last_used_at", "2026-11-23T12:00:00.000Z")],
                ),
                "The key Production has not been used for 30 days",
            ),
            (
                say(Action::KeyUpdated, User, &[("fields", "name, environment")]),
                "ada@example.com changed the name and environment of the key Production",
            ),
            (
                say(Action::UserSignedIn, User, &[("new_place", "yes")]),
                "ada@example.com signed in from a new place",
            ),
            (
                say(Action::UserPasswordReset, User, &[("new_place", "yes")]),
                "ada@example.com set their password through a reset link from a new place",
            ),
            (
                say(Action::UserSignInFailed, ActorType::Anonymous, &[]),
                "Somebody tried to sign in as ada@example.com and was refused",
            ),
        ] {
            assert_eq!(said, text);
        }
    }

    #[test]
    fn whoever_reads_is_you_and_an_erased_person_has_no_name() {
        let mut changed = event("user.password_changed", ActorType::User, &[]);
        assert_eq!(read(&changed, Some("usr_1")), "You changed your password");
        assert_eq!(read(&changed, Some("usr_2")), "ada@example.com changed their password");
        changed.actor.name = None;
        assert_eq!(read(&changed, None), "Somebody whose data was erased changed their password");
        changed.actor.id = None;
        assert_eq!(read(&changed, None), "Somebody with a sign-in link changed their password");
    }

    #[test]
    fn a_word_of_a_newer_version_is_a_readable_sentence_too() {
        let said = read(&event("key.frobnicated", ActorType::User, &[]), None);
        assert!(said.starts_with("ada@example.com did something"), "{said}");
        assert!(said.contains("key.frobnicated") && said.ends_with("to the key Production"), "{said}");
    }
}
