//! Ports, certificates, upstreams: what a start binds and what the gateway will call.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::Finding;
use crate::config::{Listeners, Route, TlsFiles};

const PORTS: &str = "listener";
const INTERNAL: &str = "internal listener";
const CERTIFICATE: &str = "certificate";
const UPSTREAM: &str = "upstream";

/// An upstream that takes longer to accept a connection is no use behind a gateway.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Upstreams that are tried; with more routes than this the rest is left to their first request.
const UPSTREAMS_MAX: usize = 50;
/// A server of this machine answers at once whether it lives.
const LIFE_TIMEOUT: Duration = Duration::from_secs(2);

/// Whether a server with these settings answers: on PostgreSQL it may have no data folder to tell it by.
pub(super) async fn is_served(listeners: &Listeners) -> bool {
    let said = ask_for_life(reachable(listeners.internal)).await;
    said.is_some_and(|said| said == serde_json::json!({ "status": "live" }))
}

async fn ask_for_life(address: SocketAddr) -> Option<serde_json::Value> {
    // Once for the process; main has done it, and tests of these commands have no main.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(LIFE_TIMEOUT)
        // This listener has no HTTPS: no certificate authority is needed.
        .tls_certs_only([])
        .build()
        .ok()?;
    let mut answer = http.get(format!("http://{address}/livez")).send().await.ok()?;
    // Ours comes in one piece; what another program may go on to say is not read.
    serde_json::from_slice(&answer.chunk().await.ok()??).ok()
}

/// Where to call what listens there.
fn reachable(listener: SocketAddr) -> SocketAddr {
    let ip = match listener.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, listener.port())
}

pub(super) fn check_listeners(listeners: &Listeners, is_running: bool) -> Vec<Finding> {
    let all = [
        ("public_listen", Some(listeners.public)),
        ("internal_listen", Some(listeners.internal)),
        ("gateway_listen", listeners.gateway),
        ("authz_listen", listeners.authz),
        ("telemetry_listen", listeners.telemetry),
    ];
    let mut findings: Vec<Finding> = all
        .into_iter()
        .filter_map(|(name, address)| address.map(|address| check_port(name, address, is_running)))
        .collect();
    if !listeners.internal.ip().is_loopback() {
        findings.push(Finding::warn(
            INTERNAL,
            format!("{} is open to the network, without HTTPS", listeners.internal),
            "make sure that only your own machines reach it: whoever has the operator token rules everything",
        ));
    }
    findings
}

fn check_port(name: &str, address: SocketAddr, is_running: bool) -> Finding {
    match TcpListener::bind(address) {
        Ok(_) => Finding::ok(PORTS, format!("{name} {address} is free")),
        Err(error) if error.kind() == ErrorKind::AddrInUse && is_running => {
            Finding::ok(PORTS, format!("{name} {address} is in use, as the server is running"))
        }
        Err(error) if error.kind() == ErrorKind::AddrInUse => Finding::fail(
            PORTS,
            format!("{name} {address} is in use by another program"),
            format!("stop that program, or start rndrkit with --{} and another port", name.replace('_', "-")),
        ),
        Err(error) => Finding::fail(
            PORTS,
            format!("{name} {address} cannot be used: {error}"),
            "use an address of this machine, and a port above 1023 or the right to use a lower one",
        ),
    }
}

pub(super) fn check_certificate(files: Option<&TlsFiles>) -> Vec<Finding> {
    let Some(files) = files else { return Vec::new() };
    let chain = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| error.to_string());
    let certificate = match chain {
        Ok(chain) if !chain.is_empty() => {
            Finding::ok(CERTIFICATE, format!("{} holds {} of them", files.certificate.display(), chain.len()))
        }
        Ok(_) => unreadable(&files.certificate, "it holds none"),
        Err(error) => unreadable(&files.certificate, &error),
    };
    let key = match PrivateKeyDer::from_pem_file(&files.key) {
        Ok(_) => Finding::ok(CERTIFICATE, format!("{} holds a private key", files.key.display())),
        Err(error) => unreadable(&files.key, &error.to_string()),
    };
    vec![certificate, key]
}

fn unreadable(path: &std::path::Path, why: &str) -> Finding {
    let advice = "it must be a PEM file that the user who runs rndrkit can read";
    Finding::fail(CERTIFICATE, format!("{}: {why}", path.display()), advice)
}

pub(super) async fn check_upstreams(routes: &[Route]) -> Vec<Finding> {
    if routes.is_empty() {
        return vec![Finding::warn(
            UPSTREAM,
            "none in the settings of this shell and folder: the gateway answers good keys with 404 no_upstream",
            "set upstream_url, or leave it when another proxy asks rndrkit",
        )];
    }
    let mut findings = Vec::new();
    for route in routes.iter().take(UPSTREAMS_MAX) {
        findings.push(check_upstream(route).await);
    }
    findings
}

async fn check_upstream(route: &Route) -> Finding {
    let default_port = if route.upstream.scheme_str() == Some("https") { 443 } else { 80 };
    let host = route.upstream.host().unwrap_or_default();
    let port = route.upstream.port_u16().unwrap_or(default_port);
    let shown = format!("{} ({host}:{port})", route.path);
    let host = host.trim_matches(['[', ']']);
    let connected = tokio::time::timeout(CONNECT_TIMEOUT, tokio::net::TcpStream::connect((host, port))).await;
    let why = match connected {
        Ok(Ok(_)) => return Finding::ok(UPSTREAM, format!("{shown} accepts connections")),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {} s", CONNECT_TIMEOUT.as_secs()),
    };
    let advice =
        "start it, or mend upstream_url or the route; until then requests get 502 upstream_unreachable";
    Finding::warn(UPSTREAM, format!("{shown}: {why}"), advice)
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;

    #[test]
    fn a_taken_port_fails_unless_the_server_itself_has_it() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let failed = check_port("public_listen", address, false);
        assert_eq!(failed.status, Status::Fail);
        assert!(failed.advice.unwrap().contains("--public-listen"));
        assert_eq!(check_port("public_listen", address, true).status, Status::Ok);
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        assert_eq!(check_port("public_listen", free, false).status, Status::Ok);
    }

    #[test]
    fn files_that_hold_no_certificate_fail() {
        let folder = tempfile::tempdir().unwrap();
        let certificate = folder.path().join("c.pem");
        std::fs::write(&certificate, "nothing").unwrap();
        let files = TlsFiles { certificate, key: folder.path().join("gone.pem") };
        let findings = check_certificate(Some(&files));
        assert!(findings.iter().all(|finding| finding.status == Status::Fail), "{findings:?}");
        assert_eq!(findings.len(), 2);
    }
}
