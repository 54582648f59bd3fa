//! What may be wrong, one at a time, and which property must find it.

/// A mistake in the services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// `domain::next` lets the others be fenced before messaging.
    MessagingNotFirst,
    /// `domain::next` lets a participant purge while another is not fenced.
    PurgeBeforeFences,
    /// `domain::next` does not wait for the ledger's entry.
    LedgerNotAwaited,
    /// The answer to `Purge` is taken for an answer to `VerifyAbsent`.
    EraserBelieved,
    /// `domain::next` makes the second certificate while the censuses' key lives.
    KeyOutlivesCertificate,
    /// `domain::next` makes the second certificate without the second verification.
    SecondVerificationSkipped,
    /// One writer of messaging's does not look at the fence.
    FenceNotCheckedByOneWriter,
    /// messaging's `Fence` does not wait for the head's lock.
    FenceWithoutLock,
    /// search acknowledges without the second check.
    NoSecondCheck,
    /// search fences and purges while a turn is under way.
    TurnNotAwaited,
    /// The engine hears of a new lease only with the first document: search's `Fence` does not tell it.
    EngineNotTold,
    /// messaging's eraser does not look for holds.
    HoldIgnored,
    /// A held record is kept, but sealed under the secret that dies.
    HeldNotResealed,
    /// A hold stops the whole purge.
    HoldStopsAll,
    /// A hold may be placed on a fenced person's record.
    HoldAfterFence,
    /// Two erasures of a person may be open.
    NoUniqueIndex,
    /// The fence is looked at before the erasure's row is inserted, and not after.
    FenceLookedAtFirst,
    /// `CancelErasure` does not look at the point of no return.
    CancelAfterFence,
    /// What a process does that lost its claim is written down all the same: a finding that is long repaired has it purged
    /// again, when the censuses' key is gone.
    ClaimNotChecked,
    /// `Saga::found` does not put the purge back to not done.
    FoundAndForgotten,
}

impl Bug {
    /// Those with which an erasure may never end.
    pub const STUCK: [Self; 2] = [Self::ClaimNotChecked, Self::FoundAndForgotten];

    /// Those with which a state may be unsafe, and the property that each must violate.
    pub const UNSAFE: [(Self, &'static str); 18] = [
        (Self::MessagingNotFirst, crate::properties::MESSAGING_FIRST),
        (Self::PurgeBeforeFences, crate::properties::BARRIER),
        (Self::LedgerNotAwaited, crate::properties::LEDGER_FIRST),
        (Self::EraserBelieved, crate::properties::CERTIFIED_IS_GONE),
        (Self::KeyOutlivesCertificate, crate::properties::CERTIFICATES),
        (Self::SecondVerificationSkipped, crate::properties::CERTIFICATES),
        (Self::FenceNotCheckedByOneWriter, crate::properties::NO_WRITE_AFTER_FENCE),
        (Self::FenceWithoutLock, crate::properties::NO_WRITE_AFTER_FENCE),
        (Self::NoSecondCheck, crate::properties::NO_WRITE_AFTER_FENCE),
        (Self::TurnNotAwaited, crate::properties::PURGED_STAYS_GONE),
        (Self::EngineNotTold, crate::properties::PURGED_STAYS_GONE),
        (Self::HoldIgnored, crate::properties::HELD_IS_KEPT),
        (Self::HeldNotResealed, crate::properties::HELD_IS_KEPT),
        (Self::HoldStopsAll, crate::properties::HELD_ALONE),
        (Self::HoldAfterFence, crate::properties::HELD_IS_KEPT),
        (Self::NoUniqueIndex, crate::properties::ONE_OPEN),
        (Self::FenceLookedAtFirst, crate::properties::NONE_AFTER_FENCE),
        (Self::CancelAfterFence, crate::properties::NO_CANCEL_AFTER_FENCE),
    ];
}
