//! `rndrkit serve`: starts, says where it is, and stops in order when asked.

use std::io::{IsTerminal as _, Write};
use std::sync::Arc;

use rndrkit_domain::random::OsEntropy;
use rndrkit_domain::time::SystemClock;
use tokio::signal::unix::{SignalKind, signal};

use crate::commands::Exit;
use crate::config::{KeyRule, LogFormat, LogLevel, Logging, Settings};
use crate::wiring::{DRAIN_NOTICE, Server};

/// Serves until SIGTERM or Ctrl-C.
pub async fn run(settings: &Settings) -> Exit {
    start_logging(&settings.logging);
    let server = match Server::start(settings, Arc::new(SystemClock::default()), Arc::new(OsEntropy)).await {
        Ok(server) => server,
        Err(error) => {
            say(&mut std::io::stderr(), &format!("rndrkit: {error}"));
            return if error.is_unknown() { Exit::Unknown } else { Exit::No };
        }
    };
    announce(settings, &server);
    if let Err(error) = wait_for_signal().await {
        tracing::error!(%error, "signals cannot be received; stopping");
    }
    tracing::info!("stopping: no new connections, requests in progress finish");
    server.start_draining();
    tokio::time::sleep(DRAIN_NOTICE).await;
    server.stop().await;
    tracing::info!("stopped");
    Exit::Done
}

/// Logs go to standard error, so that standard output has only what was asked for.
pub fn start_logging(logging: &Logging) {
    let level = match logging.level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    };
    // Libraries speak up only about what an operator can mend: at finer levels, statements and frames of
    // theirs could carry what must not be written down.
    // Notices of the server are the exception: one says that a commit was called done without its stand-by.
    let filter = format!(
        "warn,sqlx=error,sqlx::postgres::notice=warn,sea_orm=error,rndrkit={level},{}",
        own_crates(level)
    );
    let filter = tracing_subscriber::EnvFilter::new(filter);
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let result = match logging.format {
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    if let Err(error) = result {
        say(&mut std::io::stderr(), &format!("rndrkit: the log is set up already: {error}"));
    }
}

fn own_crates(level: &str) -> String {
    let crates = ["cluster", "control", "edge", "server", "store", "verifier"];
    crates.map(|name| format!("rndrkit_{name}={level}")).join(",")
}

fn announce(settings: &Settings, server: &Server) {
    let mut out = std::io::stdout();
    say(&mut out, &format!("RndrKit API keys {}", env!("CARGO_PKG_VERSION")));
    say(
        &mut out,
        &format!("  Dashboard and API   {}  (listening on {})", settings.site.public_url, server.public),
    );
    let token = server.operator_token_file.as_ref();
    let token = token
        .map_or_else(|| "token from the settings".to_owned(), |path| format!("token in {}", path.display()));
    say(&mut out, &format!("  Operator API        http://{}  ({token})", server.internal));
    say_nodes(&mut out, settings, server);
    say_routes(&mut out, settings, server);
    say_signing(server);
    say_warnings(settings, server.is_new_prefix);
    if let Some(link) = &server.first_account_link {
        say(&mut out, &format!("Create the first account: {}", link.url.reveal()));
    }
}

/// How many nodes there are, and what one of them that does not answer costs.
fn say_nodes(out: &mut impl Write, settings: &Settings, server: &Server) {
    let Some(nodes) = &server.nodes else { return };
    let present = match nodes.nodes.len() {
        0 | 1 => "this is the only one now".to_owned(),
        several => format!("{several} are there now"),
    };
    let (wait, trust) = (nodes.longest_wait.as_secs(), settings.decision.trust.as_secs());
    say(
        out,
        &format!(
            "  Several nodes       {present}; a change waits at most {wait} s for one that does not answer \
             (trust_seconds = {trust})"
        ),
    );
}

/// Whose signatures the audit trail carries: a copy of this line, kept elsewhere, is what to check them with.
fn say_signing(server: &Server) {
    if let Some(public_key) = &server.audit_public_key {
        tracing::info!(%public_key, "the audit trail is signed");
    } else {
        tracing::warn!(
            "the audit trail is not signed: set audit_signing_key (openssl rand -hex 32), the same on every node"
        );
    }
}

/// What calls with a key reach: what an operator wants to see confirmed.
fn say_routes(out: &mut impl Write, settings: &Settings, server: &Server) {
    let routes = &settings.gateway.routes;
    if routes.is_empty() {
        say(
            out,
            "  Gateway             nothing behind it yet: set upstream_url to the API that keys are to guard",
        );
    }
    let scheme = if settings.listeners.tls.is_some() { "https" } else { "http" };
    let origin = server
        .gateway
        .map_or_else(|| settings.site.public_url.to_string(), |address| format!("{scheme}://{address}"));
    for route in routes {
        let open = if route.key == KeyRule::None { "  (no key needed)" } else { "" };
        say(out, &format!("  Gateway             {origin}{}  →  {}{open}", route.path, route.upstream));
    }
}

fn say_warnings(settings: &Settings, is_new_prefix: bool) {
    // Once, at the start that brings the prefix in: a warning at every start is read at none.
    if is_new_prefix && settings.product.key_prefix.as_str() == "rk_live_" {
        tracing::warn!(
            "rk_live_ is also the prefix of Stripe's restricted keys: secret scanners will report leaked keys \
             to Stripe; a product of your own wants a key_prefix of its own"
        );
    }
    if !settings.listeners.internal.ip().is_loopback() {
        tracing::warn!(
            "internal_listen is not on loopback: whoever reaches {} may try operator tokens; keep it off the Internet",
            settings.listeners.internal
        );
    }
    if settings.listeners.trusted_proxies.iter().any(|proxy| proxy.prefix_len() == 0) {
        tracing::warn!("trusted_proxies names everybody: any client may then claim any address");
    }
    if settings.access.authz_callers.iter().any(|caller| caller.prefix_len() == 0)
        && settings.access.authz_secret.is_none()
    {
        tracing::warn!(
            "authz_callers names everybody and there is no authz_secret: whoever reaches forward auth may try keys"
        );
    }
}

/// A closed standard output is no reason to stop serving.
fn say(out: &mut impl Write, line: &str) {
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Until somebody asks the process to stop.
pub async fn wait_for_signal() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        interrupted = tokio::signal::ctrl_c() => interrupted,
    }
}
