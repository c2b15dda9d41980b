//! Help in place, in words: what is the matter, and the one thing to do about it.

use rndrkit_domain::hint::{Action, KeyHint, LimitHint};
use rndrkit_domain::id::KeyId;
use rndrkit_domain::plan::RateLimit;
use rndrkit_domain::text::Name;

use super::words;

/// One line of help.
#[derive(Debug, Clone)]
pub struct HintLine {
    /// Whether it should catch the eye.
    pub urgent: bool,
    /// What is the matter, in two or three words.
    pub chip: String,
    /// The key that it is about, where the line stands apart from it.
    pub about: Option<String>,
    /// What it means.
    pub text: String,
    /// What to do.
    pub label: &'static str,
    /// The key that it is done to, for those who hear the link alone.
    pub key_name: Option<String>,
    /// Where it is done.
    pub address: String,
}

impl HintLine {
    /// About a key, beside it.
    #[must_use]
    pub fn of_key(hint: KeyHint, id: KeyId, name: &Name) -> Self {
        let (chip, text) = key_words(hint);
        let (label, address) = way(hint.action(), Some(id));
        Self {
            urgent: hint.is_urgent(),
            chip,
            about: None,
            text,
            label,
            key_name: Some(name.to_string()),
            address,
        }
    }

    /// The same where the key's name does not stand beside it.
    #[must_use]
    pub fn naming_its_key(mut self) -> Self {
        self.about.clone_from(&self.key_name);
        self
    }

    /// About an account's use of its limit.
    #[must_use]
    pub fn of_limit(hint: LimitHint, limit: RateLimit) -> Self {
        let (chip, text) = limit_words(hint, limit);
        let (label, address) = way(hint.action(), None);
        let urgent = matches!(hint, LimitHint::Reached { .. });
        Self { urgent, chip, about: None, text, label, key_name: None, address }
    }
}

fn key_words(hint: KeyHint) -> (String, String) {
    match hint {
        KeyHint::ManyNetworks { networks } => (
            format!("{networks} networks"),
            format!(
                "Used from {networks} networks within an hour. If that was not you, somebody else may have it."
            ),
        ),
        KeyHint::LongUnused { days } => (
            format!("Unused for {}", words::count(days, "day")),
            "A key that nothing uses can only leak. Delete it unless you know what needs it.".to_owned(),
        ),
        KeyHint::Unused { days } => (
            format!("Unused for {}", words::count(days, "day")),
            "Delete it if nothing needs it any more.".to_owned(),
        ),
        KeyHint::NeverUsed { days } => (
            "Never used".to_owned(),
            format!(
                "Its secret is {} old. If nobody saved it, delete the key and create another.",
                words::count(days, "day")
            ),
        ),
        KeyHint::RotationDue { days } => (
            "Rotation due".to_owned(),
            format!(
                "Its secret is {} old. Rotate it: the old one works on while you update your scripts.",
                words::count(days, "day")
            ),
        ),
    }
}

fn limit_words(hint: LimitHint, limit: RateLimit) -> (String, String) {
    let per_minute = words::grouped(limit.per_minute.get().into());
    match hint {
        LimitHint::Reached { limited: 0, .. } => (
            "Limit reached".to_owned(),
            format!("A minute of the last hour took all of your {per_minute} requests a minute."),
        ),
        LimitHint::Reached { limited, .. } => (
            "Limit reached".to_owned(),
            format!(
                "{} got 429 Too Many Requests in the last hour: your keys share {per_minute} a minute.",
                words::count(limited, "request")
            ),
        ),
        LimitHint::Near { percent } => (
            format!("{percent} % of the limit"),
            format!(
                "That is what the busiest minute of the last hour took of your {per_minute} requests a minute."
            ),
        ),
    }
}

/// What the one thing to do is called, and where it is done.
fn way(action: Action, key: Option<KeyId>) -> (&'static str, String) {
    let of_key = |page: &str| match key {
        Some(id) => format!("/settings/api-keys/{id}{page}"),
        None => "/settings#api-keys".to_owned(),
    };
    match action {
        Action::LookAtKey => ("Look at its use", of_key("")),
        Action::DeleteKey => ("Delete", of_key("/delete")),
        Action::RotateKey => ("Rotate", of_key("/rotate")),
        Action::SeeUsage => ("See usage", "/usage".to_owned()),
        Action::Upgrade => ("Upgrading", "/billing#upgrading".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    #[test]
    fn every_hint_leads_to_a_page_of_the_dashboard() {
        let id: KeyId = "key_01jd3n8q4w6x9y2z5b7c0d1e2f".parse().unwrap();
        let actions =
            [Action::LookAtKey, Action::DeleteKey, Action::RotateKey, Action::SeeUsage, Action::Upgrade];
        for action in actions {
            let address = way(action, Some(id)).1.replace(&id.to_string(), "{id}");
            let path = address.split('#').next().unwrap();
            let known = crate::dashboard::page_routes();
            let there = known.iter().any(|route| route.method == http::Method::GET && route.path == path);
            assert!(there, "{action:?} leads to {path}");
        }
    }

    #[test]
    fn words_count_as_people_do() {
        let number = |number| NonZeroU32::new(number).unwrap();
        let limit = RateLimit { per_minute: number(3_000), burst: number(500) };
        let reached = |limited| limit_words(LimitHint::Reached { limited, can_grow: false }, limit).1;
        assert!(reached(1).starts_with("1 request got 429"), "{}", reached(1));
        assert!(reached(1_200).starts_with("1,200 requests got 429"));
        assert!(reached(0).contains("3,000 requests a minute"));
        assert_eq!(key_words(KeyHint::Unused { days: 30 }).0, "Unused for 30 days");
    }
}
