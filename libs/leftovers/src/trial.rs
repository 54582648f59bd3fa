//! Tries every harvested header with every key that exists now: the living secrets of the keystores, and those that an
//! old wrapper in raw bytes still gives under a tenant key that the key service unwraps.
//!
//! A header's commitment says whether a key is its own, so that a value cut off in a torn page is judged like a whole
//! one. Only an old wrapper in its keystore's own files is dated: there it ages out with its epoch, and anywhere else
//! nobody promised that.

mod keys;

use std::collections::HashMap;

use lethe_ambient::Entropy;
use lethe_ids::{SubjectId, TenantId, UnitId};
use lethe_keyring::{Purpose, Sealer, header::Header};
use time::OffsetDateTime;

use crate::{Harvest, Sightings};
use keys::{Candidate, Keys};
pub use keys::{KeySource, TrialError};

/// Most pairs of secrets that are tried for values under a handed-over key, when an old wrapper is one of them.
const MOST_PAIRS: usize = 200_000;

/// What became of a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Opens with living keys.
    Live,
    /// Opens through an old wrapper that nothing makes useless.
    Undated,
    /// Opens through an old wrapper in the keystore's files, until its epoch's key is deleted.
    Dated {
        /// At the latest.
        until: OffsetDateTime,
    },
    /// Opens with no key there is.
    Closed,
}

/// A header and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// The header.
    pub header: Header,
    /// Where it was seen.
    pub sightings: Sightings,
    /// Whether it opens.
    pub outcome: Outcome,
}

/// How many of some headers open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// With living keys.
    pub live: u64,
    /// Through old wrappers that stay useful.
    pub undated: u64,
    /// Through old wrappers that end.
    pub dated: u64,
    /// When the last of those ends.
    pub until: Option<OffsetDateTime>,
    /// With no key.
    pub closed: u64,
}

/// Every header and what became of it.
#[derive(Debug, Clone, Default)]
pub struct Trial {
    /// One entry a header.
    pub openings: Vec<Opening>,
    /// Wrapped secrets seen in raw bytes that are no living secret's: how many opened.
    pub old_wrappers: u64,
}

impl Trial {
    /// Sums up the headers of these subjects and units; a census under a handed-over key has the erasure's id as unit.
    pub fn of(&self, subjects: &[SubjectId], units: &[UnitId]) -> Summary {
        self.sum(|header| subjects.contains(&header.subject) || units.contains(&header.unit))
    }

    /// Sums up all of them.
    pub fn all(&self) -> Summary {
        self.sum(|_| true)
    }

    fn sum(&self, wanted: impl Fn(&Header) -> bool) -> Summary {
        let mut sum = Summary::default();
        for opening in self.openings.iter().filter(|opening| wanted(&opening.header)) {
            match opening.outcome {
                Outcome::Live => sum.live += 1,
                Outcome::Undated => sum.undated += 1,
                Outcome::Closed => sum.closed += 1,
                Outcome::Dated { until } => {
                    sum.dated += 1;
                    sum.until = sum.until.max(Some(until));
                }
            }
        }
        sum
    }
}

/// Tries all of a harvest with the keys of these keystores, as of `now`.
///
/// # Errors
/// When a keystore or key service gives no answer: nothing was shown then.
pub async fn trial(
    harvest: &Harvest,
    sources: &[KeySource],
    now: OffsetDateTime,
) -> Result<Trial, TrialError> {
    let keys = Keys::gather(harvest, sources, now).await?;
    let mut by_commitment = living(&keys);
    if harvest.headers.keys().any(|header| header.subject.uuid().is_nil()) {
        handed_over_by_old_wrappers(&keys, &mut by_commitment);
    }
    let openings = harvest
        .headers
        .iter()
        .map(|(header, sightings)| {
            let named = named(&keys, header);
            let known = by_commitment.get(&header.commitment).map_or(Outcome::Closed, |end| end.outcome());
            Opening { header: *header, sightings: sightings.clone(), outcome: worse(named, known) }
        })
        .collect();
    Ok(Trial { openings, old_wrappers: keys.old })
}

/// How long two secrets together open something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct End {
    live: bool,
    until: Option<OffsetDateTime>,
}

impl End {
    fn of(a: &Candidate, b: &Candidate) -> Self {
        let until = match (a.until, b.until) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (one, other) => one.or(other),
        };
        Self { live: a.live && b.live, until }
    }

    fn outcome(self) -> Outcome {
        match (self.live, self.until) {
            (true, _) => Outcome::Live,
            (false, Some(until)) => Outcome::Dated { until },
            (false, None) => Outcome::Undated,
        }
    }
}

/// The outcome that says more is left.
fn worse(a: Outcome, b: Outcome) -> Outcome {
    let rank = |outcome: Outcome| match outcome {
        Outcome::Live => (3, None),
        Outcome::Undated => (2, None),
        Outcome::Dated { until } => (1, Some(until)),
        Outcome::Closed => (0, None),
    };
    if rank(a) >= rank(b) { a } else { b }
}

/// With the secrets that the header names.
fn named(keys: &Keys, header: &Header) -> Outcome {
    let Some(purpose) = Purpose::of(header.purpose) else { return Outcome::Closed };
    let mut outcome = Outcome::Closed;
    for (tenant, subject) in keys.of(header.subject.uuid()) {
        for (_, unit) in keys.of(header.unit.uuid()).iter().filter(|(of, _)| of == tenant) {
            let sealer = sealer(*tenant, subject, unit);
            if sealer.commits_to(purpose, header) {
                outcome = worse(outcome, End::of(subject, unit).outcome());
            }
        }
    }
    outcome
}

type ByCommitment = HashMap<[u8; lethe_keyring::COMMITMENT_LEN], End>;

/// What every pair of living secrets commits to, for headers whose ids were damaged, and for handed-over keys.
fn living(keys: &Keys) -> ByCommitment {
    let mut all = ByCommitment::new();
    for (tenant, subject, unit) in keys.living_pairs() {
        let end = End::of(subject, unit);
        let sealer = sealer(tenant, subject, unit);
        for purpose in Purpose::ALL {
            all.insert(sealer.commitment(*purpose), end);
        }
        hand_over(&sealer, tenant, end, &mut all);
    }
    all
}

/// Handed-over keys of pairs of which an old wrapper is a part: it does not say which unit is whose.
fn handed_over_by_old_wrappers(keys: &Keys, all: &mut ByCommitment) {
    for (tenant, subject, unit) in keys.pairs_with_old().take(MOST_PAIRS) {
        let end = End::of(subject, unit);
        hand_over(&sealer(tenant, subject, unit), tenant, end, all);
    }
}

fn hand_over(sealer: &Sealer, tenant: TenantId, end: End, all: &mut ByCommitment) {
    let key = sealer.handed_key(Purpose::Census);
    let handed = Sealer::of_handed_key(&key, tenant, uuid::Uuid::nil(), &Entropy::system());
    let commitment = handed.commitment(Purpose::Census);
    let known = all.entry(commitment).or_insert(end);
    if worse(known.outcome(), end.outcome()) == end.outcome() {
        *known = end;
    }
}

fn sealer(tenant: TenantId, subject: &Candidate, unit: &Candidate) -> Sealer {
    let subject_id = SubjectId::new(subject.id);
    // No nonce is drawn: nothing is sealed.
    Sealer::of_secrets(
        tenant,
        (subject_id, &subject.secret),
        (UnitId::new(unit.id), &unit.secret),
        &Entropy::system(),
    )
}
