//! Plans: the settings' list is written to the database once; everybody follows the database.

use rndrkit_domain::audit::Action;
use rndrkit_domain::feed::FeedNumber;
use rndrkit_domain::plan::{Plan, PlanId};

use crate::accounts::UNKNOWN_PLAN;
use crate::event::Subject;
use crate::{Context, Control, Error};

impl Control {
    /// All plans in order of rank.
    pub async fn list_plans(&self) -> Result<Vec<Plan>, Error> {
        Ok(self.store().list_plans().await?)
    }

    /// Adds to "no such plan" which ones there are. Left as it is when they cannot be read.
    pub(crate) async fn name_plans(&self, mut error: Error) -> Error {
        if let Error::Invalid(fields) = &mut error
            && let Some(field) = fields.iter_mut().find(|field| field.field == "plan")
            && let Ok(plans) = self.list_plans().await
        {
            let ids: Vec<&str> = plans.iter().map(|plan| plan.id.as_str()).collect();
            field.detail = format!("{UNKNOWN_PLAN} Use one of {}.", ids.join(", "));
        }
        error
    }

    /// The plan that an account is on.
    pub(crate) async fn get_plan(&self, id: &PlanId) -> Result<Plan, Error> {
        let plans = self.list_plans().await?;
        plans
            .into_iter()
            .find(|plan| plan.id == *id)
            .ok_or_else(|| Error::internal(format!("an account is on plan {id}, which does not exist")))
    }

    /// Writes the settings' plans if they differ from the database's. At start only: no call is answered by it,
    /// so nobody is kept waiting, and the log says when the change holds everywhere.
    pub async fn sync_plans(&self, plans: Vec<Plan>) -> Result<(), Error> {
        let control = self.clone();
        self.to_the_end(async move {
            let at = control.now();
            let event = control.event(&Context::system(), at, Action::PlansChanged, None, Subject::Plans);
            let change = control.change(at);
            let sync = || control.store().sync_plans(&plans, change, event.clone());
            let committed = control.change_surely(sync).await?;
            // Unchanged, they are what every node follows already, or is told by whoever changed them.
            if committed.changed {
                tokio::spawn(async move { control.report_plans(committed.number).await });
            }
            Ok(())
        })
        .await
    }

    async fn report_plans(&self, number: FeedNumber) {
        match self.confirm(number).await {
            Ok(who) => tracing::info!(
                nodes_confirmed = who.nodes_confirmed,
                nodes_expired = who.nodes_expired,
                took_ms = u64::try_from(who.took.as_millis()).unwrap_or(u64::MAX),
                "the plans of the settings are in force on every node"
            ),
            Err(error) => {
                tracing::warn!(%error, "whether every node follows the settings' plans is not known yet");
            }
        }
    }
}
