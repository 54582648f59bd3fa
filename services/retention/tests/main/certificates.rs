//! The form of a certificate, golden, and everything that must not pass for one.

use base64::{Engine, engine::general_purpose::STANDARD};
use lethe_ambient::Entropy;
use lethe_ids::{CertificateId, ContactId, ErasureId, TenantId};
use lethe_retention::{
    certificate::{
        Attestation, Dates, Digest, KeyError, LedgerReference, Line, Participant, PublishedKey, Signer,
        Statement, Tally, VERSION, VerifyError, explain, generate_key, outside, verify,
    },
    domain::{Mode, commitment},
};
use serde_json::{Value, json};
use time::{OffsetDateTime, macros::datetime};
use uuid::Uuid;

const FROM: OffsetDateTime = datetime!(2026-01-01 0:00 UTC);
const UNTIL: OffsetDateTime = datetime!(2027-01-01 0:00 UTC);

fn signer(seed: u64, retired: Vec<PublishedKey>) -> Signer {
    Signer::new(generate_key(&Entropy::seeded(seed), FROM, UNTIL).unwrap().expose(), retired).unwrap()
}

fn line(store: &str, kind: &str, attestation: Attestation, code: &str, looked_for: u64) -> Line {
    let (store, kind, code) = (store.to_owned(), kind.to_owned(), code.to_owned());
    Line { store, kind, attestation, code, looked_for, found: 0, until: None }
}

fn statement(signer: &Signer, certified_at: OffsetDateTime) -> Statement {
    let (tenant, erasure) = (TenantId::new(Uuid::from_u128(1)), ErasureId::new(Uuid::from_u128(2)));
    let at = |minutes| certified_at - time::Duration::minutes(minutes);
    let residual = Line {
        until: Some(certified_at + time::Duration::days(15)),
        ..line("keystore", "wrapped_keys", Attestation::ResidualUntil, "OLD_PAGES_KEYSTORE", 0)
    };
    Statement {
        version: VERSION,
        certificate_id: CertificateId::new(Uuid::from_u128(3)),
        sequence: 1,
        previous: None,
        erasure_id: erasure,
        tenant_id: tenant,
        subject_commitment: Digest(commitment(&[9; 32], tenant, erasure, ContactId::new(Uuid::from_u128(4)))),
        mode: "everything".to_owned(),
        suppression: false,
        dates: Dates {
            received_at: at(60),
            due_at: at(-44640),
            confirmed_at: at(50),
            fenced_at: at(40),
            purged_at: at(30),
            verified_at: at(20),
            certified_at,
        },
        participants: vec![Participant {
            name: "messaging".to_owned(),
            census_digest: Digest([5; 32]),
            census: vec![Tally { store: "postgres".to_owned(), kind: "messages".to_owned(), count: 12 }],
            evidence: vec![Tally { store: "postgres".to_owned(), kind: "messages".to_owned(), count: 12 }],
            fenced_at: at(45),
            purged_at: at(31),
            verified_at: at(21),
            lines: vec![
                line("postgres", "messages", Attestation::ReRead, "ROWS_ABSENT", 12),
                line("index", "deleted_documents", Attestation::EngineFigure, "DOCUMENTS_ABSENT", 0),
                line("index", "volume", Attestation::Declared, "VOLUME_ENCRYPTED", 0),
                line("postgres", "old_pages", Attestation::NotLookedAt, "OLD_PAGES_DATABASE", 0),
                residual,
            ],
        }],
        outside_the_promise: outside::of(Mode::Everything).map(str::to_owned).collect(),
        shred_bound: Some(certified_at + time::Duration::days(15)),
        ledger: LedgerReference { number: 7, digest: Digest([6; 32]) },
        key_id: signer.key_id().to_owned(),
    }
}

#[test]
fn a_certificate_has_one_form() {
    let signer = signer(1, Vec::new());
    let certificate = signer.sign(&statement(&signer, datetime!(2026-03-01 12:00 UTC))).unwrap();
    let certificate = String::from_utf8(certificate).unwrap();
    let keys = String::from_utf8(signer.keys_document().unwrap()).unwrap();
    assert_eq!(certificate, include_str!("golden/certificate.json").trim_end());
    assert_eq!(keys, include_str!("golden/keys.json").trim_end());
    let read = verify(certificate.as_bytes(), keys.as_bytes()).unwrap();
    assert_eq!(read, statement(&signer, datetime!(2026-03-01 12:00 UTC)));
    assert_eq!(explain(&read), include_str!("golden/explained.txt"));
    assert!(read.is_about(&[9; 32], ContactId::new(Uuid::from_u128(4))));
    assert!(!read.is_about(&[8; 32], ContactId::new(Uuid::from_u128(4))));
}

/// Every byte of the payload and of the signature counts.
#[test]
fn a_certificate_that_was_altered_does_not_verify() {
    let signer = signer(1, Vec::new());
    let keys = signer.keys_document().unwrap();
    let certificate = signer.sign(&statement(&signer, datetime!(2026-03-01 12:00 UTC))).unwrap();
    let envelope: Value = serde_json::from_slice(&certificate).unwrap();
    let payload = STANDARD.decode(envelope["payload"].as_str().unwrap()).unwrap();
    for place in (0..payload.len()).step_by(7) {
        let mut altered = payload.clone();
        altered[place] ^= 1;
        let mut envelope = envelope.clone();
        envelope["payload"] = STANDARD.encode(altered).into();
        assert_eq!(verify(envelope.to_string().as_bytes(), &keys), Err(VerifyError::BadSignature));
    }
    let signature = STANDARD.decode(envelope["signatures"][0]["sig"].as_str().unwrap()).unwrap();
    for place in 0..signature.len() {
        let mut altered = signature.clone();
        altered[place] ^= 1;
        let mut envelope = envelope.clone();
        envelope["signatures"][0]["sig"] = STANDARD.encode(altered).into();
        assert_eq!(verify(envelope.to_string().as_bytes(), &keys), Err(VerifyError::BadSignature));
    }
}

#[test]
fn what_is_no_certificate_is_told_apart_from_what_is_a_wrong_one() {
    let signer = signer(1, Vec::new());
    let keys = signer.keys_document().unwrap();
    let certificate = signer.sign(&statement(&signer, datetime!(2026-03-01 12:00 UTC))).unwrap();
    let envelope: Value = serde_json::from_slice(&certificate).unwrap();
    let with = |change: &dyn Fn(&mut Value)| {
        let mut changed = envelope.clone();
        change(&mut changed);
        verify(changed.to_string().as_bytes(), &keys)
    };
    let malformed = |answer: Result<Statement, VerifyError>| matches!(answer, Err(VerifyError::Malformed(_)));
    assert!(malformed(verify(b"", &keys)));
    assert!(malformed(verify(b"{}", &keys)));
    assert!(malformed(verify(&vec![b' '; (4 << 20) + 1], &keys)));
    assert!(malformed(with(&|e| e["payloadType"] = "application/json".into())));
    assert!(malformed(with(&|e| e["payload"] = "*".into())));
    assert!(malformed(with(&|e| e["signatures"] = json!([]))));
    assert!(malformed(with(&|e| {
        let twice = e["signatures"][0].clone();
        e["signatures"].as_array_mut().unwrap().push(twice);
    })));
    assert!(malformed(with(&|e| e["extra"] = 1.into())));
    assert!(matches!(verify(&certificate, b"[]"), Err(VerifyError::MalformedKeys(_))));

    // Of another house, and one whose key nobody lists any more.
    let other = self::signer(2, Vec::new());
    assert_eq!(verify(&certificate, &other.keys_document().unwrap()), Err(VerifyError::UnknownKey));
    // Another key under the name of the one that signed.
    let mut swapped: Value = serde_json::from_slice(&keys).unwrap();
    let others: Value = serde_json::from_slice(&other.keys_document().unwrap()).unwrap();
    swapped["keys"][0]["x"] = others["keys"][0]["x"].clone();
    assert!(matches!(
        verify(&certificate, swapped.to_string().as_bytes()),
        Err(VerifyError::MalformedKeys(_))
    ));
}

#[test]
fn a_key_signs_within_its_dates() {
    let signer = signer(1, Vec::new());
    let keys = signer.keys_document().unwrap();
    for at in [FROM - time::Duration::SECOND, UNTIL] {
        assert_eq!(signer.sign(&statement(&signer, at)), Err(KeyError::NotValid));
    }
    let certificate = signer.sign(&statement(&signer, UNTIL - time::Duration::SECOND)).unwrap();
    assert!(verify(&certificate, &keys).is_ok());
    // The document says now that the key ended earlier: what it signed later is not believed.
    let mut shortened: Value = serde_json::from_slice(&keys).unwrap();
    shortened["keys"][0]["valid_until"] = "2026-06-01T00:00:00Z".into();
    assert!(matches!(
        verify(&certificate, shortened.to_string().as_bytes()),
        Err(VerifyError::KeyNotValid { .. })
    ));
}

#[test]
fn a_retired_key_stays_good_for_what_it_signed() {
    let old = signer(1, Vec::new());
    let certificate = old.sign(&statement(&old, datetime!(2026-03-01 12:00 UTC))).unwrap();
    let listed: Value = serde_json::from_slice(&old.keys_document().unwrap()).unwrap();
    let retired: PublishedKey = serde_json::from_value(listed["keys"][0].clone()).unwrap();
    let new = signer(2, vec![retired]);
    assert_ne!(new.key_id(), old.key_id());
    assert!(verify(&certificate, &new.keys_document().unwrap()).is_ok());
}
