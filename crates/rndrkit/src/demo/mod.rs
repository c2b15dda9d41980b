//! `rndrkit demo`: a key's whole life, step by step, through the real HTTP interfaces of a real server. All of
//! it on this machine, on free ports, in a folder that is gone afterwards.

mod sample_api;
mod screen;
mod walk;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;

use rndrkit_domain::key_text::Secret;
use rndrkit_domain::random::OsEntropy;
use rndrkit_domain::time::SystemClock;

use crate::cli::DemoArgs;
use crate::commands::{Console, Exit, Failure};
use crate::config::{self, DataFolder, DataFolderError, Environment, Mistakes, Settings, Sources};
use crate::serve;
use crate::wiring::{Server, StartError};
use sample_api::SampleApi;
use screen::Screen;
use walk::{Places, Walk};

/// Why the demonstration ended early.
#[derive(Debug, thiserror::Error)]
enum DemoError {
    #[error("no folder, port or listener could be had: {0}")]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Settings(#[from] Mistakes),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    DataFolder(#[from] DataFolderError),
    #[error("the server has no operator token in its data folder")]
    NoToken,
    #[error("a request was not answered: {0}")]
    Http(reqwest::Error),
    #[error("step {step} should have been answered with {expected}, and was answered with {got}")]
    Unexpected { step: usize, expected: String, got: String },
}

impl From<reqwest::Error> for DemoError {
    fn from(error: reqwest::Error) -> Self {
        Self::Http(error.without_url())
    }
}

/// Runs the demonstration; a signal ends it at any point, in order.
pub(crate) async fn run(args: &DemoArgs, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let shown = show(args, console).await;
    shown.map_err(|error| Failure::new(Exit::No, format!("rndrkit: {error}")))
}

async fn show(args: &DemoArgs, console: &mut Console<'_>) -> Result<Exit, DemoError> {
    let folder = tempfile::Builder::new().prefix("rndrkit-demo-").tempdir()?;
    let sample_api = SampleApi::start().await?;
    let settings = settings(folder.path(), sample_api.address)?;
    serve::start_logging(&settings.logging);
    let server = Server::start(&settings, Arc::new(SystemClock::default()), Arc::new(OsEntropy)).await?;
    let result = tokio::select! {
        result = walk_and_stay(args, &settings, &server, console) => result,
        stopped = serve::wait_for_signal() => stopped.map_err(DemoError::from),
    };
    server.stop().await;
    folder.close()?;
    result.map(|()| Exit::Done)
}

async fn walk_and_stay(
    args: &DemoArgs,
    settings: &Settings,
    server: &Server,
    console: &mut Console<'_>,
) -> Result<(), DemoError> {
    let folder = &settings.storage.data_dir;
    let token = DataFolder::read_operator_token(folder)?.ok_or(DemoError::NoToken)?;
    let places = Places {
        public: settings.site.public_url.to_string(),
        operator: format!("http://{}", server.internal),
        token_file: token.path.display().to_string(),
    };
    let mut screen = Screen::new(console);
    screen.opening(&places, folder);
    let mut walk = Walk::new(&places, &token.secret, screen)?;
    let account = walk.whole_life().await?;
    if args.exit {
        return Ok(());
    }
    let link = walk.sign_in_link(&account).await?;
    walk.screen.closing(&places, &link);
    // A signal ends it from outside.
    std::future::pending().await
}

/// The settings of a first start, with free ports, a folder of its own and the sample API as upstream.
fn settings(folder: &Path, upstream: SocketAddr) -> Result<Settings, DemoError> {
    let (public, internal) = (free_address()?, free_address()?);
    let flag = |name: &str, value: String| (name.to_owned(), value);
    let sources = Sources {
        // Nothing of this machine's own configuration.
        default_file: folder.join("none.toml"),
        flags: vec![
            flag("data_dir", folder.join("data").display().to_string()),
            flag("public_listen", public.to_string()),
            flag("internal_listen", internal.to_string()),
            flag("public_url", format!("http://localhost:{}", public.port())),
            flag("upstream_url", format!("http://{upstream}")),
            flag("log_level", "warn".to_owned()),
            // Nothing of a demonstration is worth waiting for.
            flag("shutdown_seconds", "2".to_owned()),
        ],
        ..Sources::new(Environment::default())
    };
    Ok(config::load(&sources)?.settings)
}

/// A port that was free a moment ago: the address has to be known before the server has it.
fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// What a shell would put in front of the token.
fn bearer(token: &Secret) -> String {
    format!("Bearer {}", token.reveal())
}
