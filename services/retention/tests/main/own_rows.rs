//! retention as a participant of its own erasures, asked by gRPC as any other.

use lethe_ids::{ContactId, ErasureId, ScopeId};
use lethe_proto::erasure::{
    Attestation, CountRequest, FenceRequest, PurgeRequest, Scope, VerifyAbsentRequest,
    participant_service_client::ParticipantServiceClient,
};
use lethe_retention::NAME;
use lethe_service::PeerChannel;

use crate::fixture::{Fixture, reason};

fn scope(fixture: &Fixture, contact: ContactId) -> Scope {
    Scope {
        scope_id: ScopeId::new(fixture.world.entropy.uuid4()).to_string(),
        tenant_id: fixture.tenant.to_string(),
        erasure_id: ErasureId::new(fixture.world.entropy.uuid4()).to_string(),
        contact_id: contact.to_string(),
        ..Scope::default()
    }
}

fn client(fixture: &Fixture) -> ParticipantServiceClient<PeerChannel> {
    ParticipantServiceClient::new(fixture.world.client(NAME, NAME, None))
}

#[tokio::test]
async fn fence_purge_and_verify_may_come_twice() {
    let fixture = Fixture::new().await;
    let contact = fixture.contact();
    // One cancelled erasure before, and one that is open.
    let earlier = fixture.request(contact, "a").await.unwrap().erasure.unwrap().erasure_id;
    let request = lethe_proto::retention::CancelErasureRequest { erasure_id: earlier };
    fixture.client().cancel_erasure(request).await.unwrap();
    fixture.request(contact, "b").await.unwrap();

    let (mut client, scope) = (client(&fixture), scope(&fixture, contact));
    let counted = client.count(CountRequest { scope: Some(scope.clone()) }).await.unwrap().into_inner();
    assert!(!counted.known, "an erasure does not make a contact known");
    let key = vec![1; 32];
    let fence = FenceRequest { scope: Some(scope.clone()), census_key: key.clone().into() };
    let purge = PurgeRequest { scope: Some(scope.clone()), census_key: key.clone().into() };
    let verify = VerifyAbsentRequest { scope: Some(scope.clone()), census_key: key.into() };
    assert_eq!(reason(client.purge(purge.clone()).await), "NOT_FENCED");
    assert_eq!(reason(client.verify_absent(verify.clone()).await), "NOT_FENCED");

    let fenced = client.fence(fence.clone()).await.unwrap().into_inner();
    assert_eq!(client.fence(fence).await.unwrap().into_inner(), fenced);
    assert_eq!(fenced.tallies, counted.tallies);
    assert_eq!(fenced.tallies.iter().map(|tally| tally.count).collect::<Vec<_>>(), [2, 2]);
    // A writer that comes after the fence.
    assert_eq!(reason(fixture.request(contact, "c").await), "CONTACT_NOT_FOUND");

    let before = client.verify_absent(verify.clone()).await.unwrap().into_inner();
    let found = |answer: &lethe_proto::erasure::VerifyAbsentResponse| {
        let re_read = answer.findings.iter().filter(|line| line.attestation() == Attestation::ReRead);
        re_read.map(|line| line.found).sum::<u64>()
    };
    assert_eq!(found(&before), 6, "two by the census, two keys, two by the catalogue");
    let purged = client.purge(purge.clone()).await.unwrap().into_inner();
    assert_eq!(client.purge(purge).await.unwrap().into_inner().evidence, purged.evidence);
    assert_eq!(purged.evidence, fenced.tallies);
    let after = client.verify_absent(verify.clone()).await.unwrap().into_inner();
    assert_eq!(found(&after), 0);
    let kept = after.findings.iter().find(|line| line.code == "FENCE_KEPT").unwrap();
    assert_eq!((kept.attestation(), kept.found), (Attestation::Declared, 1));
    assert!(
        after.findings.iter().any(|line| line.code == "CASE_REFERENCES_KEPT"),
        "what a hold was for stays"
    );

    let wrong = VerifyAbsentRequest { census_key: vec![2; 32].into(), ..verify };
    assert_eq!(reason(client.verify_absent(wrong).await), "FIELD_INVALID");
}

#[tokio::test]
async fn of_a_person_who_was_two_contacts_no_row_names_either_and_neither_is_asked_for_again() {
    let fixture = Fixture::new().await;
    let (one, other, stays) = (fixture.contact(), fixture.contact(), fixture.contact());
    for (contact, key) in [(one, "a"), (other, "b"), (stays, "c")] {
        fixture.request(contact, key).await.unwrap();
    }
    let scope = Scope { other_contact_ids: vec![other.to_string()], ..scope(&fixture, one) };
    let (mut client, key) = (client(&fixture), vec![1; 32]);
    let fence = FenceRequest { scope: Some(scope.clone()), census_key: key.clone().into() };
    let purge = PurgeRequest { scope: Some(scope.clone()), census_key: key.clone().into() };
    let verify = VerifyAbsentRequest { scope: Some(scope), census_key: key.into() };
    for _ in 0..2 {
        let fenced = client.fence(fence.clone()).await.unwrap().into_inner();
        assert_eq!(fenced.tallies.iter().map(|tally| tally.count).collect::<Vec<_>>(), [2, 2]);
    }
    client.purge(purge).await.unwrap();
    let after = client.verify_absent(verify).await.unwrap().into_inner();
    let re_read = after.findings.iter().filter(|line| line.attestation() == Attestation::ReRead);
    assert_eq!(re_read.map(|line| line.found).sum::<u64>(), 0, "{after:?}");
    for contact in [one, other] {
        assert_eq!(reason(fixture.request(contact, "d").await), "CONTACT_NOT_FOUND");
    }
    let named: Vec<sqlx::types::Uuid> =
        sqlx::query_scalar("select contact_id::uuid from erasures where contact_id is not null")
            .fetch_all(&mut fixture.superuser().await)
            .await
            .unwrap();
    assert_eq!(named, [stays.uuid()]);
}

#[tokio::test]
async fn a_row_that_a_restore_brings_back_is_found() {
    let fixture = Fixture::new().await;
    let (id, contact) = fixture.confirmed().await;
    fixture.run(id).await;
    sqlx::query("update erasures set contact_id = $1")
        .bind(contact.uuid())
        .execute(&mut fixture.superuser().await)
        .await
        .unwrap();
    fixture.world.clock.advance(std::time::Duration::from_secs(86400));
    let story = fixture.run(id).await;
    assert!(story.contains(&"re_verify retention waits for FOUND_AFTER_PURGE".to_owned()), "{story:?}");
    fixture.world.clock.advance(std::time::Duration::from_secs(1));
    assert_eq!(fixture.run(id).await.last().unwrap(), "rests");
}

#[tokio::test]
async fn a_scope_that_is_none_is_refused() {
    let fixture = Fixture::new().await;
    let mut client = client(&fixture);
    let good = scope(&fixture, fixture.contact());
    for (bad, field) in [
        (Scope { contact_id: String::new(), ..good.clone() }, "scope.contact_id"),
        (Scope { tenant_id: "ten_x".to_owned(), ..good.clone() }, "scope.tenant_id"),
        (Scope { scope_id: good.erasure_id.clone(), ..good.clone() }, "scope.scope_id"),
    ] {
        let refused = client.count(CountRequest { scope: Some(bad) }).await.unwrap_err();
        assert_eq!(lethe_service::Failure::from_status(&refused).field.as_deref(), Some(field));
    }
    let short = FenceRequest { scope: Some(good), census_key: vec![1; 31].into() };
    let refused = client.fence(short).await.unwrap_err();
    assert_eq!(lethe_service::Failure::from_status(&refused).field.as_deref(), Some("census_key"));
}

/// A new column that names a contact must be decided about: erased, or kept with a reason.
#[tokio::test]
async fn every_column_that_names_a_contact_is_known() {
    let fixture = Fixture::new().await;
    let columns: Vec<(String, String)> = sqlx::query_as(
        "select table_name::text, column_name::text from information_schema.columns
         where domain_name in ('contact_id', 'conversation_id', 'subject_id') order by 1, 2",
    )
    .fetch_all(&mut fixture.superuser().await)
    .await
    .unwrap();
    let known = [
        ("erasures", "contact_id"),
        ("erasures", "conversation_id"),
        ("fences", "contact_id"),
        ("fences", "conversation_id"),
        ("holds", "contact_id"),
        ("holds", "conversation_id"),
    ];
    assert_eq!(columns, known.map(|(table, column)| (table.to_owned(), column.to_owned())));
}
