//! ParticipantService: count, fence, purge, verify.

use lethe_proto::{
    erasure::{
        Attestation, CountRequest, FenceRequest, Finding, PurgeRequest, Scope, Tally, VerifyAbsentRequest,
    },
    messaging::{
        ConsentAct, ConsentPurpose, Contact, Conversation, GetContactRequest, GetConversationRequest,
        GetMessageRequest, HydrateMessagesRequest, ListContactsRequest, ListConversationsRequest,
        LookUpContactsRequest, Profile, RecordConsentRequest, UpdateContactRequest,
        look_up_contacts_request::By,
    },
    request::Idempotency,
};
use lethe_testkit::Databases;
use tonic::Code;

use crate::details::{self, PNG};
use crate::stage::{KEY, Stage, field, full_profile, reason};

/// A contact with something in every table.
async fn somebody(stage: &Stage, mark: &str) -> (Contact, Conversation) {
    let contact = stage.create(full_profile(mark)).await;
    let conversation = stage.open(&contact).await;
    stage.open(&contact).await;
    for number in 0..3 {
        stage.try_receive(&conversation, "in", Some(&format!("{mark}-{number}"))).await.unwrap();
        stage.send(&conversation, "out").await;
    }
    let consent = RecordConsentRequest {
        contact_id: contact.contact_id.clone(),
        purpose: ConsentPurpose::Marketing.into(),
        act: ConsentAct::Given.into(),
        source: "widget".into(),
        idempotency: None,
    };
    stage.contacts().record_consent(consent).await.unwrap();
    stage.contacts().put_contact_picture(details::picture(&contact.contact_id, PNG)).await.unwrap();
    (contact, conversation)
}

fn tally(tallies: &[Tally], kind: &str) -> u64 {
    tallies.iter().find(|tally| tally.kind == kind).map_or(0, |tally| tally.count)
}

fn finding<'a>(findings: &'a [Finding], kind: &str, code: &str) -> &'a Finding {
    findings
        .iter()
        .find(|f| f.kind == kind && f.code == code)
        .unwrap_or_else(|| panic!("{kind} {code}: {findings:?}"))
}

fn still_there(findings: &[Finding]) -> u64 {
    let re_read = findings.iter().filter(|finding| finding.attestation() == Attestation::ReRead);
    re_read.map(|finding| finding.found).sum()
}

#[tokio::test]
async fn erased_is_counted_fenced_purged_and_verified_absent() {
    let stage = Stage::with(|config| config.erasure.batch = 2).await;
    let (contact, conversation) = somebody(&stage, "a").await;
    let (other, others) = somebody(&stage, "b").await;
    let message = stage.receive(&conversation, "last").await;
    let scope = stage.scope(&contact);

    let count = CountRequest { scope: Some(scope.clone()) };
    let counted = stage.participant().count(count.clone()).await.unwrap().into_inner();
    assert!(counted.known);
    let fenced = stage.fence(&scope).await;
    assert_eq!(counted.tallies, fenced.tallies);
    for (kind, wanted) in [
        ("messages", 7),
        ("conversations", 2),
        ("conversation_units", 2),
        ("consents", 1),
        ("contact_pictures", 1),
        ("contacts", 1),
        ("contact_head", 1),
        ("contact_subjects", 1),
        ("idempotency", 3),
        ("secrets", 4),
    ] {
        assert_eq!(tally(&fenced.tallies, kind), wanted, "{kind}");
    }

    // Read and write at once: there is no such thing.
    let get = GetContactRequest { contact_id: contact.contact_id.clone() };
    assert_eq!(reason(&stage.contacts().get_contact(get).await.unwrap_err()), "CONTACT_NOT_FOUND");
    let update = UpdateContactRequest { contact_id: contact.contact_id.clone(), ..Default::default() };
    assert_eq!(reason(&stage.contacts().update_contact(update).await.unwrap_err()), "CONTACT_NOT_FOUND");
    let get = GetConversationRequest { conversation_id: conversation.conversation_id.clone() };
    assert_eq!(stage.conversations().get_conversation(get).await.unwrap_err().code(), Code::NotFound);
    let get = GetMessageRequest { message_id: message.message_id.clone() };
    assert_eq!(stage.messages().get_message(get).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(stage.try_receive(&conversation, "late", None).await.unwrap_err().code(), Code::NotFound);
    let status = stage.try_receive(&conversation, "in", Some("a-0")).await.unwrap_err();
    assert_eq!(reason(&status), "MESSAGE_GONE");
    let hydrate =
        HydrateMessagesRequest { message_ids: vec![message.message_id.clone()], ..Default::default() };
    assert!(stage.viewer().hydrate_messages(hydrate).await.unwrap().into_inner().messages.is_empty());
    let list = stage.contacts().list_contacts(ListContactsRequest::default()).await.unwrap().into_inner();
    assert_eq!(list.contacts.len(), 1);
    let phone = LookUpContactsRequest { by: Some(By::Phone("+442079460018".into())), page: None };
    let found = stage.contacts().look_up_contacts(phone.clone()).await.unwrap().into_inner().contacts;
    assert_eq!(found.iter().map(|c| &c.contact_id).collect::<Vec<_>>(), [&other.contact_id]);

    // Before the purge the verifier says what is there.
    assert!(still_there(&stage.verify(&scope).await) > 10);

    let purged = stage.purge(&scope).await;
    for (kind, wanted) in
        [("messages", 7), ("conversations", 2), ("idempotency", 3), ("secrets", 4), ("blind_index", 2)]
    {
        assert_eq!(tally(&purged.evidence, kind), wanted, "{kind}");
    }
    let findings = stage.verify(&scope).await;
    assert_eq!(still_there(&findings), 0, "{findings:?}");
    assert_eq!(finding(&findings, "messages", "ROWS_ABSENT").looked_for, 7);
    assert_eq!(finding(&findings, "secrets", "SECRETS_DESTROYED").looked_for, 4);
    finding(&findings, "tombstones", "TOMBSTONES_SET");
    let keystore = finding(&findings, "old_pages", "EPOCH_KEY_NOT_ROTATED");
    assert_eq!(
        (keystore.attestation(), keystore.until),
        (Attestation::Declared, None),
        "a date that nothing can keep is not stated"
    );
    let backups = finding(&findings, "old_pages", "OLD_PAGES_POSTGRES").until.unwrap().seconds;
    assert_eq!((backups - stage.world.clock.now().unix_timestamp()) / 86_400, 30);

    let counted = stage.participant().count(count).await.unwrap().into_inner();
    assert!(!counted.known && counted.tallies.is_empty());
    // A key whose message was erased does not make a new one.
    let status = stage.try_receive(&conversation, "in", Some("a-0")).await.unwrap_err();
    assert_eq!(reason(&status), "MESSAGE_GONE");
    // The other contact is whole.
    assert_eq!(stage.send(&others, "still here").await.text, "still here");
    let all = ListConversationsRequest::default();
    assert_eq!(
        stage.conversations().list_conversations(all).await.unwrap().into_inner().conversations.len(),
        2
    );
}

#[tokio::test]
async fn every_call_may_come_twice_and_evidence_is_not_counted_twice() {
    let stage = Stage::new().await;
    let (contact, _) = somebody(&stage, "a").await;
    let scope = stage.scope(&contact);
    let first = stage.fence(&scope).await;
    assert_eq!(first, stage.fence(&scope).await);
    let purged = stage.purge(&scope).await;
    assert_eq!(purged, stage.purge(&scope).await);
    assert_eq!(first, stage.fence(&scope).await);
    assert_eq!(stage.verify(&scope).await, stage.verify(&scope).await);
}

#[tokio::test]
async fn nothing_of_the_person_is_left_in_any_table() {
    let stage = Stage::new().await;
    let (contact, _) = somebody(&stage, "a").await;
    let scope = stage.scope(&contact);
    stage.fence(&scope).await;
    stage.purge(&scope).await;
    let id = uuid::Uuid::try_parse(contact.contact_id.trim_start_matches("con_")).unwrap().to_string();
    for (config, but) in [(&stage.database, &["fences", "outbox"][..]), (&stage.keystore, &[][..])] {
        let mut db = Databases::superuser(config).await;
        let tables: Vec<String> = sqlx::query_scalar(
            "select c.relname::text from pg_class c where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace",
        )
        .fetch_all(&mut db)
        .await
        .unwrap();
        for table in tables.iter().filter(|table| !but.iter().any(|but| table.starts_with(but))) {
            let statement = format!("select count(*) from {table} t where t::text like $1");
            let rows: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(statement))
                .bind(format!("%{id}%"))
                .fetch_one(&mut db)
                .await
                .unwrap();
            assert_eq!(rows, 0, "{table}");
        }
    }
}

#[tokio::test]
async fn a_row_that_survived_is_found_by_the_census_and_by_the_catalogue() {
    let stage = Stage::new().await;
    let (contact, _) = somebody(&stage, "a").await;
    let scope = stage.scope(&contact);
    stage.fence(&scope).await;
    let mut db = stage.superuser().await;
    sqlx::raw_sql(
        "create schema hidden;
         create table hidden.messages as select * from messages limit 1;
         create table hidden.consents as select * from consents",
    )
    .execute(&mut db)
    .await
    .unwrap();
    stage.purge(&scope).await;
    assert_eq!(still_there(&stage.verify(&scope).await), 0);
    // Known to the census, in a table that the eraser was through with.
    sqlx::raw_sql("insert into messages select * from hidden.messages").execute(&mut db).await.unwrap();
    let findings = stage.verify(&scope).await;
    assert_eq!(finding(&findings, "messages", "ROWS_PRESENT").found, 1);
    sqlx::raw_sql("delete from messages").execute(&mut db).await.unwrap();
    // Unknown to it: another id, the same contact.
    sqlx::raw_sql(
        "update hidden.consents set consent_id = gen_random_uuid(); insert into consents select * from hidden.consents",
    )
    .execute(&mut db)
    .await
    .unwrap();
    let findings = stage.verify(&scope).await;
    assert_eq!(finding(&findings, "consents", "ROWS_PRESENT").found, 1);
    // The purge, called again, takes it too.
    stage.purge(&scope).await;
    assert_eq!(still_there(&stage.verify(&scope).await), 0);
}

#[tokio::test]
async fn a_secret_that_survived_is_found() {
    let stage = Stage::new().await;
    let (contact, _) = somebody(&stage, "a").await;
    let scope = stage.scope(&contact);
    stage.fence(&scope).await;
    let mut keystore = Databases::superuser(&stage.keystore).await;
    sqlx::raw_sql("create table hidden as select * from secrets where kind = 1")
        .execute(&mut keystore)
        .await
        .unwrap();
    stage.purge(&scope).await;
    sqlx::raw_sql(
        "alter table secrets disable trigger all; insert into secrets select * from hidden; delete from tombstones where kind = 1",
    )
    .execute(&mut keystore)
    .await
    .unwrap();
    let findings = stage.verify(&scope).await;
    assert_eq!(finding(&findings, "secrets", "SECRETS_PRESENT").found, 1);
    assert_eq!(finding(&findings, "tombstones", "TOMBSTONES_MISSING").found, 1);
}

#[tokio::test]
async fn a_scope_is_not_another_and_a_census_opens_under_its_key_alone() {
    let stage = Stage::new().await;
    let (contact, _) = somebody(&stage, "a").await;
    let other = stage.contact("b").await;
    let scope = stage.scope(&contact);
    let key = bytes::Bytes::copy_from_slice(&KEY);
    let purge = |scope: &Scope, key: &bytes::Bytes| PurgeRequest {
        scope: Some(scope.clone()),
        census_key: key.clone(),
    };
    let status = stage.participant().purge(purge(&scope, &key)).await.unwrap_err();
    assert_eq!(reason(&status), "NOT_FENCED");
    let verify = VerifyAbsentRequest { scope: Some(scope.clone()), census_key: key.clone() };
    assert_eq!(reason(&stage.participant().verify_absent(verify).await.unwrap_err()), "NOT_FENCED");
    stage.fence(&scope).await;
    let wrong = bytes::Bytes::from_static(&[1; 32]);
    let status = stage.participant().purge(purge(&scope, &wrong)).await.unwrap_err();
    assert_eq!(field(&status), "census_key");
    let elsewhere = Scope { contact_id: other.contact_id, ..scope.clone() };
    assert_eq!(reason(&stage.participant().purge(purge(&elsewhere, &key)).await.unwrap_err()), "NOT_FENCED");
    for (wrong, request) in [
        (
            "census_key",
            FenceRequest { scope: Some(scope.clone()), census_key: bytes::Bytes::from_static(&[1; 31]) },
        ),
        ("scope", FenceRequest { scope: None, census_key: key.clone() }),
        (
            "scope.contact_id",
            FenceRequest {
                scope: Some(Scope { contact_id: "x".into(), ..scope.clone() }),
                census_key: key.clone(),
            },
        ),
        (
            "scope.tenant_id",
            FenceRequest {
                scope: Some(Scope { tenant_id: "x".into(), ..scope.clone() }),
                census_key: key.clone(),
            },
        ),
        (
            "scope.scope_id",
            FenceRequest {
                scope: Some(Scope { scope_id: "x".into(), ..scope.clone() }),
                census_key: key.clone(),
            },
        ),
        (
            "scope.erasure_id",
            FenceRequest { scope: Some(Scope { erasure_id: "x".into(), ..scope }), census_key: key },
        ),
    ] {
        assert_eq!(field(&stage.participant().fence(request).await.unwrap_err()), wrong);
    }
}

#[tokio::test]
async fn an_unknown_contact_is_fenced_and_found_absent() {
    let stage = Stage::new().await;
    let contact = Contact { contact_id: "con_0199aabbccdd7eef8123456789abcdef".into(), ..Contact::default() };
    let scope = stage.scope(&contact);
    let counted =
        stage.participant().count(CountRequest { scope: Some(scope.clone()) }).await.unwrap().into_inner();
    assert!(!counted.known);
    stage.fence(&scope).await;
    stage.purge(&scope).await;
    assert_eq!(still_there(&stage.verify(&scope).await), 0);
}

#[tokio::test]
async fn who_was_erased_and_returns_is_somebody_new_and_still_opted_out() {
    let stage = Stage::new().await;
    let (contact, conversation) = somebody(&stage, "a").await;
    stage.receive(&conversation, "STOP").await;
    let scope = stage.scope(&contact);
    stage.fence(&scope).await;
    stage.purge(&scope).await;
    let back = stage.create(Profile { email: "Maud.A@example.org".into(), ..Profile::default() }).await;
    assert!(back.opted_out && back.contact_id != contact.contact_id);
}

#[tokio::test]
async fn a_request_that_made_an_erased_contact_is_answered_gone() {
    let stage = Stage::new().await;
    let request = lethe_proto::messaging::CreateContactRequest {
        profile: Some(full_profile("a")),
        idempotency: Some(Idempotency { key: "k".into() }),
    };
    let contact = stage.contacts().create_contact(request.clone()).await.unwrap().into_inner();
    let scope = stage.scope(&contact);
    stage.fence(&scope).await;
    let status = stage.contacts().create_contact(request.clone()).await.unwrap_err();
    assert_eq!(reason(&status), "CONTACT_GONE");
    stage.purge(&scope).await;
    let status = stage.contacts().create_contact(request).await.unwrap_err();
    assert_eq!(reason(&status), "CONTACT_GONE");
}
