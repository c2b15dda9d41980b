//! Faults in what the database and the machine do, planted to see that they are caught. Faults in the code
//! that ships are planted by editing its text (`cargo xtask faults`).

use crate::clocks::ClockFault;

/// A fault of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Planted {
    #[default]
    None,
    /// Numbers are handed out when a transaction begins, and not under a lock that is held until it commits.
    NumbersFromASequence,
    /// A look-up reads the head in a second statement, after the data.
    HeadAfterData,
    /// A row is reaped whatever its beat is by now.
    ReapWithoutComparing,
    /// What a node reads when it registers was read before its row is there.
    HeadBeforeRegistration,
    /// A call that finds nothing left to do answers at once.
    RepeatAnswersAtOnce,
    /// Nodes read a clock that a task of theirs moves.
    CoarseClock,
    /// Clocks do not count while their process is stopped.
    ClockStopsInPauses,
    /// Rows count as long as the database's clock says, and that steps.
    LeaseByDatabaseClock,
    /// What a draw may have brought whose answer did not come is given back, and given back again when the answer
    /// to that does not come.
    RefundsRetried,
    /// The database forgets draws when it restarts, and nobody makes up for it.
    AuthorityForgets,
}

const NAMES: [(&str, Planted); 10] = [
    ("numbers-from-a-sequence", Planted::NumbersFromASequence),
    ("head-after-data", Planted::HeadAfterData),
    ("reap-without-comparing", Planted::ReapWithoutComparing),
    ("head-before-registration", Planted::HeadBeforeRegistration),
    ("repeat-answers-at-once", Planted::RepeatAnswersAtOnce),
    ("coarse-clock", Planted::CoarseClock),
    ("clock-stops-in-pauses", Planted::ClockStopsInPauses),
    ("lease-by-database-clock", Planted::LeaseByDatabaseClock),
    ("refunds-retried", Planted::RefundsRetried),
    ("authority-forgets", Planted::AuthorityForgets),
];

impl Planted {
    /// The fault that `RNDRKIT_TEST_FAULT` names; none without it.
    pub(crate) fn wished() -> Self {
        #[expect(clippy::disallowed_methods, reason = "a wish of whoever runs the tests, not a setting")]
        let Ok(wished) = std::env::var("RNDRKIT_TEST_FAULT") else { return Self::None };
        let known = NAMES.iter().find(|(name, _)| *name == wished);
        known.unwrap_or_else(|| panic!("RNDRKIT_TEST_FAULT is one of {NAMES:?}")).1
    }

    pub(crate) fn clock(self) -> ClockFault {
        match self {
            Self::CoarseClock => ClockFault::Coarse,
            Self::ClockStopsInPauses => ClockFault::StopsInPauses,
            _ => ClockFault::None,
        }
    }
}
