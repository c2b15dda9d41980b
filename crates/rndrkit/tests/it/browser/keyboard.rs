//! The keyboard alone: every step of creating, copying, rotating and deleting a key, with the focus seen all the way.

use super::person::{ENTER, ESCAPE, Person, SHIFT, TAB};

#[tokio::test]
async fn a_key_can_be_created_copied_and_deleted_with_the_keyboard_alone() {
    let Some((ada, _server, _)) = Person::on_plan("agency").await else { return };
    ada.open("/settings").await;
    ada.tab_to("Create API Key").await;
    ada.keys(ENTER).await;
    ada.see("Say where it is used").await;
    assert_eq!(ada.focus().await, "Name");
    ada.keys(ESCAPE).await;
    ada.miss("Say where it is used").await;
    assert_eq!(ada.focus().await, "Create API Key", "closing gives the focus back");

    ada.keys(ENTER).await;
    ada.keys("Deployment Script").await;
    ada.keys(ENTER).await;
    ada.see("Your new key: Deployment Script").await;
    assert_eq!(ada.focus().await, "Your new key: Deployment Script");
    ada.tab_to("Copy").await;
    ada.keys(ENTER).await;
    ada.see("Copied").await;
    ada.tab_to("I have stored this key").await;
    ada.keys(" ").await;
    ada.tab_to("Done").await;
    ada.keys(ENTER).await;
    ada.see("1 of 5").await;

    ada.tab_to("Delete Deployment Script").await;
    ada.keys(ENTER).await;
    ada.see("Delete Deployment Script?").await;
    assert_eq!(ada.focus().await, "Cancel", "nothing is deleted by pressing Enter twice");
    ada.keys(ENTER).await;
    ada.miss("Delete Deployment Script?").await;
    assert_eq!(ada.focus().await, "Delete Deployment Script");
    ada.keys(ENTER).await;
    ada.see("Delete Deployment Script?").await;
    ada.keys(TAB).await;
    assert_eq!(ada.focus().await, "Delete key");
    ada.keys_with(Some(SHIFT), TAB).await;
    ada.keys(ESCAPE).await;
    assert_eq!(ada.rows().await.len(), 1);

    ada.keys(ENTER).await;
    ada.tab_to("Delete key").await;
    ada.keys(ENTER).await;
    ada.see("Deployment Script was deleted.").await;
    ada.leave().await;
}

#[tokio::test]
async fn a_key_can_be_rotated_and_its_old_secret_ended_with_the_keyboard_alone() {
    let Some((ada, server, account)) = Person::on_plan("agency").await else { return };
    server.key(&account, "Deployment Script").await;
    ada.open("/settings").await;
    ada.tab_to("Rotate Deployment Script").await;
    ada.keys(ENTER).await;
    ada.see("Rotate Deployment Script?").await;
    ada.tab_to("Rotate key").await;
    ada.keys(ENTER).await;
    ada.see("The new secret of Deployment Script").await;
    ada.tab_to("Copy").await;
    ada.keys(ENTER).await;
    ada.see("Copied").await;
    ada.tab_to("I have stored this key").await;
    ada.keys(" ").await;
    ada.tab_to("Done").await;
    ada.keys(ENTER).await;
    ada.see("Old secret").await;
    ada.tab_to("End now: the old secret of Deployment Script").await;
    ada.keys(ENTER).await;
    ada.see("End the old secret of Deployment Script?").await;
    assert_eq!(ada.focus().await, "Cancel", "nothing is ended by pressing Enter twice");
    ada.tab_to("End old secret").await;
    ada.keys(ENTER).await;
    ada.see("The old secret of Deployment Script was ended.").await;
    ada.leave().await;
}

#[tokio::test]
async fn the_first_stop_leads_past_the_sidebar() {
    let Some((ada, _server, _)) = Person::on_plan("starter").await else { return };
    ada.open("/").await;
    ada.tab_to("Skip to the content").await;
    ada.keys(ENTER).await;
    ada.tab_to("Plans and Pricing").await;
    assert_eq!(ada.place().await, "/#main");
    ada.leave().await;
}
