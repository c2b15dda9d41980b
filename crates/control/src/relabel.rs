//! Changing what a key is called and where it is used. Nobody waits for it: no decision knows these words.

use rndrkit_domain::audit::{Action, NewEvent};
use rndrkit_domain::id::KeyId;
use rndrkit_domain::key::ApiKey;
use rndrkit_domain::text::{Environment, Name};
use rndrkit_domain::time::Timestamp;
use rndrkit_store::KeyUpdate;

use crate::accounts::Checks;
use crate::event::Subject;
use crate::{Context, Control, Error};

/// Changes to the words of a key as somebody typed them; none = stays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeyPatch<'a> {
    /// What its owner calls it.
    pub name: Option<&'a str>,
    /// Where its owner uses it; `Some(None)` removes the label.
    pub environment: Option<Option<&'a str>>,
}

impl Control {
    /// Changes what a key is called and where it is used, whatever its status. Repeating it is safe.
    pub async fn update_key(
        &self,
        context: &Context,
        id: KeyId,
        patch: KeyPatch<'_>,
    ) -> Result<ApiKey, Error> {
        let only_account = context.only_account()?;
        let update = check_patch(patch)?;
        let (control, context) = (self.clone(), context.clone());
        self.to_the_end(async move {
            let at = control.now();
            let change = control.change(at);
            let update = || {
                let (writer, context) = (control.clone(), context.clone());
                let event =
                    move |before: &ApiKey, after: &ApiKey| writer.relabelled(&context, at, before, after);
                control.store().update_key(id, update.clone(), only_account, change, event)
            };
            Ok(control.change_surely(update).await?.value)
        })
        .await
    }

    fn relabelled(&self, context: &Context, at: Timestamp, before: &ApiKey, after: &ApiKey) -> NewEvent {
        let changed: Vec<&str> =
            [("name", before.name != after.name), ("environment", before.environment != after.environment)]
                .into_iter()
                .filter_map(|(field, changed)| changed.then_some(field))
                .collect();
        let event =
            self.event(context, at, Action::KeyUpdated, Some(after.account_id), Subject::Key(after.id));
        NewEvent { details: vec![("fields", changed.join(", "))], ..event }
    }
}

fn check_patch(patch: KeyPatch<'_>) -> Result<KeyUpdate, Error> {
    let mut checks = Checks::default();
    let name = patch.name.map(|text| checks.read("name", Name::parse(text)));
    let environment = patch
        .environment
        .map(|label| label.and_then(|text| checks.read("environment", Environment::parse(text))));
    checks.finish()?;
    Ok(KeyUpdate { name: name.flatten(), environment })
}
