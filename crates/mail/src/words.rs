//! What mail says: plain text, in the words of the dashboard. What people have typed is made harmless first.

mod guarding;
mod summary;
mod typed;

use rndrkit_domain::audit::{Action, ActorType, StoredEvent};
use rndrkit_domain::mail::{DueMail, MailContent, MailKind, NamedKey};
use rndrkit_domain::notification::NotificationKind;
use rndrkit_domain::rotation::WORKS_UNTIL;
use rndrkit_domain::time::Timestamp;

use typed::typed;

/// A mail's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// The subject: one line.
    pub subject: String,
    /// The body.
    pub body: String,
}

/// What the words of an installation depend on.
#[derive(Clone)]
pub struct Words {
    /// What people call the product.
    pub brand: String,
    /// Where the dashboard is, without a trailing slash.
    pub public_url: String,
    /// The plans: id, and what people call it.
    pub plans: Vec<(String, String)>,
    /// What people call a client, by what it says of itself.
    pub browser: fn(&str) -> String,
}

impl std::fmt::Debug for Words {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Words").field("public_url", &self.public_url).finish_non_exhaustive()
    }
}

/// What happened, what it is about, and what to do.
struct Story {
    subject: String,
    opening: String,
    facts: Vec<(&'static str, String)>,
    advice: Vec<String>,
}

impl Words {
    /// Where an account chooses what it is told.
    #[must_use]
    pub fn settings_url(&self) -> String {
        self.page("/settings#notifications")
    }

    fn page(&self, path: &str) -> String {
        format!("{}{path}", self.public_url)
    }

    /// The words of a mail.
    #[must_use]
    pub fn of(&self, mail: &DueMail) -> Text {
        let account = typed(&mail.account_name);
        let story = match (&mail.content, mail.kind) {
            (MailContent::Link { url, works_until }, _) => self.confirmation(url, *works_until),
            (MailContent::Week(week), _) => summary::story(self, &account, week),
            (MailContent::Event(event, key), Some(MailKind::News(kind))) => {
                self.news(kind, &account, event, key.as_ref())
            }
            (MailContent::Plain, Some(kind)) => self.guarding(kind).unwrap_or_else(|| self.lost(&account)),
            _ => self.lost(&account),
        };
        let is_news = matches!(mail.kind, Some(MailKind::News(_)));
        self.put_together(&story, is_news.then_some(account.as_str()))
    }

    fn put_together(&self, story: &Story, news_of: Option<&str>) -> Text {
        let brand = typed(&self.brand);
        let mut parts = vec![format!("Hello,\n\n{}\n", story.opening)];
        if !story.facts.is_empty() {
            parts.push("\n".to_owned());
        }
        parts.extend(story.facts.iter().map(|(name, value)| format!("  {name:<9} {value}\n")));
        parts.extend(story.advice.iter().map(|paragraph| format!("\n{paragraph}\n")));
        parts.push("\n-- \n".to_owned());
        parts.push(match news_of {
            Some(account) => format!(
                "You get this because {account} has this notification switched on.\n\
                 Choose what is mailed: {}\nAll that happened: {}\n",
                self.settings_url(),
                self.page("/activity")
            ),
            None => format!("{brand}, {}\n", self.public_url),
        });
        Text { subject: format!("[{brand}] {}", story.subject), body: parts.concat() }
    }

    fn news(
        &self,
        kind: NotificationKind,
        account: &str,
        event: &StoredEvent,
        key: Option<&NamedKey>,
    ) -> Story {
        match kind {
            NotificationKind::KeyCreated => self.key_created(account, event, key),
            NotificationKind::KeyDeleted => self.key_deleted(account, event, key),
            NotificationKind::KeyRotated => self.key_rotated(account, event, key),
            NotificationKind::KeyExpiring => self.key_expiring(account, event, key),
            NotificationKind::KeyUnused => self.key_unused(account, event, key),
            NotificationKind::LimitReached => self.limit_reached(account, event),
            NotificationKind::NewPlace => self.new_place(account, event),
            NotificationKind::PlanChanged => self.plan_changed(account, event),
            NotificationKind::WeeklySummary => self.lost(account),
        }
    }

    fn key_created(&self, account: &str, event: &StoredEvent, key: Option<&NamedKey>) -> Story {
        let mut facts = key_fact(key);
        facts.extend(self.who(event));
        Story {
            subject: format!("API key {} was created", quoted(key)),
            opening: format!("an API key was created in {account}."),
            facts,
            advice: vec![format!(
                "If you expected this, there is nothing to do. If not, delete the key: requests with it are refused \
                 at once.\n{}",
                self.key_page(event, "delete")
            )],
        }
    }

    fn key_deleted(&self, account: &str, event: &StoredEvent, key: Option<&NamedKey>) -> Story {
        let mut facts = key_fact(key);
        facts.extend(self.who(event));
        Story {
            subject: format!("API key {} was deleted", quoted(key)),
            opening: format!("an API key of {account} was deleted. Requests with it get 401 Unauthorized."),
            facts,
            advice: vec![format!(
                "A script that still used it needs another key.\n{}",
                self.page("/settings#api-keys")
            )],
        }
    }

    fn key_rotated(&self, account: &str, event: &StoredEvent, key: Option<&NamedKey>) -> Story {
        // Events of earlier versions have the overlap alone.
        let after_overlap = || {
            let overlap = detail(event, "overlap_seconds")?.parse().ok().filter(|seconds| *seconds > 0)?;
            Some(event.at.plus(std::time::Duration::from_secs(overlap)))
        };
        let old = match moment(event, WORKS_UNTIL).or_else(after_overlap) {
            None => "stopped working at once".to_owned(),
            Some(end) => format!("works until {}", end.exact_for_people()),
        };
        let mut facts = key_fact(key);
        facts.push(("Old secret", old));
        facts.extend(self.who(event));
        Story {
            subject: format!("API key {} was rotated", quoted(key)),
            opening: format!("an API key of {account} has a new secret."),
            facts,
            advice: vec![format!(
                "Put the new secret wherever the old one is used. If you did not expect this, delete the key.\n{}",
                self.key_page(event, "delete")
            )],
        }
    }

    fn key_expiring(&self, account: &str, event: &StoredEvent, key: Option<&NamedKey>) -> Story {
        let mut facts = key_fact(key);
        facts.extend(moment(event, "expires_at").map(|end| ("Expires", end.exact_for_people())));
        Story {
            subject: format!("API key {} expires soon", quoted(key)),
            opening: format!(
                "an API key of {account} is about to expire. Requests with it then get 401 Unauthorized."
            ),
            facts,
            advice: vec![format!(
                "If it is still needed, create another one and put it in its place before then.\n{}",
                self.page("/settings#api-keys")
            )],
        }
    }

    fn key_unused(&self, account: &str, event: &StoredEvent, key: Option<&NamedKey>) -> Story {
        let days = detail(event, "days").unwrap_or("many");
        let mut facts = key_fact(key);
        let last = match moment(event, "last_used_at") {
            Some(at) => at.exact_for_people(),
            None => "never".to_owned(),
        };
        facts.push(("Last used", last));
        Story {
            subject: format!("API key {} is not in use", quoted(key)),
            opening: format!("an API key of {account} was not used for {days} days."),
            facts,
            advice: vec![format!(
                "A key that nobody needs can only be lost. If that is so, delete it.\n{}",
                self.key_page(event, "delete")
            )],
        }
    }

    fn limit_reached(&self, account: &str, event: &StoredEvent) -> Story {
        let mut facts = Vec::new();
        facts.extend(moment(event, "minute").map(|at| ("First", at.exact_for_people())));
        Story {
            subject: "The rate limit was reached".to_owned(),
            opening: format!(
                "requests of {account} were refused with 429 Too Many Requests, because they came faster than its \
                 plan allows. All of its API keys share this limit."
            ),
            facts,
            advice: vec![
                format!("See which key it was: {}", self.page("/usage")),
                format!("A plan with a higher limit: {}", self.page("/billing")),
                "This is mailed at most once a day.".to_owned(),
            ],
        }
    }

    fn new_place(&self, account: &str, event: &StoredEvent) -> Story {
        let advice = if event.action == Action::UserSignedIn.as_str() {
            "change your password and sign out everywhere.".to_owned()
        } else {
            // It came with a new password, which the reader then does not know.
            format!("ask whoever runs {} at once for a link to set a new password.", typed(&self.brand))
        };
        Story {
            subject: "Sign-in from a new place".to_owned(),
            opening: format!(
                "somebody signed in to {account} as you, from where you had not signed in before."
            ),
            facts: self.who(event),
            advice: vec![format!(
                "If this was you, there is nothing to do. If not, {advice}\n{}",
                self.page("/settings#account")
            )],
        }
    }

    fn plan_changed(&self, account: &str, event: &StoredEvent) -> Story {
        let plan = |name: &str| {
            let id = detail(event, name).unwrap_or_default();
            let known = self.plans.iter().find(|(known, _)| known == id);
            typed(known.map_or(id, |(_, name)| name))
        };
        let (from, to) = (plan("from"), plan("to"));
        let mut facts = vec![("Before", from), ("Now", to.clone())];
        facts.extend(self.who(event));
        Story {
            subject: format!("The plan is {to} now"),
            opening: format!("{account} is on another plan."),
            facts,
            advice: vec![format!("What each plan includes: {}", self.page("/billing"))],
        }
    }

    fn confirmation(&self, link: &str, works_until: Timestamp) -> Story {
        let brand = typed(&self.brand);
        Story {
            subject: "Confirm your new e-mail address".to_owned(),
            opening: format!(
                "you asked to sign in to {brand} with this e-mail address. Open this link to confirm it:"
            ),
            facts: Vec::new(),
            advice: vec![
                link.to_owned(),
                format!("It works until {}.", works_until.exact_for_people()),
                "If you did not ask for this, there is nothing to do: without the link nothing changes."
                    .to_owned(),
            ],
        }
    }

    /// For what cannot be: the caller gives such mail up.
    fn lost(&self, account: &str) -> Story {
        Story {
            subject: "Something happened".to_owned(),
            opening: format!("something happened in {account}; Activity says what."),
            facts: Vec::new(),
            advice: vec![self.page("/activity")],
        }
    }

    /// Who did it, from where, and when.
    fn who(&self, event: &StoredEvent) -> Vec<(&'static str, String)> {
        let by = match (event.actor.kind, &event.actor.name) {
            (ActorType::User, Some(name)) => typed(name),
            (ActorType::Operator, _) => format!("whoever runs {}", typed(&self.brand)),
            (ActorType::Key, _) => "somebody who has the key".to_owned(),
            (ActorType::System, _) => typed(&self.brand),
            (ActorType::User | ActorType::Anonymous, _) => "somebody".to_owned(),
        };
        let client = event.user_agent.as_deref().map(|text| typed(&(self.browser)(text)));
        let from: Vec<String> = event.ip.iter().map(|ip| typed(ip)).chain(client).collect();
        let mut facts = vec![("By", by)];
        if !from.is_empty() {
            facts.push(("From", from.join(", ")));
        }
        facts.push(("When", event.at.exact_for_people()));
        facts
    }

    fn key_page(&self, event: &StoredEvent, action: &str) -> String {
        self.page(&format!("/settings/api-keys/{}/{action}", event.target_id))
    }
}

fn key_fact(key: Option<&NamedKey>) -> Vec<(&'static str, String)> {
    key.map(|key| ("Key", format!("{} ({}…)", typed(&key.name), key.mask))).into_iter().collect()
}

fn quoted(key: Option<&NamedKey>) -> String {
    key.map_or_else(String::new, |key| format!("“{}”", typed(&key.name)))
}

fn detail<'a>(event: &'a StoredEvent, name: &str) -> Option<&'a str> {
    event.details.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

fn moment(event: &StoredEvent, name: &str) -> Option<Timestamp> {
    detail(event, name)?.parse().ok()
}
