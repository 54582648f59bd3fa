//! Writes that meet a fence: each is in the census, or refused.

use futures::future::join_all;
use lethe_proto::{
    erasure::{Attestation, PurgeRequest},
    messaging::{
        Contact, DeleteMessageRequest, EditMessageRequest, GetMessageRequest, OpenConversationRequest,
        OptOutContactRequest, RecordConsentRequest, RestrictContactRequest, UpdateContactRequest,
        UpdateConversationRequest,
    },
};
use sqlx::Connection as _;
use tonic::{Code, Status};

use crate::stage::{KEY, Stage, full_profile, reason, uuid_of};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_races_the_fence_is_in_the_census_or_refused() {
    let stage = Stage::new().await;
    let contact = stage.create(full_profile("a")).await;
    let conversation = stage.open(&contact).await;
    let scope = stage.scope(&contact);
    let write = async |number: usize| {
        let mut accepted = 0;
        for round in 0..30 {
            let text = format!("{number}/{round}");
            match stage.try_receive(&conversation, &text, Some(&format!("{number}-{round}"))).await {
                Ok(_) => accepted += 1,
                Err(status) => assert_eq!(status.code(), Code::NotFound, "{status:?}"),
            }
        }
        accepted
    };
    let fence = async {
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
        stage.fence(&scope).await
    };
    let (accepted, fenced) = tokio::join!(join_all((0..6).map(write)), fence);
    let accepted: u64 = accepted.into_iter().sum();
    let counted = fenced.tallies.iter().find(|tally| tally.kind == "messages").map_or(0, |tally| tally.count);
    assert_eq!(accepted, counted, "every acknowledged message is in the census, and no other");
    assert!(accepted < 180, "the fence came in the middle");
    stage.purge(&scope).await;
    let findings = stage.verify(&scope).await;
    let re_read = findings.iter().filter(|finding| finding.attestation() == Attestation::ReRead);
    assert!(re_read.clone().count() > 8 && re_read.map(|finding| finding.found).sum::<u64>() == 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_other_writer_races_it_too() {
    let stage = Stage::new().await;
    let contact = stage.create(full_profile("a")).await;
    let scope = stage.scope(&contact);
    let contact_id = contact.contact_id.clone();
    let write = async |number: usize| {
        for _ in 0..10 {
            let contact_id = contact_id.clone();
            let answer = match number % 3 {
                0 => {
                    let request = OpenConversationRequest { contact_id, channel: 1, idempotency: None };
                    stage.conversations().open_conversation(request).await.map(drop)
                }
                1 => {
                    let email = Some(format!("{number}@example.org"));
                    let request =
                        UpdateContactRequest { contact_id, email, ..UpdateContactRequest::default() };
                    stage.contacts().update_contact(request).await.map(drop)
                }
                _ => {
                    let source = "form".to_owned();
                    let request =
                        RecordConsentRequest { contact_id, purpose: 1, act: 1, source, idempotency: None };
                    stage.contacts().record_consent(request).await.map(drop)
                }
            };
            if let Err(status) = answer {
                let code = status.code();
                assert!([Code::NotFound, Code::Unavailable].contains(&code), "{status:?}");
            }
        }
    };
    let erase = async {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        stage.fence(&scope).await;
        stage.purge(&scope).await;
    };
    tokio::join!(join_all((0..6).map(write)), erase);
    let findings = stage.verify(&scope).await;
    let found: u64 =
        findings.iter().filter(|f| f.attestation() == Attestation::ReRead).map(|f| f.found).sum();
    assert_eq!(found, 0, "{findings:?}");
}

/// Whatever there is to count: the fence stands before it is, and a process that ends between the two leaves nothing that the next
/// call does not do.
#[tokio::test]
async fn nobody_reads_or_writes_while_the_census_is_taken_and_it_may_be_taken_again() {
    let stage = Stage::new().await;
    let contact = stage.create(full_profile("a")).await;
    let conversation = stage.open(&contact).await;
    let message = stage.receive(&conversation, "before").await;
    let scope = stage.scope(&contact);
    let mut db = stage.superuser().await;
    let mut lock = db.begin().await.unwrap();
    sqlx::query("lock table ratings in access exclusive mode").execute(&mut *lock).await.unwrap();
    let story = async {
        stage.somebody_waits().await;
        let read = GetMessageRequest { message_id: message.message_id.clone() };
        assert_eq!(stage.messages().get_message(read).await.unwrap_err().code(), Code::NotFound);
        let late = stage.try_receive(&conversation, "late", None).await.unwrap_err();
        assert_eq!(late.code(), Code::NotFound);
        let purge = PurgeRequest { scope: Some(scope.clone()), census_key: KEY.to_vec().into() };
        assert_eq!(reason(&stage.participant().purge(purge).await.unwrap_err()), "NOT_FENCED");
        lock.rollback().await.unwrap();
    };
    let (fenced, ()) = tokio::join!(stage.fence(&scope), story);
    assert_eq!(fenced.tallies.iter().find(|tally| tally.kind == "messages").unwrap().count, 1);

    // As after a crash between the two.
    let forget = "update fences set census = null, census_digest = null, tallies = null";
    sqlx::query(forget).execute(&mut stage.superuser().await).await.unwrap();
    let again = stage.fence(&scope).await;
    assert_eq!((again.census_digest, again.tallies), (fenced.census_digest, fenced.tallies));
    stage.purge(&scope).await;
    let findings = stage.verify(&scope).await;
    assert!(findings.iter().all(|one| one.attestation() != Attestation::ReRead || one.found == 0));
}

/// Has `write` wait for the contact's head, fences the contact meanwhile, and answers what the writer is told.
async fn fenced_while_waiting<T>(
    stage: &Stage,
    contact: &Contact,
    write: impl Future<Output = Result<T, Status>>,
) -> Option<Code> {
    let mut lock = stage.hold(contact).await;
    let id = uuid_of(&contact.contact_id);
    let fence = async {
        stage.somebody_waits().await;
        sqlx::query("update contact_head set fenced = true where contact_id = $1")
            .bind(id)
            .execute(&mut *lock)
            .await
            .unwrap();
        lock.commit().await.unwrap();
    };
    let (answer, ()) = tokio::join!(write, fence);
    answer.err().map(|status| status.code())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_read_before_the_fence_and_writes_after_it_is_refused() {
    let stage = Stage::new().await;
    for writer in 0..11 {
        let contact = stage.contact("Ada").await;
        let conversation = stage.open(&contact).await;
        let message = stage.receive(&conversation, "before").await;
        let (contact_id, message_id) = (contact.contact_id.clone(), message.message_id);
        let conversation_id = conversation.conversation_id.clone();
        let write = async {
            let (mut contacts, mut messages) = (stage.contacts(), stage.messages());
            let mut conversations = stage.conversations();
            match writer {
                0 => stage.try_send(&conversation, "late", None).await.map(drop),
                1 => stage.try_receive(&conversation, "late", Some("k")).await.map(drop),
                2 => stage.try_receive(&conversation, "STOP", None).await.map(drop),
                3 => {
                    let name = Some("Eve".to_owned());
                    let request =
                        UpdateContactRequest { contact_id, name, ..UpdateContactRequest::default() };
                    contacts.update_contact(request).await.map(drop)
                }
                4 => contacts
                    .restrict_contact(RestrictContactRequest { contact_id, ground: 1 })
                    .await
                    .map(drop),
                5 => contacts.opt_out_contact(OptOutContactRequest { contact_id }).await.map(drop),
                6 => {
                    let source = "form".to_owned();
                    let request =
                        RecordConsentRequest { contact_id, purpose: 1, act: 1, source, idempotency: None };
                    contacts.record_consent(request).await.map(drop)
                }
                7 => {
                    let request = OpenConversationRequest { contact_id, channel: 1, idempotency: None };
                    conversations.open_conversation(request).await.map(drop)
                }
                8 => {
                    let request =
                        UpdateConversationRequest { conversation_id, status: 2, ..Default::default() };
                    conversations.update_conversation(request).await.map(drop)
                }
                9 => {
                    let text = "late".to_owned();
                    messages
                        .edit_message(EditMessageRequest { message_id, text, if_version: 0 })
                        .await
                        .map(drop)
                }
                _ => messages.delete_message(DeleteMessageRequest { message_id }).await.map(drop),
            }
        };
        let told = fenced_while_waiting(&stage, &contact, write).await;
        assert_eq!(told, Some(Code::NotFound), "writer {writer}");
        let mut db = stage.superuser().await;
        let seq: i64 = sqlx::query_scalar("select seq from contact_head where contact_id = $1")
            .bind(uuid_of(&contact.contact_id))
            .fetch_one(&mut db)
            .await
            .unwrap();
        assert_eq!(seq, 3, "writer {writer} left something");
    }
}

#[tokio::test]
async fn a_purge_that_was_cut_off_goes_on_where_it_stood() {
    let stage = Stage::with(|config| config.erasure.batch = 3).await;
    let contact = stage.create(full_profile("a")).await;
    let conversation = stage.open(&contact).await;
    for number in 0..20 {
        stage.receive(&conversation, &format!("{number}")).await;
    }
    let scope = stage.scope(&contact);
    stage.fence(&scope).await;
    // The caller goes away again and again, at other places each time.
    let mut cut = 0;
    let purged = loop {
        let request = PurgeRequest { scope: Some(scope.clone()), census_key: KEY.to_vec().into() };
        let mut participant = stage.participant();
        let call = participant.purge(request);
        let patience = async {
            for _ in 0..(20 + cut * 40) {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            answer = call => break answer.unwrap().into_inner(),
            () = patience => cut += 1,
        }
    };
    let rows = purged.evidence.iter().find(|tally| tally.kind == "messages").map(|tally| tally.count);
    assert_eq!(rows, Some(20), "the evidence of all calls adds up");
    let findings = stage.verify(&scope).await;
    assert!(findings.iter().filter(|f| f.attestation() == Attestation::ReRead).all(|f| f.found == 0));
}
