//! Puts together what a certificate says, from what the participants answered, and signs it.

use lethe_ids::CertificateId;
use lethe_proto::erasure::{
    Attestation as Wire, FenceResponse, Finding, PurgeResponse, Tally as WireTally, VerifyAbsentResponse,
};
use lethe_service::Failure;
use prost_types::Timestamp;
use time::OffsetDateTime;

use super::{Loaded, Saga, Trouble, damaged};
use crate::{
    NAME,
    certificate::{
        Attestation, Dates, Digest, KeyError, LedgerReference, Line, Participant, Statement, Tally, VERSION,
        outside,
    },
    domain::{Code, Step, commitment},
    store::{self, Lease},
};

/// What participants call their key stores.
const KEYSTORE: &str = "keystore";
/// What they say of one whose old copies open each other as long as nobody rotates the epoch's key.
const NOT_ROTATED: &str = "EPOCH_KEY_NOT_ROTATED";

/// A signed certificate that is not kept yet.
pub(super) struct Signed {
    pub(super) certificate: CertificateId,
    pub(super) sequence: u32,
    pub(super) envelope: Vec<u8>,
    pub(super) certified_at: OffsetDateTime,
    /// Of the first: the commitment and the nonce that opens it.
    pub(super) opening: Option<([u8; 32], [u8; 32])>,
    /// Something is kept under a legal hold.
    pub(super) held: bool,
}

impl Saga {
    /// The first certificate.
    pub(super) fn certify(&self, lease: Lease, loaded: &Loaded) -> Result<Signed, Trouble> {
        let nonce = self.entropy.bytes();
        let contact = loaded.erasure.contact.ok_or_else(damaged)?;
        let commitment = commitment(&nonce, lease.tenant, lease.erasure, contact);
        let mut participants = participants(loaded, Step::Verify)?;
        self.add_own(
            &mut participants,
            Line {
                store: KEYSTORE.to_owned(),
                kind: "secrets".to_owned(),
                attestation: Attestation::Declared,
                code: "CENSUS_KEY_KEPT".to_owned(),
                looked_for: 0,
                found: 0,
                until: None,
            },
        );
        let verified_at = loaded.erasure.verified_at.ok_or_else(damaged)?;
        let mut signed =
            self.sign(lease, loaded, participants, (1, None), Digest(commitment), verified_at)?;
        signed.opening = Some((commitment, nonce));
        Ok(signed)
    }

    /// The second certificate: what was read again later, and that the censuses' key is gone.
    pub(super) async fn re_certify(&self, lease: Lease, loaded: &Loaded) -> Result<Signed, Trouble> {
        let mut participants = participants(loaded, Step::ReVerify)?;
        let (subject, unit) = loaded.erasure.census_secrets;
        let left = self.keyring.verify_destroyed(lease.tenant, &[subject], &[unit]).await?;
        if !left.is_absent() {
            return Err(Trouble::Waits(Code::FOUND_AFTER_PURGE, None));
        }
        self.add_own(
            &mut participants,
            Line {
                store: KEYSTORE.to_owned(),
                kind: "secrets".to_owned(),
                attestation: Attestation::ReRead,
                code: "SECRETS_DESTROYED".to_owned(),
                looked_for: 2,
                found: 0,
                until: None,
            },
        );
        self.add_own(
            &mut participants,
            Line {
                store: KEYSTORE.to_owned(),
                kind: "wrapped_keys".to_owned(),
                attestation: Attestation::Declared,
                code: NOT_ROTATED.to_owned(),
                looked_for: 0,
                found: 0,
                until: None,
            },
        );
        let mut tx = self.db.tenant(lease.tenant).await?;
        let first = store::certificate(&mut tx, lease.erasure, 1).await?.ok_or_else(damaged)?;
        let commitment = Digest(loaded.erasure.commitment.ok_or_else(damaged)?);
        let done = loaded.steps.iter().filter(|row| row.stage.step == Step::ReVerify);
        let verified_at = done.filter_map(|row| row.stage.done_at).max().ok_or_else(damaged)?;
        self.sign(lease, loaded, participants, (2, Some(Digest::of(&first))), commitment, verified_at)
    }

    /// A line that the saga itself vouches for, not retention's participant.
    fn add_own(&self, participants: &mut [Participant], line: Line) {
        if let Some(own) = participants.iter_mut().find(|participant| participant.name == NAME) {
            own.lines.push(line);
        }
    }

    fn sign(
        &self,
        lease: Lease,
        loaded: &Loaded,
        participants: Vec<Participant>,
        (sequence, previous): (u32, Option<Digest>),
        subject_commitment: Digest,
        verified_at: OffsetDateTime,
    ) -> Result<Signed, Trouble> {
        let erasure = &loaded.erasure;
        let (number, digest) = erasure.ledger.ok_or_else(damaged)?;
        let certified_at = self.clock.now();
        let certificate = self.new_certificate_id();
        let statement = Statement {
            version: VERSION,
            certificate_id: certificate,
            sequence,
            previous,
            erasure_id: lease.erasure,
            tenant_id: lease.tenant,
            subject_commitment,
            mode: erasure.mode.text().to_owned(),
            suppression: erasure.suppress,
            dates: Dates {
                received_at: erasure.received_at,
                due_at: erasure.due_at,
                confirmed_at: erasure.confirmed_at.ok_or_else(damaged)?,
                fenced_at: erasure.fenced_at.ok_or_else(damaged)?,
                purged_at: erasure.purged_at.ok_or_else(damaged)?,
                verified_at,
                certified_at,
            },
            shred_bound: shred_bound(&participants, certified_at),
            participants,
            outside_the_promise: outside::of(erasure.mode).map(str::to_owned).collect(),
            ledger: LedgerReference { number, digest: Digest(digest) },
            key_id: self.signer.key_id().to_owned(),
        };
        let envelope = self.signer.sign(&statement).map_err(|error| match error {
            KeyError::NotValid => {
                Trouble::Waits(Code::SIGNING_KEY_NOT_VALID, Some(Box::new(Failure::internal(error))))
            }
            KeyError::Malformed => damaged(),
        })?;
        let mut lines = statement.participants.iter().flat_map(|participant| &participant.lines);
        let held = lines.any(|line| line.attestation == Attestation::Held);
        Ok(Signed { certificate, sequence, envelope, certified_at, opening: None, held })
    }
}

/// Until no old copy of a key store opens anything any more, no earlier than now; none when one of them has no date.
fn shred_bound(participants: &[Participant], now: OffsetDateTime) -> Option<OffsetDateTime> {
    let lines = participants.iter().flat_map(|participant| &participant.lines);
    let mut bound = now;
    for line in lines.filter(|line| line.store == KEYSTORE) {
        if line.code == NOT_ROTATED {
            return None;
        }
        bound = line.until.map_or(bound, |until| bound.max(until));
    }
    Some(bound)
}

fn participants(loaded: &Loaded, verified: Step) -> Result<Vec<Participant>, Trouble> {
    let names = loaded.participants.iter().enumerate();
    names
        .map(|(position, name)| {
            let fence: FenceResponse = loaded.answer(Step::Fence, Some(position))?;
            let purge: PurgeResponse = loaded.answer(Step::Purge, Some(position))?;
            let verify: VerifyAbsentResponse = loaded.answer(verified, Some(position))?;
            Ok(Participant {
                name: name.clone(),
                census_digest: Digest(fence.census_digest[..].try_into().map_err(|_| damaged())?),
                census: tallies(fence.tallies),
                evidence: tallies(purge.evidence),
                fenced_at: at(fence.fenced_at)?,
                purged_at: at(purge.purged_at)?,
                verified_at: at(verify.verified_at)?,
                lines: verify.findings.into_iter().map(line).collect::<Result<_, _>>()?,
            })
        })
        .collect()
}

fn tallies(tallies: Vec<WireTally>) -> Vec<Tally> {
    tallies.into_iter().map(|t| Tally { store: t.store, kind: t.kind, count: t.count }).collect()
}

fn line(finding: Finding) -> Result<Line, Trouble> {
    let attestation = match finding.attestation() {
        Wire::ReRead => Attestation::ReRead,
        Wire::EngineFigure => Attestation::EngineFigure,
        Wire::Declared => Attestation::Declared,
        Wire::NotLookedAt => Attestation::NotLookedAt,
        Wire::Residual => Attestation::ResidualUntil,
        Wire::Held => Attestation::Held,
        Wire::Told => Attestation::Told,
        Wire::Unspecified => return Err(damaged()),
    };
    let until = finding.until.map(|until| at(Some(until))).transpose()?;
    let Finding { store, kind, code, looked_for, found, .. } = finding;
    Ok(Line { store, kind, attestation, code, looked_for, found, until })
}

/// An instant that was checked when the answer came.
fn at(timestamp: Option<Timestamp>) -> Result<OffsetDateTime, Trouble> {
    timestamp.and_then(|at| lethe_service::instant(&at, "").ok()).ok_or_else(damaged)
}
