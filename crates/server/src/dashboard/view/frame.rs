//! What surrounds a page: the sidebar of a signed-in person, or the narrow column before signing in.

/// Addresses of the static files; their names carry a digest, so they may be cached for ever.
#[derive(Debug, Clone)]
pub struct AssetUrls {
    /// The style sheet.
    pub css: String,
    /// The script.
    pub js: String,
    /// The icon.
    pub icon: String,
}

/// Where in the dashboard a page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// `/`.
    Overview,
    /// `/usage`.
    Usage,
    /// `/activity`.
    Activity,
    /// `/settings` and what is below it.
    Settings,
    /// `/billing`.
    Billing,
}

impl Place {
    /// For templates, which compare words.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Overview => "overview",
            Self::Usage => "usage",
            Self::Activity => "activity",
            Self::Settings => "settings",
            Self::Billing => "billing",
        }
    }
}

/// How a notice is meant. Each has a colour, and its words say the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// It worked.
    Good,
    /// Something needs attention.
    Caution,
    /// Something is wrong.
    Danger,
}

impl Tone {
    /// The class of the notice.
    #[must_use]
    pub const fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Caution => "caution",
            Self::Danger => "danger",
        }
    }
}

/// A message above a page's content.
#[derive(Debug, Clone)]
pub struct Notice {
    /// How it is meant.
    pub tone: Tone,
    /// What happened.
    pub title: String,
    /// What it means, and what to do.
    pub text: String,
}

/// The frame of a signed-in page.
#[derive(Debug, Clone)]
pub struct Frame {
    /// The product's name.
    pub brand: String,
    /// Which entry of the sidebar is current.
    pub place: Place,
    /// The account's name.
    pub account_name: String,
    /// The plan's name.
    pub plan_name: String,
    /// Messages above the content.
    pub notices: Vec<Notice>,
    /// Static files.
    pub assets: AssetUrls,
}

/// The frame of a page before signing in.
#[derive(Debug, Clone)]
pub struct Gate {
    /// The product's name.
    pub brand: String,
    /// Static files.
    pub assets: AssetUrls,
}
