//! The specification's sentences: each is displayed in the place that docs/specification.md names. What people do by
//! them is walked in `specification`.

use serde_json::json;

use super::person::Person;

const OVERVIEW: &[&str] = &[
    "API keys let you authenticate with RndrKit programmatically.",
    "Use them for integrations and automation workflows.",
    "Give it a name that says where it is used. It is displayed once.",
    "Send it in the X-Api-Key header",
    "curl -X GET \"",
    "-H \"X-Api-Key:",
    "Never commit API keys to version control.",
    "Shared by all keys",
    "See which plans include API access",
    "Upgrade to get API access",
    "Configure alerts for your account",
];
const WITHOUT_ACCESS: &[&str] = &[
    "API keys are available on the Agency and Agency+ plans. If you are on the Starter or Pro plan and need API access, \
     consider upgrading your plan.",
];
const DIALOG: &[&str] = &[
    "Create API Key",
    "Say where it is used, such as “CI/CD Pipeline” or “Deployment Script”.",
    "Use separate keys for different environments (staging, production, CI/CD). If one is compromised, you can delete \
     it without affecting others.",
    "Keys do not expire on their own",
];
const PANEL: &[&str] = &[
    "Copy it immediately and store it securely. You will not be able to view it again.",
    "Never commit API keys to version control. Use environment variables or secret management tools instead.",
];
const PRACTICES: &[&str] = &[
    "Never commit API keys to version control",
    "Use environment variables or secret management tools instead.",
    "Use separate keys for different environments",
    "If one is compromised, you can delete it without affecting others.",
    "Rotate keys regularly",
    "Monitor usage",
    "Check the “Last used” date to identify unused keys that should be deleted.",
];

async fn says_all(ada: &Person, sentences: &[&str]) {
    for sentence in sentences {
        ada.see(sentence).await;
    }
}

#[tokio::test]
async fn every_sentence_of_the_specification_is_displayed_where_it_belongs() {
    let Some((ada, server, account)) = Person::on_plan("starter").await else { return };
    says_all(&ada, WITHOUT_ACCESS).await;
    ada.open("/billing").await;
    says_all(&ada, WITHOUT_ACCESS).await;
    let path = format!("/v1/accounts/{account}");
    assert_eq!(server.operator("PATCH", &path, json!({"plan": "agency"})).await.0, 200);
    ada.open("/").await;
    says_all(&ada, OVERVIEW).await;
    ada.open("/settings").await;
    ada.press("Create API Key").await;
    ada.press("More options").await;
    says_all(&ada, DIALOG).await;
    ada.press("Cancel").await;
    ada.create_key("Deployment Script").await;
    says_all(&ada, PANEL).await;
    ada.store_it().await;
    ada.see("1 of 5").await;
    ada.press("Security best practices").await;
    says_all(&ada, PRACTICES).await;
    ada.press_delete_of("Deployment Script").await;
    ada.see("Any scripts or integrations using this key will receive 401 Unauthorized responses at once.")
        .await;
    ada.leave().await;
}
