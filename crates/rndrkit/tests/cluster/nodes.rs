//! Nodes on one PostgreSQL: real processes, each with a proxy of its own between it and the database.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use rndrkit_testkit::private_postgres::PrivatePostgres;
use rndrkit_testkit::proxy::Proxy;
use tempfile::TempDir;

use crate::harness::Server;
use crate::wire::TOKEN;

/// How long a node decides without the database, and how often it asks. The shortest that may be set, but not
/// so short that a busy machine ends it.
pub const TRUST: Duration = Duration::from_secs(4);
pub const BEAT: Duration = Duration::from_secs(1);

/// `agency` is the specification's; `wide` has a budget that no test exhausts.
pub const PLANS: &str = r#"
default_plan = "starter"
[[plans]]
id = "starter"
name = "Starter"
api_access = false
active_keys = 5
requests_per_minute = 60
burst = 10
[[plans]]
id = "agency"
name = "Agency"
api_access = true
active_keys = 5
requests_per_minute = 600
burst = 100
[[plans]]
id = "wide"
name = "Wide"
api_access = true
active_keys = 5
requests_per_minute = 6000000
burst = 1000000
"#;

/// One process and its way to the database.
pub struct Node {
    pub server: Server,
    pub proxy: Proxy,
}

/// Several of them, and the database.
pub struct Cluster {
    pub nodes: Vec<Node>,
    pub postgres: PrivatePostgres,
    _folder: TempDir,
}

impl Cluster {
    /// Starts a database and so many nodes at once; none after one visible line without PostgreSQL.
    pub async fn start_or_notice(nodes: usize) -> Option<Self> {
        Self::start_with(nodes, &[]).await
    }

    /// With further settings for every node.
    pub async fn start_with(nodes: usize, settings: &[(&str, &str)]) -> Option<Self> {
        let postgres = PrivatePostgres::start_or_notice().await?;
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("rndrkit.toml"), PLANS).unwrap();
        let mut starting = tokio::task::JoinSet::new();
        for number in 0..nodes {
            let port = postgres.port();
            let proxy = Proxy::to(SocketAddr::from(([127, 0, 0, 1], port))).await;
            let url = postgres.url_by(proxy.address().port());
            let top = folder.path().to_owned();
            let settings: Vec<(String, String)> =
                settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            starting.spawn(async move {
                let server = start_node(&top, number, &url, &settings).await;
                (number, Node { server, proxy })
            });
        }
        let mut started = starting.join_all().await;
        started.sort_by_key(|(number, _)| *number);
        let nodes = started.into_iter().map(|(_, node)| node).collect();
        Some(Self { nodes, postgres, _folder: folder })
    }

    /// One of the processes.
    pub fn server(&self, number: usize) -> &Server {
        &self.nodes[number].server
    }

    /// Where their operator APIs are.
    pub fn internal(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(|node| node.server.internal).collect()
    }

    /// Leads every node to another database server, from the next connection on.
    pub fn lead_to(&self, postgres: &PrivatePostgres) {
        for node in &self.nodes {
            node.proxy.lead_to(SocketAddr::from(([127, 0, 0, 1], postgres.port())));
        }
    }

    /// Waits until every node decides.
    pub async fn ready(&self) {
        for node in &self.nodes {
            let is_ready = node.server.eventually(async |server| server.is_ready().await).await;
            assert!(is_ready, "not ready:\n{}", node.server.log());
        }
    }
}

async fn start_node(top: &Path, number: usize, url: &str, settings: &[(String, String)]) -> Server {
    let folder = top.join(format!("node-{number}"));
    std::fs::create_dir(&folder).unwrap();
    let plans = top.join("rndrkit.toml").display().to_string();
    let (name, trust, beat) =
        (format!("node-{number}"), TRUST.as_secs().to_string(), BEAT.as_secs().to_string());
    let mut all = vec![
        ("RNDRKIT_CONFIG", plans.as_str()),
        ("RNDRKIT_DATABASE_URL", url),
        ("RNDRKIT_OPERATOR_TOKEN", TOKEN),
        ("RNDRKIT_NODE_NAME", &name),
        ("RNDRKIT_TRUST_SECONDS", &trust),
        ("RNDRKIT_BEAT_SECONDS", &beat),
    ];
    all.extend(settings.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    Server::start_in(&folder, &all, None).await
}
