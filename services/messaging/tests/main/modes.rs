//! ParticipantService by mode: one conversation, a contact without its messages, its e-mail; each with suppression; and what
//! a legal hold keeps of them.

use lethe_ids::HoldId;
use lethe_proto::{
    erasure::{
        Attestation, CountRequest, FenceRequest, Finding, HoldRequest, Mode, ReleaseRequest, Scope, Tally,
        hold_request::What, hold_service_client::HoldServiceClient,
    },
    messaging::{
        Channel, Contact, Conversation, DeleteMessageRequest, GetContactRequest, GetConversationRequest,
        GetMessageRequest, ListContactsRequest, ListMessagesRequest, LookUpContactsRequest,
        OpenConversationRequest, Profile, look_up_contacts_request::By,
    },
};
use lethe_service::PeerChannel;
use sqlx::Row;
use tonic::Status;

use crate::stage::{KEY, Stage, full_profile, reason, uuid_of};

impl Stage {
    pub(crate) async fn open_by(&self, contact: &Contact, channel: Channel) -> Conversation {
        let request = OpenConversationRequest {
            contact_id: contact.contact_id.clone(),
            channel: channel.into(),
            idempotency: None,
        };
        self.conversations().open_conversation(request).await.unwrap().into_inner()
    }

    pub(crate) fn part(&self, contact: &Contact, mode: Mode, conversation: Option<&Conversation>) -> Scope {
        Scope {
            mode: mode.into(),
            conversation_ids: conversation.iter().map(|c| c.conversation_id.clone()).collect(),
            ..self.scope(contact)
        }
    }

    pub(crate) async fn count(&self, scope: &Scope) -> lethe_proto::erasure::CountResponse {
        let request = CountRequest { scope: Some(scope.clone()) };
        self.participant().count(request).await.unwrap().into_inner()
    }

    pub(crate) async fn try_fence(&self, scope: &Scope) -> Result<(), Status> {
        let request = FenceRequest { scope: Some(scope.clone()), census_key: KEY.to_vec().into() };
        self.participant().fence(request).await.map(drop)
    }

    pub(crate) async fn texts(&self, conversation: &Conversation) -> Result<Vec<String>, Status> {
        let request = ListMessagesRequest {
            conversation_id: conversation.conversation_id.clone(),
            ..ListMessagesRequest::default()
        };
        let listed = self.messages().list_messages(request).await?.into_inner();
        Ok(listed.messages.into_iter().map(|message| message.text).collect())
    }

    pub(crate) fn holds(&self) -> HoldServiceClient<PeerChannel> {
        HoldServiceClient::new(self.world.client("retention", "messaging", None))
    }

    pub(crate) async fn place(&self, what: What) -> Result<HoldRequest, Status> {
        let request = HoldRequest {
            tenant_id: self.tenant.to_string(),
            hold_id: HoldId::new(self.world.entropy.uuid4()).to_string(),
            what: Some(what),
        };
        self.holds().hold(request.clone()).await?;
        // Twice is as once.
        self.holds().hold(request.clone()).await.map(|_| request)
    }

    pub(crate) async fn let_go(&self, placed: &HoldRequest) -> bool {
        let request = ReleaseRequest { tenant_id: placed.tenant_id.clone(), hold_id: placed.hold_id.clone() };
        self.holds().release(request).await.unwrap().into_inner().being_erased
    }
}

pub(crate) fn tally(tallies: &[Tally], kind: &str) -> u64 {
    tallies.iter().find(|tally| tally.kind == kind).map_or(0, |tally| tally.count)
}

pub(crate) fn found(findings: &[Finding]) -> u64 {
    findings.iter().filter(|f| f.attestation() == Attestation::ReRead).map(|f| f.found).sum()
}

pub(crate) fn line<'a>(findings: &'a [Finding], kind: &str, code: &str) -> &'a Finding {
    findings
        .iter()
        .find(|f| f.kind == kind && f.code == code)
        .unwrap_or_else(|| panic!("{kind} {code}: {findings:?}"))
}

#[tokio::test]
async fn one_conversation_goes_and_the_contact_lives_on() {
    let stage = Stage::with(|config| config.erasure.batch = 2).await;
    let ada = stage.create(full_profile("a")).await;
    let (gone, kept) = (stage.open(&ada).await, stage.open(&ada).await);
    for number in 0..3 {
        stage.try_receive(&gone, "gone", Some(&format!("k{number}"))).await.unwrap();
        stage.send(&kept, "kept").await;
    }
    let scope = stage.part(&ada, Mode::Conversation, Some(&gone));
    let counted = stage.count(&scope).await;
    assert!(counted.known);
    for (kind, wanted) in [
        ("messages", 3),
        ("conversations", 1),
        ("conversation_units", 1),
        ("idempotency", 3),
        ("secrets", 1),
        ("contacts", 0),
        ("contact_head", 0),
    ] {
        assert_eq!(tally(&counted.tallies, kind), wanted, "{kind}");
    }
    let fenced = stage.fence(&scope).await;
    assert_eq!(fenced.tallies, counted.tallies);
    assert_eq!(fenced.conversation_ids, std::slice::from_ref(&gone.conversation_id));
    assert_eq!(stage.fence(&scope).await, fenced, "twice is as once");

    // Nobody reads or writes it; the rest goes on.
    let get = GetConversationRequest { conversation_id: gone.conversation_id.clone() };
    let refused = stage.conversations().get_conversation(get).await.unwrap_err();
    assert_eq!(reason(&refused), "CONVERSATION_NOT_FOUND");
    assert_eq!(reason(&stage.texts(&gone).await.unwrap_err()), "CONVERSATION_NOT_FOUND");
    assert_eq!(reason(&stage.try_send(&gone, "late", None).await.unwrap_err()), "CONVERSATION_NOT_FOUND");
    let replay = stage.try_receive(&gone, "gone", Some("k0")).await.unwrap_err();
    assert_eq!(reason(&replay), "MESSAGE_GONE");
    stage.send(&kept, "after").await;
    assert!(found(&stage.verify(&scope).await) >= 8, "before the purge the verifier says what is there");

    let purged = stage.purge(&scope).await;
    for (kind, wanted) in
        [("messages", 3), ("conversations", 1), ("conversation_units", 1), ("idempotency", 3), ("secrets", 1)]
    {
        assert_eq!(tally(&purged.evidence, kind), wanted, "{kind}");
    }
    assert_eq!(stage.purge(&scope).await.evidence, purged.evidence, "twice is as once");
    let findings = stage.verify(&scope).await;
    assert_eq!(found(&findings), 0, "{findings:?}");
    assert_eq!(line(&findings, "messages", "ROWS_ABSENT").looked_for, 3);
    assert_eq!(line(&findings, "secrets", "SECRETS_DESTROYED").looked_for, 1);
    assert!(line(&findings, "conversations", "ROWS_ONLY").until.is_some());
    line(&findings, "gone_keys", "GONE_KEYS_KEPT");

    assert_eq!(stage.texts(&kept).await.unwrap(), ["kept", "kept", "kept", "after"]);
    assert_eq!(reason(&stage.try_send(&gone, "late", None).await.unwrap_err()), "CONVERSATION_NOT_FOUND");
    let replay = stage.try_receive(&gone, "gone", Some("k0")).await.unwrap_err();
    assert_eq!(reason(&replay), "MESSAGE_GONE");
    let get = GetContactRequest { contact_id: ada.contact_id.clone() };
    assert_eq!(stage.contacts().get_contact(get).await.unwrap().into_inner().profile, ada.profile);
    stage.send(&stage.open(&ada).await, "new").await;
    assert!(!stage.count(&stage.part(&ada, Mode::Conversation, Some(&gone))).await.known);
}

#[tokio::test]
async fn a_contact_goes_without_its_messages_which_stay_under_nobodys_name() {
    let stage = Stage::with(|config| config.erasure.batch = 2).await;
    let ada = stage.create(full_profile("a")).await;
    let (one, two) = (stage.open(&ada).await, stage.open_by(&ada, Channel::Email).await);
    for number in 0..5 {
        stage.receive(&one, &format!("one {number}")).await;
    }
    let edited = stage.send(&two, "two").await;
    let deleted = stage.send(&two, "deleted").await;
    let delete = DeleteMessageRequest { message_id: deleted.message_id };
    stage.messages().delete_message(delete).await.unwrap();
    let scope = stage.part(&ada, Mode::ContactOnly, None);
    let counted = stage.count(&scope).await;
    for (kind, wanted) in [("messages", 0), ("conversations", 0), ("contacts", 1), ("messages_resealed", 6)] {
        assert_eq!(tally(&counted.tallies, kind), wanted, "{kind}");
    }
    let fenced = stage.fence(&scope).await;
    assert_eq!(fenced.tallies, counted.tallies);
    assert!(line(&stage.verify(&scope).await, "messages_resealed", "SEALED_UNDER_THE_PERSON").found == 6);
    let purged = stage.purge(&scope).await;
    assert_eq!(tally(&purged.evidence, "messages_resealed"), 6);
    assert_eq!(stage.purge(&scope).await.evidence, purged.evidence, "twice is as once");
    let findings = stage.verify(&scope).await;
    assert_eq!(found(&findings), 0, "{findings:?}");
    assert_eq!(line(&findings, "messages_resealed", "SEALED_ANEW").looked_for, 6);
    assert_eq!(line(&findings, "contacts", "ROWS_ABSENT").looked_for, 1);

    // Readable, in their order, under a contact of no name, who may not be written to.
    let texts: Vec<String> = (0..5).map(|number| format!("one {number}")).collect();
    assert_eq!(stage.texts(&one).await.unwrap(), texts);
    assert_eq!(stage.texts(&two).await.unwrap(), ["two", ""]);
    let get = GetMessageRequest { message_id: edited.message_id };
    let message = stage.messages().get_message(get).await.unwrap().into_inner();
    assert_ne!(message.contact_id, ada.contact_id);
    let all = stage.contacts().list_contacts(ListContactsRequest::default()).await.unwrap().into_inner();
    let [nobody] = &all.contacts[..] else { panic!("{} contacts", all.contacts.len()) };
    assert_eq!(nobody.profile, Some(Profile::default()));
    assert_eq!(nobody.contact_id, message.contact_id);
    assert!(nobody.opted_out);
    assert_eq!(reason(&stage.try_send(&one, "hello?", None).await.unwrap_err()), "CONTACT_OPTED_OUT");
    stage.receive(&one, "still me").await;
    assert_eq!(stage.texts(&one).await.unwrap().last().unwrap(), "still me");
    let phone = LookUpContactsRequest { by: Some(By::Phone("+442079460018".into())), page: None };
    assert!(stage.contacts().look_up_contacts(phone).await.unwrap().into_inner().contacts.is_empty());
    // Nothing says where they went.
    let mut db = stage.superuser().await;
    let row = sqlx::query("select heir, heir_subject from fences").fetch_one(&mut db).await.unwrap();
    assert_eq!((row.get::<Option<uuid::Uuid>, _>(0), row.get::<Option<uuid::Uuid>, _>(1)), (None, None));
}

#[tokio::test]
async fn a_contact_without_its_messages_stopped_anywhere_and_begun_again_loses_none() {
    let stage = Stage::with(|config| config.erasure.batch = 1).await;
    let ada = stage.create(full_profile("a")).await;
    let conversation = stage.open(&ada).await;
    for number in 0..3 {
        stage.receive(&conversation, &format!("{number}")).await;
    }
    let scope = stage.part(&ada, Mode::ContactOnly, None);
    stage.fence(&scope).await;
    // The n-th write of messaging from here on fails, for every n until all of them went well.
    let mut db = stage.superuser().await;
    sqlx::raw_sql(
        "create sequence writes; create sequence dies start 1;
         create function die() returns trigger language plpgsql security definer as $$
         begin
           if nextval('writes') = currval_of() then raise exception 'killed'; end if;
           return null;
         end $$;
         create table death (at bigint); insert into death values (1);
         create function currval_of() returns bigint language sql security definer as 'select at from death';
         do $$ declare t text; begin
           foreach t in array array['messages', 'conversations', 'conversation_units', 'contacts', 'contact_head',
                                    'contact_subjects', 'fences', 'consents'] loop
             execute format('create trigger die after insert or update or delete on %I
                             for each statement execute function die()', t);
           end loop; end $$;",
    )
    .execute(&mut db)
    .await
    .unwrap();
    let mut deaths = 0;
    loop {
        let request = lethe_proto::erasure::PurgeRequest {
            scope: Some(scope.clone()),
            census_key: KEY.to_vec().into(),
        };
        sqlx::query("select setval('writes', 1, false)").execute(&mut db).await.unwrap();
        if stage.participant().purge(request).await.is_ok() {
            break;
        }
        deaths += 1;
        // Everything that was there is there, under one of the two.
        let texts: i64 = sqlx::query_scalar("select count(*) from messages where text is not null")
            .fetch_one(&mut db)
            .await
            .unwrap();
        assert_eq!(texts, 3);
        // A step further each time; what was done before is not done again, so the count stays small.
        if deaths % 2 == 0 {
            sqlx::query("update death set at = at + 1").execute(&mut db).await.unwrap();
        }
        assert!(deaths < 200);
    }
    assert!(deaths > 10, "{deaths}");
    sqlx::query("update death set at = 0").execute(&mut db).await.unwrap();
    assert_eq!(found(&stage.verify(&scope).await), 0);
    assert_eq!(stage.texts(&conversation).await.unwrap(), ["0", "1", "2"]);
    let contacts: i64 = sqlx::query_scalar("select count(*) from contacts").fetch_one(&mut db).await.unwrap();
    assert_eq!(contacts, 1, "one heir, however often it was begun");
}

#[tokio::test]
async fn all_email_goes_and_what_is_said_elsewhere_stays() {
    let stage = Stage::new().await;
    let ada = stage.create(full_profile("a")).await;
    let (chat, mail, other) = (
        stage.open(&ada).await,
        stage.open_by(&ada, Channel::Email).await,
        stage.open_by(&ada, Channel::Email).await,
    );
    for conversation in [&chat, &mail, &other] {
        stage.receive(conversation, "hello").await;
    }
    let mut scope = stage.part(&ada, Mode::Email, None);
    let counted = stage.count(&scope).await;
    assert_eq!(tally(&counted.tallies, "messages"), 2);
    let fenced = stage.fence(&scope).await;
    assert_eq!(fenced.tallies, counted.tallies);
    assert_eq!(fenced.conversation_ids.len(), 2);
    scope.conversation_ids = fenced.conversation_ids;
    stage.purge(&scope).await;
    assert_eq!(found(&stage.verify(&scope).await), 0);
    assert_eq!(stage.texts(&chat).await.unwrap(), ["hello"]);
    assert!(stage.texts(&mail).await.is_err() && stage.texts(&other).await.is_err());
    let new = stage.open_by(&ada, Channel::Email).await;
    stage.receive(&new, "again").await;
    assert_eq!(stage.texts(&new).await.unwrap(), ["again"]);
}

#[tokio::test]
async fn suppression_outlives_the_contact_and_start_lifts_it() {
    for mode in [Mode::Everything, Mode::ContactOnly] {
        let stage = Stage::new().await;
        let ada = stage.create(full_profile("a")).await;
        let sharer = stage.create(full_profile("b")).await;
        let scope = Scope { suppress: true, ..stage.part(&ada, mode, None) };
        let fenced = stage.fence(&scope).await;
        assert_eq!(fenced.suppressions.len(), 2, "{fenced:?}");
        assert_eq!(stage.fence(&scope).await.suppressions, fenced.suppressions);
        stage.purge(&scope).await;
        let findings = stage.verify(&scope).await;
        assert_eq!(found(&findings), 0, "{findings:?}");
        line(&findings, "opt_outs", "ADDRESSES_SUPPRESSED");
        assert!(
            stage.fence(&scope).await.suppressions.is_empty(),
            "nothing ties them to the erasure any more"
        );
        let out = async |id: &str| {
            let get = GetContactRequest { contact_id: id.to_owned() };
            stage.contacts().get_contact(get).await.unwrap().into_inner().opted_out
        };
        assert!(out(&sharer.contact_id).await);
        let later = stage.create(Profile { phone: "+442079460018".into(), ..Profile::default() }).await;
        assert!(later.opted_out);
        let conversation = stage.open(&later).await;
        let refused = stage.try_send(&conversation, "hello", None).await.unwrap_err();
        assert_eq!(reason(&refused), "CONTACT_OPTED_OUT");
        stage.receive(&conversation, "START").await;
        stage.send(&conversation, "welcome back").await;
        let next = stage.create(Profile { phone: "+442079460018".into(), ..Profile::default() }).await;
        assert!(!next.opted_out);
    }
}

#[tokio::test]
async fn what_is_held_is_kept_and_goes_at_its_release() {
    for mode in [Mode::Everything, Mode::ContactOnly, Mode::Email] {
        let stage = Stage::new().await;
        let ada = stage.create(full_profile("a")).await;
        let (held, other) =
            (stage.open_by(&ada, Channel::Email).await, stage.open_by(&ada, Channel::Email).await);
        let message = stage.receive(&held, "evidence").await;
        stage.receive(&other, "else").await;
        let hold = stage.place(What::ConversationId(held.conversation_id.clone())).await.unwrap();
        let delete = DeleteMessageRequest { message_id: message.message_id.clone() };
        let refused = stage.messages().delete_message(delete).await.unwrap_err();
        assert_eq!(reason(&refused), "LEGAL_HOLD_ACTIVE");

        let mut scope = stage.part(&ada, mode, None);
        let fenced = stage.fence(&scope).await;
        scope.conversation_ids = fenced.conversation_ids;
        let refused = stage.place(What::ConversationId(other.conversation_id.clone())).await.unwrap_err();
        assert_eq!(reason(&refused), "BEING_ERASED");
        stage.purge(&scope).await;
        let first = stage.purge(&scope).await;
        let findings = stage.verify(&scope).await;
        assert_eq!(found(&findings), 0, "{mode:?}: {findings:?}");
        let kind = if mode == Mode::ContactOnly { "messages_resealed" } else { "messages" };
        let line = line(&findings, kind, "LEGAL_HOLD");
        assert_eq!((line.attestation(), line.found), (Attestation::Held, 1));
        // Nobody reads it, and it is not sealed under the person any more where that is gone.
        assert!(stage.texts(&held).await.is_err());
        let mut db = stage.superuser().await;
        let (of_message, of_row): (Vec<u8>, uuid::Uuid) = sqlx::query_as(
            "select substring(m.text from 12 for 16), c.subject_id::uuid from messages m
               join conversations c on c.conversation_id = m.conversation_id where m.message_id = $1",
        )
        .bind(uuid_of(&message.message_id))
        .fetch_one(&mut db)
        .await
        .unwrap();
        assert_eq!(of_message, of_row.as_bytes());
        assert!(stage.let_go(&hold).await);
        assert!(stage.let_go(&hold).await, "twice is as once");
        let purged = stage.purge(&scope).await;
        assert_ne!(purged.evidence, first.evidence, "{mode:?}");
        let findings = stage.verify(&scope).await;
        assert_eq!(found(&findings), 0, "{mode:?}: {findings:?}");
        assert!(findings.iter().all(|f| f.attestation() != Attestation::Held));
        match mode {
            Mode::ContactOnly => assert_eq!(stage.texts(&held).await.unwrap(), ["evidence"]),
            _ => {
                let left: i64 =
                    sqlx::query_scalar("select count(*) from messages").fetch_one(&mut db).await.unwrap();
                assert_eq!(left, 0);
            }
        }
    }
}

#[tokio::test]
async fn a_held_contact_or_conversation_is_not_fenced_at_all() {
    let stage = Stage::new().await;
    let ada = stage.create(full_profile("a")).await;
    let conversation = stage.open(&ada).await;
    let (all, one) =
        (stage.part(&ada, Mode::Everything, None), stage.part(&ada, Mode::Conversation, Some(&conversation)));
    let hold = stage.place(What::ContactId(ada.contact_id.clone())).await.unwrap();
    for scope in [&all, &one, &Scope { suppress: true, ..all.clone() }] {
        assert_eq!(reason(&stage.try_fence(scope).await.unwrap_err()), "LEGAL_HOLD_ACTIVE");
    }
    stage.send(&conversation, "goes on").await;
    assert!(!stage.let_go(&hold).await);
    let hold = stage.place(What::ConversationId(conversation.conversation_id.clone())).await.unwrap();
    assert_eq!(reason(&stage.try_fence(&one).await.unwrap_err()), "LEGAL_HOLD_ACTIVE");
    stage.let_go(&hold).await;
    stage.try_fence(&one).await.unwrap();
    stage.try_fence(&all).await.unwrap();
    let refused = stage.place(What::ContactId(ada.contact_id.clone())).await.unwrap_err();
    assert_eq!(reason(&refused), "BEING_ERASED");
    // A part and the whole of one contact come to their ends in either order.
    stage.purge(&all).await;
    stage.purge(&one).await;
    assert_eq!(found(&stage.verify(&all).await) + found(&stage.verify(&one).await), 0);
}

/// Each writer waits at the head while the fence goes up around its conversation, and is refused; the census has not its row.
#[tokio::test]
async fn a_writer_that_waits_while_its_conversation_is_fenced_is_refused() {
    let stage = Stage::new().await;
    let ada = stage.contact("Ada").await;
    let (gone, kept) = (stage.open(&ada).await, stage.open(&ada).await);
    stage.receive(&gone, "before").await;
    stage.receive(&kept, "before").await;
    let scope = stage.part(&ada, Mode::Conversation, Some(&gone));
    let held = stage.hold(&ada).await;
    let fence = stage.fence(&scope);
    let story = async {
        stage.somebody_waits().await;
        let writers = async {
            let late = stage.try_receive(&gone, "late", None).await.unwrap_err();
            assert_eq!(reason(&late), "CONVERSATION_NOT_FOUND");
            let late = stage.try_receive(&gone, "STOP", None).await.unwrap_err();
            assert_eq!(reason(&late), "CONVERSATION_NOT_FOUND");
            stage.receive(&kept, "goes on").await;
        };
        // Who comes to a row just as it is let go gets it before those who wait for it.
        let release = async {
            stage.so_many_wait(2).await;
            drop(held);
        };
        tokio::join!(writers, release);
    };
    let (fenced, ()) = tokio::join!(fence, story);
    assert_eq!(tally(&fenced.tallies, "messages"), 1);
    stage.purge(&scope).await;
    assert_eq!(found(&stage.verify(&scope).await), 0);
}

#[tokio::test]
async fn what_was_written_before_the_fence_got_the_lock_is_in_the_census() {
    let stage = Stage::new().await;
    let ada = stage.contact("Ada").await;
    let conversation = stage.open(&ada).await;
    stage.receive(&conversation, "before").await;
    let scopes =
        [stage.part(&ada, Mode::Conversation, Some(&conversation)), stage.part(&ada, Mode::Everything, None)];
    for (scope, wanted) in scopes.iter().zip([2, 3]) {
        // A writer has the lock, and inserts while the fence waits for it.
        let mut writer = stage.hold(&ada).await;
        let insert = async {
            stage.somebody_waits().await;
            sqlx::query(
                "insert into messages (tenant_id, message_id, conversation_id, accepted_seq, seq, version, direction,
                                       created_at, text)
                 select tenant_id, gen_random_uuid(), conversation_id, 1000 + $1, 1000, 1, 1, created_at, text
                   from messages limit 1",
            )
            .bind(i64::from(wanted))
            .execute(&mut *writer)
            .await
            .unwrap();
            writer.commit().await.unwrap();
        };
        let (fenced, ()) = tokio::join!(stage.fence(scope), insert);
        assert_eq!(tally(&fenced.tallies, "messages"), u64::try_from(wanted).unwrap());
    }
}
