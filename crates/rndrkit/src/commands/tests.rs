//! Commands against a server with prepared answers: what is asked, what is printed, how it ends.

use clap::Parser;
use insta::assert_snapshot;
use rndrkit_testkit::scripted::ScriptedServer;

use super::*;

struct Ran {
    exit: Exit,
    out: String,
    err: String,
}

async fn run_with(environment: &Environment, stdin: &str, args: &[&str]) -> Ran {
    let cli = Cli::try_parse_from(std::iter::once("rndrkit").chain(args.iter().copied())).unwrap();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut input = stdin.as_bytes();
    let mut console = Console::new(&mut input, &mut out, &mut err);
    let exit = run(cli, environment, &mut console).await;
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { exit, out: text(out), err: text(err) }
}

/// Runs a command against a server, with a token from the environment.
async fn run_against(server: &ScriptedServer, stdin: &str, args: &[&str]) -> Ran {
    let environment = Environment::from_pairs([("RNDRKIT_TOKEN", "the-token")]);
    let url = server.url();
    let args: Vec<&str> = args.iter().copied().chain(["--url", url.as_str()]).collect();
    run_with(&environment, stdin, &args).await
}

const ACCOUNT: &str = r#"{"id":"acc_1","external_id":null,"email":"ada@example.com","name":"Ada","status":"active",
    "plan":{"id":"agency","name":"Agency"},"keys":{"active":2,"limit":5},"created_at":"2026-01-02T03:04:05.000Z"}"#;

const KEY: &str = r#"{"id":"key_1","account_id":"acc_1","name":"CI/CD Pipeline","environment":"CI/CD",
    "mask":"rk_live_0Ab3","status":"active",
    "created_at":"2026-01-02T03:04:05.000Z","last_used_at":null,"expires_at":null,"revoked_at":null,
    "revoked_reason":null"#;

#[tokio::test]
async fn an_account_is_shown_with_its_facts_aligned() {
    let server = ScriptedServer::json(200, ACCOUNT);
    let ran = run_against(&server, "", &["account", "show", "acc_1"]).await;
    assert_eq!(ran.exit, Exit::Done);
    assert_snapshot!(ran.out, @"
    Account  acc_1
    Email    ada@example.com
    Name     Ada
    Plan     Agency (agency)
    Status   active
    Keys     2 of 5 active
    Created  2026-01-02T03:04:05.000Z
    ");
    assert_eq!(server.asked().line, "GET /v1/accounts/acc_1");
}

#[tokio::test]
async fn accounts_are_listed_as_a_table_that_says_how_to_go_on() {
    let page = format!(r#"{{"data":[{ACCOUNT}],"has_more":true,"next_cursor":"c1"}}"#);
    let server = ScriptedServer::json(200, page);
    let ran = run_against(&server, "", &["account", "list", "--limit", "1"]).await;
    assert_snapshot!(ran.out, @"
    ID     EMAIL            NAME  PLAN    STATUS  KEYS    EXTERNAL ID
    acc_1  ada@example.com  Ada   Agency  active  2 of 5  -
    More: add --after c1
    ");
    assert_eq!(server.asked().line, "GET /v1/accounts?limit=1");
}

const USAGE: &str = r#"{"data":[
    {"key_id":"key_1","starts_at":"2026-11-22T00:00:00.000Z","period":"day","allowed":1200,"limited":30,"refused":0,
     "answers":{"successful":1180,"redirection":0,"client_error":15,"server_error":5}},
    {"key_id":"key_2","starts_at":"2026-11-23T00:00:00.000Z","period":"day","allowed":7,"limited":0,"refused":2,
     "answers":{"successful":0,"redirection":0,"client_error":0,"server_error":0}}]}"#;

#[tokio::test]
async fn use_is_shown_as_a_table_of_stretches_and_keys() {
    let server = ScriptedServer::json(200, USAGE);
    let ran = run_against(&server, "", &["account", "usage", "acc_1"]).await;
    assert_snapshot!(ran.out, @"
    FROM                      KEY    ALLOWED  LIMITED  REFUSED  2XX   3XX  4XX  5XX
    2026-11-22T00:00:00.000Z  key_1  1200     30       0        1180  0    15   5
    2026-11-23T00:00:00.000Z  key_2  7        0        2        0     0    0    0
    ");
    assert_eq!(server.asked().line, "GET /v1/accounts/acc_1/usage");
    let server = ScriptedServer::json(200, r#"{"data":[]}"#);
    let args =
        ["account", "usage", "acc_1", "--from", "2026-11-01", "--to", "2026-11-02", "--period", "hour"];
    let ran = run_against(&server, "", &args).await;
    assert_eq!((ran.exit, ran.out.as_str()), (Exit::Done, "No key of this account was used in that time.\n"));
    assert_eq!(server.asked().line, "GET /v1/accounts/acc_1/usage?from=2026-11-01&to=2026-11-02&period=hour");
    let server = ScriptedServer::json(200, USAGE);
    let ran = run_against(&server, "", &["account", "usage", "acc_1", "--json"]).await;
    let printed: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(printed, serde_json::from_str::<serde_json::Value>(USAGE).unwrap());
}

#[tokio::test]
async fn each_account_command_asks_for_its_own_change() {
    for (args, line, body) in [
        (
            vec!["create", "--email", "a@b.c", "--plan", "agency", "--external-id", "cus_1"],
            "POST /v1/accounts",
            r#"{"email":"a@b.c","plan":"agency","external_id":"cus_1"}"#,
        ),
        (vec!["set-plan", "acc_1", "pro"], "PATCH /v1/accounts/acc_1", r#"{"plan":"pro"}"#),
        (vec!["suspend", "acc_1"], "PATCH /v1/accounts/acc_1", r#"{"status":"suspended"}"#),
        (vec!["resume", "acc_1"], "PATCH /v1/accounts/acc_1", r#"{"status":"active"}"#),
    ] {
        let server = ScriptedServer::json(200, ACCOUNT);
        let args: Vec<&str> = std::iter::once("account").chain(args).collect();
        assert_eq!(run_against(&server, "", &args).await.exit, Exit::Done);
        let asked = server.asked();
        assert_eq!((asked.line.as_str(), asked.body.as_str()), (line, body));
        assert_eq!(asked.header("authorization"), Some("Bearer the-token"));
    }
}

#[tokio::test]
async fn an_account_may_be_named_by_its_address_and_an_unknown_one_is_a_no() {
    let page = |data: &str| format!(r#"{{"data":[{data}],"has_more":false,"next_cursor":null}}"#);
    for (args, line) in [
        (["account", "show", "ada@example.com"].as_slice(), "GET /v1/accounts/acc_1"),
        (&["account", "set-plan", "ada@example.com", "pro"], "PATCH /v1/accounts/acc_1"),
    ] {
        let answers = [page(ACCOUNT), ACCOUNT.to_owned()];
        let server = ScriptedServer::start(answers.map(|body| (200, "application/json", body)).to_vec());
        assert_eq!(run_against(&server, "", args).await.exit, Exit::Done);
        assert_eq!(server.asked().line, "GET /v1/accounts?email=ada%40example.com");
        assert_eq!(server.asked().line, line);
    }
    let server = ScriptedServer::json(200, page(""));
    let ran = run_against(&server, "", &["account", "link", "eve@example.com"]).await;
    assert_eq!(ran.exit, Exit::No);
    assert!(ran.err.contains("no account with this e-mail address"), "{}", ran.err);
}

#[tokio::test]
async fn a_link_stands_on_a_line_of_its_own() {
    let link = r#"{"url":"http://localhost:8080/sign-in?link=x","kind":"sign_in","expires_at":"2026-01-01T00:00:00.000Z"}"#;
    let server = ScriptedServer::json(201, link);
    let ran = run_against(&server, "", &["account", "link", "acc_1", "--kind", "sign_in"]).await;
    assert_snapshot!(ran.out, @"
    http://localhost:8080/sign-in?link=x
    Works once, until 2026-01-01T00:00:00.000Z. Whoever has it can use it.
    ");
    assert_eq!(server.asked().body, r#"{"kind":"sign_in"}"#);
}

#[tokio::test]
async fn a_new_secret_stands_on_a_line_of_its_own_with_a_note_that_it_is_shown_once() {
    let server = ScriptedServer::json(201, format!(r#"{KEY},"secret":"the-secret"}}"#));
    let ran =
        run_against(&server, "", &["key", "create", "--account", "acc_1", "--name", "CI/CD Pipeline"]).await;
    assert_snapshot!(ran.out, @"
    Key          key_1
    Name         CI/CD Pipeline
    Environment  CI/CD

    the-secret

    This is the only time that it is shown. Store it now.
    ");
}

#[tokio::test]
async fn keys_are_listed_by_mask() {
    let server =
        ScriptedServer::json(200, format!(r#"{{"data":[{KEY}}}],"has_more":false,"next_cursor":null}}"#));
    let ran = run_against(&server, "", &["key", "list", "--account", "acc_1"]).await;
    assert_snapshot!(ran.out, @"
    ID     NAME            ENVIRONMENT  KEY            STATUS  CREATED                   LAST USED  EXPIRES
    key_1  CI/CD Pipeline  CI/CD        rk_live_0Ab3…  active  2026-01-02T03:04:05.000Z  -          -
    ");
}

#[tokio::test]
async fn a_key_is_relabelled_and_what_was_not_said_stays() {
    for (args, sent) in [
        (["--environment", "CI/CD"].as_slice(), r#"{"environment":"CI/CD"}"#),
        (&["--name", "CI/CD Pipeline"], r#"{"name":"CI/CD Pipeline"}"#),
        (&["--no-environment"], r#"{"environment":null}"#),
    ] {
        let server = ScriptedServer::json(200, format!("{KEY}}}"));
        let args: Vec<&str> = ["key", "label", "key_1"].iter().chain(args).copied().collect();
        let ran = run_against(&server, "", &args).await;
        let said = "Key          key_1\nName         CI/CD Pipeline\nEnvironment  CI/CD\n";
        assert_eq!(ran.out, said);
        let asked = server.asked();
        assert_eq!((asked.line.as_str(), asked.body.as_str()), ("PATCH /v1/keys/key_1", sent));
    }
}

#[tokio::test]
async fn a_delete_tells_who_confirmed_it() {
    let receipt = r#"{"id":"key_1","revoked_at":"2026-01-01T00:00:00.000Z","nodes_confirmed":1,"nodes_expired":0,
        "took_ms":3}"#;
    let server = ScriptedServer::json(200, receipt);
    let ran = run_against(&server, "", &["key", "delete", "key_1"]).await;
    assert_snapshot!(ran.out, @"
    key_1 is revoked since 2026-01-01T00:00:00.000Z and refused everywhere.
    Confirmed by 1 node in 3 ms.
    ");
}

const VALID: &str = r#"{"valid":true,"code":"valid","status":200,"key":{"id":"key_1"},
    "account":{"id":"acc_1","external_id":null,"plan":{"id":"agency","name":"Agency"}},
    "rate_limit":{"per_minute":600,"burst":100,"remaining":99,"reset_seconds":1},"headers":{},"problem":null,
    "request_id":"req_1"}"#;
const REVOKED: &str = r#"{"valid":false,"code":"key_revoked","status":401,"key":{"id":"key_1"},"account":null,
    "rate_limit":null,"headers":{},"problem":null,"request_id":"req_1"}"#;

#[tokio::test]
async fn verify_reads_the_secret_from_standard_input_and_answers_by_exit_code() {
    let server = ScriptedServer::json(200, VALID);
    let ran = run_against(&server, "the-secret\n", &["key", "verify"]).await;
    assert_eq!(ran.exit, Exit::Done);
    assert_snapshot!(ran.out, @"
    valid
    Key      key_1
    Account  acc_1
    Plan     Agency (agency)
    Budget   99 of 100 requests left, 600 a minute
    ");
    assert_eq!(server.asked().body, r#"{"secret":"the-secret"}"#);

    let server = ScriptedServer::json(200, REVOKED);
    let ran = run_against(&server, "the-secret", &["key", "verify", "--cost", "0"]).await;
    assert_eq!(ran.exit, Exit::No);
    assert_snapshot!(ran.out, @"
    refused
    Code  key_revoked (401)
    Key   key_1
    ");
    assert_eq!(server.asked().body, r#"{"secret":"the-secret","cost":0}"#);
}

#[tokio::test]
async fn verify_without_a_secret_is_wrong_usage_and_asks_nobody() {
    let server = ScriptedServer::start(Vec::new());
    let ran = run_against(&server, "\n", &["key", "verify"]).await;
    assert_eq!(ran.exit, Exit::Usage);
    assert!(ran.err.contains("pipe it in"), "{}", ran.err);
}

#[tokio::test]
async fn a_secret_as_an_argument_is_wrong_usage_and_is_not_repeated() {
    for args in [vec!["the-secret"], vec!["--cost", "0", "the-secret", "again-the-secret"]] {
        let args: Vec<&str> = ["key", "verify"].into_iter().chain(args).collect();
        assert!(
            !format!("{:?}", Cli::try_parse_from(["rndrkit"].iter().chain(&args)).unwrap())
                .contains("the-secret")
        );
        let ran = run_with(&Environment::default(), "", &args).await;
        assert_eq!((ran.exit, ran.out.as_str()), (Exit::Usage, ""));
        assert!(ran.err.contains("pipe the secret in"), "{}", ran.err);
        assert!(!ran.err.contains("the-secret"), "{}", ran.err);
    }
}

#[tokio::test]
async fn a_refusal_is_a_no_and_not_knowing_is_unknown() {
    let problem = |code: &str, status: u16| {
        format!(
            r#"{{"type":"t","title":"t","status":{status},"detail":"In plain words.","instance":"i","code":"{code}",
            "error":"e","request_id":"req_1"}}"#
        )
    };
    for (status, code, exit) in [
        (401, "invalid_token", Exit::No),
        (404, "not_found", Exit::No),
        (409, "key_limit_reached", Exit::No),
        (500, "internal", Exit::Unknown),
        (503, "unavailable", Exit::Unknown),
    ] {
        let server = ScriptedServer::json(status, problem(code, status));
        let ran = run_against(&server, "", &["key", "delete", "key_1", "--json"]).await;
        assert_eq!(ran.exit, exit, "{status}");
        let text = if status == 404 { "There is no key with this id.\n" } else { "In plain words.\n" };
        assert_eq!(ran.err, text);
        let printed: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!(printed["code"], code);
    }
}

#[tokio::test]
async fn nobody_there_is_unknown() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let environment = Environment::from_pairs([("RNDRKIT_TOKEN", "t")]);
    let ran = run_with(&environment, "", &["token", "list", "--url", &format!("http://{free}")]).await;
    assert_eq!(ran.exit, Exit::Unknown);
    assert!(ran.err.contains("cannot be reached"), "{}", ran.err);
}

#[tokio::test]
async fn json_is_what_the_api_says() {
    let server = ScriptedServer::json(200, ACCOUNT);
    let ran = run_against(&server, "", &["account", "show", "acc_1", "--json"]).await;
    let (printed, answered): (serde_json::Value, serde_json::Value) =
        (serde_json::from_str(&ran.out).unwrap(), serde_json::from_str(ACCOUNT).unwrap());
    assert_eq!(printed, answered);
}

#[tokio::test]
async fn the_token_comes_from_the_environment_then_the_file_then_the_data_folder() {
    let folder = tempfile::tempdir().unwrap();
    let in_folder = "d".repeat(40);
    std::fs::write(folder.path().join("operator-token"), format!("{in_folder}\n")).unwrap();
    let given = folder.path().join("given");
    std::fs::write(&given, "from-file\n").unwrap();
    let data_dir = folder.path().display().to_string();
    let given = given.display().to_string();
    for (token, file, expected) in [
        (Some("from-environment"), true, "from-environment"),
        (None, true, "from-file"),
        (None, false, in_folder.as_str()),
    ] {
        let server = ScriptedServer::json(200, ACCOUNT);
        let url = server.url();
        let mut pairs = vec![("RNDRKIT_DATA_DIR", data_dir.as_str())];
        pairs.extend(token.map(|token| ("RNDRKIT_TOKEN", token)));
        let mut args = vec!["account", "show", "acc_1", "--url", &url];
        args.extend(file.then_some(["--token-file", &given]).into_iter().flatten());
        assert_eq!(run_with(&Environment::from_pairs(pairs), "", &args).await.exit, Exit::Done);
        assert_eq!(server.asked().header("authorization"), Some(format!("Bearer {expected}").as_str()));
    }
}

#[tokio::test]
async fn the_address_is_the_internal_listener_of_the_settings() {
    let server = ScriptedServer::json(200, ACCOUNT);
    let listener = server.url().replace("http://", "");
    let environment =
        Environment::from_pairs([("RNDRKIT_TOKEN", "t"), ("RNDRKIT_INTERNAL_LISTEN", &listener)]);
    let ran = run_with(&environment, "", &["account", "show", "acc_1"]).await;
    assert_eq!(ran.exit, Exit::Done, "{}", ran.err);
}

#[tokio::test]
async fn without_a_token_a_command_says_where_one_would_come_from() {
    let folder = tempfile::tempdir().unwrap();
    let environment = Environment::from_pairs([("RNDRKIT_DATA_DIR", folder.path().display().to_string())]);
    let ran = run_with(&environment, "", &["token", "list"]).await;
    assert_eq!(ran.exit, Exit::Usage);
    assert!(ran.err.contains("RNDRKIT_TOKEN") && ran.err.contains("--token-file"), "{}", ran.err);
}

#[tokio::test]
async fn wrong_settings_are_wrong_usage_and_all_are_printed() {
    let environment = Environment::from_pairs([("RNDRKIT_LOG_LEVEL", "loud"), ("RNDRKIT_BURST", "1")]);
    for args in [vec!["config", "show"], vec!["migrate"], vec!["backup", "b"], vec!["token", "list"]] {
        let ran = run_with(&environment, "", &args).await;
        assert_eq!(ran.exit, Exit::Usage, "{args:?}");
        assert!(ran.err.contains("RNDRKIT_LOG_LEVEL") && ran.err.contains("RNDRKIT_BURST"), "{}", ran.err);
    }
}

#[tokio::test]
async fn config_show_prints_the_defaults_file_or_what_holds_with_its_source() {
    let none = Environment::default();
    let ran = run_with(&none, "", &["config", "show", "--defaults"]).await;
    assert_eq!(ran.out, crate::config::DEFAULTS);
    let ran = run_with(&none, "", &["config", "show", "--log-level", "warn"]).await;
    let line = |name: &str| ran.out.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    let words = |name: &str| line(name).split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(words("log_level"), "log_level flag --log-level warn");
    assert_eq!(words("tls_key"), "tls_key default (none)");
    assert_eq!(words("plans"), "plans default 4, below");
    assert!(ran.out.contains("\n[[plans]]\n"), "{}", ran.out);
    assert_eq!(words("id "), "id name api_access active_keys requests_per_minute burst");
    assert_eq!(words("agency_plus"), "agency_plus Agency+ true 5 3000 500");
    let widest = ran.out.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(100), "{}", ran.out);
    let ran = run_with(&none, "", &["config", "show", "--json"]).await;
    let shown: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(shown["settings"][0]["name"], "data_dir");
}

#[tokio::test]
async fn migrate_backup_and_doctor_work_together_without_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let environment = Environment::from_pairs([
        ("RNDRKIT_DATA_DIR", data.display().to_string()),
        ("RNDRKIT_PUBLIC_LISTEN", "127.0.0.1:0".to_owned()),
        ("RNDRKIT_INTERNAL_LISTEN", "127.0.0.1:0".to_owned()),
    ]);
    let copy = folder.path().join("copy.db").display().to_string();
    let early = run_with(&environment, "", &["backup", &copy]).await;
    assert_eq!((early.exit, early.out.as_str()), (Exit::No, ""));
    assert!(early.err.contains("no database"), "{}", early.err);

    let migrated = run_with(&environment, "", &["migrate"]).await;
    assert_eq!(migrated.exit, Exit::Done, "{}", migrated.err);
    assert_eq!(migrated.out, "The database is up to date now.\n");
    let again = run_with(&environment, "", &["migrate"]).await;
    assert_eq!((again.out.as_str(), again.err.as_str()), ("The database was up to date already.\n", ""));

    let copied = run_with(&environment, "", &["backup", &copy]).await;
    assert_eq!(copied.exit, Exit::Done, "{}", copied.err);
    assert!(std::fs::metadata(&copy).unwrap().len() > 0);
    assert_eq!(run_with(&environment, "", &["backup", &copy]).await.exit, Exit::Usage);

    let doctor = run_with(&environment, "", &["doctor"]).await;
    assert_eq!(doctor.exit, Exit::Done, "{}", doctor.out);
    assert!(doctor.out.contains("ok    database: reachable"), "{}", doctor.out);
    assert!(doctor.out.contains("ok    audit trail: "), "{}", doctor.out);
}

#[tokio::test]
async fn migrate_is_refused_while_a_server_holds_the_data_folder() {
    let folder = tempfile::tempdir().unwrap();
    let _server = crate::config::DataFolder::open(folder.path()).unwrap();
    let environment = Environment::from_pairs([("RNDRKIT_DATA_DIR", folder.path().display().to_string())]);
    let ran = run_with(&environment, "", &["migrate"]).await;
    assert_eq!(ran.exit, Exit::No);
    assert!(ran.err.contains("in use by another rndrkit process"), "{}", ran.err);
}

#[tokio::test]
async fn backup_of_postgres_names_its_own_tool() {
    let environment = Environment::from_pairs([
        ("RNDRKIT_DATABASE_URL", "postgres://rk@127.0.0.1:1/rk".to_owned()),
        ("RNDRKIT_OPERATOR_TOKEN", "t".repeat(40)),
    ]);
    let ran = run_with(&environment, "", &["backup", "copy.db"]).await;
    assert_eq!(ran.exit, Exit::Usage);
    assert!(ran.err.contains("pg_dump"), "{}", ran.err);
}

#[tokio::test]
async fn doctor_fails_with_the_mistakes_when_settings_are_wrong() {
    let environment = Environment::from_pairs([("RNDRKIT_CACHE_KEYS", "many")]);
    let ran = run_with(&environment, "", &["doctor", "--json"]).await;
    assert_eq!(ran.exit, Exit::Usage);
    let document: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(document["checks"][0]["status"], "fail");
    assert!(document["checks"][0]["detail"].as_str().unwrap().contains("RNDRKIT_CACHE_KEYS"));
}

#[tokio::test]
async fn doctor_fails_when_the_database_is_not_one() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("rndrkit.db"), "not a database, and longer than a header ".repeat(50))
        .unwrap();
    let environment = Environment::from_pairs([
        ("RNDRKIT_DATA_DIR", folder.path().display().to_string()),
        ("RNDRKIT_PUBLIC_LISTEN", "127.0.0.1:0".to_owned()),
        ("RNDRKIT_INTERNAL_LISTEN", "127.0.0.1:0".to_owned()),
    ]);
    let ran = run_with(&environment, "", &["doctor"]).await;
    assert_eq!(ran.exit, Exit::No);
    assert!(ran.out.contains("fail  database: "), "{}", ran.out);
}
