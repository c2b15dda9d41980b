//! The section *API Keys* of the settings, in all its states, and the pages to create and delete one.

use askama::Template;

use super::frame::{Frame, Notice};
use super::hints::HintLine;
use super::rotation::{OldSecret, RotateForm};
use super::{Field, Moment};

/// The section. What it shows follows from `list`, `locked` and `created`.
#[derive(Debug, Clone)]
pub struct KeysSection {
    /// The keys, or that we cannot show them now.
    pub list: KeyList,
    /// Set when the plan has no API access.
    pub locked: Option<Locked>,
    /// Set in the one answer that shows a new secret.
    pub created: Option<Revealed>,
    /// Set when a form was sent twice: the secret was in the first answer.
    pub repeated: Option<RepeatedCreate>,
    /// What a form has just done or not done, said where the person looks.
    pub notices: Vec<Notice>,
    /// The form behind *Create API Key*.
    pub form: CreateForm,
    /// The form behind *Rotate*.
    pub rotate_form: RotateForm,
    /// What to try.
    pub sample: Sample,
}

/// The keys of an account.
#[derive(Debug, Clone)]
pub enum KeyList {
    /// They could not be read; never drawn as an empty list.
    Unavailable,
    /// They are known.
    Known(KnownKeys),
}

/// Keys by state.
#[derive(Debug, Clone)]
pub struct KnownKeys {
    /// Active ones, newest first.
    pub active: Vec<KeyRow>,
    /// Revoked and expired ones, latest end first.
    pub past: Vec<PastKeyRow>,
    /// The most active keys that the plan allows.
    pub limit: u32,
    /// Whether the account is suspended.
    pub suspended: bool,
    /// What about the account's use of its limit deserves a look.
    pub hint: Option<HintLine>,
}

impl KnownKeys {
    /// Whether two secrets of some key work.
    #[must_use]
    pub fn has_old_secrets(&self) -> bool {
        self.active.iter().any(|key| key.old.is_some())
    }

    /// Whether the account may rotate keys, the plan aside.
    #[must_use]
    pub const fn may_rotate(&self) -> bool {
        !self.suspended
    }

    /// Why no key can be added; none when one can.
    #[must_use]
    pub fn why_no_more(&self) -> Option<String> {
        let (count, limit) = (self.active.len(), self.limit);
        if self.suspended {
            Some("A suspended account cannot create keys.".to_owned())
        } else if u32::try_from(count).unwrap_or(u32::MAX) >= limit {
            Some(format!("{count} of {limit} active keys. Delete one to create another."))
        } else {
            None
        }
    }
}

/// An active key.
#[derive(Debug, Clone)]
pub struct KeyRow {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Where it is used.
    pub environment: Option<String>,
    /// Prefix and four characters.
    pub mask: String,
    /// When it was made.
    pub created: Moment,
    /// When it was last used.
    pub last_used: LastUsed,
    /// When it ends by itself.
    pub expires: Option<Moment>,
    /// What about it deserves a look.
    pub hint: Option<HintLine>,
    /// The old secret, while a rotated key has one that works.
    pub old: Option<OldSecret>,
}

impl KeyRow {
    /// What becomes of an old secret when the key is rotated again; empty when it has none.
    #[must_use]
    pub fn rotating_again(&self) -> String {
        match &self.old {
            Some(old) => format!(
                "The old secret that begins with {} still works. Rotating again ends it at once: two secrets work \
                 at most.",
                old.mask
            ),
            None => String::new(),
        }
    }
}

/// The cell *Last used*.
#[derive(Debug, Clone)]
pub enum LastUsed {
    /// Not yet.
    Never,
    /// Then.
    At(Moment),
}

impl LastUsed {
    /// In words, for the dialog.
    #[must_use]
    pub fn spoken(&self) -> &str {
        match self {
            Self::Never => "Never",
            Self::At(moment) => &moment.spoken,
        }
    }
}

/// A key that works no more.
#[derive(Debug, Clone)]
pub struct PastKeyRow {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Where it was used.
    pub environment: Option<String>,
    /// Prefix and four characters.
    pub mask: String,
    /// When it was made.
    pub created: Moment,
    /// When it ended.
    pub ended: Moment,
    /// Who ended it, and why.
    pub reason: String,
}

/// What a plan without API access shows.
#[derive(Debug, Clone)]
pub struct Locked {
    /// The plan.
    pub plan_name: String,
    /// `Agency and Agency+ plans`; empty when no plan has API access.
    pub plans_with_access: String,
    /// `Starter or Pro`.
    pub plans_without_access: String,
}

/// A new secret of a key, new itself or rotated. Drawn once, stored nowhere, not printable.
#[derive(Clone)]
pub struct Revealed {
    /// Name.
    pub name: String,
    /// The secret.
    pub secret: String,
    /// Of a rotated key: what becomes of the old secret.
    pub old: Option<String>,
}

impl std::fmt::Debug for Revealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Revealed").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The key that a form sent twice had already made, or rotated.
#[derive(Debug, Clone)]
pub struct RepeatedCreate {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Whether it was there before and got another secret.
    pub is_rotation: bool,
}

/// Lines to paste.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Origin of the API, such as `https://rndrkit.io`.
    pub origin: String,
    /// A call that every key may make, such as `/api/rk/account`.
    pub self_path: String,
    /// `RNDRKIT_API_KEY`.
    pub variable: String,
}

/// Values of the form *Create API Key*.
#[derive(Debug, Clone, Default)]
pub struct CreateForm {
    /// One-time number of this form: sent twice, it makes one key.
    pub form_id: String,
    /// The name.
    pub name: Field,
    /// Where the key is used; may stay empty.
    pub environment: Field,
    /// The chosen entry of [`EXPIRY_CHOICES`].
    pub expiry: String,
    /// The day, when the choice is `date`.
    pub expiry_date: Field,
    /// What is wrong with the form as a whole.
    pub problem: Option<String>,
}

impl CreateForm {
    /// Whether "More options" starts unfolded, so that no fault is hidden.
    #[must_use]
    pub fn options_open(&self) -> bool {
        self.expiry_date.problem.is_some() || !matches!(self.expiry.as_str(), "" | "never")
    }

    /// Whether `value` is the chosen entry.
    #[must_use]
    pub fn chose(&self, value: &str) -> bool {
        self.expiry == value
    }
}

/// Environments that most keys are for, offered beside words of one's own.
pub const ENVIRONMENTS: [&str; 3] = ["production", "staging", "CI/CD"];

/// When a new key may end by itself: value and label.
pub const EXPIRY_CHOICES: [(&str, &str); 5] = [
    ("never", "Never"),
    ("30", "After 30 days"),
    ("90", "After 90 days"),
    ("365", "After 365 days"),
    ("date", "On a date"),
];

/// `GET /settings/api-keys/new`, and the answer to a form with faults.
#[derive(Debug, Clone, Template)]
#[template(path = "create_key.html")]
pub struct CreateKeyPage {
    /// Frame.
    pub frame: Frame,
    /// The form.
    pub form: CreateForm,
}

/// `GET /settings/api-keys/{id}/delete`.
#[derive(Debug, Clone, Template)]
#[template(path = "delete_key.html")]
pub struct DeleteKeyPage {
    /// Frame.
    pub frame: Frame,
    /// The key.
    pub key: KeyRow,
    /// What went wrong with the first try.
    pub problem: Option<String>,
}

/// `GET /settings/api-keys/{id}/label`, and the answer to its form with faults.
#[derive(Debug, Clone, Template)]
#[template(path = "label_key.html")]
pub struct LabelKeyPage {
    /// Frame.
    pub frame: Frame,
    /// The key's id.
    pub id: String,
    /// What it is called now.
    pub current_name: String,
    /// Prefix and four characters.
    pub mask: String,
    /// The form.
    pub form: LabelForm,
    /// What went wrong with the first try.
    pub problem: Option<String>,
}

/// Values of the form that changes a key's words.
#[derive(Debug, Clone, Default)]
pub struct LabelForm {
    /// The name.
    pub name: Field,
    /// Where the key is used; may stay empty.
    pub environment: Field,
}
