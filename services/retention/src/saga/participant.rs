//! Calls to a participant, and what is believed of its answers. An answer goes into a signed certificate, so whatever is
//! not a code, a count, a date or a digest is refused here, and so is a verification that leaves out what the census has.

use lethe_ambient::{Planted, planted};
use lethe_ids::{ContactId, ConversationId};
use lethe_proto::erasure::{
    Attestation, FenceRequest, FenceResponse, Finding, PurgeRequest, PurgeResponse, Scope, Tally,
    VerifyAbsentRequest, VerifyAbsentResponse, participant_service_client::ParticipantServiceClient,
};
use lethe_service::{Failure, PeerChannel};
use prost_types::Timestamp;
use tonic::{Code as Grpc, Status};
use zeroize::Zeroizing;

use super::Trouble;
use crate::domain::Code;

/// The most lines of one answer.
const MOST_LINES: usize = 1000;

/// One call to one participant about one scope.
pub(super) struct Call<'a> {
    name: &'a str,
    client: ParticipantServiceClient<PeerChannel>,
    scope: Scope,
}

type CensusKey = Zeroizing<[u8; 32]>;

impl<'a> Call<'a> {
    pub(super) fn new(name: &'a str, channel: PeerChannel, scope: Scope) -> Self {
        Self { name, client: ParticipantServiceClient::new(channel), scope }
    }

    pub(super) async fn fence(mut self, key: CensusKey) -> Result<FenceResponse, Trouble> {
        let request = FenceRequest { scope: Some(self.scope), census_key: key.to_vec().into() };
        let answer = self.client.fence(request).await.map_err(refused)?.into_inner();
        let sound = answer.census_digest.len() == 32
            && answer.fenced_at.as_ref().is_some_and(is_instant)
            && are_tallies(&answer.tallies)
            && answer.conversation_ids.iter().all(|id| id.parse::<ConversationId>().is_ok())
            && answer.contact_ids.iter().all(|id| id.parse::<ContactId>().is_ok())
            && answer.suppressions.iter().all(|one| one.mac.len() == 32);
        if sound { Ok(answer) } else { Err(malformed(self.name)) }
    }

    pub(super) async fn purge(mut self, key: CensusKey) -> Result<PurgeResponse, Trouble> {
        let request = PurgeRequest { scope: Some(self.scope), census_key: key.to_vec().into() };
        let answer = self.client.purge(request).await.map_err(refused)?.into_inner();
        let sound = answer.purged_at.as_ref().is_some_and(is_instant) && are_tallies(&answer.evidence);
        if sound { Ok(answer) } else { Err(malformed(self.name)) }
    }

    pub(super) async fn verify_absent(
        mut self,
        key: CensusKey,
        fenced: &FenceResponse,
    ) -> Result<VerifyAbsentResponse, Trouble> {
        let request = VerifyAbsentRequest { scope: Some(self.scope), census_key: key.to_vec().into() };
        let answer = self.client.verify_absent(request).await.map_err(refused)?.into_inner();
        let sound = answer.verified_at.as_ref().is_some_and(is_instant)
            && answer.findings.len() <= MOST_LINES
            && answer.findings.iter().all(is_line);
        if !sound {
            return Err(malformed(self.name));
        }
        if let Some(left_out) = left_out(&fenced.tallies, &answer.findings) {
            let failure = Failure::internal(format!(
                "{} did not look for {}/{}",
                self.name, left_out.store, left_out.kind
            ));
            return Err(Trouble::Waits(Code::ANSWER_INCOMPLETE, Some(Box::new(failure))));
        }
        Ok(answer)
    }
}

/// Whether nothing that was read again is still there.
pub(super) fn is_absent(answer: &VerifyAbsentResponse) -> bool {
    answer.findings.iter().all(|line| line.attestation() != Attestation::ReRead || line.found == 0)
}

/// Whether something is kept under a legal hold.
pub(super) fn holds(answer: &VerifyAbsentResponse) -> bool {
    answer.findings.iter().any(|line| line.attestation() == Attestation::Held)
}

/// A part of the census that the findings say nothing about: a store without any line, a kind of which nothing was read
/// again, or fewer things looked for than the census has of the kind.
fn left_out<'a>(census: &'a [Tally], findings: &[Finding]) -> Option<&'a Tally> {
    census.iter().filter(|tally| tally.count > 0).find(|tally| {
        let mut of_store = findings.iter().filter(|line| line.store == tally.store).peekable();
        if of_store.peek().is_none() {
            return !planted(Planted::UnreadableStoreSkipped);
        }
        let looked_for: u64 = of_store
            .filter(|line| {
                line.kind == tally.kind
                    && matches!(line.attestation(), Attestation::ReRead | Attestation::Held)
            })
            .map(|line| line.looked_for)
            .sum();
        looked_for < tally.count
    })
}

fn are_tallies(tallies: &[Tally]) -> bool {
    tallies.len() <= MOST_LINES && tallies.iter().all(|tally| is_name(&tally.store) && is_name(&tally.kind))
}

fn is_line(line: &Finding) -> bool {
    is_name(&line.store)
        && is_name(&line.kind)
        && Code::of_reason(&line.code).text() == line.code
        && line.attestation() != Attestation::Unspecified
        && line.until.as_ref().is_none_or(is_instant)
        && (line.attestation() != Attestation::Residual || line.until.is_some())
}

/// A store's or kind's name: lower-case letters, digits, underscore, dot and hyphen.
fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.' | b'-'))
}

fn is_instant(at: &Timestamp) -> bool {
    lethe_service::instant(at, "").is_ok()
}

fn malformed(name: &str) -> Trouble {
    Trouble::Waits(
        Code::ANSWER_MALFORMED,
        Some(Box::new(Failure::internal(format!("{name} answered what cannot be")))),
    )
}

fn refused(status: Status) -> Trouble {
    let failure = Failure::from_status(&status);
    let code = match failure.code {
        Grpc::Unavailable | Grpc::Cancelled | Grpc::Unknown if failure.reason == "SERVICE_UNAVAILABLE" => {
            Code::UNAVAILABLE
        }
        _ if failure.reason == "LEGAL_HOLD_ACTIVE" => Code::LEGAL_HOLD,
        _ => Code::of_reason(&failure.reason),
    };
    Trouble::Waits(code, Some(Box::new(failure)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(store: &str, kind: &str, count: u64) -> Tally {
        Tally { store: store.to_owned(), kind: kind.to_owned(), count }
    }

    fn line(store: &str, kind: &str, looked_for: u64, found: u64) -> Finding {
        Finding {
            store: store.to_owned(),
            kind: kind.to_owned(),
            attestation: Attestation::ReRead.into(),
            looked_for,
            found,
            code: "ROWS_ABSENT".to_owned(),
            until: None,
        }
    }

    #[test]
    fn a_verification_must_cover_the_census() {
        let census = [tally("postgres", "messages", 3), tally("index", "documents", 0)];
        assert_eq!(left_out(&census, &[line("postgres", "messages", 3, 0)]), None);
        assert_eq!(
            left_out(&census, &[line("postgres", "rows", 4, 0)]),
            Some(&census[0]),
            "another kind says nothing of this one"
        );
        assert_eq!(left_out(&census, &[line("postgres", "messages", 2, 0)]), Some(&census[0]));
        assert_eq!(left_out(&census, &[line("index", "documents", 3, 0)]), Some(&census[0]));
        assert_eq!(left_out(&census, &[]), Some(&census[0]));
    }

    #[test]
    fn free_text_is_no_line() {
        assert!(is_line(&line("postgres", "messages", 3, 0)));
        assert!(!is_line(&line("postgres", "Anna Meier", 3, 0)));
        assert!(!is_line(&Finding { code: "all gone".to_owned(), ..line("postgres", "messages", 3, 0) }));
        assert!(!is_line(&Finding { attestation: 0, ..line("postgres", "messages", 3, 0) }));
        assert!(!is_line(&Finding {
            attestation: Attestation::Residual.into(),
            ..line("postgres", "messages", 3, 0)
        }));
    }
}
