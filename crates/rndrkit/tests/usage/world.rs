//! A server with an upstream and an account that has a small budget; ways in, and what was counted.

use serde_json::{Value, json};

use crate::harness::Server;
use crate::upstream;

/// What an account of the plan may at once. A minute gives one more.
pub const BURST: u64 = 40;
const PLANS: &str = r#"
default_plan = "none"
[[plans]]
id = "none"
name = "None"
api_access = false
active_keys = 5
requests_per_minute = 60
burst = 10
[[plans]]
id = "small"
name = "Small"
api_access = true
active_keys = 5
requests_per_minute = 1
burst = 40
"#;

pub struct World {
    pub server: Server,
}

/// Counts of one key: allowed, limited, refused, and answers by class.
pub type Counts = ([u64; 3], [u64; 4]);

impl World {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("rndrkit.toml"), PLANS).unwrap();
        let upstream = format!("http://{}", upstream::start().await);
        let settings = [("RNDRKIT_UPSTREAM_URL", upstream.as_str())];
        let path = folder.path().to_owned();
        Self { server: Server::start_in(&path, &settings, Some(folder)).await }
    }

    /// Through the gateway to an upstream that answers with this status; the status that came back.
    pub async fn gateway(&self, secret: &str, status: u16) -> u16 {
        self.server.get_with_key(&format!("/api/{status}"), secret).await.status().as_u16()
    }

    /// As Traefik asks; the status.
    pub async fn authz(&self, secret: &str) -> u16 {
        let request = self.server.http.get(self.server.internal_url("/authz/traefik"));
        let request = request.header("X-Forwarded-Method", "GET").header("X-Forwarded-Uri", "/");
        request.header("X-Api-Key", secret).send().await.unwrap().status().as_u16()
    }

    /// As a service asks; the code.
    pub async fn verify(&self, secret: &str, cost: u32) -> String {
        let body = json!({"secret": secret, "cost": cost});
        let (status, answer) = self.server.operator("POST", "/v1/keys/verify", body).await;
        assert_eq!(status, 200, "{answer}");
        answer["code"].as_str().unwrap().to_owned()
    }

    /// What is stored about a key over all stretches of a period.
    pub async fn counted(&self, account: &str, key: &str, period: &str) -> Counts {
        let path = format!("/v1/accounts/{account}/usage?period={period}");
        let (status, usage) = self.server.operator("GET", &path, Value::Null).await;
        assert_eq!(status, 200, "{usage}");
        let mut sum = Counts::default();
        for entry in usage["data"].as_array().unwrap().iter().filter(|entry| entry["key_id"] == key) {
            for (count, name) in sum.0.iter_mut().zip(["allowed", "limited", "refused"]) {
                *count += entry[name].as_u64().unwrap();
            }
            let classes = ["successful", "redirection", "client_error", "server_error"];
            for (count, name) in sum.1.iter_mut().zip(classes) {
                *count += entry["answers"][name].as_u64().unwrap();
            }
        }
        sum
    }

    pub async fn last_used(&self, key: &str) -> Option<String> {
        let (status, key) = self.server.operator("GET", &format!("/v1/keys/{key}"), Value::Null).await;
        assert_eq!(status, 200, "{key}");
        key["last_used_at"].as_str().map(str::to_owned)
    }

    /// Changes the account; it holds when this returns.
    pub async fn change(&self, account: &str, change: Value) {
        let path = format!("/v1/accounts/{account}");
        let (status, answer) = self.server.operator("PATCH", &path, change).await;
        assert_eq!(status, 200, "{answer}");
    }
}
