//! Plans: the settings' list is written to the database once; everybody follows the database.

use rndrkit_domain::audit::Action;
use rndrkit_domain::plan::{Plan, PlanId};

use crate::event::Subject;
use crate::{Context, Control, Error};

impl Control {
    /// All plans in order of rank.
    pub async fn list_plans(&self) -> Result<Vec<Plan>, Error> {
        Ok(self.store().list_plans().await?)
    }

    /// The plan that an account is on.
    pub(crate) async fn get_plan(&self, id: &PlanId) -> Result<Plan, Error> {
        let plans = self.list_plans().await?;
        plans
            .into_iter()
            .find(|plan| plan.id == *id)
            .ok_or_else(|| Error::internal(format!("an account is on plan {id}, which does not exist")))
    }

    /// Writes the settings' plans if they differ from the database's. At start only.
    pub async fn sync_plans(&self, plans: Vec<Plan>) -> Result<(), Error> {
        let control = self.clone();
        self.to_the_end(async move {
            let at = control.now();
            let event = control.event(&Context::system(), at, Action::PlansChanged, None, Subject::Plans);
            let committed = control.store().sync_plans(&plans, control.change(at), event).await?;
            control.confirm(committed.number).await?;
            Ok(())
        })
        .await
    }
}
