// SPDX-License-Identifier: MPL-2.0

//! Bugs on purpose, as in `symbl_client::session::planted`: the simulation has to find each.
//!
//! They exist only with `--cfg planted_bugs`. Without it, [`planted`] returns `false` and the
//! compiler removes all of them.

/// A bug, named after its effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // the names say it
pub enum Bug {
    AttemptIgnored,
    PositionIgnored,
    EndIgnored,
    OldStartTaken,
    GoneNodeWrites,
    NumberOfTheRefusedKept,
    LostAnswerForgotten,
    SupersededSocketStays,
    LeaseIgnored,
    OtherSeatsIgnored,
    SeatsOfTheGoneKept,
    MissingEntryPassedOver,
    ToldEntryTakenAgain,
}

#[cfg(planted_bugs)]
mod imp {
    use super::Bug;
    use std::cell::Cell;

    impl Bug {
        /// All bugs.
        pub const ALL: [Self; 13] = [
            Self::AttemptIgnored,
            Self::PositionIgnored,
            Self::EndIgnored,
            Self::OldStartTaken,
            Self::GoneNodeWrites,
            Self::NumberOfTheRefusedKept,
            Self::LostAnswerForgotten,
            Self::SupersededSocketStays,
            Self::LeaseIgnored,
            Self::OtherSeatsIgnored,
            Self::SeatsOfTheGoneKept,
            Self::MissingEntryPassedOver,
            Self::ToldEntryTakenAgain,
        ];
    }

    thread_local! {
        static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// Gives logs on this thread this bug, and no other, from now on.
    pub fn plant(bug: Option<Bug>) {
        PLANTED.set(bug);
    }

    pub(crate) fn planted(bug: Bug) -> bool {
        PLANTED.get() == Some(bug)
    }
}

#[cfg(planted_bugs)]
pub use imp::plant;
#[cfg(planted_bugs)]
pub(crate) use imp::planted;

/// Returns `false`: this build has no planted bugs.
#[cfg(not(planted_bugs))]
pub(crate) const fn planted(_: Bug) -> bool {
    false
}
