//! What is damaged, stale or done twice at once: it keeps no erasure from its end, and leaves nothing behind.

use lethe_proto::{
    erasure::{Mode, PurgeRequest, Scope, hold_request::What},
    messaging::{
        Contact, Conversation, ConversationStatus, RateConversationRequest, Rating, UpdateConversationRequest,
    },
    request::Idempotency,
};
use sqlx::AssertSqlSafe;

use crate::{
    modes::{found, line, tally},
    stage::{KEY, Stage, full_profile, reason, uuid_of},
};

impl Stage {
    async fn run(&self, statement: &str) {
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut self.superuser().await).await.unwrap();
    }

    async fn number(&self, statement: &'static str) -> i64 {
        sqlx::query_scalar(statement).fetch_one(&mut self.superuser().await).await.unwrap()
    }

    async fn rate(&self, conversation: &Conversation, comment: &str) -> Rating {
        let resolve = UpdateConversationRequest {
            conversation_id: conversation.conversation_id.clone(),
            status: ConversationStatus::Resolved.into(),
            ..UpdateConversationRequest::default()
        };
        self.conversations().update_conversation(resolve).await.unwrap();
        let request = RateConversationRequest {
            conversation_id: conversation.conversation_id.clone(),
            stars: 4,
            comment: comment.into(),
            idempotency: Some(Idempotency { key: comment.into() }),
        };
        self.conversations().rate_conversation(request).await.unwrap().into_inner()
    }

    fn purging(&self, scope: &Scope) -> PurgeRequest {
        PurgeRequest { scope: Some(scope.clone()), census_key: KEY.to_vec().into() }
    }

    async fn talk(&self) -> (Contact, Conversation) {
        let contact = self.create(full_profile("a")).await;
        let conversation = self.open(&contact).await;
        for text in ["sound", "forged", "keyless"] {
            self.receive(&conversation, text).await;
        }
        (contact, conversation)
    }
}

#[tokio::test]
async fn what_does_not_open_is_erased_and_counted_and_the_rest_is_kept() {
    for mode in [Mode::ContactOnly, Mode::Everything] {
        let stage = Stage::new().await;
        let (contact, conversation) = stage.talk().await;
        stage.rate(&conversation, "kind").await;
        if mode == Mode::Everything {
            stage.place(What::ConversationId(conversation.conversation_id.clone())).await.unwrap();
        }
        // A byte of the second is another, the third names a secret that never was, and of the comment half is left.
        stage
            .run(
                "with ordered as (select message_id, row_number() over (order by accepted_seq) as at from messages)
                 update messages m set text = case o.at
                     when 2 then set_byte(m.text, length(m.text) - 1, get_byte(m.text, length(m.text) - 1) # 1)
                     when 3 then overlay(m.text placing decode(repeat('07', 16), 'hex') from 28 for 16)
                     else m.text end
                   from ordered o where o.message_id = m.message_id;
                 update ratings set comment = substring(comment from 1 for 20)",
            )
            .await;
        let scope = stage.part(&contact, mode, None);
        stage.fence(&scope).await;
        let purged = stage.purge(&scope).await;
        assert_eq!(tally(&purged.evidence, "unreadable"), 3, "{mode:?}: {purged:?}");
        assert_eq!(stage.purge(&scope).await.evidence, purged.evidence, "twice is as once");
        assert_eq!(found(&stage.verify(&scope).await), 0, "{mode:?}");
        assert_eq!(stage.number("select count(*) from messages where text is not null").await, 1);
        assert_eq!(stage.number("select count(*) from ratings where comment is not null").await, 0);
        if mode == Mode::ContactOnly {
            assert_eq!(stage.texts(&conversation).await.unwrap(), ["sound", "", ""]);
        }
    }
}

#[tokio::test]
async fn a_damaged_profile_keeps_nobody_from_being_erased_and_suppressed() {
    let stage = Stage::new().await;
    let (ada, bob) = (stage.create(full_profile("a")).await, stage.create(full_profile("b")).await);
    let eve = stage.create(full_profile("c")).await;
    let damage = |contact: &Contact| {
        format!(
            "update contacts set profile = set_byte(profile, length(profile) - 1, get_byte(profile, length(profile) - 1) # 1)
              where contact_id = '{}'",
            uuid_of(&contact.contact_id)
        )
    };
    // They share a telephone number, and one of them can not be read.
    stage.run(&damage(&bob)).await;
    let scope = Scope { suppress: true, ..stage.part(&ada, Mode::Everything, None) };
    assert_eq!(stage.fence(&scope).await.suppressions.len(), 2);
    assert!(stage.get(&eve.contact_id).await.opted_out, "who can be read is opted out");
    let notes = stage.number("select count(*) from opt_out_spreads").await;
    assert_eq!(notes, 1, "the job looks again as long as it knows the addresses");
    stage.purge(&scope).await;
    // The one herself: nobody will ever know what to suppress.
    let scope = Scope { suppress: true, ..stage.part(&bob, Mode::Everything, None) };
    assert!(stage.fence(&scope).await.suppressions.is_empty());
    stage.purge(&scope).await;
    assert_eq!(found(&stage.verify(&scope).await), 0);
}

#[tokio::test]
async fn a_stale_purge_does_not_write_back_what_was_deleted_meanwhile() {
    for (deleted, left) in [
        ("update messages set text = null", "select count(*) from messages where text is not null"),
        ("update ratings set comment = null", "select count(*) from ratings where comment is not null"),
    ] {
        let stage = Stage::new().await;
        let (contact, conversation) = stage.talk().await;
        stage.rate(&conversation, "kind").await;
        let scope = stage.part(&contact, Mode::ContactOnly, None);
        stage.fence(&scope).await;
        // It has read the values and waits for the rows to write them.
        let mut other = stage.hold(&contact).await;
        sqlx::query(deleted).execute(&mut *other).await.unwrap();
        let (purge, mut participant) = (stage.purging(&scope), stage.participant());
        let story = async {
            stage.somebody_waits().await;
            other.commit().await.unwrap();
        };
        let (purged, ()) = tokio::join!(participant.purge(purge), story);
        purged.unwrap();
        assert_eq!(stage.number(left).await, 0);
    }
}

#[tokio::test]
async fn a_comment_that_is_still_sealed_under_the_person_is_seen_by_the_guard_and_by_the_verifier() {
    for is_kept_back in [true, false] {
        let stage = Stage::new().await;
        let (contact, conversation) = stage.talk().await;
        stage.rate(&conversation, "kind").await;
        let scope = stage.part(&contact, Mode::ContactOnly, None);
        stage.fence(&scope).await;
        stage.run("create table before as select * from ratings").await;
        if is_kept_back {
            stage
                .run(
                    "create function stays() returns trigger language plpgsql as 'begin return null; end';
                     create trigger stays before update on ratings for each row execute function stays()",
                )
                .await;
            let refused = stage.participant().purge(stage.purging(&scope)).await.unwrap_err();
            assert_eq!(reason(&refused), "INTERNAL", "no secret dies as long as a value is sealed under it");
            continue;
        }
        stage.purge(&scope).await;
        let findings = stage.verify(&scope).await;
        assert_eq!(line(&findings, "comments_resealed", "SEALED_ANEW").looked_for, 1);
        stage.run("update ratings r set comment = b.comment from before b").await;
        let findings = stage.verify(&scope).await;
        assert_eq!(line(&findings, "comments_resealed", "SEALED_UNDER_THE_PERSON").found, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_purges_at_once_count_together_what_they_did() {
    let stage = Stage::with(|config| config.erasure.batch = 1).await;
    let (contact, conversation) = stage.talk().await;
    for number in 0..20 {
        stage.receive(&conversation, &format!("{number}")).await;
    }
    let scope = stage.scope(&contact);
    stage.fence(&scope).await;
    let (mut one, mut other) = (stage.participant(), stage.participant());
    let purges = tokio::join!(one.purge(stage.purging(&scope)), other.purge(stage.purging(&scope)));
    assert!(purges.0.is_ok() && purges.1.is_ok());
    let evidence = stage.purge(&scope).await.evidence;
    for (kind, wanted) in [("messages", 23), ("conversations", 1), ("contacts", 1), ("secrets", 3)] {
        assert_eq!(tally(&evidence, kind), wanted, "{kind}: {evidence:?}");
    }
}

#[tokio::test]
async fn the_request_that_rated_a_conversation_goes_with_it() {
    let stage = Stage::new().await;
    let (contact, conversation) = stage.talk().await;
    stage.rate(&conversation, "kind").await;
    let scope = stage.part(&contact, Mode::Conversation, Some(&conversation));
    assert_eq!(tally(&stage.fence(&scope).await.tallies, "idempotency"), 1);
    assert_eq!(tally(&stage.purge(&scope).await.evidence, "idempotency"), 1);
    assert_eq!(stage.number("select count(*) from idempotency").await, 0);
    assert_eq!(found(&stage.verify(&scope).await), 0);
}
