//! What the demonstration prints: each step as one could do it with curl, and what came back. The only place
//! but a creating answer where a secret may be seen.

use std::path::Path;

use serde_json::{Value, json};

use super::walk::Places;
use crate::commands::Console;

/// One request and its answer.
pub(super) struct Exchange {
    pub(super) method: &'static str,
    pub(super) url: String,
    /// As they are shown: the operator token is never among them.
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) sent: Option<Value>,
    pub(super) status: u16,
    /// Those worth seeing.
    pub(super) answer_headers: Vec<(String, String)>,
    pub(super) answer: Value,
    /// The same as it came over the wire, members in the server's own order.
    pub(super) answer_text: String,
}

pub(super) struct Screen<'a, 'b> {
    console: &'a mut Console<'b>,
    pub(super) step: usize,
}

impl<'a, 'b> Screen<'a, 'b> {
    pub(super) fn new(console: &'a mut Console<'b>) -> Self {
        Self { console, step: 0 }
    }

    fn line(&mut self, text: &str) {
        self.console.line(text);
    }

    fn json(&mut self, value: &Value) {
        self.console.line(value.to_string());
    }

    pub(super) fn opening(&mut self, places: &Places, folder: &Path) {
        if self.console.json {
            return;
        }
        self.line("A key's whole life, through the real interfaces, with a sample API behind the gateway.");
        self.line(&format!("Data: {} (gone when this ends)", folder.display()));
        self.line(&format!("TOKEN=$(cat {})", places.token_file));
    }

    /// A step that is about to happen.
    pub(super) fn begin(&mut self, title: &str) {
        self.step += 1;
        if !self.console.json {
            self.line("");
            self.line(&format!("{}. {title}", self.step));
        }
    }

    /// What was sent and answered in this step.
    pub(super) fn exchange(&mut self, title: &str, exchange: &Exchange) {
        if self.console.json {
            let headers: serde_json::Map<String, Value> =
                exchange.headers.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
            let answer_headers: serde_json::Map<String, Value> =
                exchange.answer_headers.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
            self.json(&json!({
                "step": self.step,
                "title": title,
                "request": {
                    "method": exchange.method, "url": exchange.url, "headers": headers, "body": exchange.sent,
                },
                "response": {
                    "status": exchange.status, "headers": answer_headers, "body": exchange.answer,
                },
            }));
            return;
        }
        self.line(&format!("   $ {}", curl(exchange)));
        self.line(&format!("   → {}", exchange.status));
        for (name, value) in &exchange.answer_headers {
            self.line(&format!("   {name}: {value}"));
        }
        self.line(&format!("   {}", exchange.answer_text));
    }

    /// A remark on the step.
    pub(super) fn remark(&mut self, text: &str) {
        if !self.console.json {
            self.line(&format!("   {text}"));
        }
    }

    pub(super) fn closing(&mut self, places: &Places, link: &str) {
        if self.console.json {
            self.json(&json!({
                "dashboard": places.public, "sign_in_link": link, "api": format!("{}/api/", places.public),
                "operator_api": places.operator, "token_file": places.token_file,
            }));
            return;
        }
        self.line("");
        self.line("Everything stays up until Ctrl-C:");
        self.line(&format!("  Sign in (once, within 10 minutes)  {link}"));
        self.line(&format!("  API, with X-Api-Key                {}/api/", places.public));
        self.line(&format!("  Operator API                       {}", places.operator));
    }
}

/// The request as a line for a shell.
fn curl(exchange: &Exchange) -> String {
    let mut words = vec!["curl".to_owned()];
    if exchange.method != "GET" {
        words.push(format!("-X {}", exchange.method));
    }
    words.push(exchange.url.clone());
    words.extend(exchange.headers.iter().map(|(name, value)| format!("-H \"{name}: {value}\"")));
    words.extend(exchange.sent.iter().map(|body| format!("--json '{body}'")));
    words.join(" ")
}
