//! Rotating a key on the settings page, and ending its old secret.

use std::sync::atomic::Ordering;
use std::time::Duration;

use http::StatusCode;
use rndrkit_control::{AccountPatch, Context};
use rndrkit_domain::id::KeyId;
use rndrkit_domain::observation::{SECRET_HOURS_KEPT_FOR, Sighting};
use rndrkit_domain::usage::LastUse;

use crate::app::{App, Browser, Page};

/// A customer with one key: its id and its secret.
async fn with_key(app: &App) -> (Browser, String, String) {
    let (_, mut browser) = app.customer("agency").await;
    let created = browser.create_key("CI/CD Pipeline").await;
    (browser, created.key_ids()[0].clone(), created.secret().unwrap())
}

async fn rotate(browser: &mut Browser, id: &str, overlap: &str) -> Page {
    let path = format!("/settings/api-keys/{id}/rotate");
    let form_id = browser.get(&path).await.field("form_id");
    browser.post(&path, &[("form_id", &form_id), ("overlap", overlap)]).await
}

#[tokio::test]
async fn a_new_secret_is_on_the_page_that_answers_the_rotation_and_on_no_other() {
    let app = App::start().await;
    let (mut browser, id, old) = with_key(&app).await;
    let path = format!("/settings/api-keys/{id}/rotate");
    let form = browser.get(&path).await;
    form.says(StatusCode::OK, "value=\"86400\" required checked");
    let form_id = form.field("form_id");
    let fields = [("form_id", form_id.as_str()), ("overlap", "3600")];
    let rotated = browser.post(&path, &fields).await;
    rotated.says(StatusCode::OK, "You will not be able to view it again");
    rotated.says(StatusCode::OK, "The old secret works until today at 13:00 UTC.");
    let secret = rotated.secret().unwrap();
    assert!(secret.starts_with("rk_live_") && secret.len() == old.len() && secret != old);
    assert_eq!(rotated.header("cache-control"), "no-store");
    assert_eq!(rotated.key_ids(), [id.as_str()], "the same key, and no other");

    let repeated = browser.post(&path, &fields).await;
    repeated.says(StatusCode::OK, "This form was already sent.");
    repeated.says(StatusCode::OK, "the new secret was in the first answer");
    for path in ["/", "/settings", path.as_str(), &format!("/settings/api-keys/{id}/end-previous")] {
        let page = browser.get(path).await;
        assert_eq!(page.status, StatusCode::OK);
        assert!(!page.html.contains(&secret[12..]) && !page.html.contains(&old[12..]), "{path}");
    }
    let settings = browser.get("/settings").await;
    settings.says(StatusCode::OK, &secret[..12]);
    settings.says(StatusCode::OK, &old[..12]);
    assert!(!repeated.html.contains(&secret[12..]));
    let other = browser.post(&path, &[("form_id", form_id.as_str()), ("overlap", "0")]).await;
    other.says(StatusCode::CONFLICT, "This form rotated the key before.");
}

#[tokio::test]
async fn a_rotation_sent_many_times_at_once_rotates_once() {
    let app = App::start().await;
    let (mut browser, id, old) = with_key(&app).await;
    let path = format!("/settings/api-keys/{id}/rotate");
    let form_id = browser.get(&path).await.field("form_id");
    let mut sendings = Vec::new();
    for _ in 0..8 {
        let (mut browser, form_id, path) = (browser.clone(), form_id.clone(), path.clone());
        sendings.push(tokio::spawn(async move {
            browser.post(&path, &[("form_id", &form_id), ("overlap", "86400")]).await.secret()
        }));
    }
    let mut shown = 0;
    for sending in sendings {
        shown += usize::from(sending.await.unwrap().is_some());
    }
    assert_eq!(shown, 1);
    browser.get("/settings").await.says(StatusCode::OK, &old[..12]);
}

#[tokio::test]
async fn the_row_says_who_uses_the_old_secret_and_when_it_is_safe_to_end() {
    let app = App::start().await;
    let (account, mut browser) = app.customer("agency").await;
    browser.create_key("CI").await;
    let id = browser.get("/settings").await.key_ids()[0].clone();
    rotate(&mut browser, &id, "604800").await;
    let key: KeyId = id.parse().unwrap();
    let secrets = app.store.list_secrets(key).await.unwrap();
    let sighting = |index: usize, ip: &str, client: &str| Sighting {
        digest: secrets[index].digest,
        key_id: key,
        account_id: account,
        at: app.control.now(),
        ip: Some(ip.parse().unwrap()),
        user_agent: Some(client.to_owned()),
    };
    let page = browser.get("/settings").await;
    page.says(StatusCode::OK, "Not safe to end yet");
    page.says(StatusCode::OK, "The new secret was not used yet.");
    page.says(StatusCode::OK, "Not used for less than a minute; it takes 24 hours");
    app.store.record_observations(&[sighting(1, "203.0.113.7", "curl/8.14.1")], &[]).await.unwrap();
    app.clock.advance(Duration::from_secs(23 * 3_600));
    app.store.record_observations(&[sighting(0, "198.51.100.9", "Go-http-client/2.0")], &[]).await.unwrap();
    let mut browser = app.visitor(account).await;
    let page = browser.get("/settings").await;
    page.says(StatusCode::OK, "<bdi>from 203.0.113.7 with curl</bdi>");
    page.says(StatusCode::OK, "Not used for 23 hours; it takes 24 hours.");
    page.says(StatusCode::OK, "The new secret was last used just now.");
    assert!(!page.html.contains("198.51.100.9"));
    app.clock.advance(Duration::from_secs(3_600));
    let page = browser.get("/settings").await;
    page.says(StatusCode::OK, "Safe to end</span>");
    page.says(
        StatusCode::OK,
        "It is safe to end the old secret once it was not used for 24 hours and for twice",
    );
    let question = browser.get(&format!("/settings/api-keys/{id}/end-previous")).await;
    question.says(StatusCode::OK, "from 203.0.113.7 with curl");
    app.clock.advance(Duration::from_secs(6 * 86_400));
    let page = app.visitor(account).await.get("/settings").await;
    assert!(!page.html.contains("Old secret</b>"), "its time is over: {}", page.html);
}

/// What runs once a week has its last pause in what is kept, though that began before the seven days.
#[tokio::test]
async fn the_old_secret_of_a_weekly_job_is_not_called_safe_to_end() {
    let app = App::start().await;
    let (account, mut browser) = app.customer("agency").await;
    browser.create_key("Weekly report").await;
    let key: KeyId = browser.get("/settings").await.key_ids()[0].parse().unwrap();
    let day = Duration::from_secs(86_400);
    let used = async |index: usize| {
        let digest = app.store.list_secrets(key).await.unwrap()[index].digest;
        let use_now = LastUse { digest, key_id: key, at: app.control.now() };
        app.store.record_usage(&[], &[use_now]).await.unwrap();
        app.store.prune_secret_hours(app.control.now().minus(SECRET_HOURS_KEPT_FOR), 99).await.unwrap();
    };
    for _ in 0..2 {
        used(0).await;
        app.clock.advance(day * 7);
    }
    used(0).await;
    rotate(&mut app.visitor(account).await, &key.to_string(), "604800").await;
    app.clock.advance(day + Duration::from_secs(3_600));
    used(0).await;
    let page = app.visitor(account).await.get("/settings").await;
    page.says(StatusCode::OK, "The new secret was last used just now.");
    page.says(StatusCode::OK, "Not safe to end yet");
    page.says(StatusCode::OK, "it takes 14 days");
}

/// Two people have the pages open, and one is faster.
#[tokio::test]
async fn a_form_about_another_secret_than_the_key_has_now_changes_nothing_and_says_so() {
    let app = App::start().await;
    let (mut browser, id, first) = with_key(&app).await;
    let (rotate_path, end_path) =
        (format!("/settings/api-keys/{id}/rotate"), format!("/settings/api-keys/{id}/end-previous"));
    let opened = browser.get(&rotate_path).await;
    let form = [
        ("form_id", opened.field("form_id")),
        ("overlap", "86400".to_owned()),
        ("seen", opened.field("seen")),
    ];
    let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(form[2].1, &first[..12]);
    rotate(&mut browser, &id, "86400").await;
    let late = browser.post(&rotate_path, &form).await;
    late.says(StatusCode::CONFLICT, "Somebody rotated this key since this page was loaded");
    assert!(late.secret().is_none());
    let end_form = browser.get(&end_path).await.field("seen");
    assert_eq!(end_form, &first[..12]);
    rotate(&mut browser, &id, "604800").await;
    let late = browser.post(&end_path, &[("seen", &end_form)]).await;
    late.says(StatusCode::CONFLICT, "Somebody rotated this key since this page was loaded");
    let now = late.field("seen");
    assert_ne!(now, end_form, "the page is about the secret that is old now");
    assert_eq!(browser.post(&end_path, &[("seen", &now)]).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn an_old_secret_is_shown_though_nobody_knows_now_who_uses_it() {
    let app = App::start().await;
    let (mut browser, id, old) = with_key(&app).await;
    rotate(&mut browser, &id, "86400").await;
    app.meddle("ALTER TABLE sightings RENAME TO away").await;
    for path in ["/settings".to_owned(), format!("/settings/api-keys/{id}/end-previous")] {
        let page = browser.get(&path).await;
        page.says(StatusCode::OK, "Who uses it cannot be read now.");
        page.says(StatusCode::OK, &old[..12]);
    }
}

#[tokio::test]
async fn the_old_secret_is_ended_by_its_button_and_the_page_says_where_it_is_refused() {
    let app = App::start().await;
    let (mut browser, id, old) = with_key(&app).await;
    rotate(&mut browser, &id, "86400").await;
    let path = format!("/settings/api-keys/{id}/end-previous");
    browser.get(&path).await.says(StatusCode::OK, "End the old secret of <bdi>CI/CD Pipeline</bdi>?");
    app.follower.broken.store(true, Ordering::SeqCst);
    let unsure = browser.post(&path, &[]).await;
    unsure.says(StatusCode::SERVICE_UNAVAILABLE, "It may still work: end it again.");
    unsure.says(StatusCode::SERVICE_UNAVAILABLE, "End old secret</button>");
    app.follower.broken.store(false, Ordering::SeqCst);
    let ended = browser.post(&path, &[]).await;
    ended.leads_to(&format!("/settings?ended={id}#api-keys"));
    let page = browser.get(&format!("/settings?ended={id}")).await;
    page.says(StatusCode::OK, "The old secret of CI/CD Pipeline was ended.");
    page.says(StatusCode::OK, "Refused on the server, 3 ms.");
    assert!(!page.html.contains(&old[..12]));
    browser.get(&path).await.says(StatusCode::OK, "This key has no old secret that works.");
}

#[tokio::test]
async fn a_new_secret_is_shown_although_its_rotation_is_not_confirmed() {
    let app = App::start().await;
    let (mut browser, id, _) = with_key(&app).await;
    app.follower.broken.store(true, Ordering::SeqCst);
    for (overlap, words) in [("86400", "The old secret works until"), ("0", "The old secret may still work.")]
    {
        let page = rotate(&mut browser, &id, overlap).await;
        page.says(StatusCode::OK, words);
        assert!(page.secret().is_some(), "{}", page.html);
    }
}

#[tokio::test]
async fn rotating_again_warns_that_the_older_secret_ends() {
    let app = App::start().await;
    let (mut browser, id, old) = with_key(&app).await;
    rotate(&mut browser, &id, "86400").await;
    let form = browser.get(&format!("/settings/api-keys/{id}/rotate")).await;
    form.says(StatusCode::OK, &format!("The old secret that begins with {} still works.", &old[..12]));
    let again = rotate(&mut browser, &id, "86400").await;
    assert!(again.secret().is_some() && !again.html.contains(&old[..12]), "{}", again.html);
}

#[tokio::test]
async fn a_choice_that_is_none_is_asked_for_again() {
    let app = App::start().await;
    let (mut browser, id, _) = with_key(&app).await;
    let path = format!("/settings/api-keys/{id}/rotate");
    for overlap in ["", "1", "-1", "86401", "forever"] {
        let page = browser.post(&path, &[("form_id", "form-1"), ("overlap", overlap)]).await;
        page.says(StatusCode::UNPROCESSABLE_ENTITY, "Choose when the old secret ends.");
        assert!(page.secret().is_none());
    }
    assert!(app.store.list_secrets(id.parse().unwrap()).await.unwrap().len() == 1);
}

#[tokio::test]
async fn what_cannot_be_rotated_offers_no_rotation_and_says_why_it_is_not_done() {
    let app = App::start().await;
    let (account, mut browser) = app.customer("agency").await;
    browser.create_key("CI").await;
    let id = browser.get("/settings").await.key_ids()[0].clone();
    let path = format!("/settings/api-keys/{id}/rotate");
    let send = async |browser: &mut Browser| browser.post(&path, &[("overlap", "0")]).await;
    app.set_plan(account, "pro").await;
    let page = browser.get("/settings").await;
    assert!(!page.html.contains("Rotate</button>"), "{}", page.html);
    browser.get(&path).await.leads_to("/settings#api-keys");
    send(&mut browser).await.says(StatusCode::FORBIDDEN, "The key was not rotated.");
    app.set_plan(account, "agency").await;
    let suspend = |status| AccountPatch { status: Some(status), ..AccountPatch::default() };
    app.control.update_account(&Context::system(), account, suspend("suspended")).await.unwrap();
    assert!(!browser.get("/settings").await.html.contains("Rotate</button>"));
    send(&mut browser).await.says(StatusCode::FORBIDDEN, "The key was not rotated.");
    app.control.update_account(&Context::system(), account, suspend("active")).await.unwrap();
    browser.post(&format!("/settings/api-keys/{id}/delete"), &[]).await;
    send(&mut browser).await.says(StatusCode::CONFLICT, "so it gets no new secret");
    browser.get(&path).await.leads_to("/settings#api-keys");
    let mut stranger = app.visitor(app.account("bob@example.org", "agency").await).await;
    assert_eq!(send(&mut stranger).await.status, StatusCode::NOT_FOUND);
    assert_eq!(stranger.get(&path).await.status, StatusCode::NOT_FOUND);
}
