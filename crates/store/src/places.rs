//! From where people have signed in before: what makes a sign-in one from a new place.

use rndrkit_domain::id::UserId;
use rndrkit_domain::place::Place;
use rndrkit_domain::time::Timestamp;

use crate::error::Error;
use crate::sql::{NumberRow, Transaction};
use crate::value::{text, time};

/// Places remembered of one person: more than anybody sits at, and few enough to be read and erased at once.
/// The one not seen for the longest goes first.
const MAX_PLACES: i64 = 50;

/// Remembers a place; whether it is new. Somebody's first is not: there is nothing to compare it with. The account's
/// lock is held.
pub(crate) async fn remember(
    tx: &Transaction,
    user_id: UserId,
    place: &Place,
    at: Timestamp,
) -> Result<bool, Error> {
    let seen = "UPDATE known_places SET last_at = CASE WHEN last_at < $3 THEN $3 ELSE last_at END
                WHERE user_id = $1 AND place = $2";
    if tx.execute(seen, [text(user_id), text(place), time(at)]).await? > 0 {
        return Ok(false);
    }
    let before: NumberRow =
        tx.one("SELECT count(*) AS value FROM known_places WHERE user_id = $1", [text(user_id)]).await?;
    tx.execute(
        "INSERT INTO known_places (user_id, place, first_at, last_at) VALUES ($1, $2, $3, $3)",
        [text(user_id), text(place), time(at)],
    )
    .await?;
    tx.execute(
        "DELETE FROM known_places WHERE user_id = $1 AND place NOT IN
             (SELECT place FROM known_places WHERE user_id = $1 ORDER BY last_at DESC, place LIMIT $2)",
        [text(user_id), MAX_PLACES.into()],
    )
    .await?;
    Ok(before.value > 0)
}
