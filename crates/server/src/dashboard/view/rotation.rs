//! Rotating a key: the form, the state of a row while two secrets work, and the page that ends the old one.

use askama::Template;
use rndrkit_control::RotationUse;
use rndrkit_domain::key::PreviousSecret;
use rndrkit_domain::rotation::{self, Advice};
use rndrkit_domain::time::Timestamp;

use super::frame::Frame;
use super::keys::KeyRow;
use super::{Moment, browser_words, words};

/// The old secret of a rotated key, while it works.
#[derive(Debug, Clone)]
pub struct OldSecret {
    /// Prefix and four characters.
    pub mask: String,
    /// When it ends.
    pub works_until: Moment,
    /// Who uses it; none when that is not known now.
    pub usage: Option<OldUse>,
}

/// Who uses an old secret, and whether it may be ended.
#[derive(Debug, Clone)]
pub struct OldUse {
    /// When it was last used; none for never.
    pub last_used: Option<Moment>,
    /// From where and with what: `from 203.0.113.7 with curl`; empty when that is not known.
    pub used_by: String,
    /// Whether it may be ended without harm.
    pub is_safe: bool,
    /// The figures behind that, as sentences.
    pub why: Vec<String>,
}

impl OldSecret {
    /// In words, for the page's table and the question.
    #[must_use]
    pub fn new(old: &PreviousSecret, known: Option<&RotationUse>, now: Timestamp) -> Self {
        Self {
            mask: old.mask.to_string(),
            works_until: words::future(now, old.works_until),
            usage: known.map(|known| OldUse::new(known, now)),
        }
    }

    /// When and by whom it was last used, for the dialog.
    #[must_use]
    pub fn spoken_use(&self) -> String {
        self.usage.as_ref().map_or_else(|| "Not known now".to_owned(), OldUse::spoken_use)
    }

    /// Whether it may be ended, and the figures behind that, for the dialog.
    #[must_use]
    pub fn spoken_verdict(&self) -> String {
        let unknown = || "Who uses it cannot be read now.".to_owned();
        self.usage.as_ref().map_or_else(unknown, OldUse::spoken_verdict)
    }
}

impl OldUse {
    fn new(known: &RotationUse, now: Timestamp) -> Self {
        let by = [
            known.old_ip.map(|ip| format!("from {ip}")),
            known.old_user_agent.as_deref().map(|client| format!("with {}", browser_words::browser(client))),
        ];
        Self {
            last_used: known.old_last_at.map(|at| words::past(now, at)),
            used_by: by.into_iter().flatten().collect::<Vec<_>>().join(" "),
            is_safe: known.advice.is_safe(),
            why: vec![quiet(&known.advice), arrived(known, now)],
        }
    }

    fn spoken_use(&self) -> String {
        match &self.last_used {
            None => "Never".to_owned(),
            Some(at) => format!("{} {}", at.spoken, self.used_by).trim_end().to_owned(),
        }
    }

    fn spoken_verdict(&self) -> String {
        let verdict = if self.is_safe { "Safe to end." } else { "Not safe to end yet." };
        format!("{verdict} {}", self.why.join(" "))
    }

    /// The rule, in words.
    #[must_use]
    pub fn rule(&self) -> String {
        format!(
            "It is safe to end the old secret once it was not used for {} and for twice its longest pause of the \
             last {}, while the new one was used.",
            words::length(rotation::LEAST_QUIET),
            words::length(rotation::PAUSES_WITHIN),
        )
    }
}

fn quiet(advice: &Advice) -> String {
    let needed = words::length_up(advice.needed);
    let quiet = words::length(advice.quiet_for);
    let enough = if advice.is_quiet() {
        format!("Not used for {quiet}; {needed} are enough")
    } else {
        format!("Not used for {quiet}; it takes {needed}")
    };
    match advice.longest_pause {
        Some(pause) => format!("{enough}. Its longest pause was {}.", words::length(pause)),
        None => format!("{enough}."),
    }
}

fn arrived(known: &RotationUse, now: Timestamp) -> String {
    match known.new_last_at {
        None => "The new secret was not used yet.".to_owned(),
        Some(at) => {
            let since = if known.advice.new_is_used { "" } else { ", before the old one was" };
            format!("The new secret was last used {}{since}.", words::past(now, at).spoken.to_lowercase())
        }
    }
}

/// When an old secret may end: seconds and label.
pub const OVERLAP_CHOICES: [(&str, &str); 4] =
    [("0", "Now"), ("3600", "In 1 hour"), ("86400", "In 24 hours"), ("604800", "In 7 days")];
const DEFAULT_CHOICE: &str = "86400";

/// Values of the form *Rotate key*.
#[derive(Debug, Clone)]
pub struct RotateForm {
    /// One-time number of this form: sent twice, it rotates once.
    pub form_id: String,
    /// The chosen entry of [`OVERLAP_CHOICES`].
    pub overlap: String,
    /// What is wrong.
    pub problem: Option<String>,
}

impl RotateForm {
    /// A form that nobody has touched.
    #[must_use]
    pub fn fresh(form_id: String) -> Self {
        Self { form_id, overlap: DEFAULT_CHOICE.to_owned(), problem: None }
    }

    /// Whether `value` is the chosen entry.
    #[must_use]
    pub fn chose(&self, value: &str) -> bool {
        self.overlap == value
    }
}

/// `GET /settings/api-keys/{id}/rotate`, and the answer to a form with faults.
#[derive(Debug, Clone, Template)]
#[template(path = "rotate_key.html")]
pub struct RotateKeyPage {
    /// Frame.
    pub frame: Frame,
    /// The key.
    pub key: KeyRow,
    /// The form.
    pub form: RotateForm,
}

/// `GET /settings/api-keys/{id}/end-previous`.
#[derive(Debug, Clone, Template)]
#[template(path = "end_previous.html")]
pub struct EndPreviousPage {
    /// Frame.
    pub frame: Frame,
    /// The key.
    pub key: KeyRow,
    /// What went wrong with the first try.
    pub problem: Option<String>,
}
