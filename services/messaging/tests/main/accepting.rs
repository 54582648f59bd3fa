//! The acceptor: batches, outcomes, idempotency, order, load.

use std::collections::BTreeSet;

use futures::future::join_all;
use lethe_proto::messaging::{OptOutContactRequest, RestrictContactRequest, UpdateContactRequest};
use tonic::Code;

use crate::stage::{Stage, reason};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_batch_gives_each_item_its_own_outcome() {
    let stage = Stage::with(|config| config.accept.lanes = 1).await;
    let (first, plain, out, restricted) = (
        stage.contact("first").await,
        stage.contact("plain").await,
        stage.contact("out").await,
        stage.contact("restricted").await,
    );
    let (a, b) = (stage.open(&first).await, stage.open(&plain).await);
    let (c, d) = (stage.open(&out).await, stage.open(&restricted).await);
    let opt_out = OptOutContactRequest { contact_id: out.contact_id.clone() };
    stage.contacts().opt_out_contact(opt_out).await.unwrap();
    let restrict = RestrictContactRequest { contact_id: restricted.contact_id.clone(), ground: 1 };
    stage.contacts().restrict_contact(restrict).await.unwrap();
    // All routes are known, so that nothing but the lane decides when they meet.
    for conversation in [&a, &b, &c, &d] {
        stage.receive(conversation, "warm").await;
    }

    let lock = stage.hold(&first).await;
    let blocked = stage.try_send(&a, "blocked", None);
    let others = async {
        stage.somebody_waits().await;
        let said = |inbound: bool, to, text, key| {
            let stage = &stage;
            async move {
                if inbound {
                    stage.try_receive(to, text, key).await
                } else {
                    stage.try_send(to, text, key).await
                }
            }
        };
        let items = join_all([
            said(false, &b, "new", Some("k1")),
            said(false, &b, "new", Some("k1")),
            said(false, &b, "other body", Some("k1")),
            said(false, &b, "no key", None),
            said(false, &c, "to one who opted out", Some("k2")),
            said(true, &c, "from one who opted out", None),
            said(false, &d, "to one who is restricted", None),
            said(true, &d, "from one who is restricted", Some("k3")),
        ]);
        let release = async {
            // They stand in the queue of the one lane, which waits for the lock.
            for _ in 0..500 {
                tokio::task::yield_now().await;
            }
            lock.rollback().await.unwrap();
        };
        tokio::join!(items, release).0
    };
    let (blocked, answers) = tokio::join!(blocked, others);
    blocked.unwrap();
    let told: Vec<String> = answers
        .iter()
        .map(|answer| match answer {
            Ok(accepted) if accepted.replayed => "replayed".into(),
            Ok(_) => "accepted".into(),
            Err(status) => reason(status),
        })
        .collect();
    assert_eq!(
        told,
        [
            "accepted",
            "replayed",
            "IDEMPOTENCY_KEY_REUSED",
            "accepted",
            "CONTACT_OPTED_OUT",
            "accepted",
            "CONTACT_RESTRICTED",
            "accepted"
        ]
    );
    let id = |n: usize| answers[n].as_ref().unwrap().message.as_ref().unwrap().message_id.clone();
    assert_eq!(id(0), id(1), "the same key in one batch is one message");
    let mut db = stage.superuser().await;
    let transactions: i64 = sqlx::query_scalar(
        "select count(distinct xmin::text) from messages where conversation_id = any ($1::uuid[]) and accepted_seq > 3",
    )
    .bind([&b, &c, &d].map(|c| c.conversation_id.trim_start_matches("cnv_").to_owned()).to_vec())
    .fetch_one(&mut db)
    .await
    .unwrap();
    assert!(transactions <= 3, "they shared transactions: {transactions}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_at_once_leave_no_gap_in_the_sequence() {
    let stage = Stage::new().await;
    let contact = stage.contact("Ada").await;
    let (one, two) = (stage.open(&contact).await, stage.open(&contact).await);
    let texts: Vec<String> = (0..100).map(|number| format!("m{number}")).collect();
    let sent =
        join_all(texts.iter().enumerate().map(|(number, text)| {
            stage.try_send(if number % 2 == 0 { &one } else { &two }, text, Some(text))
        }))
        .await;
    let seqs: BTreeSet<u64> = sent.into_iter().map(|sent| sent.unwrap().message.unwrap().seq).collect();
    assert_eq!(seqs, (4..104).collect::<BTreeSet<u64>>());
    // Repeating all of them changes nothing.
    let again =
        join_all(texts.iter().enumerate().map(|(number, text)| {
            stage.try_send(if number % 2 == 0 { &one } else { &two }, text, Some(text))
        }))
        .await;
    assert!(again.iter().all(|sent| sent.as_ref().unwrap().replayed));
    let update = UpdateContactRequest {
        contact_id: contact.contact_id,
        name: Some("A".into()),
        ..UpdateContactRequest::default()
    };
    assert_eq!(stage.contacts().update_contact(update).await.unwrap().into_inner().seq, 104);
    // One event for each change, with its sequence.
    let mut db = stage.superuser().await;
    let events: i64 = sqlx::query_scalar(
        "select count(distinct seq) from outbox where kind like 'messaging.%.changed' and seq between 1 and 104",
    )
    .fetch_one(&mut db)
    .await
    .unwrap();
    assert_eq!(events, 104);
}

#[tokio::test]
async fn a_replay_answers_the_message_as_it_is_now() {
    let stage = Stage::new().await;
    let contact = stage.contact("Ada").await;
    let conversation = stage.open(&contact).await;
    let first = stage.try_send(&conversation, "helo", Some("k")).await.unwrap();
    assert!(!first.replayed);
    let message = first.message.unwrap();
    let edit = lethe_proto::messaging::EditMessageRequest {
        message_id: message.message_id.clone(),
        text: "hello".into(),
        if_version: 0,
    };
    stage.messages().edit_message(edit).await.unwrap();
    // Even when the contact could no longer be written to.
    let opt_out = OptOutContactRequest { contact_id: contact.contact_id };
    stage.contacts().opt_out_contact(opt_out).await.unwrap();
    let replay = stage.try_send(&conversation, "helo", Some("k")).await.unwrap();
    let now = replay.message.unwrap();
    assert!(replay.replayed && now.message_id == message.message_id && now.text == "hello");
    // The same key means something else to another RPC.
    assert!(!stage.try_receive(&conversation, "helo", Some("k")).await.unwrap().replayed);
    let status = stage.try_send(&conversation, "other", Some("k")).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "IDEMPOTENCY_KEY_REUSED"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_refuses_and_keeps_what_it_took() {
    let stage =
        Stage::with(|config| (config.accept.lanes, config.accept.queue, config.accept.batch) = (1, 2, 1))
            .await;
    let contact = stage.contact("Ada").await;
    let conversation = stage.open(&contact).await;
    stage.receive(&conversation, "warm").await;
    let lock = stage.hold(&contact).await;
    let sends = join_all((0..10).map(|_| stage.try_send(&conversation, "x", None)));
    let release = async {
        stage.somebody_waits().await;
        for _ in 0..500 {
            tokio::task::yield_now().await;
        }
        lock.rollback().await.unwrap();
    };
    let (sent, ()) = tokio::join!(sends, release);
    let accepted = sent.iter().filter(|sent| sent.is_ok()).count();
    assert!((1..10).contains(&accepted), "{accepted} of 10");
    for status in sent.iter().filter_map(|sent| sent.as_ref().err()) {
        assert_eq!((status.code(), reason(status).as_str()), (Code::ResourceExhausted, "TOO_MANY_CALLS"));
    }
    let mut db = stage.superuser().await;
    let rows: i64 = sqlx::query_scalar("select count(*) from messages").fetch_one(&mut db).await.unwrap();
    assert_eq!(rows, accepted as i64 + 1);
}

#[tokio::test]
async fn keys_are_forgotten_after_their_time() {
    let mut stage = Stage::with(|config| config.idempotency.sweep_interval_s = 0).await;
    let conversation = stage.open(&stage.contact("Ada").await).await;
    stage.try_send(&conversation, "x", Some("k")).await.unwrap();
    stage.advance(std::time::Duration::from_secs(49 * 3600));
    let mut db = stage.superuser().await;
    for _ in 0..2_000 {
        let keys: i64 =
            sqlx::query_scalar("select count(*) from idempotency").fetch_one(&mut db).await.unwrap();
        if keys == 0 {
            assert!(!stage.try_send(&conversation, "x", Some("k")).await.unwrap().replayed);
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("the key is still remembered");
}
