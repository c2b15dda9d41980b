//! The specification, step by step, by somebody at a browser.

use serde_json::{Value, json};

use super::person::{PASSWORD, Person, link};
use crate::harness::Server;
use crate::upstream;

const EMAIL: &str = "ada@example.com";
const NAMES: [&str; 5] = ["CI/CD Pipeline", "Deployment Script", "Staging", "Production", "Reports"];

#[tokio::test]
async fn the_specification_can_be_walked_from_the_first_link_to_the_last() {
    let upstream = upstream::start().await;
    let upstream = format!("http://{upstream}");
    let Some((ada, server)) = Person::and_server(&[("RNDRKIT_UPSTREAM_URL", &upstream)]).await else {
        return;
    };
    make_the_first_account(&ada, &server).await;
    find_no_access_on_starter(&ada).await;
    upgrade_to_agency(&ada).await;
    let secret = create_an_api_key(&ada, &server).await;
    see_it_no_more(&ada, &secret).await;
    copy_the_quick_start(&ada).await;
    create_up_to_five(&ada).await;
    view_the_keys(&ada, &secret).await;
    delete_one(&ada, &server, &secret).await;
    follow_the_next_steps(&ada).await;
    sign_out_and_in(&ada).await;
    let account = only_account(&server).await;
    set_a_new_password(&ada, &server, &account).await;
    come_in_through_a_link(&ada, &server, &account).await;
    ada.assert_quiet_console().await;
    ada.leave().await;
}

async fn make_the_first_account(ada: &Person, server: &Server) {
    let log = server.log();
    let address = log.split("Create the first account: ").nth(1).expect("the first link is in the log");
    ada.open(address.split_whitespace().next().unwrap()).await;
    ada.see("Create the first account").await;
    ada.fill("E-mail", EMAIL).await;
    ada.fill("Account name", "Ada’s Studio").await;
    ada.fill("Password", PASSWORD).await;
    ada.press("Create account").await;
    ada.see("Hello, Ada’s Studio").await;
    assert_eq!(ada.place().await, "/");
    assert_eq!(
        ada.texts("nav > ul > li > a").await,
        ["Overview", "Usage", "Activity", "Billing", "Settings"]
    );
}

async fn find_no_access_on_starter(ada: &Person) {
    ada.press_in_sidebar("Settings").await;
    ada.see("The Starter plan does not include API access").await;
    ada.see(
        "API keys are available on the Agency and Agency+ plans. If you are on the Starter or Pro plan and need API \
         access, consider upgrading your plan.",
    )
    .await;
    assert!(!ada.can_press("Create API Key").await);
    ada.open("/").await;
    ada.press("Upgrading").await;
    ada.arrive("/billing#upgrading").await;
    ada.press_in_sidebar("Settings").await;
}

async fn upgrade_to_agency(ada: &Person) {
    ada.press("Upgrade your plan").await;
    ada.see("Plans and Pricing").await;
    assert_eq!(ada.texts(".plan h2").await, ["Starter", "Pro", "Agency", "Agency+"]);
    ada.press("Upgrade to Agency").await;
    ada.see("You are on the Agency plan now.").await;
    assert_eq!(ada.place().await, "/settings?changed=plan#api-keys");
    ada.see("0 of 5").await;
}

/// "Go to Settings in the dashboard sidebar. Navigate to the API Keys section. Click Create API Key. Give the
/// key a descriptive name. Click Create."
async fn create_an_api_key(ada: &Person, server: &Server) -> String {
    ada.open("/").await;
    ada.press_in_sidebar("Settings").await;
    ada.press_in_sidebar("API Keys").await;
    ada.arrive("/settings#api-keys").await;
    let secret = ada.create_key("CI/CD Pipeline").await;

    let body = secret.strip_prefix("rk_live_").expect("the key begins with its prefix");
    assert!(
        body.len() == 32 && body.bytes().all(|byte| byte.is_ascii_alphanumeric()),
        "{} characters",
        body.len()
    );
    ada.see("Copy it immediately and store it securely. You will not be able to view it again.").await;
    let call =
        format!("curl -X GET \"{}\" \\\n-H \"X-Api-Key: {secret}\"", server.public_url("/api/rk/account"));
    let shown = ada.texts("#try").await.remove(0);
    assert_eq!(shown.lines().map(str::trim).collect::<Vec<_>>().join("\n"), call);
    copy_it(ada, &secret).await;

    let answer = server.get_with_key("/api/your-endpoint", &secret).await;
    assert_eq!(answer.status(), 200);
    let seen: Value = answer.json().await.unwrap();
    assert_eq!(seen["request"], "GET /api/your-endpoint HTTP/1.1");
    secret
}

async fn copy_it(ada: &Person, secret: &str) {
    ada.browser
        .devtools(
            "Browser.grantPermissions",
            json!({"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}),
        )
        .await
        .unwrap();
    ada.press("Copy").await;
    ada.see("Copied").await;
    let read =
        "const done = arguments[0]; navigator.clipboard.readText().then(done, error => done(String(error)))";
    let copied = ada.browser.client().execute_async(read, vec![]).await.unwrap();
    assert_eq!(copied, json!(secret));
}

/// The lines of the quick start can be taken away like those of a new key.
async fn copy_the_quick_start(ada: &Person) {
    ada.open("/#quick-start").await;
    ada.press("Copy the variable").await;
    ada.see("Copied").await;
    let read =
        "const done = arguments[0]; navigator.clipboard.readText().then(done, error => done(String(error)))";
    let copied = ada.browser.client().execute_async(read, vec![]).await.unwrap();
    assert_eq!(copied, json!("export RNDRKIT_API_KEY=\"YOUR_API_KEY\""));
}

/// "Your API key is displayed once."
async fn see_it_no_more(ada: &Person, secret: &str) {
    let done = ada.one("//button[normalize-space(.)=\"Done\"]").await;
    assert!(!done.is_enabled().await.unwrap(), "Done waits for the check mark");
    ada.store_it().await;
    for step in ["Done", "reload", "Back"] {
        match step {
            "reload" => ada.reload().await,
            "Back" => ada.back().await,
            _ => {}
        }
        ada.see("CI/CD Pipeline").await;
        assert!(!ada.everything_kept().await.contains(secret), "after {step} the page still has the key");
    }
}

/// "Each account can have up to 5 active API keys."
async fn create_up_to_five(ada: &Person) {
    ada.open("/settings#api-keys").await;
    for (made, name) in NAMES.iter().enumerate().skip(1) {
        ada.see(&format!("{made} of 5")).await;
        ada.create_key(name).await;
        ada.store_it().await;
    }
    ada.see("5 of 5 active keys. Delete one to create another.").await;
    ada.press("Create API Key").await;
    assert!(ada.displayed("//dialog").await.is_empty(), "the sixth was not refused");
    ada.open("/settings/api-keys/new").await;
    ada.arrive("/settings#api-keys").await;
}

/// "The list shows: Key name, Creation date, Last used date, A masked prefix of the key."
async fn view_the_keys(ada: &Person, secret: &str) {
    let heads = ada.texts("#api-keys > .card thead th").await;
    assert_eq!(heads[..4], ["Name", "Key", "Created", "Last used"]);
    let used = async || {
        ada.reload().await;
        let rows = ada.rows().await;
        rows.last().is_some_and(|row| row[3] != "Never")
    };
    ada.wait("a last use", used).await;
    let rows = ada.rows().await;
    let newest_first: Vec<&str> = NAMES.iter().rev().copied().collect();
    assert_eq!(rows.iter().map(|row| row[0].as_str()).collect::<Vec<_>>(), newest_first);
    let year = jiff::Timestamp::now().to_string()[..4].to_owned();
    for row in &rows {
        assert!(row[1].starts_with("rk_live_") && row[1].ends_with('•'), "{row:?}");
        assert!(row[2].ends_with(&year), "{row:?}");
    }
    assert_eq!(rows[4][1].trim_end_matches('•'), &secret[.."rk_live_".len() + 4]);
    assert!(rows[..4].iter().all(|row| row[3] == "Never"), "{rows:?}");
}

/// "Find the key you want to revoke. Click Delete. Confirm the deletion." And then: 401 Unauthorized.
async fn delete_one(ada: &Person, server: &Server, secret: &str) {
    ada.press_delete_of("CI/CD Pipeline").await;
    ada.see("Delete CI/CD Pipeline?").await;
    ada.press("Cancel").await;
    ada.miss("Delete CI/CD Pipeline?").await;
    assert_eq!(ada.rows().await.len(), 5);
    assert_eq!(server.get_with_key("/api/your-endpoint", secret).await.status(), 200);

    ada.press_delete_of("CI/CD Pipeline").await;
    ada.press("Delete key").await;
    ada.see("CI/CD Pipeline was deleted.").await;
    let refused = server.get_with_key("/api/your-endpoint", secret).await;
    assert_eq!(refused.status(), 401);
    let problem: Value = refused.json().await.unwrap();
    assert_eq!(problem["title"].as_str().map(|_| &problem["code"]), Some(&json!("key_revoked")));
    ada.see("4 of 5").await;
    assert!(ada.rows().await.iter().all(|row| row[0] != "CI/CD Pipeline"));

    ada.press("Past keys 1").await;
    ada.see("Deleted in the dashboard").await;
}

async fn follow_the_next_steps(ada: &Person) {
    for (link, place, words) in [
        ("Plans and Pricing", "/billing", "Plans and Pricing"),
        ("Upgrading", "/billing#upgrading", "Upgrading"),
        ("Notifications", "/settings#notifications", "Configure alerts for your account."),
    ] {
        ada.open("/").await;
        let step = format!("//section[h2=\"Next steps\"]//a[normalize-space(.)=\"{link}\"]");
        ada.one(&step).await.click().await.unwrap();
        ada.arrive(place).await;
        ada.see(words).await;
    }
}

async fn sign_out_and_in(ada: &Person) {
    ada.open("/").await;
    ada.sign_out().await;
    ada.open("/settings").await;
    ada.arrive("/sign-in?return_to=/settings").await;
    ada.fill("E-mail", EMAIL).await;
    ada.fill("Password", "not the password at all").await;
    let password = ada.field("Password").await;
    for (button, kind) in [("Show password", "text"), ("Hide password", "password")] {
        ada.press(button).await;
        assert_eq!(password.prop("type").await.unwrap().as_deref(), Some(kind));
    }
    ada.press("Sign in").await;
    ada.see("is not right").await;
    ada.fill("Password", PASSWORD).await;
    ada.press("Sign in").await;
    ada.arrive("/settings").await;
    ada.see("4 of 5").await;
}

async fn only_account(server: &Server) -> String {
    let (_, accounts) = server.operator("GET", "/v1/accounts", json!(null)).await;
    assert_eq!(accounts["data"].as_array().map(Vec::len), Some(1), "{accounts}");
    accounts["data"][0]["id"].as_str().unwrap().to_owned()
}

async fn set_a_new_password(ada: &Person, server: &Server, account: &str) {
    let address = link(server, account, json!({"kind": "password_reset"})).await;
    ada.open("/").await;
    ada.sign_out().await;
    ada.open(&address).await;
    ada.see("Set a new password").await;
    ada.fill("New password", "eight cellos under a bridge").await;
    ada.press("Set password and sign in").await;
    ada.see("Hello, Ada’s Studio").await;
    ada.open(&address).await;
    ada.see("This link no longer works").await;

    ada.open("/").await;
    ada.sign_out().await;
    for (password, words) in
        [(PASSWORD, "is not right"), ("eight cellos under a bridge", "Hello, Ada’s Studio")]
    {
        ada.fill("E-mail", EMAIL).await;
        ada.fill("Password", password).await;
        ada.press("Sign in").await;
        ada.see(words).await;
    }
}

async fn come_in_through_a_link(ada: &Person, server: &Server, account: &str) {
    ada.sign_out().await;
    let address = link(server, account, json!({"kind": "sign_in", "return_to": "/settings#api-keys"})).await;
    ada.open(&address).await;
    ada.open(&address).await;
    ada.see("Open Ada’s Studio").await;
    ada.press("Open dashboard").await;
    ada.arrive("/settings#api-keys").await;
    ada.see("4 of 5").await;
    ada.open(&address).await;
    ada.see("This link no longer works").await;
}
