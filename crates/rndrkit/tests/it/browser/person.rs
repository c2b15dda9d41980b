//! Somebody at a browser: reads what is displayed and presses what it says. Deliberately absent: anything
//! that a person cannot do, except reading the page's source for what must not be in it.

use std::time::{Duration, Instant};

use fantoccini::Locator;
use fantoccini::actions::{InputSource as _, KeyAction, KeyActions};
use fantoccini::elements::Element;
use rndrkit_testkit::browser::Browser;
use serde_json::{Value, json};

use crate::harness::Server;

/// How long a page may take to show something on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(50);
/// A mail server that takes nothing: the server could send mail, and what it would send stays in its outbox.
pub const MAIL: [(&str, &str); 2] =
    [("RNDRKIT_SMTP_URL", "smtp://127.0.0.1:9"), ("RNDRKIT_MAIL_FROM", "keys@northwind.example")];
/// A password that every account of these tests uses.
pub const PASSWORD: &str = "seven violins on a tractor";

/// Keys as the browser's driver names them.
pub const TAB: &str = "\u{E004}";
pub const ENTER: &str = "\u{E007}";
pub const SHIFT: char = '\u{E008}';
pub const ESCAPE: &str = "\u{E00C}";

/// Somebody with a browser of their own, looking at one server.
pub struct Person {
    pub browser: Browser,
    origin: String,
}

impl Person {
    /// A server and somebody who looks at it; `None` after one visible line when there is no browser.
    pub async fn and_server(settings: &[(&str, &str)]) -> Option<(Self, Server)> {
        let browser = Browser::open_or_notice().await.unwrap()?;
        let server = Server::start(settings).await;
        let person = Self { browser, origin: server.public_url("") };
        person.browser.set_viewport(1280, 900).await.unwrap();
        Some((person, server))
    }

    /// The same with a new account on a plan, signed in. Answers the account's id, too.
    pub async fn on_plan(plan: &str) -> Option<(Self, Server, String)> {
        let (person, server) = Self::and_server(&[]).await?;
        let account = server.account("ada@example.com", plan).await;
        person.enter(&server, &account).await;
        Some((person, server, account))
    }

    /// Signs in through an operator's link.
    pub async fn enter(&self, server: &Server, account: &str) {
        let wish = json!({"kind": "sign_in", "return_to": "/settings#api-keys"});
        self.open(&link(server, account, wish).await).await;
        self.press("Open dashboard").await;
        self.see("API Keys").await;
    }

    /// Joins an account with a password, through an operator's invitation.
    pub async fn join(&self, server: &Server, account: &str) {
        self.open(&link(server, account, json!({"kind": "invite"})).await).await;
        self.fill("E-mail", "ada@example.com").await;
        self.fill("Password", PASSWORD).await;
        self.press("Join").await;
        self.see("Hello").await;
    }

    /// Signs out, and waits until that is done: an address opened while the form is still on its way would be
    /// overtaken by the form's answer.
    pub async fn sign_out(&self) {
        self.press("Sign out").await;
        self.arrive("/sign-in").await;
        self.see("Sign in to RndrKit").await;
    }

    /// The session cookie, as this browser sends it.
    pub async fn cookie(&self) -> String {
        let cookie = self.browser.client().get_named_cookie("rk_session_local").await.unwrap();
        format!("rk_session_local={}", cookie.value())
    }

    /// Closes the browser.
    pub async fn leave(self) {
        self.browser.close().await.unwrap();
    }

    /// Opens an address, or a path of the server.
    pub async fn open(&self, address: &str) {
        let address =
            if address.starts_with('/') { format!("{}{address}", self.origin) } else { address.to_owned() };
        self.browser.client().goto(&address).await.unwrap();
    }

    pub async fn reload(&self) {
        self.browser.client().refresh().await.unwrap();
    }

    pub async fn back(&self) {
        self.browser.client().back().await.unwrap();
    }

    /// Path, query and fragment of the page.
    pub async fn place(&self) -> String {
        let url = self.browser.client().current_url().await.unwrap();
        url.as_str().strip_prefix(&self.origin).unwrap_or(url.as_str()).to_owned()
    }

    /// Everything that is displayed.
    pub async fn text(&self) -> String {
        match self.browser.client().find(Locator::Css("body")).await {
            // Gone between the two calls: the next page is on its way.
            Ok(body) => body.text().await.unwrap_or_default(),
            Err(_) => String::new(),
        }
    }

    /// Waits until the words are displayed.
    pub async fn see(&self, words: &str) {
        self.wait(words, async || self.text().await.contains(words)).await;
    }

    /// Waits until the words are displayed no more.
    pub async fn miss(&self, words: &str) {
        self.wait(&format!("no {words}"), async || !self.text().await.contains(words)).await;
    }

    /// Waits until the page is this path, query and fragment.
    pub async fn arrive(&self, place: &str) {
        self.wait(place, async || self.place().await == place).await;
    }

    /// Waits until `check` says yes.
    pub async fn wait(&self, what: &str, check: impl AsyncFn() -> bool) {
        let begun = Instant::now();
        while !check().await {
            assert!(
                begun.elapsed() < PATIENCE,
                "expected {what:?} on {}:\n{}",
                self.place().await,
                self.text().await
            );
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Whether the words are displayed now.
    pub async fn sees(&self, words: &str) -> bool {
        self.text().await.contains(words)
    }

    /// The displayed elements that match.
    pub async fn displayed(&self, xpath: &str) -> Vec<Element> {
        let mut shown = Vec::new();
        for element in self.browser.client().find_all(Locator::XPath(xpath)).await.unwrap_or_default() {
            if element.is_displayed().await.unwrap_or(false) {
                shown.push(element);
            }
        }
        shown
    }

    /// The one displayed element that matches, waited for.
    pub async fn one(&self, xpath: &str) -> Element {
        let begun = Instant::now();
        loop {
            let mut shown = self.displayed(xpath).await;
            if shown.len() == 1 {
                return shown.remove(0);
            }
            if begun.elapsed() > PATIENCE {
                let (count, place, text) = (shown.len(), self.place().await, self.text().await);
                panic!("{count} of {xpath} on {place}, not one:\n{text}");
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The texts of the displayed elements that match a CSS selector.
    pub async fn texts(&self, css: &str) -> Vec<String> {
        let mut texts = Vec::new();
        for element in self.browser.client().find_all(Locator::Css(css)).await.unwrap() {
            texts.push(element.text().await.unwrap());
        }
        texts
    }

    /// Presses the button, link or fold of this name.
    pub async fn press(&self, name: &str) {
        self.one(&named(name)).await.click().await.unwrap();
    }

    /// Whether a button, link or fold of this name is displayed.
    pub async fn can_press(&self, name: &str) -> bool {
        !self.displayed(&named(name)).await.is_empty()
    }

    /// Presses what the sidebar calls this.
    pub async fn press_in_sidebar(&self, name: &str) {
        let entry = format!("//header//*[self::a or self::button][normalize-space(.)=\"{name}\"]");
        self.one(&entry).await.click().await.unwrap();
    }

    /// Presses *Delete* in the row of this key.
    pub async fn press_delete_of(&self, key: &str) {
        let row =
            format!("//tr[th//bdi[normalize-space(.)=\"{key}\"]]//button[normalize-space(.)=\"Delete\"]");
        self.one(&row).await.click().await.unwrap();
    }

    /// The field with this label.
    pub async fn field(&self, label: &str) -> Element {
        let label = self.one(&format!("//label[normalize-space(.)=\"{label}\"]")).await;
        let id = label.attr("for").await.unwrap().unwrap();
        self.browser.client().find(Locator::Id(&id)).await.unwrap()
    }

    /// Types into the field with this label.
    pub async fn fill(&self, label: &str, text: &str) {
        let field = self.field(label).await;
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// Chooses from the list with this label.
    pub async fn choose(&self, label: &str, option: &str) {
        self.field(label).await.select_by_label(option).await.unwrap();
    }

    /// Creates a key by the page's own words and reads what is displayed once.
    pub async fn create_key(&self, name: &str) -> String {
        self.press("Create API Key").await;
        self.fill("Name", name).await;
        self.press("Create").await;
        self.see("Your new key").await;
        self.field("API key").await.prop("value").await.unwrap().unwrap()
    }

    /// Ticks the box and presses Done.
    pub async fn store_it(&self) {
        self.one("//label[normalize-space(.)=\"I have stored this key\"]/input").await.click().await.unwrap();
        self.press("Done").await;
        self.miss("Your new key").await;
    }

    /// The rows of active keys: name, key, created, last used.
    pub async fn rows(&self) -> Vec<Vec<String>> {
        let script = "return [...document.querySelectorAll('[data-key-id]')].map(row =>
            [...row.cells].slice(0, 4).map(cell => {
                const copy = cell.cloneNode(true);
                copy.querySelectorAll('.visually-hidden, .cell-label, .chip').forEach(e => e.remove());
                return copy.textContent.trim();
            }))";
        serde_json::from_value(self.run(script).await).unwrap()
    }

    /// Presses keys one after the other, in whatever has the focus.
    pub async fn keys(&self, keys: &str) {
        self.keys_with(None, keys).await;
    }

    /// The same while holding another key.
    pub async fn keys_with(&self, held: Option<char>, keys: &str) {
        let mut actions = KeyActions::new("keyboard".to_owned());
        if let Some(value) = held {
            actions = actions.then(KeyAction::Down { value });
        }
        for value in keys.chars() {
            actions = actions.then(KeyAction::Down { value }).then(KeyAction::Up { value });
        }
        if let Some(value) = held {
            actions = actions.then(KeyAction::Up { value });
        }
        self.browser.client().perform_actions(actions).await.unwrap();
    }

    /// The name of what has the focus.
    pub async fn focus(&self) -> String {
        let script = "const e = document.activeElement;
            return e.ariaLabel ?? e.labels?.[0]?.textContent.trim() ?? (e === document.body ? '' : e.textContent.trim())";
        self.run(script).await.as_str().unwrap_or_default().to_owned()
    }

    /// Presses Tab until this has the focus, and insists that the focus is seen everywhere on the way.
    pub async fn tab_to(&self, name: &str) {
        for _ in 0..40 {
            self.keys(TAB).await;
            let seen = self
                .run(
                    "const e = document.activeElement, s = getComputedStyle(e), b = e.getBoundingClientRect();
                    return e === document.body || (s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2
                        && b.bottom > 0 && b.top < innerHeight)",
                )
                .await;
            let focus = self.focus().await;
            assert_eq!(seen, json!(true), "{focus:?} has the focus and does not show it");
            if focus == name {
                return;
            }
        }
        panic!("Tab never came to {name:?}; the focus is on {:?}", self.focus().await);
    }

    /// Runs a script in the page.
    pub async fn run(&self, script: &str) -> Value {
        self.browser.client().execute(script, vec![]).await.unwrap()
    }

    /// Everything that the page keeps, seen or not: source, values of fields, storage, address, cookies.
    pub async fn everything_kept(&self) -> String {
        let script = "return [document.documentElement.outerHTML, location.href, document.cookie,
            ...[...document.querySelectorAll('input, textarea')].map(field => field.value),
            JSON.stringify({...localStorage, ...sessionStorage}), JSON.stringify(history.state)].join('\\n')";
        self.run(script).await.as_str().unwrap().to_owned()
    }

    /// What the page did that the browser refused or complained about.
    pub async fn assert_quiet_console(&self) {
        let lines = self.browser.console().await.unwrap();
        let wrong: Vec<_> = lines
            .iter()
            // Our own refusals are pages with a status of their own, which the console repeats; and a field
            // in a dialog that is still closed waits with its focus.
            .filter(|line| !line.contains("the server responded with a status of"))
            .filter(|line| !line.contains("Autofocus processing was blocked"))
            .collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}

/// A link that the operator makes.
pub async fn link(server: &Server, account: &str, wish: Value) -> String {
    let (status, link) = server.operator("POST", &format!("/v1/accounts/{account}/links"), wish).await;
    assert_eq!(status, 201, "{link}");
    link["url"].as_str().unwrap().to_owned()
}

/// Buttons, links and folds that are called this.
fn named(name: &str) -> String {
    format!(
        "//*[self::button or self::a or self::summary][@aria-label=\"{name}\" or (not(@aria-label) and normalize-space(.)=\"{name}\")]"
    )
}
