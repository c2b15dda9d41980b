//! A real browser for end-to-end tests: Debian's chromium, driven through the chromedriver that
//! `cargo xtask test` starts. Deliberately absent: anything about our pages.

use std::path::{Path, PathBuf};

use fantoccini::wd::{Capabilities, WebDriverCompatibleCommand};
use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

use crate::visible;

/// Where a running chromedriver listens, such as `http://127.0.0.1:41234`.
pub const WEBDRIVER_VARIABLE: &str = "RNDRKIT_TEST_WEBDRIVER_URL";

/// The colours that the page is told the reader prefers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColorScheme {
    /// `prefers-color-scheme: light`.
    Light,
    /// `prefers-color-scheme: dark`.
    Dark,
}

/// One browser session with a profile of its own. Close it at the end: a failed test leaves closing to
/// chromedriver, which ends its browsers when it is stopped.
#[derive(Debug)]
pub struct Browser {
    client: Client,
    // Removed when dropped; chromium writes here and nowhere else.
    _profile: tempfile::TempDir,
}

/// A browser that could not be started, or did not do as told.
pub type BrowserError = Box<dyn std::error::Error + Send + Sync>;

impl Browser {
    /// A new session, or `None` after one visible line when no chromedriver was announced.
    pub async fn open_or_notice() -> Result<Option<Self>, BrowserError> {
        let Some(driver) = visible::server_or_notice("browser tests", WEBDRIVER_VARIABLE) else {
            return Ok(None);
        };
        Self::open(&driver).await.map(Some)
    }

    async fn open(driver: &str) -> Result<Self, BrowserError> {
        let profile = tempfile::tempdir()?;
        let arguments = [
            "--headless=new".to_owned(),
            // Containers give /dev/shm 64 MB and no user namespaces; these pages are our own.
            "--no-sandbox".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--disable-gpu".to_owned(),
            // A test speaks to our server alone.
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--disable-sync".to_owned(),
            "--no-first-run".to_owned(),
            // What scrolls smoothly is elsewhere by the time it is pressed.
            "--force-prefers-reduced-motion".to_owned(),
            format!("--user-data-dir={}", profile.path().display()),
        ];
        let mut capabilities = Capabilities::new();
        capabilities.insert("goog:chromeOptions".to_owned(), json!({ "args": arguments }));
        capabilities.insert("goog:loggingPrefs".to_owned(), json!({ "browser": "ALL" }));
        let client =
            ClientBuilder::new(HttpConnector::new()).capabilities(capabilities).connect(driver).await?;
        Ok(Self { client, _profile: profile })
    }

    /// The session: navigation, elements, scripts.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Sets the width and height of the page in CSS pixels. Real windows have a minimum width above 320.
    pub async fn set_viewport(&self, width: u32, height: u32) -> Result<(), BrowserError> {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await.map(drop)
    }

    /// Tells the page which colours the reader prefers.
    pub async fn set_color_scheme(&self, scheme: ColorScheme) -> Result<(), BrowserError> {
        self.set_colors(scheme, false).await
    }

    /// Gives the page few colours, none of them its own, as the high-contrast themes of systems do.
    pub async fn force_colors(&self, scheme: ColorScheme) -> Result<(), BrowserError> {
        self.set_colors(scheme, true).await
    }

    async fn set_colors(&self, scheme: ColorScheme, forced: bool) -> Result<(), BrowserError> {
        let scheme = match scheme {
            ColorScheme::Light => "light",
            ColorScheme::Dark => "dark",
        };
        let features = json!([
            { "name": "prefers-color-scheme", "value": scheme },
            { "name": "forced-colors", "value": if forced { "active" } else { "none" } },
        ]);
        self.devtools("Emulation.setEmulatedMedia", json!({ "features": features })).await.map(drop)
    }

    /// Turns JavaScript off or on for the pages that are loaded from now on.
    pub async fn set_scripts_enabled(&self, enabled: bool) -> Result<(), BrowserError> {
        self.devtools("Emulation.setScriptExecutionDisabled", json!({ "value": !enabled })).await.map(drop)
    }

    /// Runs one command of the browser's developer protocol.
    pub async fn devtools(&self, command: &str, parameters: Value) -> Result<Value, BrowserError> {
        let command = DevtoolsCommand { body: json!({ "cmd": command, "params": parameters }).to_string() };
        Ok(self.client.issue_cmd(command).await?)
    }

    /// What the page wrote to the browser's console, and what the browser refused, since the last call.
    pub async fn console(&self) -> Result<Vec<String>, BrowserError> {
        let answer = self.client.issue_cmd(ConsoleCommand).await?;
        let entries = answer.as_array().cloned().unwrap_or_default();
        Ok(entries.iter().map(|entry| entry["message"].to_string()).collect())
    }

    /// Saves a picture of the page as `target/screenshots/<name>.png` and returns its path.
    pub async fn save_screenshot(&self, name: &str) -> Result<PathBuf, BrowserError> {
        let picture = self.client.screenshot().await?;
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/screenshots");
        tokio::fs::create_dir_all(&folder).await?;
        let path = folder.join(name).with_extension("png");
        tokio::fs::write(&path, picture).await?;
        Ok(path)
    }

    /// Ends the session and its browser.
    pub async fn close(self) -> Result<(), BrowserError> {
        Ok(self.client.close().await?)
    }
}

/// Chromedriver's door to the developer protocol.
#[derive(Debug)]
struct DevtoolsCommand {
    body: String,
}

impl WebDriverCompatibleCommand for DevtoolsCommand {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.body.clone()))
    }
}

/// Chromedriver's copy of the console.
#[derive(Debug)]
struct ConsoleCommand;

impl WebDriverCompatibleCommand for ConsoleCommand {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/se/log", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(json!({ "type": "browser" }).to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_browser_takes_width_colours_and_scripts_from_the_test() {
        let Some(browser) = Browser::open_or_notice().await.unwrap() else { return };
        browser.set_viewport(320, 640).await.unwrap();
        browser.set_color_scheme(ColorScheme::Dark).await.unwrap();
        browser
            .client()
            .goto("data:text/html,<title>page</title><script>document.title='run'</script>")
            .await
            .unwrap();
        let seen = browser
            .client()
            .execute(
                "console.error('noticed'); return [innerWidth, matchMedia('(prefers-color-scheme: dark)').matches]",
                vec![],
            )
            .await
            .unwrap();
        assert_eq!(seen, json!([320, true]));
        assert_eq!(browser.client().title().await.unwrap(), "run");
        assert!(browser.console().await.unwrap().iter().any(|line| line.contains("noticed")));
        browser.set_scripts_enabled(false).await.unwrap();
        browser.client().refresh().await.unwrap();
        assert_eq!(browser.client().title().await.unwrap(), "page");
        browser.close().await.unwrap();
    }
}
