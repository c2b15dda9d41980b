//! Looking at what somebody's browser shows; `rndrkit_testkit::looking` says how.

use rndrkit_testkit::looking;

use super::person::Person;

/// Pictures it in every window and insists that it fits, and that people get through it.
pub(super) async fn look_at(person: &Person, state: &str) {
    looking::look_at(&person.browser, state).await;
}
