//! Following the feed: from the verifier's place on, a batch at a time.

use rndrkit_verifier::{Continuation, SourceError};

use crate::member::Member;

/// Entries read at once.
const BATCH: u32 = 512;

impl Member {
    /// Reads one batch and applies it. Between two batches a beat that is due is sent.
    pub(crate) async fn fetch(&mut self) -> Result<(), SourceError> {
        let place = self.shared.verifier.place();
        // From the place itself, to compare its tag.
        let entries = self.line.entries(place.number, BATCH).await?;
        match place.continuation(&entries) {
            Continuation::Good => {
                self.bounded(self.shared.verifier.follow(&entries)).await?;
                let full = u32::try_from(entries.len()).is_ok_and(|read| read >= BATCH);
                self.looked(full);
                self.settle();
            }
            Continuation::Nothing => {
                self.looked(false);
                if self.standing.as_ref().is_some_and(|standing| standing.is_behind(place.number)) {
                    return Err(SourceError::new("the feed is shorter than its head says"));
                }
            }
            Continuation::Lost(lost) if lost.commits_are_gone() => self.lose_history(lost),
            // The next beat says where the feed is now; the verifier begins anew there.
            Continuation::Lost(lost) => {
                self.lost = Some(lost);
                if let Some(standing) = &mut self.standing {
                    standing.next_beat = self.shared.now();
                }
            }
        }
        Ok(())
    }

    /// The feed was looked at; whether there may be more at once.
    fn looked(&mut self, more: bool) {
        if let Some(standing) = &mut self.standing {
            standing.look = more;
        }
    }
}
