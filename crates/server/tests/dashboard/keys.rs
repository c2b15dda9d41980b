//! Creating, seeing and deleting keys on the settings page.

use std::sync::atomic::Ordering;
use std::time::Duration;

use http::StatusCode;
use rndrkit_control::{AccountPatch, Confirmation, Context};

use crate::app::App;

#[tokio::test]
async fn a_secret_is_on_the_page_that_answers_the_form_and_on_no_other() {
    let app = App::start().await;
    let (_, mut browser) = app.customer("agency").await;
    let form_id = browser.form_id().await;
    let fields = [("form_id", form_id.as_str()), ("name", "CI/CD Pipeline")];
    let created = browser.post("/settings/api-keys", &fields).await;
    created.says(StatusCode::OK, "You will not be able to view it again");
    let secret = created.secret().unwrap();
    assert!(secret.starts_with("rk_live_") && secret.len() == "rk_live_".len() + 32);
    assert_eq!(created.header("cache-control"), "no-store");
    let in_headers = created.headers.values().any(|value| value.to_str().unwrap_or("").contains(&secret));
    assert!(!in_headers);

    let id = created.key_ids()[0].clone();
    let repeated = browser.post("/settings/api-keys", &fields).await;
    repeated.says(StatusCode::OK, "This form was already sent.");
    for path in ["/", "/settings", "/billing", &format!("/settings/api-keys/{id}/delete")] {
        let page = browser.get(path).await;
        assert_eq!(page.status, StatusCode::OK);
        assert!(!page.html.contains(&secret), "{path}");
    }
    assert!(!repeated.html.contains(&secret));
    assert_eq!(repeated.key_ids(), [id]);
}

#[tokio::test]
async fn a_new_secret_is_shown_although_the_list_of_keys_cannot_be_read() {
    let app = App::start().await;
    let (_, mut browser) = app.customer("agency").await;
    let form_id = browser.form_id().await;
    // Lists show when a key was last used; making one does not ask.
    app.meddle("ALTER TABLE key_usage RENAME TO away").await;
    let created = browser.post("/settings/api-keys", &[("form_id", &form_id), ("name", "CI")]).await;
    created.says(StatusCode::OK, "Your keys cannot be shown right now.");
    assert!(created.secret().is_some_and(|secret| secret.starts_with("rk_live_")), "{}", created.html);
}

#[tokio::test]
async fn a_form_sent_many_times_at_once_makes_one_key() {
    let app = App::start().await;
    let (_, mut browser) = app.customer("agency").await;
    let form_id = browser.form_id().await;
    let mut sendings = Vec::new();
    for _ in 0..8 {
        let (mut browser, form_id) = (browser.clone(), form_id.clone());
        sendings.push(tokio::spawn(async move {
            browser.post("/settings/api-keys", &[("form_id", &form_id), ("name", "CI")]).await.secret()
        }));
    }
    let mut shown = 0;
    for sending in sendings {
        shown += usize::from(sending.await.unwrap().is_some());
    }
    assert_eq!(shown, 1);
    assert_eq!(browser.get("/settings").await.key_ids().len(), 1);
}

#[tokio::test]
async fn a_used_form_with_another_name_asks_before_it_makes_another_key() {
    let app = App::start().await;
    let (_, mut browser) = app.customer("agency").await;
    let form_id = browser.form_id().await;
    browser.post("/settings/api-keys", &[("form_id", &form_id), ("name", "One")]).await;
    let page = browser.post("/settings/api-keys", &[("form_id", &form_id), ("name", "Two")]).await;
    page.says(StatusCode::CONFLICT, "This form made a key before.");
    assert_eq!(browser.get("/settings").await.key_ids().len(), 1);
    let fresh = page.field("form_id");
    let page = browser.post("/settings/api-keys", &[("form_id", &fresh), ("name", "Two")]).await;
    assert!(page.secret().is_some());
}

#[tokio::test]
async fn names_that_are_not_names_are_explained_beside_the_field() {
    let app = App::start().await;
    let (_, mut browser) = app.customer("agency").await;
    for name in ["", "   ", &"a".repeat(65), "a\nb", "a\u{202e}b"] {
        let page = browser.create_key(name).await;
        page.says(
            StatusCode::UNPROCESSABLE_ENTITY,
            "aria-describedby=\"key-name-problem\" aria-invalid=\"true\"",
        );
        assert!(page.secret().is_none());
    }
    assert!(browser.get("/settings").await.key_ids().is_empty());
}

#[tokio::test]
async fn names_are_shown_as_text_whatever_is_in_them() {
    let app = App::start().await;
    let (_, mut browser) = app.customer("agency").await;
    for name in ["<script>alert(1)</script>", "\"><img src=x>", "مفتاح", &"W".repeat(64)] {
        assert!(browser.create_key(name).await.secret().is_some(), "{name}");
    }
    let page = browser.get("/settings").await;
    assert!(!page.html.contains("<script>alert") && !page.html.contains("<img"));
    page.says(StatusCode::OK, "<bdi>مفتاح</bdi>");
}

#[tokio::test]
async fn the_sixth_key_is_refused_and_the_button_says_why_before() {
    let app = App::start().await;
    let (_, mut browser) = app.customer("agency").await;
    let late = browser.form_id().await;
    for number in 1..=5 {
        assert!(browser.create_key(&format!("Key {number}")).await.secret().is_some());
    }
    let page = browser.get("/settings").await;
    page.says(StatusCode::OK, "aria-disabled=\"true\" aria-describedby=\"no-more\"");
    page.says(StatusCode::OK, "5 of 5 active keys. Delete one to create another.");
    browser.get("/settings/api-keys/new").await.leads_to("/settings#api-keys");
    let refused = browser.post("/settings/api-keys", &[("form_id", &late), ("name", "Six")]).await;
    refused.says(StatusCode::CONFLICT, "No key was created.");
    assert_eq!(refused.key_ids().len(), 5);
}

#[tokio::test]
async fn deleting_asks_on_a_page_of_its_own_and_then_says_what_happened() {
    let app = App::start().await;
    let (_, mut browser) = app.customer("agency").await;
    browser.create_key("CI/CD Pipeline").await;
    let id = browser.get("/settings").await.key_ids()[0].clone();
    let path = format!("/settings/api-keys/{id}/delete");
    let question = browser.get(&path).await;
    question.says(StatusCode::OK, "401 Unauthorized");
    question.says(StatusCode::OK, ">Delete key</button>");
    assert_eq!(browser.get("/settings").await.key_ids(), [id.as_str()], "asking deletes nothing");

    let gone = browser.post(&path, &[]).await;
    gone.leads_to(&format!("/settings?deleted={id}#api-keys"));
    let page = browser.get(&format!("/settings?deleted={id}")).await;
    page.says(StatusCode::OK, "CI/CD Pipeline was deleted.");
    page.says(StatusCode::OK, "Past keys");
    assert!(page.key_ids().is_empty());
    browser.get(&path).await.leads_to("/settings#api-keys");
    browser.post(&path, &[]).await.leads_to(&format!("/settings?deleted={id}#api-keys"));
}

#[tokio::test]
async fn a_deletion_says_on_how_many_servers_the_key_is_refused() {
    let app = App::start().await;
    let (_, mut browser) = app.customer("agency").await;
    let mut delete = async |name: &str, confirmed: u32, expired: u32, ms: u64| {
        browser.create_key(name).await;
        let id = browser.get("/settings").await.key_ids()[0].clone();
        *app.follower.who.lock().unwrap() = Confirmation {
            nodes_confirmed: confirmed,
            nodes_expired: expired,
            took: Duration::from_millis(ms),
        };
        browser.post(&format!("/settings/api-keys/{id}/delete"), &[]).await;
        let page = browser.get(&format!("/settings?deleted={id}")).await;
        (id, page)
    };
    let (first, page) = delete("One", 3, 0, 14).await;
    page.says(StatusCode::OK, "Refused on all 3 servers, 14 ms.");
    let (_, page) = delete("Two", 2, 1, 7_020).await;
    let silent = "2 servers confirmed; 1 did not answer and cannot accept it any more; 7.0 s.";
    page.says(StatusCode::OK, silent);

    let other = browser.get(&format!("/settings?deleted={first}")).await;
    other.says(StatusCode::OK, "One was deleted.");
    assert!(!other.html.contains("7.0 s"), "what was said about one key is said about another");
}

#[tokio::test]
async fn the_message_of_a_deletion_cannot_be_made_up_by_a_link() {
    let app = App::start().await;
    let (_, mut browser) = app.customer("agency").await;
    browser.create_key("CI").await;
    let id = browser.get("/settings").await.key_ids()[0].clone();
    let page = browser.get(&format!("/settings?deleted={id}")).await;
    assert!(!page.html.contains("was deleted."));
}

#[tokio::test]
async fn another_accounts_key_is_not_there() {
    let app = App::start().await;
    let (_, mut owner) = app.customer("agency").await;
    owner.create_key("Mine").await;
    let id = owner.get("/settings").await.key_ids()[0].clone();
    let other = app.account("eve@elsewhere.example", "agency").await;
    let mut eve = app.visitor(other).await;
    let path = format!("/settings/api-keys/{id}/delete");
    eve.get(&path).await.says(StatusCode::NOT_FOUND, "There is no such page");
    eve.post(&path, &[]).await.says(StatusCode::NOT_FOUND, "There is no such page");
    assert_eq!(owner.get("/settings").await.key_ids(), [id]);
}

#[tokio::test]
async fn an_unconfirmed_deletion_never_reads_like_a_done_one() {
    let app = App::start().await;
    let (_, mut browser) = app.customer("agency").await;
    browser.create_key("CI").await;
    let id = browser.get("/settings").await.key_ids()[0].clone();
    app.follower.broken.store(true, Ordering::SeqCst);
    let page = browser.post(&format!("/settings/api-keys/{id}/delete"), &[]).await;
    page.says(StatusCode::SERVICE_UNAVAILABLE, "The key may still work: delete it again.");
    app.follower.broken.store(false, Ordering::SeqCst);
    let page = browser.post(&format!("/settings/api-keys/{id}/delete"), &[]).await;
    page.leads_to(&format!("/settings?deleted={id}#api-keys"));
}

#[tokio::test]
async fn a_key_may_be_given_an_end_under_more_options() {
    let app = App::start().await;
    let (_, mut browser) = app.customer("agency").await;
    let send = async |browser: &mut crate::app::Browser, expiry: &str, date: &str| {
        let form_id = browser.form_id().await;
        let fields =
            [("form_id", form_id.as_str()), ("name", "CI"), ("expiry", expiry), ("expiry_date", date)];
        browser.post("/settings/api-keys", &fields).await
    };
    let past = send(&mut browser, "date", "2020-01-01").await;
    past.says(StatusCode::UNPROCESSABLE_ENTITY, "Choose a day in the future.");
    past.says(StatusCode::UNPROCESSABLE_ENTITY, "<details class=\"fold\" open>");
    assert!(send(&mut browser, "30", "").await.secret().is_some());
    browser.get("/settings").await.says(StatusCode::OK, "Expires 23 Dec 2026");
    app.clock.advance(Duration::from_secs(20 * 86_400));
    let (_, mut later) = (0, app.visitor(account_of(&app).await).await);
    later.get("/settings").await.says(StatusCode::OK, "Expires in 10 days");
    app.clock.advance(Duration::from_secs(10 * 86_400));
    let mut last = app.visitor(account_of(&app).await).await;
    last.get("/settings").await.says(StatusCode::OK, "Reached its expiry date");
}

async fn account_of(app: &App) -> rndrkit_domain::id::AccountId {
    let page = rndrkit_control::PageQuery { limit: 1, after: None };
    app.control.list_accounts(&Context::system(), None, None, page).await.unwrap().items[0].account.id
}

#[tokio::test]
async fn a_suspended_account_sees_why_and_can_still_delete() {
    let app = App::start().await;
    let (account, mut browser) = app.customer("agency").await;
    browser.create_key("CI").await;
    let patch = AccountPatch { status: Some("suspended"), ..AccountPatch::default() };
    app.control.update_account(&Context::system(), account, patch).await.unwrap();
    let page = browser.get("/settings").await;
    page.says(StatusCode::OK, "This account is suspended.");
    page.says(StatusCode::OK, "A suspended account cannot create keys.");
    let form_id = page.field("form_id");
    let refused = browser.post("/settings/api-keys", &[("form_id", &form_id), ("name", "B")]).await;
    refused.says(StatusCode::FORBIDDEN, "No key was created.");
    let id = &page.key_ids()[0];
    let gone = browser.post(&format!("/settings/api-keys/{id}/delete"), &[]).await;
    assert_eq!(gone.status, StatusCode::SEE_OTHER);
}
