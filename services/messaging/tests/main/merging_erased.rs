//! A person who was two contacts is erased, and what happens while two contacts become one.

use futures::future::join_all;
use lethe_proto::{
    erasure::Mode,
    messaging::{GetConversationRequest, Profile, UpdateContactRequest},
};
use lethe_testkit::Databases;
use tonic::Code;

use crate::{
    merging::{other_profile, somebody},
    modes::{found, line, tally},
    stage::{Stage, full_profile, reason, uuid_of},
};

#[tokio::test]
async fn erasing_the_survivor_by_any_id_destroys_every_subject_of_it() {
    for asked in 0..3 {
        let stage = Stage::with(|config| config.erasure.batch = 2).await;
        let (ada, adas) = somebody(&stage, "a", full_profile("a")).await;
        let (maud, mauds) = somebody(&stage, "b", other_profile()).await;
        let (eve, _) = somebody(&stage, "c", full_profile("c")).await;
        let (stays, stayings) = somebody(&stage, "d", full_profile("d")).await;
        stage.merge(&maud, &ada).await;
        stage.merge(&eve, &maud).await;
        let all = [&eve, &ada, &maud];
        let scope = stage.scope(all[asked]);

        let counted = stage.count(&scope).await;
        assert_eq!(counted.contact_ids.first(), Some(&eve.contact_id), "who it is now comes first");
        let fenced = stage.fence(&scope).await;
        assert_eq!(fenced.contact_ids, counted.contact_ids);
        assert_eq!(fenced.tallies, counted.tallies);
        for (kind, wanted) in [
            ("messages", 18),
            ("conversations", 3),
            ("contact_subjects", 3),
            ("contacts", 1),
            ("contact_head", 1),
            ("merged_contacts", 2),
            ("consents", 3),
            ("idempotency", 12),
            // Three subjects, three profiles, three months.
            ("secrets", 9),
        ] {
            assert_eq!(tally(&fenced.tallies, kind), wanted, "{kind}");
        }
        for contact in all {
            let request =
                UpdateContactRequest { contact_id: contact.contact_id.clone(), ..Default::default() };
            let refused = stage.contacts().update_contact(request).await.unwrap_err();
            assert!(["CONTACT_NOT_FOUND", "CONTACT_MERGED"].contains(&reason(&refused).as_str()));
        }
        assert_eq!(stage.try_receive(&adas, "late", None).await.unwrap_err().code(), Code::NotFound);
        assert!(found(&stage.verify(&scope).await) > 20);

        let purged = stage.purge(&scope).await;
        assert_eq!((tally(&purged.evidence, "secrets"), tally(&purged.evidence, "merged_contacts")), (9, 2));
        let findings = stage.verify(&scope).await;
        assert_eq!(found(&findings), 0, "{findings:?}");
        assert_eq!(line(&findings, "secrets", "SECRETS_DESTROYED").looked_for, 9);
        assert_eq!(line(&findings, "messages", "ROWS_ABSENT").looked_for, 18);
        assert_eq!(stage.rows_naming(&all).await, 0);
        let mut keystore = Databases::superuser(&stage.keystore).await;
        let left: i64 =
            sqlx::query_scalar("select count(*) from secrets").fetch_one(&mut keystore).await.unwrap();
        assert_eq!(left, 3, "of whoever stays");
        for contact in all {
            let get = lethe_proto::messaging::GetContactRequest { contact_id: contact.contact_id.clone() };
            assert_eq!(reason(&stage.contacts().get_contact(get).await.unwrap_err()), "CONTACT_NOT_FOUND");
        }
        assert_eq!(stage.texts(&mauds).await.unwrap_err().code(), Code::NotFound);
        assert_eq!(stage.texts(&stayings).await.unwrap().len(), 6);
        assert_eq!(stage.get(&stays.contact_id).await.profile, stays.profile);

        // A row that somebody left under an old id is found.
        sqlx::query("insert into opt_out_spreads (tenant_id, contact_id, asked_at) values ($1, $2, now())")
            .bind(uuid_of(&stage.tenant.to_string()))
            .bind(uuid_of(&ada.contact_id))
            .execute(&mut stage.superuser().await)
            .await
            .unwrap();
        assert_eq!(found(&stage.verify(&scope).await), 1);
        stage.purge(&scope).await;
        assert_eq!(found(&stage.verify(&scope).await), 0);
    }
}

#[tokio::test]
async fn a_merged_person_is_erased_without_its_messages_too() {
    let stage = Stage::new().await;
    let (ada, adas) = somebody(&stage, "a", full_profile("a")).await;
    let (maud, mauds) = somebody(&stage, "b", other_profile()).await;
    stage.merge(&maud, &ada).await;
    let scope = stage.part(&maud, Mode::ContactOnly, None);
    stage.fence(&scope).await;
    stage.purge(&scope).await;
    let findings = stage.verify(&scope).await;
    assert_eq!(found(&findings), 0, "{findings:?}");
    assert_eq!(line(&findings, "messages_resealed", "SEALED_ANEW").looked_for, 12);
    for conversation in [&adas, &mauds] {
        assert_eq!(stage.texts(conversation).await.unwrap().len(), 6, "said by nobody now");
    }
    let get = GetConversationRequest { conversation_id: adas.conversation_id.clone() };
    let heir = stage.conversations().get_conversation(get).await.unwrap().into_inner().contact_id;
    assert!(heir != ada.contact_id && heir != maud.contact_id);
    assert_eq!(stage.rows_naming(&[&ada, &maud]).await, 0);
}

/// A merge and an erasure at once, of either contact: the merge is refused, or the erasure takes both.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_merge_that_races_a_fence_is_refused_or_in_its_census() {
    let stage = Stage::new().await;
    let mut merged_first = 0;
    for round in 0..12 {
        let (ada, adas) = somebody(&stage, &format!("a{round}"), Profile::default()).await;
        let (maud, mauds) = somebody(&stage, &format!("b{round}"), Profile::default()).await;
        let scope = stage.scope(if round % 2 == 0 { &ada } else { &maud });
        let held = (stage.hold(&ada).await, stage.hold(&maud).await);
        // Now the one, now the other is first at the heads.
        let (merge_waits, fence_waits) = if round % 4 < 2 { (0, 1) } else { (1, 0) };
        let merge = async {
            stage.so_many_wait(merge_waits).await;
            stage.try_merge(&maud, &ada).await
        };
        let fence = async {
            stage.so_many_wait(fence_waits).await;
            stage.fence(&scope).await
        };
        let begin = async {
            stage.so_many_wait(2).await;
            drop(held);
        };
        let (merged, fenced, ()) = tokio::join!(merge, fence, begin);
        let of_both = match tally(&fenced.tallies, "messages") {
            12 => true,
            6 => false,
            other => panic!("{other} of 6 and 6 messages in round {round}"),
        };
        merged_first += i32::from(of_both);
        match &merged {
            Ok(_) => assert!(of_both, "{round}"),
            // Before the merge, or after it and before its answer was read.
            Err(refused) => assert_eq!(reason(refused), "CONTACT_NOT_FOUND", "{refused:?}"),
        }
        stage.purge(&scope).await;
        assert_eq!(found(&stage.verify(&scope).await), 0);
        let (erased, stays) = if round % 2 == 0 { (&ada, &maud) } else { (&maud, &ada) };
        assert_eq!(stage.rows_naming(&[erased]).await, 0);
        assert_eq!(stage.rows_naming(&[stays]).await == 0, of_both, "{round}");
        let left = if round % 2 == 0 { &mauds } else { &adas };
        assert_eq!(stage.texts(left).await.is_ok(), !of_both);
    }
    assert!((1..12).contains(&merged_first), "both happened: {merged_first}");
}

/// Whoever writes while contacts are merged is neither lost nor refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_that_race_a_merge_are_all_accepted() {
    let stage = Stage::new().await;
    let (ada, maud) = (stage.contact("Ada").await, stage.contact("Maud").await);
    let (one, other) = (stage.open(&ada).await, stage.open(&maud).await);
    let write = async |number: usize| {
        for round in 0..40 {
            let conversation = if number.is_multiple_of(2) { &one } else { &other };
            let (text, key) = (format!("{number}/{round}"), format!("{number}-{round}"));
            stage.try_receive(conversation, &text, Some(&key)).await.unwrap();
        }
    };
    let merge = async {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        stage.merge(&maud, &ada).await
    };
    let (_, merged) = tokio::join!(join_all((0..6).map(write)), merge);
    assert_eq!(merged.contact_id, maud.contact_id);
    for conversation in [&one, &other] {
        let list = lethe_proto::messaging::ListMessagesRequest {
            conversation_id: conversation.conversation_id.clone(),
            page: crate::stage::page(200, bytes::Bytes::new()),
        };
        let listed = stage.messages().list_messages(list).await.unwrap().into_inner().messages;
        assert_eq!(listed.len(), 120);
        assert!(listed.iter().all(|message| message.contact_id == maud.contact_id));
    }
}
