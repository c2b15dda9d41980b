//! Each listener has its own calls and nobody else's, whatever credential asks.

use serde_json::Value;

use crate::harness::{Server, free_address};
use crate::upstream;

/// Status and text of a `GET` with the operator token, a key and a session at once.
async fn ask(server: &Server, url: String, secret: &str, cookie: &str) -> (u16, String) {
    let request = server.http.get(url).bearer_auth(server.operator_token());
    let answer = request.header("x-api-key", secret).header("cookie", cookie).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn no_listener_answers_what_belongs_to_another() {
    let upstream = upstream::start().await;
    let (gateway, telemetry) = (free_address(), free_address());
    let folder = tempfile::tempdir().unwrap();
    let route = format!("[[routes]]\npath = \"/\"\nupstream = \"http://{upstream}\"\n");
    std::fs::write(folder.path().join("rndrkit.toml"), route).unwrap();
    let settings = [
        ("RNDRKIT_GATEWAY_LISTEN", gateway.to_string()),
        ("RNDRKIT_TELEMETRY_LISTEN", telemetry.to_string()),
    ];
    let settings = settings.each_ref().map(|(name, value)| (*name, value.as_str()));
    let server = Server::start_in(folder.path(), &settings, None).await;
    let account = server.account("ada@example.com", "agency_plus").await;
    let (_, secret) = server.key(&account, "Production").await;
    let cookie = server.join(&account, "ada@example.com").await;

    let description = server.http.get(server.internal_url("/openapi.json")).send().await.unwrap();
    let description: Value = description.json().await.unwrap();
    let paths = description["paths"].as_object().unwrap().keys();
    let (own, operator): (Vec<&String>, Vec<&String>) = paths.partition(|path| path.starts_with("/api/rk/"));
    assert!(own.len() == 3 && operator.len() >= 12, "{own:?} {operator:?}");
    for path in operator {
        let (status, text) = ask(&server, server.public_url(path), &secret, &cookie).await;
        assert_eq!(status, 404, "{path} on the public listener: {text}");
        let (status, text) = ask(&server, format!("http://{telemetry}{path}"), &secret, &cookie).await;
        let is_telemetry = ["/livez", "/readyz", "/metrics"].contains(&path.as_str());
        assert_eq!(status, if is_telemetry { 200 } else { 404 }, "{path} for watchers: {text}");
        // There every path is the upstream's, and the key is taken off like everywhere.
        let (status, text) = ask(&server, format!("http://{gateway}{path}"), &secret, &cookie).await;
        assert!(status == 200 && text.contains("\"request\""), "{path} on the gateway: {status} {text}");
        assert!(!text.contains(&secret), "{text}");
        let session = cookie.split_once('=').unwrap().1;
        assert!(!text.contains(session), "the dashboard's session reached the upstream: {text}");
    }
    for path in own {
        let (status, text) = ask(&server, server.internal_url(path), &secret, &cookie).await;
        assert_eq!(status, 404, "{path} on the internal listener: {text}");
    }
    for path in ["/", "/settings", "/billing", "/sign-in"] {
        let (status, text) = ask(&server, server.internal_url(path), &secret, &cookie).await;
        assert_eq!(status, 404, "{path} on the internal listener: {text}");
        let (status, text) = ask(&server, format!("http://{telemetry}{path}"), &secret, &cookie).await;
        assert_eq!(status, 404, "{path} for watchers: {text}");
    }
    // With a gateway of its own, the public listener keeps the reserved tree and leads nowhere else.
    let (status, text) = ask(&server, server.public_url("/api/x"), &secret, &cookie).await;
    assert!(status == 404 && text.contains("not_found"), "{status} {text}");
    let (status, _) = ask(&server, server.public_url("/api/rk/account"), &secret, &cookie).await;
    assert_eq!(status, 200);
}
