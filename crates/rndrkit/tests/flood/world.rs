//! A server with good and revoked keys, and texts that are neither.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use rndrkit_domain::key_text::{KeyPrefix, mint};
use rndrkit_domain::random::OsEntropy;
use serde_json::Value;

use crate::harness::Server;

/// A budget that nothing here spends.
const PLANS: &str = r#"
default_plan = "wide"
[[plans]]
id = "wide"
name = "Wide"
api_access = true
active_keys = 100
requests_per_minute = 60000000
burst = 1000000
"#;

/// A server, its keys, and the folder that it lives in.
pub struct World {
    pub server: Server,
    pub account: String,
    /// Their secrets; each has been asked about once.
    pub good: Arc<Vec<String>>,
    /// Likewise.
    pub revoked: Vec<String>,
}

impl World {
    /// Starts a server that believes what this machine says about clients, with so many good and revoked keys.
    pub async fn start(settings: &[(&str, &str)], good: usize, revoked: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("rndrkit.toml"), PLANS).unwrap();
        let mut all = vec![("RNDRKIT_TRUSTED_PROXIES", "127.0.0.0/8")];
        all.extend_from_slice(settings);
        let path = folder.path().to_owned();
        let server = Server::start_in(&path, &all, Some(folder)).await;
        let account = server.account("ada@example.com", "wide").await;
        let mut world = Self { server, account, good: Arc::default(), revoked: Vec::new() };
        let mut secrets = Vec::new();
        for number in 0..good {
            let secret = world.cold_key(&format!("good {number}")).await;
            assert_eq!(world.server.look(&secret).await.1["code"], "valid");
            secrets.push(secret);
        }
        world.good = Arc::new(secrets);
        for number in 0..revoked {
            let (key, secret) = world.server.key(&world.account, &format!("revoked {number}")).await;
            let (status, _) = world.server.operator("DELETE", &format!("/v1/keys/{key}"), Value::Null).await;
            assert_eq!(status, 200);
            assert_eq!(world.server.look(&secret).await.1["code"], "key_revoked");
            world.revoked.push(secret);
        }
        world
    }

    /// A good key that nobody has asked about.
    pub async fn cold_key(&self, name: &str) -> String {
        self.server.key(&self.account, name).await.1
    }

    /// Requests of the gateway by a client at this address.
    pub async fn ask(&self, client: IpAddr, secret: &str) -> reqwest::Response {
        let request = self.server.http.get(self.server.public_url("/api/x"));
        let request = request.header("X-Forwarded-For", client.to_string()).header("X-Api-Key", secret);
        request.send().await.unwrap()
    }

    /// Statements that the database was sent.
    pub async fn statements(&self) -> f64 {
        self.server.metric("rndrkit_store_statements").await
    }

    /// Requests that had to wait for a look-up.
    pub async fn misses(&self) -> f64 {
        self.server.metric("rndrkit_cache_misses_total").await
    }
}

/// Well-formed to the checksum, and made by nobody.
pub fn unknown() -> String {
    let prefix = KeyPrefix::parse("rk_live_").unwrap();
    mint(&prefix, &OsEntropy).secret.reveal().to_owned()
}

/// An address out of many.
pub fn client(number: usize) -> IpAddr {
    let [.., third, fourth] = number.to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(198, 18, third, fourth))
}

/// A question to forward auth, as Traefik puts it.
pub fn question(client: IpAddr, secret: &str) -> Vec<u8> {
    format!(
        "GET /authz/traefik HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Forwarded-For: {client}\r\n\
         X-Forwarded-Method: GET\r\nX-Forwarded-Uri: /\r\nX-Api-Key: {secret}\r\n\r\n"
    )
    .into_bytes()
}
