//! The client against a server with prepared answers: what it sends, and which error is which.

#![expect(clippy::unwrap_used, reason = "helpers of tests may end the test")]

use rndrkit_client::api::account::{CreateAccount, UpdateAccount};
use rndrkit_client::api::error::{ErrorCode, FieldError, Problem};
use rndrkit_client::api::usage::AnswerCounts;
use rndrkit_client::api::verify::VerifyRequest;
use rndrkit_client::{AccountFilter, Client, Error, PageQuery, UsageQuery};
use rndrkit_testkit::scripted::ScriptedServer;

fn client(server: &ScriptedServer) -> Client {
    Client::new(&server.url(), "the-token").unwrap()
}

const ACCOUNT: &str = r#"{"id":"acc_1","external_id":null,"email":"a@b.c","name":"A","status":"active",
    "plan":{"id":"agency","name":"Agency"},"keys":{"active":0,"limit":5},"created_at":"2026-01-01T00:00:00.000Z",
    "added_later":true}"#;
const EMPTY_PAGE: &str = r#"{"data":[],"has_more":false,"next_cursor":null}"#;

fn problem(code: ErrorCode, detail: &str) -> Problem {
    Problem::new(code, detail, "req_1")
}

async fn error_of(status: u16, kind: &'static str, body: &str) -> Error {
    let server = ScriptedServer::start(vec![(status, kind, body.to_owned())]);
    client(&server).account("acc_1").await.unwrap_err()
}

#[tokio::test]
async fn a_create_sends_token_key_and_body_and_reads_an_answer_with_members_it_does_not_know() {
    let server = ScriptedServer::json(201, ACCOUNT);
    let body = CreateAccount { email: "a@b.c".to_owned(), ..CreateAccount::default() };
    let account = client(&server).create_account(&body, Some("once-1")).await.unwrap();
    assert_eq!((account.id.as_str(), account.plan.id.as_str()), ("acc_1", "agency"));
    let asked = server.asked();
    assert_eq!(asked.line, "POST /v1/accounts");
    assert_eq!(asked.header("authorization"), Some("Bearer the-token"));
    assert_eq!(asked.header("idempotency-key"), Some("once-1"));
    assert_eq!(asked.header("content-type"), Some("application/json"));
    assert_eq!(asked.body, r#"{"email":"a@b.c"}"#);
}

#[tokio::test]
async fn an_update_tells_removing_from_leaving() {
    let server = ScriptedServer::json(200, ACCOUNT);
    let update = UpdateAccount { external_id: Some(None), ..UpdateAccount::default() };
    client(&server).update_account("acc_1", &update).await.unwrap();
    let asked = server.asked();
    assert_eq!(
        (asked.line.as_str(), asked.body.as_str()),
        ("PATCH /v1/accounts/acc_1", r#"{"external_id":null}"#)
    );
}

#[tokio::test]
async fn whatever_stands_in_an_id_or_a_filter_stays_in_its_place() {
    let server = ScriptedServer::json(200, EMPTY_PAGE);
    let page = PageQuery { limit: Some(5), after: Some("a&b=c") };
    client(&server).list_keys("../tokens?x#y", page).await.unwrap();
    assert_eq!(server.asked().line, "GET /v1/accounts/..%2Ftokens%3Fx%23y/keys?limit=5&after=a%26b%3Dc");
    let server = ScriptedServer::json(200, EMPTY_PAGE);
    let filter = AccountFilter { email: Some("a+b@c.d"), external_id: None };
    client(&server).list_accounts(filter, PageQuery::default()).await.unwrap();
    assert_eq!(server.asked().line, "GET /v1/accounts?email=a%2Bb%40c.d");
}

#[tokio::test]
async fn use_is_asked_for_by_times_and_period_and_read_with_its_answers() {
    let usage = r#"{"data":[{"key_id":"key_1","starts_at":"2026-11-23T14:00:00.000Z","period":"hour","allowed":3,
        "limited":1,"refused":0,"answers":{"successful":2,"redirection":0,"client_error":0,"server_error":1}}]}"#;
    let server = ScriptedServer::json(200, usage);
    let query = UsageQuery { from: Some("2026-11-23T15:00:00+01:00"), to: None, period: Some("hour") };
    let usage = client(&server).account_usage("acc_1", query).await.unwrap();
    assert_eq!((usage.data[0].allowed, usage.data[0].limited), (3, 1));
    let answers = AnswerCounts { successful: 2, server_error: 1, ..AnswerCounts::default() };
    assert_eq!(usage.data[0].answers, answers);
    let asked = "GET /v1/accounts/acc_1/usage?from=2026-11-23T15%3A00%3A00%2B01%3A00&period=hour";
    assert_eq!(server.asked().line, asked);
}

#[tokio::test]
async fn a_refused_key_is_an_answer_and_not_an_error() {
    let answer = r#"{"valid":false,"code":"key_revoked","status":401,"key":null,"account":null,
        "rate_limit":null,"headers":{},"problem":null,"request_id":"req_1"}"#;
    let server = ScriptedServer::json(200, answer);
    let question = VerifyRequest { secret: "s".to_owned(), ..VerifyRequest::default() };
    let answer = client(&server).verify(&question).await.unwrap();
    assert!(!answer.valid);
    assert_eq!(answer.code, "key_revoked");
    assert_eq!(server.asked().line, "POST /v1/keys/verify");
}

#[tokio::test]
async fn no_answer_to_a_question_about_a_key_is_taken_for_a_yes_or_a_no() {
    let question = VerifyRequest { secret: "s".to_owned(), ..VerifyRequest::default() };
    let newer = r#"{"valid":false,"code":"key_on_holiday","status":401,"key":null,"account":null,"rate_limit":null,
        "headers":{},"problem":{"type":"t","title":"t","status":401,"detail":"d","instance":"i",
        "code":"key_on_holiday","error":"e","request_id":"req_1"},"request_id":"req_1"}"#;
    for (status, body) in [
        (200, "{}"),
        (200, r#"{"valid":true}"#),
        (200, newer),
        (204, ""),
        (401, "{}"),
        (404, "{}"),
        (503, "{}"),
    ] {
        let server = ScriptedServer::json(status, body);
        let answer = client(&server).verify(&question).await;
        assert!(answer.is_err(), "{status} {body}");
    }
}

#[tokio::test]
async fn a_refusal_carries_the_problem_and_is_definite() {
    let mut body = problem(ErrorCode::ValidationFailed, "Some values are not acceptable.");
    body.errors = vec![FieldError { pointer: "/email".to_owned(), detail: "is no address".to_owned() }];
    let error = error_of(422, "application/problem+json", &serde_json::to_string(&body).unwrap()).await;
    assert_eq!(error.to_string(), "Some values are not acceptable.\n  email: is no address");
    assert!(matches!(&error, Error::Problem(problem) if problem.code == ErrorCode::ValidationFailed));
    assert!(!error.is_unknown());
}

#[tokio::test]
async fn not_knowing_is_told_from_a_refusal() {
    let body = serde_json::to_string(&problem(ErrorCode::Unavailable, "The database is away.")).unwrap();
    assert!(error_of(503, "application/problem+json", &body).await.is_unknown());
    assert!(error_of(502, "text/html", "<h1>Bad gateway</h1>").await.is_unknown());
    assert!(!error_of(404, "text/html", "<h1>Not here</h1>").await.is_unknown());
    assert!(error_of(200, "application/json", "{\"id\":7}").await.is_unknown());
    assert!(error_of(200, "application/json", "{").await.is_unknown());
}

#[tokio::test]
async fn a_code_of_a_newer_server_keeps_its_sentence() {
    let body = r#"{"code":"quota_on_fire","status":409,"detail":"The quota is on fire."}"#;
    let error = error_of(409, "application/problem+json", body).await;
    assert_eq!(error.to_string(), "the server answered 409: The quota is on fire.");
    assert!(!error.is_unknown());
}

#[tokio::test]
async fn a_redirect_is_not_followed_with_the_token() {
    let error = error_of(302, "text/plain", "").await;
    assert!(matches!(error, Error::Refused { status: 302, .. }), "{error:?}");
}

#[tokio::test]
async fn an_answer_longer_than_any_is_cut_off() {
    let body = format!("{{\"id\":\"{}\"}}", "x".repeat(5 * 1024 * 1024));
    let error = error_of(200, "application/json", &body).await;
    assert!(matches!(error, Error::Garbled(_)), "{error:?}");
}

#[tokio::test]
async fn nobody_listening_is_unreachable_and_says_why() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let client = Client::new(&format!("http://{free}"), "t").unwrap();
    let error = client.account("acc_1").await.unwrap_err();
    assert!(matches!(&error, Error::Unreachable(why) if why.contains("refused")), "{error:?}");
    assert!(error.is_unknown());
}

#[tokio::test]
async fn readiness_is_yes_no_or_another_server() {
    for (status, expected) in [(200, Some(true)), (503, Some(false)), (404, None)] {
        let server = ScriptedServer::json(status, "{}");
        assert_eq!(client(&server).is_ready().await.ok(), expected);
        assert_eq!(server.asked().line, "GET /readyz");
    }
}

#[test]
fn wrong_addresses_and_tokens_are_refused_before_anything_is_sent_and_the_token_never_prints() {
    for wrong in ["", "127.0.0.1:8081", "ftp://a", "http://", "http://u:p@a", "http://a?b"] {
        assert!(matches!(Client::new(wrong, "t"), Err(Error::Usage(_))), "{wrong}");
    }
    assert!(matches!(Client::new("http://a", "two\nlines"), Err(Error::Usage(_))));
    let client = Client::new("http://127.0.0.1:1/below/", "hunter2").unwrap();
    let printed = format!("{client:?}");
    assert!(printed.contains("/below/") && !printed.contains("hunter2"), "{printed}");
}
