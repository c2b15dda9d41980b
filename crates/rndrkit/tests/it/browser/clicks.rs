//! How many clicks lie between signing in and a copied key.

use std::cell::Cell;

use super::person::{PASSWORD, Person};

/// Presses what is called this, and counts.
struct Counted<'a> {
    person: &'a Person,
    clicks: Cell<u32>,
}

impl Counted<'_> {
    async fn press(&self, name: &str) {
        self.clicks.set(self.clicks.get() + 1);
        self.person.press(name).await;
    }
}

async fn sign_in(ada: &Person) {
    ada.sign_out().await;
    ada.fill("E-mail", "ada@example.com").await;
    ada.fill("Password", PASSWORD).await;
    ada.press("Sign in").await;
    ada.see("Hello").await;
}

#[tokio::test]
async fn the_first_key_is_copied_three_clicks_after_signing_in_and_a_further_one_after_four() {
    let Some((ada, server)) = Person::and_server(&[]).await else { return };
    let account = server.account("ada@example.com", "agency").await;
    ada.join(&server, &account).await;
    for (name, ways, most) in
        [("First", &["Create API Key"][..], 3), ("Second", &["Manage keys", "Create API Key"], 4)]
    {
        sign_in(&ada).await;
        let counted = Counted { person: &ada, clicks: Cell::new(0) };
        for way in ways {
            counted.press(way).await;
        }
        ada.fill("Name", name).await;
        counted.press("Create").await;
        ada.see("Your new key").await;
        counted.press("Copy").await;
        ada.see("Copied").await;
        assert_eq!(counted.clicks.get(), most, "{name}");
        ada.store_it().await;
        ada.open("/").await;
    }
    ada.leave().await;
}
