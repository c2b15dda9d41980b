//! The specification without a browser: every sentence that a program can see.

use serde_json::json;

use crate::harness::Server;
use crate::upstream;

#[tokio::test]
async fn a_key_lets_a_call_through_until_it_is_deleted() {
    let upstream = upstream::start().await;
    let server = Server::start(&[("RNDRKIT_UPSTREAM_URL", &format!("http://{upstream}"))]).await;
    let account = server.account("ada@example.com", "agency").await;
    let (key, secret) = server.key(&account, "CI/CD Pipeline").await;
    assert!(secret.starts_with("rk_live_"));
    assert_eq!(secret.len(), "rk_live_".len() + 32);

    let allowed = server.get_with_key("/api/your-endpoint?page=2", &secret).await;
    assert_eq!(allowed.status(), 200);
    assert!(allowed.headers().contains_key("ratelimit"));
    let seen: serde_json::Value = allowed.json().await.unwrap();
    assert_eq!(seen["request"], "GET /api/your-endpoint?page=2 HTTP/1.1");
    let headers = seen["headers"].to_string();
    assert!(headers.contains(&account) && headers.contains(&key), "{headers}");
    assert!(!headers.contains(&secret), "the secret reached the upstream: {headers}");

    let (status, receipt) = server.operator("DELETE", &format!("/v1/keys/{key}"), json!(null)).await;
    assert_eq!((status, &receipt["nodes_confirmed"]), (200, &json!(1)));
    let refused = server.get_with_key("/api/your-endpoint", &secret).await;
    assert_eq!(refused.status(), 401);
    assert!(refused.headers().contains_key("www-authenticate"));
    let problem: serde_json::Value = refused.json().await.unwrap();
    assert_eq!(problem["code"], "key_revoked");

    let (status, again) = server.operator("DELETE", &format!("/v1/keys/{key}"), json!(null)).await;
    assert_eq!((status, &again["revoked_at"]), (200, &receipt["revoked_at"]));
}

#[tokio::test]
async fn the_list_shows_name_creation_last_use_and_mask() {
    let server = Server::start(&[]).await;
    let account = server.account("ada@example.com", "agency").await;
    let (key, secret) = server.key(&account, "Deployment Script").await;
    let (_, before) = server.operator("GET", &format!("/v1/keys/{key}"), json!(null)).await;
    assert_eq!(before["last_used_at"], json!(null));
    assert_eq!(before["mask"], secret[.."rk_live_".len() + 4]);
    assert_eq!(before["name"], "Deployment Script");
    assert!(before["created_at"].as_str().unwrap().ends_with('Z'));
    assert!(before.get("secret").is_none());

    assert_eq!(server.get_with_key("/api/rk/account", &secret).await.status(), 200);
    for _ in 0..600 {
        let (_, after) = server.operator("GET", &format!("/v1/keys/{key}"), json!(null)).await;
        if !after["last_used_at"].is_null() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("Last used did not move within 60 seconds");
}

#[tokio::test]
async fn starter_and_pro_have_no_access_and_agency_and_above_have() {
    let server = Server::start(&[]).await;
    for (plan, granted) in [("starter", false), ("pro", false), ("agency", true), ("agency_plus", true)] {
        let account = server.account(&format!("{plan}@example.com"), plan).await;
        let path = format!("/v1/accounts/{account}/keys");
        let (status, answer) = server.operator("POST", &path, json!({"name": "x"})).await;
        if granted {
            assert_eq!(status, 201, "{plan}: {answer}");
        } else {
            assert_eq!((status, &answer["code"]), (403, &json!("plan_required")), "{plan}");
        }
    }
}

#[tokio::test]
async fn a_downgrade_answers_403_with_a_way_up_and_an_upgrade_restores() {
    let server = Server::start(&[]).await;
    let account = server.account("ada@example.com", "agency").await;
    let (_, secret) = server.key(&account, "Production").await;
    let path = format!("/v1/accounts/{account}");
    assert_eq!(server.get_with_key("/api/rk/account", &secret).await.status(), 200);

    assert_eq!(server.operator("PATCH", &path, json!({"plan": "pro"})).await.0, 200);
    let refused = server.get_with_key("/api/rk/account", &secret).await;
    assert_eq!(refused.status(), 403);
    let problem: serde_json::Value = refused.json().await.unwrap();
    assert_eq!(problem["code"], "plan_required");
    assert!(problem["upgrade_url"].as_str().unwrap().ends_with("/billing"));

    assert_eq!(server.operator("PATCH", &path, json!({"plan": "agency_plus"})).await.0, 200);
    assert_eq!(server.get_with_key("/api/rk/account", &secret).await.status(), 200);

    assert_eq!(server.operator("PATCH", &path, json!({"status": "suspended"})).await.0, 200);
    let suspended = server.get_with_key("/api/rk/account", &secret).await;
    assert_eq!(suspended.status(), 403);
    let problem: serde_json::Value = suspended.json().await.unwrap();
    assert_eq!(problem["code"], "account_suspended");
}

#[tokio::test]
async fn keys_inherit_the_accounts_rate_limit() {
    let server = Server::start(&[]).await;
    let account = server.account("ada@example.com", "agency").await;
    let (_, one) = server.key(&account, "one").await;
    let (_, two) = server.key(&account, "two").await;
    let remaining = async |secret: &str| {
        let answer: serde_json::Value =
            server.get_with_key("/api/rk/account", secret).await.json().await.unwrap();
        assert_eq!(answer["rate_limit"]["burst"], 100);
        assert_eq!(answer["rate_limit"]["per_minute"], 600);
        answer["rate_limit"]["remaining"].as_i64().unwrap()
    };
    let first = remaining(&one).await;
    let second = remaining(&two).await;
    assert!(first <= 99 && second <= first + 1, "the second key drew on another bucket: {first}, {second}");

    let mut limited = None;
    for _ in 0..400 {
        let answer = server.get_with_key("/api/rk/account", &two).await;
        if answer.status() == 429 {
            limited = Some(answer);
            break;
        }
    }
    let limited = limited.expect("400 calls in a row never met the limit of 100");
    assert_eq!(limited.headers()["ratelimit-policy"], r#""account";q=100;w=10"#);
    assert!(limited.headers()["ratelimit"].to_str().unwrap().starts_with(r#""account";r=0;t="#));
    assert!(limited.headers().contains_key("retry-after"));
}

#[tokio::test]
async fn whoever_holds_a_secret_may_end_it_even_when_suspended() {
    let server = Server::start(&[]).await;
    let account = server.account("ada@example.com", "agency").await;
    let (key, secret) = server.key(&account, "leaked").await;
    server.operator("PATCH", &format!("/v1/accounts/{account}"), json!({"status": "suspended"})).await;
    let url = server.public_url("/api/rk/keys/self");
    let answer = server.http.delete(url).header("X-Api-Key", &secret).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let receipt: serde_json::Value = answer.json().await.unwrap();
    assert_eq!(receipt["id"], json!(key));
    assert_eq!(server.get_with_key("/api/rk/account", &secret).await.status(), 401);
}

#[tokio::test]
async fn a_good_key_without_an_upstream_hears_what_to_configure() {
    let server = Server::start(&[]).await;
    let account = server.account("ada@example.com", "agency").await;
    let (_, secret) = server.key(&account, "x").await;
    let answer = server.get_with_key("/api/your-endpoint", &secret).await;
    assert_eq!(answer.status(), 404);
    let problem: serde_json::Value = answer.json().await.unwrap();
    assert_eq!(problem["code"], "no_upstream");
    assert!(problem["detail"].as_str().unwrap().contains("upstream_url"));
}
