//! Accounts are walls: every route of the operator API with every credential that is not enough.

use http::StatusCode;
use rndrkit_domain::token::Scope;
use rndrkit_server::{Access, OperatorRoute, operator_routes};

use crate::app::{ADMIN, Answer, App, Call, READ, VERIFY};

fn call(app: &App, route: &OperatorRoute, account: &str, key: &str) -> Call {
    let id = if route.path.starts_with("/v1/keys/") { key } else { account };
    app.operator(route.method.as_str(), &route.path.replace("{id}", id)).anonymous()
}

fn guarded() -> Vec<(OperatorRoute, Scope)> {
    let scope = |route: OperatorRoute| match route.access {
        Access::Scope(scope) => Some((route, scope)),
        Access::Open => None,
    };
    operator_routes().into_iter().filter_map(scope).collect()
}

fn was_let_in(answer: &Answer) -> bool {
    !matches!(answer.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}

#[tokio::test]
async fn only_the_watchers_routes_are_open() {
    let open: Vec<_> = operator_routes()
        .iter()
        .filter(|route| route.access == Access::Open)
        .map(|route| route.path)
        .collect();
    assert_eq!(open, ["/livez", "/readyz", "/metrics", "/openapi.json"]);
    assert!(guarded().iter().all(|(route, scope)| {
        let reads = route.method == http::Method::GET;
        *scope == if reads { Scope::Read } else { Scope::Admin }
    }));
}

#[tokio::test]
async fn no_route_answers_without_a_token_or_to_a_key_or_a_session() {
    let app = App::start().await;
    let account = app.account("a@example.com").await;
    let (key, secret) = app.key(&account, "CI").await;
    let before = app.everything().await;
    for (route, _) in guarded() {
        let name = format!("{} {}", route.method, route.path);
        let send = |with: fn(Call, &str) -> Call| with(call(&app, &route, &account, &key), &secret).send();

        let nobody = send(|call, _| call).await;
        nobody.problem("missing_token");
        assert_eq!(nobody.header("www-authenticate"), r#"Bearer realm="RndrKit""#, "{name}");
        send(|call, secret| call.header("x-api-key", secret)).await.problem("missing_token");
        send(|call, _| call.header("cookie", "rk_session_local=abc; __Host-rk_session=abc"))
            .await
            .problem("missing_token");
        send(|call, _| call.header("authorization", "Basic b3BlcmF0b3I6dG9rZW4="))
            .await
            .problem("missing_token");

        let bearer_key = send(Call::token).await;
        bearer_key.problem("invalid_token");
        let challenge = bearer_key.header("www-authenticate");
        assert_eq!(challenge, r#"Bearer realm="RndrKit", error="invalid_token""#, "{name}");
        assert!(!bearer_key.body.contains(&secret), "{name} echoes the credential");
        send(|call, _| call.token("wrong")).await.problem("invalid_token");
    }
    assert_eq!(app.everything().await, before, "a refused call changed something");
}

#[tokio::test]
async fn each_scope_reaches_its_own_routes_and_no_others() {
    let app = App::start().await;
    let account = app.account("a@example.com").await;
    let (key, _) = app.key(&account, "CI").await;
    for (route, needed) in guarded() {
        for (token, scope) in [(VERIFY, Scope::Verify), (READ, Scope::Read), (ADMIN, Scope::Admin)] {
            let name = format!("{} {} as {}", route.method, route.path, scope.as_str());
            if scope.includes(needed) && needed == Scope::Admin {
                // Bodies are missing and ids of another kind: enough to see that the guard let it in.
                let answer = call(&app, &route, "acc_x", "key_x").token(token).send().await;
                assert!(was_let_in(&answer), "{name}: {}", answer.body);
            } else if scope.includes(needed) {
                let answer = call(&app, &route, &account, &key).token(token).send().await;
                assert_eq!(answer.status, StatusCode::OK, "{name}: {}", answer.body);
            } else {
                let before = app.everything().await;
                let answer = call(&app, &route, &account, &key).token(token).send().await;
                assert_eq!(answer.status, StatusCode::FORBIDDEN, "{name}: {}", answer.body);
                answer.problem("insufficient_scope");
                assert!(
                    answer.header("www-authenticate").contains(r#"error="insufficient_scope""#),
                    "{name}"
                );
                assert_eq!(app.everything().await, before, "{name} changed something");
            }
        }
    }
}

#[tokio::test]
async fn who_may_not_ask_does_not_learn_what_exists_or_how_to_ask() {
    let app = App::start().await;
    let account = app.account("a@example.com").await;
    for id in [account.as_str(), "acc_00000000000000000000000000", "x"] {
        for body in ["{", r#"{"name":""}"#] {
            let path = format!("/v1/accounts/{id}");
            let answer = app.operator("PATCH", &path).token(READ).text("application/json", body).send().await;
            answer.problem("insufficient_scope");
        }
    }
}
