//! `/activity` and its files: whose events they show, what of an operator they keep to themselves, filters, pages,
//! and files that a spreadsheet cannot be tricked with.

use http::StatusCode;
use rndrkit_control::{AccountPatch, Context, Principal};
use rndrkit_domain::audit::Origin;
use rndrkit_domain::id::TokenId;
use rndrkit_domain::random::OsEntropy;
use rndrkit_domain::text::Name;
use rndrkit_domain::token::Scope;
use serde_json::Value;

use crate::app::{App, PASSWORD};

/// An operator with a token, at an address of their own.
fn operator(app: &App) -> Context {
    let token =
        (TokenId::generate(app.control.now(), &OsEntropy), Name::parse("Nightly billing job").unwrap());
    let origin = Origin {
        ip: Some("198.51.100.77".parse().unwrap()),
        user_agent: Some("billing-robot/1.0".to_owned()),
        request_id: None,
    };
    Context { principal: Principal::Operator { token: Some(token), scope: Scope::Admin }, origin }
}

#[tokio::test]
async fn activity_is_told_in_sentences_and_shows_nothing_of_the_operators_or_of_others() {
    let app = App::start().await;
    let account = app.account("ada@example.com", "starter").await;
    let other = app.account("bob@example.org", "agency").await;
    app.control.create_key(&Context::system(), other, "Bob's own", None, None).await.unwrap();
    let mut ada = app.visitor(account).await;
    let patch = AccountPatch { plan: Some("agency"), ..AccountPatch::default() };
    app.control.update_account(&operator(&app), account, patch).await.unwrap();
    app.control.create_key(&operator(&app), account, "<b>Production</b>", None, None).await.unwrap();
    let page = ada.get("/activity").await;
    assert_eq!(page.status, StatusCode::OK);
    for words in [
        "Whoever runs RndrKit changed the plan from Starter to Agency",
        "Whoever runs RndrKit created the key",
        "&#60;b&#62;Production&#60;/b&#62;",
        "Somebody with a sign-in link signed in",
    ] {
        assert!(page.html.contains(words), "{words}: {}", page.html);
    }
    for path in ["/activity", "/activity.csv", "/activity.json"] {
        let body = ada.get(path).await.html;
        for hidden in ["Nightly billing job", "198.51.100.77", "billing-robot", "Bob", "bob@example.org"] {
            assert!(!body.contains(hidden), "{path} shows {hidden}");
        }
    }
}

#[tokio::test]
async fn filters_narrow_the_list_and_pages_lead_both_ways() {
    let app = App::start().await;
    let account = app.account("ada@example.com", "agency").await;
    let mut ada = app.visitor(account).await;
    for round in 0..60 {
        let name = format!("Key {round:02}");
        let key = app.control.create_key(&Context::system(), account, &name, None, None).await.unwrap().value;
        app.control.revoke_key(&Context::system(), key.id).await.unwrap();
    }
    let keys = ada.get("/activity?kind=keys").await.html;
    assert!(keys.contains("Key 59") && !keys.contains("signed in"), "{keys}");
    let older = link(&keys, "Older").expect("a second page");
    assert!(older.starts_with("/activity?kind=keys&older="), "{older}");
    let second = ada.get(&older).await.html;
    assert!(!second.contains("Key 59</bdi>") && second.contains("Key 34</bdi>"), "{second}");
    let newer = link(&second, "Newer").expect("the way back");
    assert!(ada.get(&newer).await.html.contains("Key 59</bdi>"));

    let nothing = ada.get("/activity?from=2020-01-01&to=2020-01-02").await.html;
    assert!(nothing.contains("No activity matches these filters"), "{nothing}");
    assert_eq!(link(&nothing, "Clear filters").as_deref(), Some("/activity"));
    let today = ada.get("/activity?from=2026-11-23&to=2026-11-23&person=itself").await.html;
    assert!(today.contains("RndrKit created the key"), "{today}");
    let fault = ada.get("/activity?from=yesterday").await;
    assert_eq!(fault.status, StatusCode::OK);
    assert!(fault.html.contains("Write days like 2026-11-23.") && fault.html.contains("Key 59"));
    for odd in ["/activity?older=x", "/activity?newer=AAAA", "/activity?kind=x&key=x&person=x"] {
        assert_eq!(ada.get(odd).await.status, StatusCode::OK, "{odd}");
    }
}

/// Address of the first link with these words.
fn link(html: &str, words: &str) -> Option<String> {
    let before = html.split(&format!(">{words}</a>")).next().filter(|before| before.len() < html.len())?;
    let address = before.rsplit("href=\"").next()?.split('"').next()?;
    Some(address.replace("&#38;", "&").replace("&amp;", "&"))
}

#[tokio::test]
async fn files_are_attachments_that_nobody_keeps_and_no_spreadsheet_runs() {
    let app = App::start().await;
    let account = app.account("ada@example.com", "agency").await;
    let mut ada = app.visitor(account).await;
    app.control.create_key(&Context::system(), account, "=1+1", None, None).await.unwrap();
    // A name in front of a sentence could begin a formula too.
    app.meddle("UPDATE audit_events SET user_agent = '=HYPERLINK(1)' WHERE action = 'user.signed_in'").await;
    let csv = ada.get("/activity.csv?kind=sign-ins").await;
    assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8");
    assert_eq!(csv.header("content-disposition"), "attachment; filename=\"activity-2026-11-23.csv\"");
    assert_eq!(csv.header("cache-control"), "no-store");
    assert!(csv.html.contains(",'=HYPERLINK(1),"), "{}", csv.html);
    assert!(csv.html.lines().count() >= 2 && !csv.html.contains("created the key"), "{}", csv.html);

    let json = ada.get("/activity.json").await;
    assert_eq!(json.header("content-disposition"), "attachment; filename=\"activity-2026-11-23.json\"");
    let document: Value = serde_json::from_str(&json.html).unwrap();
    assert_eq!(document["complete"], true);
    let events = document["events"].as_array().unwrap();
    assert!(events.iter().any(|event| event["what"] == "RndrKit created the key =1+1"), "{}", json.html);
    for event in events {
        assert_eq!(event["account_id"], account.to_string());
        assert_eq!(event["chain"]["hash"].as_str().unwrap().len(), 64);
    }
    let check = |text: &str| rndrkit_store::check_activity_file(text.as_bytes()).unwrap();
    let report = check(&json.html);
    // The address that this test wrote past the program is what shows.
    assert_eq!(report.events, events.len() as u64);
    assert!(report.changed.is_some());
    app.meddle("UPDATE audit_events SET user_agent = NULL WHERE action = 'user.signed_in'").await;
    let whole = ada.get("/activity.json").await.html;
    assert_eq!(check(&whole).changed, None, "each gives its hash: {whole}");
    assert!(check(&whole.replacen("key.created", "key.revoked", 1)).changed.is_some());
    app.meddle("UPDATE audit_events SET ip = NULL, actor_name = NULL, personal_salt = NULL WHERE action = 'user.signed_in'")
        .await;
    assert!(check(&ada.get("/activity.json").await.html).changed.is_some(), "who did it was taken out");
    assert!(
        check(&whole.replacen("2026-11-23T12:00:00.000Z", "2026-11-22T12:00:00.000Z", 2)).changed.is_some()
    );
}

#[tokio::test]
async fn without_the_database_the_page_says_so_and_is_not_an_empty_list() {
    let app = App::start().await;
    let account = app.account("ada@example.com", "agency").await;
    let mut ada = app.visitor(account).await;
    app.meddle("ALTER TABLE audit_events RENAME TO elsewhere").await;
    let page = ada.get("/activity?kind=keys").await;
    assert!(page.status.is_server_error(), "{}", page.status);
    assert!(!page.html.contains("No activity matches") && !page.html.contains("Nothing has happened"));
}

#[tokio::test]
async fn a_refused_sign_in_shows_in_the_account_whose_address_it_was() {
    let app = App::start().await;
    let account = app.account("ada@example.com", "agency").await;
    let invitation = app.link(account, "invite").await;
    let secret = invitation.split_once("link=").unwrap().1;
    let mut ada = app.stranger();
    let fields = [("link", secret), ("email", "ada@example.com"), ("password", PASSWORD)];
    ada.post("/sign-up", &fields).await.leads_to("/");
    let origin = Origin { ip: Some("203.0.113.9".parse().unwrap()), ..Origin::default() };
    for email in ["ada@example.com", "nobody@example.com"] {
        assert!(app.control.sign_in(email, "a wrong password, and long", &origin).await.is_err());
    }
    let page = ada.get("/activity?kind=sign-ins").await.html;
    let said = "Somebody tried to sign in as <bdi class=\"name\">ada@example.com</bdi> and was refused";
    assert_eq!(page.matches(said).count(), 1, "{page}");
    assert!(page.contains("203.0.113.9") && !page.contains("nobody@example.com"));
}
