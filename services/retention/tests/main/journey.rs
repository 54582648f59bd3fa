//! One erasure from its request to its second certificate.

use std::time::Duration;

use lethe_proto::retention::ErasureState;
use lethe_retention::certificate::{Attestation, Digest, explain, verify};
use sqlx::Row;
use time::macros::datetime;

use crate::fixture::{Fixture, NOW, PARTICIPANTS};

const ALL_OF_IT: &[&str] = &[
    "did census_key",
    "did fence messaging",
    "did fence search",
    "did fence identity",
    "did fence retention",
    "did ledger",
    "-> fenced",
    "did purge messaging",
    "did purge search",
    "did purge identity",
    "did purge retention",
    "-> purged",
    "did verify messaging",
    "did verify search",
    "did verify identity",
    "did verify retention",
    "-> verified",
    "did certify",
    "-> certified",
    "waits",
];

#[tokio::test]
async fn an_erasure_is_counted_confirmed_carried_out_and_certified_twice() {
    let fixture = Fixture::new().await;
    let contact = fixture.contact();
    let answer = fixture.request(contact, "k-1").await.unwrap();
    let requested = answer.erasure.unwrap();
    assert_eq!(requested.state(), ErasureState::Requested);
    assert_eq!(requested.contact_id, contact.to_string());
    // One month from Monday 5 January is Thursday 5 February.
    assert_eq!(requested.due_at.unwrap().seconds, datetime!(2026-02-05 23:59:59 UTC).unix_timestamp());
    let messages = requested.tallies.iter().find(|tally| tally.kind == "messages").unwrap();
    assert_eq!(messages.count, 9, "three at each of the three");
    assert!(requested.participants.iter().all(|p| p.waits_for == "CONFIRMATION" && !p.fenced));
    let id = requested.erasure_id.parse().unwrap();

    let confirmed = fixture.confirm(&requested.erasure_id, &answer.confirmation_token).await.unwrap();
    assert_eq!(confirmed.state(), ErasureState::Confirmed);
    assert_eq!(confirmed.version, 2);
    fixture.asked();

    assert_eq!(fixture.run(id).await, ALL_OF_IT);
    assert_eq!(
        fixture.asked(),
        ["fence", "purge", "verify_absent"]
            .iter()
            .flat_map(|rpc| ["messaging", "search", "identity"].map(|name| format!("{name}.{rpc}")))
            .collect::<Vec<_>>()
    );
    let certified = fixture.get(id).await;
    assert_eq!(certified.state(), ErasureState::Certified);
    assert_eq!(certified.contact_id, "", "whose it was stands only as a commitment");
    assert!(certified.participants.iter().all(|p| p.fenced && p.purged && p.verified));
    assert!(certified.participants.iter().all(|p| p.waits_for == "RE_VERIFICATION_DUE"));

    let first = fixture.certificate(id).await.unwrap();
    let statement = verify(&first.envelope, &fixture.keys_document()).unwrap();
    assert_eq!((statement.sequence, statement.erasure_id, statement.tenant_id), (1, id, fixture.tenant));
    let names: Vec<&str> = statement.participants.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, PARTICIPANTS);
    assert_eq!(statement.shred_bound, Some(NOW + Duration::from_secs(15 * 86400)), "the last that lingers");

    let nonce = base64_nonce(&first.subject_nonce);
    assert!(statement.is_about(&nonce, contact));
    assert!(!statement.is_about(&nonce, fixture.contact()));
    assert_eq!(fixture.certificate(id).await.unwrap().subject_nonce, "", "handed out once");

    // Not due before the wait is over.
    fixture.world.clock.advance(Duration::from_secs(86399));
    assert!(fixture.saga.claim(fixture.tenant, id).await.unwrap().is_none());
    fixture.world.clock.advance(Duration::from_secs(1));
    assert_eq!(
        fixture.run(id).await,
        [
            "did re_verify messaging",
            "did re_verify search",
            "did re_verify identity",
            "did re_verify retention",
            "did destroy_census_key",
            "did re_certify",
            "-> re_verified",
            "rests",
        ]
    );
    let second = fixture.certificate(id).await.unwrap();
    let again = verify(&second.envelope, &fixture.keys_document()).unwrap();
    assert_eq!((again.sequence, again.previous), (2, Some(Digest::of(&first.envelope))));
    assert_eq!(again.subject_commitment, statement.subject_commitment);
    assert_eq!(again.dates.verified_at, NOW + Duration::from_secs(86400));
    assert!(again.participants.iter().all(|one| one.verified_at == NOW + Duration::from_secs(86400)));
    let own = again.participants.last().unwrap();
    let destroyed = own.lines.iter().find(|line| line.code == "SECRETS_DESTROYED").unwrap();
    assert_eq!((destroyed.attestation, destroyed.looked_for, destroyed.found), (Attestation::ReRead, 2, 0));
    // The census key was in a keystore of which nobody can say when its old copies open nothing more: no date is signed.
    let undated = own.lines.iter().find(|line| line.code == "EPOCH_KEY_NOT_ROTATED").unwrap();
    assert_eq!((undated.attestation, undated.until), (Attestation::Declared, None));
    assert_eq!(again.shred_bound, None);
    let text = explain(&again);
    assert!(text.contains("no date is stated"), "{text}");
    assert!(text.contains("No row is left.") && text.contains("Outside of what is promised"), "{text}");

    let done = fixture.get(id).await;
    assert_eq!(done.state(), ErasureState::ReVerified);
    assert!(done.re_verified_at.is_some());
    assert!(done.participants.iter().all(|p| p.waits_for.is_empty()));
}

#[tokio::test]
async fn afterwards_only_the_fence_holds_the_contacts_id() {
    let fixture = Fixture::new().await;
    let (id, contact) = fixture.confirmed().await;
    fixture.run(id).await;
    fixture.world.clock.advance(Duration::from_secs(86400));
    fixture.run(id).await;

    let mut db = fixture.superuser().await;
    let tables: Vec<String> = sqlx::query_scalar(
        "select relname::text from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')",
    )
    .fetch_all(&mut db)
    .await
    .unwrap();
    let mut naming = Vec::new();
    for table in tables {
        let statement = format!("select t::text as row from \"{table}\" t");
        let rows = sqlx::query(sqlx::AssertSqlSafe(statement)).fetch_all(&mut db).await.unwrap();
        for row in rows {
            let row: String = row.get("row");
            let uuid = contact.uuid();
            let hex_of_text: String = contact.to_string().bytes().map(|b| format!("{b:02x}")).collect();
            let forms = [uuid.to_string(), uuid.simple().to_string(), hex_of_text];
            if forms.iter().any(|form| row.contains(form)) {
                naming.push(table.clone());
                assert!(
                    !row.contains(&id.uuid().to_string()),
                    "nothing ties the erasure to the person: {row}"
                );
            }
        }
    }
    assert_eq!(naming, ["fences"]);
}

#[tokio::test]
async fn every_state_is_an_event_and_every_act_an_audit_event() {
    let fixture = Fixture::new().await;
    let (id, _) = fixture.confirmed().await;
    fixture.run(id).await;
    let mut db = fixture.superuser().await;
    let events: Vec<(String, i64)> = sqlx::query_as("select kind, seq from outbox order by created_at, seq")
        .fetch_all(&mut db)
        .await
        .unwrap();
    let mut states: Vec<i64> = Vec::new();
    let mut audits = 0;
    for (kind, seq) in events {
        match kind.as_str() {
            "retention.erasure.advanced" => states.push(seq),
            "retention.audit.recorded" => audits += 1,
            other => panic!("{other} is no event of retention"),
        }
    }
    states.sort_unstable();
    assert_eq!(states, [1, 2, 3, 4, 5, 6], "requested, confirmed, fenced, purged, verified, certified");
    assert_eq!(audits, 3, "RequestErasure, ConfirmErasure, and the certificate");
}

pub(crate) fn base64_nonce(text: &str) -> [u8; 32] {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    URL_SAFE_NO_PAD.decode(text).unwrap().try_into().unwrap()
}
