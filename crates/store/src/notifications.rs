//! Which news an account wants by e-mail.

use rndrkit_domain::audit::NewEvent;
use rndrkit_domain::id::AccountId;
use rndrkit_domain::notification::NotificationKind;
use sea_orm::{ConnectionTrait, FromQueryResult};

use crate::accounts;
use crate::audit;
use crate::change::Change;
use crate::error::Error;
use crate::open::Store;
use crate::sql::Sql;
use crate::value::text;

/// Each kind, and whether it is wanted.
pub type NotificationChoices = Vec<(NotificationKind, bool)>;

#[derive(FromQueryResult)]
struct ChoiceRow {
    kind: String,
    by_email: i64,
}

async fn read<C: ConnectionTrait>(sql: &Sql<C>, account_id: AccountId) -> Result<NotificationChoices, Error> {
    let rows: Vec<ChoiceRow> = sql
        .all("SELECT kind, by_email FROM notification_settings WHERE account_id = $1", [text(account_id)])
        .await?;
    let chosen = |kind: NotificationKind| {
        let row = rows.iter().find(|row| row.kind == kind.as_str());
        row.map_or(kind.on_by_default(), |row| row.by_email == 1)
    };
    Ok(NotificationKind::ALL.into_iter().map(|kind| (kind, chosen(kind))).collect())
}

impl Store {
    /// What an account wants: its choice, and the default where it has made none.
    pub async fn notification_choices(&self, account_id: AccountId) -> Result<NotificationChoices, Error> {
        read(self.reader(), account_id).await
    }

    /// Sets what an account wants. `event` reports the kinds that are switched; it is not asked, and nothing is
    /// written, when none is. Whether any was.
    pub async fn update_notifications(
        &self,
        account_id: AccountId,
        wanted: &[(NotificationKind, bool)],
        change: Change,
        event: impl FnOnce(&[(NotificationKind, bool)]) -> NewEvent + Send,
    ) -> Result<bool, Error> {
        let tx = self.begin().await?;
        accounts::lock(&tx, account_id).await?;
        let before = read(&tx, account_id).await?;
        let switched: NotificationChoices =
            wanted.iter().filter(|choice| !before.contains(choice)).copied().collect();
        if switched.is_empty() {
            tx.rollback().await?;
            return Ok(false);
        }
        for (kind, by_email) in &switched {
            tx.execute(
                "INSERT INTO notification_settings (account_id, kind, by_email) VALUES ($1, $2, $3)
                 ON CONFLICT (account_id, kind) DO UPDATE SET by_email = excluded.by_email",
                [text(account_id), text(kind.as_str()), i64::from(*by_email).into()],
            )
            .await?;
        }
        audit::append(&tx, &change, &[event(&switched)]).await?;
        tx.commit().await?;
        Ok(true)
    }
}
