// SPDX-License-Identifier: MPL-2.0

//! Bugs on purpose. A simulation that finds nothing proves something only if it finds
//! these: a test runs it with one after the other.
//!
//! They exist only with `--cfg planted_bugs`, which is for that test alone. Without it,
//! [`planted`] returns `false` and the compiler removes all of them.

/// A bug, named after its effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // the names say it
pub enum Bug {
    AcknowledgementSkipped,
    AnchorDropped,
    GenerationForgotten,
    ReplayFromTheSentMark,
    RepeatedWordsTold,
    RepeatedMessagesTold,
    FlushKeepsTheSpool,
    GapNotTold,
    BoundIgnored,
    PongDeadlineIgnored,
    ConnectTimeoutIgnored,
    BackOffNotApplied,
    RetryAfterIgnored,
    DrainTimeoutIgnored,
    LastAudioForgotten,
    HeaderNotRepeated,
    ModifyRequestNotSent,
    AudioBeforeTheAcknowledgement,
    StopForgotten,
    SplitNotNoticed,
    PauseForgotten,
    RecessCutShort,
    SpeakerNotTold,
    JitterTakenForHoles,
    DriftIgnored,
    WallClockReadOnce,
    AudioForgottenWithoutAThread,
    FirstOddAnswerBelieved,
    AdmissionTimeoutIgnored,
    PositionNotKept,
    AttemptNotRaised,
    TextGoesBack,
    GapOverOwedText,
    MarkOvertakesText,
    DueMarkHeld,
    LatenessAddedTwice,
    CommittedWordsToldAgain,
    FlushedWordsTold,
    FlushJoinsUtterances,
    PatienceIgnored,
    SentAudioLetGo,
    SilenceTakenForTheEnd,
    WordsPassedOver,
}

#[cfg(planted_bugs)]
mod imp {
    use super::Bug;
    use std::cell::Cell;

    impl Bug {
        /// All bugs.
        pub const ALL: [Self; 43] = [
            Self::AcknowledgementSkipped,
            Self::AnchorDropped,
            Self::GenerationForgotten,
            Self::ReplayFromTheSentMark,
            Self::RepeatedWordsTold,
            Self::RepeatedMessagesTold,
            Self::FlushKeepsTheSpool,
            Self::GapNotTold,
            Self::BoundIgnored,
            Self::PongDeadlineIgnored,
            Self::ConnectTimeoutIgnored,
            Self::BackOffNotApplied,
            Self::RetryAfterIgnored,
            Self::DrainTimeoutIgnored,
            Self::LastAudioForgotten,
            Self::HeaderNotRepeated,
            Self::ModifyRequestNotSent,
            Self::AudioBeforeTheAcknowledgement,
            Self::StopForgotten,
            Self::SplitNotNoticed,
            Self::PauseForgotten,
            Self::RecessCutShort,
            Self::SpeakerNotTold,
            Self::JitterTakenForHoles,
            Self::DriftIgnored,
            Self::WallClockReadOnce,
            Self::AudioForgottenWithoutAThread,
            Self::FirstOddAnswerBelieved,
            Self::AdmissionTimeoutIgnored,
            Self::PositionNotKept,
            Self::AttemptNotRaised,
            Self::TextGoesBack,
            Self::GapOverOwedText,
            Self::MarkOvertakesText,
            Self::DueMarkHeld,
            Self::LatenessAddedTwice,
            Self::CommittedWordsToldAgain,
            Self::FlushedWordsTold,
            Self::FlushJoinsUtterances,
            Self::PatienceIgnored,
            Self::SentAudioLetGo,
            Self::SilenceTakenForTheEnd,
            Self::WordsPassedOver,
        ];
    }

    thread_local! {
        static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// Gives sessions and tracks on this thread this bug, and no other, from now on.
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
