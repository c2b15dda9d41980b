//! What the server's log has of a verify call: the asker's context, in one line, and no secret.

use serde_json::json;

use crate::harness::Server;

#[tokio::test]
async fn at_level_debug_a_decision_is_one_line_with_its_context_and_without_the_secret() {
    let server = Server::start(&[("RNDRKIT_LOG_LEVEL", "debug")]).await;
    let account = server.account("ada@example.com", "agency").await;
    let (key, secret) = server.key(&account, "CI").await;
    let context = json!({
        "ip": "192.0.2.7",
        "method": "GET",
        "path": format!("/api/reports?api_key={secret}"),
        "user_agent": "curl/8.0\r\nforged: line\u{1b}[2J",
    });
    let question = json!({"secret": secret, "context": context});
    let (status, answer) = server.operator("POST", "/v1/keys/verify", question).await;
    assert_eq!((status, answer["valid"].clone()), (200, json!(true)));
    let request_id = answer["request_id"].as_str().unwrap();
    let is_there = server.eventually(async |server| server.log().contains("decided for a service")).await;
    assert!(is_there, "{}", server.log());
    let log = server.log();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("decided for a service")).collect();
    let [line] = lines[..] else { panic!("{lines:?}") };
    for expected in
        ["valid", "192.0.2.7", "GET", "/api/reports", "curl/8.0", "forged: line", &key, request_id]
    {
        assert!(line.contains(expected), "{expected}: {line}");
    }
    assert!(!log.contains(&secret), "a secret in the log");
    assert!(!log.contains('\u{1b}'), "a control character in the log");
}

#[tokio::test]
async fn at_the_usual_level_nobody_can_fill_the_log_with_questions() {
    let server = Server::start(&[]).await;
    for secret in ["", "nonsense", "a,b"] {
        let context = json!({"ip": "192.0.2.7", "path": "/here"});
        let question = json!({"secret": secret, "context": context});
        assert_eq!(server.operator("POST", "/v1/keys/verify", question).await.0, 200);
    }
    let log = server.log();
    assert!(!log.contains("192.0.2.7") && !log.contains("/here"), "{log}");
}
