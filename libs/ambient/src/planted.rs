//! Mistakes that a test-only build makes on purpose, one at a time, to show that a test catches each. `make planted` runs
//! them; `tests/planted.tsv` says which test it is. No other build has them: there [`planted`] is a constant that the
//! compiler removes.

/// A mistake that the code makes when a build with the feature `planted` is told so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planted {
    /// A message is acknowledged while the transaction that stores it is still open.
    AcknowledgedBeforeCommit,
    /// One writer of many does not ask whether the contact is fenced.
    FenceUnchecked,
    /// The verifier counts nothing again: what the eraser says it deleted is taken for gone.
    DeletersWordBelieved,
    /// A destruction leaves the subject's secret.
    SecretKept,
    /// A new epoch has the tenant's key of the last one, wrapped anew: the old epoch's end shreds nothing.
    TenantKeyCarriedOver,
    /// An address that was given up stays in the blind index. (At an erasure the foreign key to the secret forbids it.)
    BlindIndexLeft,
    /// The suppression list is kept under the blind index's key.
    SuppressionUnderWrongKey,
    /// What can never be handled is waited for as if a store were away, and everything behind it waits too.
    DeadLetterBlocks,
    /// A relay takes all slots without a lease.
    RelayWithoutLease,
    /// What identity's stream tells of revocations is not taken in: only what the bus brings could end a session.
    RevocationOnlyByNats,
    /// A signature that was used for a change is good for another one.
    SignatureReplayed,
    /// A certificate is signed though a participant said nothing of a store that the census has things in.
    UnreadableStoreSkipped,
}

/// Whether this is the mistake to make: the one that the environment names in `LETHE_PLANTED`.
#[cfg(feature = "planted")]
pub fn planted(mistake: Planted) -> bool {
    use std::sync::LazyLock;

    #[allow(
        clippy::disallowed_methods,
        reason = "a test-only build, and configuration has nothing to say here"
    )]
    static MADE: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("LETHE_PLANTED").ok());
    MADE.as_ref().is_some_and(|made| *made == format!("{mistake:?}"))
}

/// Whether this is the mistake to make: never, in this build.
#[cfg(not(feature = "planted"))]
#[inline(always)]
pub const fn planted(_: Planted) -> bool {
    false
}
