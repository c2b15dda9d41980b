//! Settings → Notifications: what is ticked is what is mailed, and without a mail server the page says so.

use http::StatusCode;
use rndrkit_control::{Context, PageQuery};
use rndrkit_domain::notification::NotificationKind;

use crate::app::{App, Page, Setting};

fn ticked(page: &Page) -> Vec<&'static str> {
    let box_of = |kind: &NotificationKind| format!("name=\"{}\" value=\"on\" checked", kind.as_str());
    NotificationKind::ALL
        .into_iter()
        .filter(|kind| page.html.contains(&box_of(kind)))
        .map(NotificationKind::as_str)
        .collect()
}

#[tokio::test]
async fn what_is_ticked_is_saved_and_told_in_the_trail() {
    let app = App::with(Setting { sends_mail: true, ..Setting::default() }).await;
    let (account, mut browser) = app.customer("agency").await;
    let page = browser.get("/settings").await;
    page.says(StatusCode::OK, "What is ticked is mailed to <bdi>ada@northwind.example</bdi>.");
    assert_eq!(ticked(&page).len(), 8, "all but the summary");
    assert!(!ticked(&page).contains(&"weekly_summary"));

    let fields = [("key_created", "on"), ("weekly_summary", "on"), ("no_such_kind", "on")];
    let saved = browser.post("/settings/notifications", &fields).await;
    saved.leads_to("/settings?saved=notifications#notifications");
    let page = browser.get("/settings?saved=notifications").await;
    page.says(StatusCode::OK, "Notifications are saved.");
    assert_eq!(ticked(&page), ["key_created", "weekly_summary"]);

    let events =
        app.control.list_events(&Context::system(), Some(account), PageQuery::default()).await.unwrap();
    let event = &events.items[0];
    assert_eq!(event.action, "notifications.changed");
    assert_eq!(event.details[1], ("on".to_owned(), "weekly_summary".to_owned()));
    assert!(event.details[0].1.starts_with("key_deleted, "), "{:?}", event.details);

    browser
        .post("/settings/notifications", &fields)
        .await
        .leads_to("/settings?saved=notifications#notifications");
    let again =
        app.control.list_events(&Context::system(), Some(account), PageQuery::default()).await.unwrap();
    assert_eq!(again.items.len(), events.items.len(), "nothing was switched");
}

#[tokio::test]
async fn without_a_mail_server_the_page_says_so_and_offers_nothing() {
    let app = App::start().await;
    let (_, mut browser) = app.customer("agency").await;
    let page = browser.get("/settings").await;
    page.says(
        StatusCode::OK,
        "No mail server is set up here, so nothing is mailed; all that happens shows in",
    );
    page.says(StatusCode::OK, "<summary>What would be mailed</summary>");
    for kind in NotificationKind::ALL {
        assert!(!page.html.contains(&format!("name=\"{}\"", kind.as_str())), "{kind:?} is offered");
    }
    assert!(!page.html.contains("Save notifications"));
}

#[tokio::test]
async fn a_choice_that_cannot_be_read_is_not_drawn_as_one() {
    let app = App::with(Setting { sends_mail: true, ..Setting::default() }).await;
    let (_, mut browser) = app.customer("agency").await;
    app.meddle("DROP TABLE notification_settings").await;
    let page = browser.get("/settings").await;
    page.says(StatusCode::OK, "Your notifications cannot be shown right now.");
    assert!(!page.html.contains("name=\"key_created\""));
    let made = browser.create_key("CI/CD Pipeline").await;
    assert!(made.secret().is_some(), "a secret is shown whatever else fails");
}
