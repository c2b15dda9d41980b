//! Bad input at every door: the right status, code and shape each time, nothing changed, and still answering.

use serde_json::{Value, json};

use crate::harness::Server;
use crate::{raw, upstream};

/// One account with one key, and everything that an operator sees of them.
async fn prepared(settings: &[(&str, &str)]) -> (Server, String, String, String) {
    let server = Server::start(settings).await;
    let account = server.account("ada@example.com", "agency").await;
    let (key, secret) = server.key(&account, "Production").await;
    (server, account, key, secret)
}

/// Headers of a request on the public listener, as bytes.
fn public_head(server: &Server, target: &str, lines: &[&[u8]]) -> Vec<u8> {
    let mut head = format!("GET {target} HTTP/1.1\r\nHost: localhost:{}", server.public.port()).into_bytes();
    for line in lines {
        head.extend_from_slice(b"\r\n");
        head.extend_from_slice(line);
    }
    head
}

/// A text with another last character.
fn misspelt(secret: &str) -> String {
    let last = if secret.ends_with('a') { 'b' } else { 'a' };
    format!("{}{last}", &secret[..secret.len() - 1])
}

#[tokio::test]
async fn a_bad_key_text_is_told_apart_from_a_missing_one_and_changes_nothing() {
    let (server, account, _, secret) = prepared(&[]).await;
    let before = server.state().await;
    // Keys of other products, joined from parts so that no scanner takes them for leaks.
    let stripe = format!("{}{}", "sk_live_", "4eC39HqLyjWDarjtT1zdp7dc");
    let github = format!("{}{}", "ghp_", "zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq17");
    let line = |value: &str| format!("X-Api-Key: {value}").into_bytes();
    let texts: [(&str, Vec<u8>, &str); 15] = [
        ("no text", line(""), "missing_key"),
        ("spaces", line("   "), "missing_key"),
        ("far too long", line(&"a".repeat(513)), "invalid_key"),
        ("our prefix and nothing", line("rk_live_"), "invalid_key"),
        ("one character too few", line(&secret[..secret.len() - 1]), "invalid_key"),
        ("one character too many", line(&format!("{secret}0")), "invalid_key"),
        ("another prefix", line(&secret.replace("live", "test")), "invalid_key"),
        ("capitals in the prefix", line(&secret.replace("rk_live", "RK_LIVE")), "invalid_key"),
        ("a wrong checksum", line(&misspelt(&secret)), "invalid_key"),
        ("a Stripe key", line(&stripe), "invalid_key"),
        ("a GitHub token", line(&github), "invalid_key"),
        ("quotes around it", line(&format!("\"{secret}\"")), "invalid_key"),
        ("the word Bearer before it", line(&format!("Bearer {secret}")), "invalid_key"),
        ("a tab inside", line(&secret.replace("live", "li\tve")), "invalid_key"),
        ("bytes that are no text", [&line(&secret)[..], b"\xff\xfe"].concat(), "invalid_key"),
    ];
    for (what, header, code) in texts {
        for target in ["/api/rk/account", "/api/your-endpoint"] {
            let answer = raw::send(server.public, &public_head(&server, target, &[&header]), b"").await;
            answer.assert_problem(what, 401, code);
        }
        if let Ok(text) = std::str::from_utf8(&header["X-Api-Key: ".len()..]) {
            let body = json!({"secret": text.trim(), "cost": 0});
            let (status, answer) = server.operator("POST", "/v1/keys/verify", body).await;
            assert_eq!(
                (status, &answer["valid"], &answer["code"]),
                (200, &json!(false), &json!(code)),
                "{what}"
            );
            assert_eq!(
                (&answer["status"], &answer["problem"]["code"]),
                (&json!(401), &json!(code)),
                "{what}"
            );
        }
    }
    // Control characters end a request before anybody reads its headers.
    for byte in [b'\0', 1, 0x7f] {
        let header = [&line(&secret)[..], &[byte]].concat();
        let answer =
            raw::send(server.public, &public_head(&server, "/api/rk/account", &[&header]), b"").await;
        assert_eq!(answer.status, 400, "{byte}");
    }
    assert_eq!(server.state().await, before);
    let (_, view) = server.operator("GET", &format!("/v1/accounts/{account}"), Value::Null).await;
    assert_eq!(view["keys"]["active"], 1);
    assert_eq!(server.get_with_key("/api/rk/account", &secret).await.status(), 200);
}

#[tokio::test]
async fn a_request_holds_one_key_in_one_of_two_headers_and_nowhere_else() {
    let (server, account, _, secret) = prepared(&[]).await;
    let (_, other) = server.key(&account, "another").await;
    let key = format!("X-Api-Key: {secret}");
    let shouted = format!("X-API-KEY:    {secret}   ");
    let bearer = format!("Authorization: bearer {secret}");
    let other_bearer = format!("Authorization: Bearer {other}");
    let bad_bearer = format!("Authorization: Bearer {}", misspelt(&secret));
    let basic = format!("Authorization: Basic {secret}");
    let two = format!("X-Api-Key: {secret}, {secret}");
    let cookie = format!("Cookie: X-Api-Key={secret}; api_key={secret}");
    let cases: [(&str, Vec<&str>, u16, &str); 14] = [
        ("one", vec![&key], 200, ""),
        ("one, in capitals and with spaces", vec![&shouted], 200, ""),
        ("as a Bearer token", vec![&bearer], 200, ""),
        ("the same in both", vec![&key, &bearer], 200, ""),
        ("a key and a token of somebody else's", vec![&key, "Authorization: Bearer eyJ.a.b"], 200, ""),
        ("a key and a password", vec![&key, "Authorization: Basic dTpw"], 200, ""),
        ("twice", vec![&key, &key], 400, "invalid_request"),
        ("with a comma", vec![&two], 400, "invalid_request"),
        ("a key and another one", vec![&key, &other_bearer], 400, "invalid_request"),
        ("a key and another one that is wrong", vec![&key, &bad_bearer], 400, "invalid_request"),
        ("two Authorization headers", vec![&bearer, &other_bearer], 400, "invalid_request"),
        ("a key as a password", vec![&basic], 401, "missing_key"),
        ("in a cookie", vec![&cookie], 401, "missing_key"),
        ("nowhere", vec![], 401, "missing_key"),
    ];
    for (what, lines, status, code) in cases {
        let lines: Vec<&[u8]> = lines.iter().map(|line| line.as_bytes()).collect();
        let answer = raw::send(server.public, &public_head(&server, "/api/rk/account", &lines), b"").await;
        if status == 200 {
            assert_eq!((answer.status, &answer.json()["account"]["id"]), (200, &json!(account)), "{what}");
        } else {
            answer.assert_problem(what, status, code);
        }
    }
    for name in ["api_key", "apikey", "key", "x-api-key", "X-Api-Key", "access_token", "token"] {
        let target = format!("/api/rk/account?{name}={secret}");
        let answer = raw::send(server.public, &public_head(&server, &target, &[]), b"").await;
        answer.assert_problem(name, 401, "missing_key");
        assert_eq!(answer.json()["error"], "API key required");
    }
    assert!(!server.log().contains(&secret[12..]), "a key in a query was logged");
}

#[tokio::test]
async fn the_upstream_sees_its_own_authorization_and_never_a_key() {
    let upstream = upstream::start().await;
    let (server, _, _, secret) = prepared(&[("RNDRKIT_UPSTREAM_URL", &format!("http://{upstream}"))]).await;
    let key = format!("X-Api-Key: {secret}");
    let bearer = format!("Authorization: Bearer {secret}");
    let theirs = "Authorization: Bearer eyJ.their.own";
    for (lines, kept) in
        [(vec![&key[..], theirs], true), (vec![&bearer], false), (vec![&key, &bearer], false)]
    {
        let lines: Vec<&[u8]> = lines.iter().map(|line| line.as_bytes()).collect();
        let answer = raw::send(server.public, &public_head(&server, "/api/x", &lines), b"").await;
        assert_eq!(answer.status, 200);
        let seen = answer.json()["headers"].to_string();
        assert_eq!(seen.contains("eyJ.their.own"), kept, "{seen}");
        assert!(!seen.contains("x-api-key") && !seen.contains(&secret[12..]), "{seen}");
    }
}

/// Sends a body to the operator API byte by byte as given.
async fn post(server: &Server, method: &str, path: &str, body: &[u8]) -> raw::Answer {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Content-Length: {}",
        server.internal,
        server.operator_token(),
        body.len()
    );
    raw::send(server.internal, head.as_bytes(), body).await
}

#[tokio::test]
async fn bad_bodies_are_refused_with_a_pointer_and_change_nothing() {
    let (server, account, _, secret) = prepared(&[]).await;
    let keys = format!("/v1/accounts/{account}/keys");
    let (links, one) = (format!("/v1/accounts/{account}/links"), format!("/v1/accounts/{account}"));
    let before = server.state().await;
    let deep = format!(r#"{{"name":{}"#, "[".repeat(20_000));
    let long = format!(r#"{{"name":"{}"}}"#, "a".repeat(65));
    let dear = format!(r#"{{"secret":"{secret}","cost":101}}"#);
    let verify = "/v1/keys/verify";
    let malformed: [(&str, &str, &str); 17] = [
        ("POST", &keys, ""),
        ("POST", &keys, "name=x"),
        ("POST", &keys, r#"{"name":"x""#),
        ("POST", &keys, r#"{"name":"x"} {}"#),
        ("POST", &keys, "[]"),
        ("POST", &keys, "null"),
        ("POST", &keys, r#"{"name":7}"#),
        ("POST", &keys, r#"{"name":null}"#),
        ("POST", &keys, "{}"),
        ("POST", &keys, r#"{"name":"x","scopes":["admin"]}"#),
        ("POST", &keys, r#"{"name":"x","expires_at":1700000000}"#),
        ("POST", &keys, &deep),
        ("PATCH", &one, r#"{"plan":{"id":"agency_plus"}}"#),
        ("POST", &links, r#"{"kind":"invite","expires_in_seconds":-1}"#),
        ("POST", verify, r#"{"secret":"x","cost":-1}"#),
        ("POST", verify, r#"{"secret":["x"]}"#),
        ("POST", verify, r#"{"secret":"x","cost":4294967296}"#),
    ];
    for (method, path, body) in malformed {
        let what = format!("{method} {path} {}", &body[..body.len().min(60)]);
        post(&server, method, path, body.as_bytes()).await.assert_problem(&what, 400, "invalid_request");
    }
    let invalid: [(&str, &str, &str, &str); 20] = [
        ("POST", &keys, r#"{"name":""}"#, "/name"),
        ("POST", &keys, r#"{"name":" \t "}"#, "/name"),
        ("POST", &keys, &long, "/name"),
        ("POST", &keys, r#"{"name":"two\nlines"}"#, "/name"),
        ("POST", &keys, r#"{"name":"nul\u0000l"}"#, "/name"),
        ("POST", &keys, r#"{"name":"turned \u202e round"}"#, "/name"),
        ("POST", &keys, r#"{"name":"x","expires_at":"2020-01-01T00:00:00Z"}"#, "/expires_at"),
        ("POST", &keys, r#"{"name":"x","expires_at":"tomorrow"}"#, "/expires_at"),
        ("POST", "/v1/accounts", r#"{"email":"nobody"}"#, "/email"),
        ("POST", "/v1/accounts", r#"{"email":"a@example.net","plan":"gold"}"#, "/plan"),
        ("POST", "/v1/accounts", r#"{"email":"a@example.net","external_id":"a b"}"#, "/external_id"),
        ("PATCH", &one, r#"{"plan":"gold"}"#, "/plan"),
        ("PATCH", &one, r#"{"status":"deleted"}"#, "/status"),
        ("POST", &links, r#"{"kind":"admin"}"#, "/kind"),
        ("POST", &links, r#"{"kind":"sign_in","expires_in_seconds":1}"#, "/expires_in_seconds"),
        ("POST", &links, r#"{"kind":"sign_in","return_to":"https://evil.example/"}"#, "/return_to"),
        ("POST", "/v1/tokens", r#"{"name":"x","scope":"root"}"#, "/scope"),
        (
            "POST",
            "/v1/tokens",
            r#"{"name":"x","scope":"read","expires_at":"2020-01-01T00:00:00Z"}"#,
            "/expires_at",
        ),
        ("POST", verify, &dear, "/cost"),
        ("POST", verify, r#"{"secret":"x","context":{"ip":"here"}}"#, "/context/ip"),
    ];
    for (method, path, body, pointer) in invalid {
        let answer = post(&server, method, path, body.as_bytes()).await;
        answer.assert_problem(body, 422, "validation_failed");
        assert_eq!(answer.json()["errors"][0]["pointer"], pointer, "{body}");
    }
    assert_eq!(server.state().await, before);
    let exactly_64 = json!({"name": "字".repeat(64)});
    assert_eq!(server.operator("POST", &keys, exactly_64).await.0, 201, "64 characters are a name");
}

#[tokio::test]
async fn a_body_of_ten_megabytes_is_too_large_at_every_door() {
    let (server, account, _, secret) = prepared(&[]).await;
    let keys = format!("/v1/accounts/{account}/keys");
    let before = server.state().await;
    let huge = [br#"{"name":""#.to_vec(), vec![b'a'; 10 << 20], br#""}"#.to_vec()].concat();
    for path in [&keys, "/v1/keys/verify", "/v1/accounts", "/v1/tokens"] {
        post(&server, "POST", path, &huge).await.assert_problem(path, 413, "payload_too_large");
    }
    assert_eq!(server.state().await, before);
    assert_eq!(server.look(&secret).await.1["valid"], json!(true));
}

#[tokio::test]
async fn ids_of_another_kind_or_spelling_name_nothing() {
    let (server, account, key, _) = prepared(&[]).await;
    let body = json!({"name": "t", "scope": "verify"});
    let token = server.operator("POST", "/v1/tokens", body).await.1["id"].as_str().unwrap().to_owned();
    let before = server.state().await;
    let bare = |id: &str| id.split_once('_').unwrap().1.to_owned();
    let spellings = |right: &str, wrong: [&str; 2]| {
        let (kind, text) = (right.split('_').next().unwrap(), bare(right));
        let mut all = vec![right.to_uppercase(), text.clone(), right[..right.len() - 1].to_owned()];
        all.extend([
            format!("{right}0"),
            format!("{right}%00"),
            format!("%20{right}"),
            format!("{right}%0a"),
        ]);
        all.extend(["%ff".to_owned(), "..".to_owned(), format!("{kind}_"), format!("{kind}_..%2f..")]);
        all.extend(wrong.iter().flat_map(|id| [(*id).to_owned(), format!("{kind}_{}", bare(id))]));
        all
    };
    let places = [
        ("GET", "/v1/accounts/{}", spellings(&account, [&key, &token])),
        ("DELETE", "/v1/accounts/{}", spellings(&account, [&key, &token])),
        ("GET", "/v1/accounts/{}/keys", spellings(&account, [&key, &token])),
        ("GET", "/v1/keys/{}", spellings(&key, [&account, &token])),
        ("DELETE", "/v1/keys/{}", spellings(&key, [&account, &token])),
        ("DELETE", "/v1/tokens/{}", spellings(&token, [&account, &key])),
    ];
    for (method, template, ids) in places {
        for id in ids {
            let path = template.replace("{}", &id);
            let answer = post(&server, method, &path, b"").await;
            answer.assert_problem(&format!("{method} {path}"), 404, "not_found");
        }
    }
    for (query, status, code) in [
        (format!("/v1/audit-log?account_id={key}"), 422, "validation_failed"),
        ("/v1/accounts?limit=0".to_owned(), 422, "validation_failed"),
        ("/v1/accounts?limit=101".to_owned(), 422, "validation_failed"),
        ("/v1/accounts?after=yesterday".to_owned(), 400, "invalid_request"),
        ("/v1/accounts?name=Ada".to_owned(), 400, "invalid_request"),
        ("/v1/accounts?limit=1&limit=2".to_owned(), 400, "invalid_request"),
    ] {
        post(&server, "GET", &query, b"").await.assert_problem(&query, status, code);
    }
    assert_eq!(server.state().await, before);
}

/// What a form is, the name it is sent to, where it comes from, its type, its body, and the answer's status.
type FormCase<'a> = (&'a str, &'a str, &'a str, &'a str, &'a [u8], u16);

#[tokio::test]
async fn forms_that_are_none_of_ours_get_a_page_that_says_so() {
    let (server, account, _, secret) = prepared(&[]).await;
    let cookie = server.join(&account, "ada@example.com").await;
    let before = server.state().await;
    let own = format!("localhost:{}", server.public.port());
    let evil = "keys.evil.example".to_owned();
    let form = "application/x-www-form-urlencoded";
    let huge = [b"name=".to_vec(), vec![b'a'; 10 << 20]].concat();
    let cases: [FormCase<'_>; 7] = [
        ("another site's", &own, "cross-site", form, b"name=x", 403),
        ("a sibling site's", &own, "same-site", form, b"name=x", 403),
        ("under another name", &evil, "same-origin", form, b"name=x", 421),
        ("JSON", &own, "same-origin", "application/json", br#"{"name":"x"}"#, 415),
        ("too large", &own, "same-origin", form, &huge, 413),
        ("a bad name", &own, "same-origin", form, b"name=two%0Alines", 422),
        ("a past date", &own, "same-origin", form, b"name=x&expiry=date&expiry_date=2020-01-01", 422),
    ];
    for (what, host, site, kind, body, status) in cases {
        let head = format!(
            "POST /settings/api-keys HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\nSec-Fetch-Site: {site}\r\n\
             Content-Type: {kind}\r\nContent-Length: {}",
            body.len()
        );
        let answer = raw::send(server.public, head.as_bytes(), body).await;
        assert_eq!(answer.status, status, "{what}");
        assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"), "{what}");
    }
    assert_eq!(server.state().await, before);
    assert_eq!(server.page("/settings", &cookie).await.status(), 200);
    assert_eq!(server.get_with_key("/api/rk/account", &secret).await.status(), 200);
}
