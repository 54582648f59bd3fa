//! MergeContacts: one person who was two contacts.

use std::collections::BTreeMap;

use lethe_proto::{
    erasure::{Mode, hold_request::What},
    messaging::{
        Addresses, BanContactRequest, Channel, ConsentAct, ConsentPurpose, Contact, Conversation,
        GetContactPictureRequest, GetConversationRequest, ListConsentsRequest, LookUpContactsRequest,
        MergeContactsRequest, OptOutContactRequest, Profile, ReadForIndexRequest, RecordConsentRequest,
        RestrictContactRequest, UpdateContactRequest, look_up_contacts_request::By, read_for_index_request,
    },
    request::Idempotency,
};
use lethe_testkit::Databases;
use tonic::{Code, Status};

use crate::{
    details::{self, PNG},
    modes::found,
    stage::{Stage, field, full_profile, reason, uuid_of},
};

impl Stage {
    pub(crate) async fn try_merge(&self, survivor: &Contact, merged: &Contact) -> Result<Contact, Status> {
        let request = MergeContactsRequest {
            contact_id: survivor.contact_id.clone(),
            merged_contact_id: merged.contact_id.clone(),
        };
        self.contacts().merge_contacts(request).await.map(tonic::Response::into_inner)
    }

    pub(crate) async fn merge(&self, survivor: &Contact, merged: &Contact) -> Contact {
        self.try_merge(survivor, merged).await.unwrap()
    }

    async fn consent(&self, contact: &Contact, purpose: ConsentPurpose, act: ConsentAct, key: &str) {
        let consent = RecordConsentRequest {
            contact_id: contact.contact_id.clone(),
            purpose: purpose.into(),
            act: act.into(),
            source: "form".into(),
            idempotency: Some(Idempotency { key: key.into() }),
        };
        self.contacts().record_consent(consent).await.unwrap();
    }

    /// Purpose, act and source, the newest first.
    async fn consents(&self, contact: &Contact) -> Vec<(ConsentPurpose, ConsentAct, String)> {
        let list = ListConsentsRequest { contact_id: contact.contact_id.clone(), page: None };
        let listed = self.contacts().list_consents(list).await.unwrap().into_inner().consents;
        listed.into_iter().map(|one| (one.purpose(), one.act(), one.source)).collect()
    }

    async fn look_up(&self, by: By) -> Vec<String> {
        let request = LookUpContactsRequest { by: Some(by), page: None };
        let found = self.contacts().look_up_contacts(request).await.unwrap().into_inner().contacts;
        found.into_iter().map(|contact| contact.contact_id).collect()
    }

    /// How many rows of any table of a person's name one of these contacts, `merged_contacts` and fences aside.
    pub(crate) async fn rows_naming(&self, contacts: &[&Contact]) -> i64 {
        let ids: Vec<_> = contacts.iter().map(|contact| uuid_of(&contact.contact_id)).collect();
        let mut db = self.superuser().await;
        let mut rows = 0;
        for mover in lethe_messaging::MOVERS.iter().map(|mover| mover.table).chain(["conversations"]) {
            let count = format!("select count(*) from {mover} where contact_id = any ($1)");
            rows += sqlx::query_scalar::<_, i64>(sqlx::AssertSqlSafe(count))
                .bind(&ids)
                .fetch_one(&mut db)
                .await
                .unwrap();
        }
        rows
    }
}

/// A contact with something in every table, whose fields carry `mark`, and a conversation of it.
pub(crate) async fn somebody(stage: &Stage, mark: &str, profile: Profile) -> (Contact, Conversation) {
    let contact = stage.create(profile).await;
    let conversation = stage.open(&contact).await;
    for number in 0..3 {
        stage
            .try_receive(&conversation, &format!("{mark} in"), Some(&format!("{mark}{number}")))
            .await
            .unwrap();
        stage.send(&conversation, &format!("{mark} out")).await;
    }
    stage.consent(&contact, ConsentPurpose::PrivacyPolicy, ConsentAct::Given, mark).await;
    (contact, conversation)
}

pub(crate) fn other_profile() -> Profile {
    Profile {
        name: "M. Ellingham".into(),
        phone: "+49 30 901820".into(),
        email: "Other@Example.org".into(),
        tags: vec!["tag-a".into(), "other".into()],
        custom_fields: BTreeMap::from([("key-a".into(), "theirs".into()), ("plan".into(), "pro".into())]),
        lead_score: Some(7),
        ..Profile::default()
    }
}

#[tokio::test]
async fn merged_is_one_person_with_all_that_the_two_had() {
    let stage = Stage::new().await;
    let sparse = Profile { company: String::new(), address: String::new(), ..full_profile("a") };
    let (ada, adas) = somebody(&stage, "a", sparse).await;
    let (maud, mauds) =
        somebody(&stage, "b", Profile { company: "Ellingham Ltd".into(), ..other_profile() }).await;
    stage.contacts().put_contact_picture(details::picture(&maud.contact_id, PNG)).await.unwrap();
    let (before, theirs) = (stage.get(&ada.contact_id).await, stage.get(&maud.contact_id).await);

    let one = stage.merge(&ada, &maud).await;
    assert_eq!(one.contact_id, ada.contact_id);
    assert!(one.version > before.version && one.seq > before.seq && one.seq > theirs.seq && one.has_picture);
    let profile = one.profile.clone().unwrap();
    assert_eq!((profile.name.as_str(), profile.company.as_str()), ("Maud a", "Ellingham Ltd"));
    assert_eq!((profile.phone.as_str(), profile.email.as_str()), ("+442079460018", "maud.a@example.org"));
    assert_eq!(profile.other_phones, ["+4930901820"]);
    assert_eq!(profile.other_emails, ["Other@Example.org"]);
    assert_eq!(profile.tags, ["tag-a", "other"]);
    assert_eq!(profile.custom_fields["key-a"], "value a", "the survivor's fields win");
    assert_eq!((profile.custom_fields["plan"].as_str(), profile.lead_score), ("pro", Some(42)));

    // Its old id leads there, by every address it is found once.
    assert_eq!(stage.get(&maud.contact_id).await, one);
    for by in [
        By::Phone("+442079460018".into()),
        By::Phone("+4930901820".into()),
        By::Email("maud.a@example.org".into()),
        By::Email("other@example.org".into()),
    ] {
        assert_eq!(stage.look_up(by).await, std::slice::from_ref(&ada.contact_id));
    }
    let get = GetContactPictureRequest { contact_id: ada.contact_id.clone() };
    assert_eq!(&stage.contacts().get_contact_picture(get).await.unwrap().into_inner().content[..], PNG);
    assert_eq!(
        stage.consents(&ada).await.iter().map(|(.., source)| source.as_str()).collect::<Vec<_>>(),
        ["form", "form"]
    );

    // What was said stands where it was, and goes on: sealed under whoever it was, read as the survivor's.
    assert_eq!(stage.texts(&mauds).await.unwrap().len(), 6);
    for (conversation, mark) in [(&adas, "a"), (&mauds, "b")] {
        let get = GetConversationRequest { conversation_id: conversation.conversation_id.clone() };
        let shown = stage.conversations().get_conversation(get).await.unwrap().into_inner();
        assert_eq!(shown.contact_id, ada.contact_id);
        let message = stage.receive(conversation, "after").await;
        assert!(message.contact_id == ada.contact_id && message.seq > one.seq);
        assert_eq!(stage.texts(conversation).await.unwrap().last().unwrap(), "after");
        let again = stage.try_receive(conversation, &format!("{mark} in"), Some(&format!("{mark}0"))).await;
        assert!(again.unwrap().replayed, "a request made before the merge is known after it");
    }
    stage.consent(&ada, ConsentPurpose::PrivacyPolicy, ConsentAct::Given, "a").await;
    assert_eq!(stage.rows_naming(&[&maud]).await, 0);

    // The index reads a newer state of each message, under the survivor.
    let read = ReadForIndexRequest {
        tenant_id: stage.tenant.to_string(),
        what: Some(read_for_index_request::What::ContactId(ada.contact_id.clone())),
        page: crate::stage::page(200, bytes::Bytes::new()),
    };
    let indexed = stage.indexer().read_for_index(read).await.unwrap().into_inner().messages;
    assert_eq!(indexed.len(), 14);
    let of_mauds = indexed.iter().filter_map(|one| one.message.as_ref());
    let of_mauds: Vec<_> = of_mauds.filter(|one| one.conversation_id == mauds.conversation_id).collect();
    assert!(of_mauds.iter().all(|one| one.contact_id == ada.contact_id && one.seq > theirs.seq));

    // An address that came along can be taken away again.
    let update = UpdateContactRequest {
        contact_id: ada.contact_id.clone(),
        other_phones: Some(Addresses::default()),
        other_emails: Some(Addresses { values: vec!["new@example.org".into()] }),
        ..UpdateContactRequest::default()
    };
    stage.contacts().update_contact(update).await.unwrap();
    assert!(stage.look_up(By::Phone("+4930901820".into())).await.is_empty());
    assert_eq!(
        stage.look_up(By::Email("new@example.org".into())).await,
        std::slice::from_ref(&ada.contact_id)
    );
    let mut keystore = Databases::superuser(&stage.keystore).await;
    let rows: i64 =
        sqlx::query_scalar("select count(*) from blind_index").fetch_one(&mut keystore).await.unwrap();
    assert_eq!(rows, 3, "no subject of a merge keeps an address that the person no longer has");
}

#[tokio::test]
async fn whatever_else_is_asked_of_a_merged_id_is_refused_and_names_the_survivor() {
    let stage = Stage::new().await;
    let (ada, maud) = (stage.contact("Ada").await, stage.contact("Maud").await);
    stage.merge(&ada, &maud).await;
    let contact_id = maud.contact_id.clone();
    let update = UpdateContactRequest { contact_id: contact_id.clone(), ..Default::default() };
    let opt_out = OptOutContactRequest { contact_id: contact_id.clone() };
    let ban = BanContactRequest { contact_id: contact_id.clone() };
    let restrict = RestrictContactRequest { contact_id: contact_id.clone(), ground: 1 };
    let list = ListConsentsRequest { contact_id: contact_id.clone(), page: None };
    let consent = RecordConsentRequest {
        contact_id: contact_id.clone(),
        purpose: 1,
        act: 1,
        source: "form".into(),
        idempotency: None,
    };
    let open = lethe_proto::messaging::OpenConversationRequest {
        contact_id: contact_id.clone(),
        channel: Channel::Sms.into(),
        idempotency: None,
    };
    let picture = details::picture(&contact_id, PNG);
    let mut contacts = stage.contacts();
    for refused in [
        contacts.update_contact(update).await.map(drop),
        contacts.opt_out_contact(opt_out).await.map(drop),
        contacts.ban_contact(ban).await.map(drop),
        contacts.restrict_contact(restrict).await.map(drop),
        contacts.list_consents(list).await.map(drop),
        contacts.record_consent(consent).await.map(drop),
        contacts.put_contact_picture(picture).await.map(drop),
        stage.conversations().open_conversation(open).await.map(drop),
        stage.place(What::ContactId(contact_id.clone())).await.map(drop),
    ] {
        let refused = refused.unwrap_err();
        assert_eq!((reason(&refused).as_str(), refused.code()), ("CONTACT_MERGED", Code::FailedPrecondition));
        assert!(refused.message().contains(&ada.contact_id), "{refused:?}");
    }
    // Of another tenant there is neither.
    let foreigner = stage.foreigner();
    let request = MergeContactsRequest {
        contact_id: ada.contact_id.clone(),
        merged_contact_id: maud.contact_id.clone(),
    };
    let foreign = stage.contacts_as(&foreigner).merge_contacts(request).await.unwrap_err();
    assert_eq!(reason(&foreign), "CONTACT_NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twice_crossing_and_in_a_chain_leave_one_contact() {
    let stage = Stage::new().await;
    let (ada, maud, eve) = (stage.contact("A").await, stage.contact("B").await, stage.contact("C").await);
    let once = stage.merge(&maud, &ada).await;
    assert_eq!(stage.merge(&maud, &ada).await, once, "twice is as once");
    assert_eq!(field(&stage.try_merge(&maud, &maud).await.unwrap_err()), "merged_contact_id");
    assert_eq!(reason(&stage.try_merge(&eve, &ada).await.unwrap_err()), "CONTACT_MERGED");
    let chained = stage.merge(&eve, &maud).await;
    for id in [&ada, &maud, &eve] {
        assert_eq!(stage.get(&id.contact_id).await, chained);
    }
    assert_eq!(stage.merge(&eve, &ada).await, chained, "by way of another is merged, too");
    assert_eq!(reason(&stage.try_merge(&maud, &ada).await.unwrap_err()), "CONTACT_MERGED");

    for _ in 0..5 {
        let (one, other) = (stage.contact("D").await, stage.contact("E").await);
        stage.open(&one).await;
        let (there, back, again) = tokio::join!(
            stage.try_merge(&one, &other),
            stage.try_merge(&other, &one),
            stage.try_merge(&one, &other)
        );
        let (won, lost) = match there {
            Ok(won) => (won, back),
            lost => (back.unwrap(), lost),
        };
        assert_eq!(reason(&lost.unwrap_err()), "CONTACT_MERGED");
        assert_eq!(again.is_ok(), won.contact_id == one.contact_id);
        assert_eq!(stage.get(&one.contact_id).await, stage.get(&other.contact_id).await);
    }
}

#[tokio::test]
async fn what_is_held_restricted_or_being_erased_is_not_merged() {
    let stage = Stage::with(|config| config.conversations.most_merged = 2).await;
    let (ada, maud) = (stage.contact("Ada").await, stage.contact("Maud").await);
    let (one, two) = (stage.open(&maud).await, stage.open(&maud).await);
    let refused = async |code: &str| {
        for (survivor, merged) in [(&ada, &maud), (&maud, &ada)] {
            assert_eq!(reason(&stage.try_merge(survivor, merged).await.unwrap_err()), code);
        }
    };
    for what in [What::ContactId(maud.contact_id.clone()), What::ConversationId(one.conversation_id.clone())]
    {
        let placed = stage.place(what).await.unwrap();
        refused("LEGAL_HOLD_ACTIVE").await;
        stage.let_go(&placed).await;
    }
    let restrict = RestrictContactRequest { contact_id: maud.contact_id.clone(), ground: 1 };
    stage.contacts().restrict_contact(restrict).await.unwrap();
    refused("CONTACT_RESTRICTED").await;
    let lift = lethe_proto::messaging::LiftRestrictionRequest { contact_id: maud.contact_id.clone() };
    stage.contacts().lift_restriction(lift).await.unwrap();

    let part = stage.part(&maud, Mode::Conversation, Some(&one));
    stage.fence(&part).await;
    refused("BEING_ERASED").await;
    stage.purge(&part).await;
    // Erased, it does not stand in the way; and stays erased for the survivor.
    let third = stage.open(&maud).await;
    stage.open(&maud).await;
    assert_eq!(reason(&stage.try_merge(&ada, &maud).await.unwrap_err()), "TOO_MANY_CONVERSATIONS");
    let gone = stage.part(&maud, Mode::Conversation, Some(&third));
    stage.fence(&gone).await;
    stage.purge(&gone).await;
    stage.merge(&ada, &maud).await;
    for erased in [&one, &third] {
        assert_eq!(stage.try_receive(erased, "late", None).await.unwrap_err().code(), Code::NotFound);
    }
    stage.receive(&two, "stays").await;
    for scope in [&part, &gone] {
        stage.purge(scope).await;
        assert_eq!(found(&stage.verify(scope).await), 0);
    }

    let eve = stage.contact("Eve").await;
    stage.fence(&stage.scope(&eve)).await;
    assert_eq!(reason(&stage.try_merge(&ada, &eve).await.unwrap_err()), "CONTACT_NOT_FOUND");
    assert_eq!(reason(&stage.try_merge(&eve, &ada).await.unwrap_err()), "CONTACT_NOT_FOUND");
    let many = |mark: &str| (0..50).map(|number| format!("{mark}{number}")).collect();
    let one = stage.create(Profile { tags: many("a"), ..Profile::default() }).await;
    let other = stage.create(Profile { tags: many("b"), ..Profile::default() }).await;
    assert_eq!(reason(&stage.try_merge(&one, &other).await.unwrap_err()), "TOO_MANY_TAGS");
    assert_eq!(stage.get(&other.contact_id).await, other, "nothing was done");
}

#[tokio::test]
async fn whoever_of_them_opted_out_withdrew_or_is_banned_both_have() {
    let mut stage = Stage::new().await;
    for turn in 0..2 {
        // A consent's place in the history is its time.
        stage.advance(std::time::Duration::from_secs(1));
        let mark = format!("m{turn}");
        let shared = format!("shared.{mark}@example.org");
        let ada =
            stage.create(Profile { email: format!("a.{mark}@example.org"), ..Profile::default() }).await;
        let maud = stage.create(Profile { email: shared.clone(), ..Profile::default() }).await;
        let sharer =
            stage.create(Profile { email: format!("a.{mark}@example.org"), ..Profile::default() }).await;
        let (survivor, merged) = if turn == 0 { (&ada, &maud) } else { (&maud, &ada) };
        stage.consent(&maud, ConsentPurpose::Marketing, ConsentAct::Withdrawn, &format!("1{mark}")).await;
        stage.consent(&maud, ConsentPurpose::Ai, ConsentAct::Given, &format!("2{mark}")).await;
        stage.advance(std::time::Duration::from_secs(1));
        stage.consent(&ada, ConsentPurpose::Marketing, ConsentAct::Given, &format!("3{mark}")).await;
        stage.advance(std::time::Duration::from_secs(1));
        stage
            .contacts()
            .opt_out_contact(OptOutContactRequest { contact_id: maud.contact_id.clone() })
            .await
            .unwrap();
        stage
            .contacts()
            .ban_contact(BanContactRequest { contact_id: maud.contact_id.clone() })
            .await
            .unwrap();

        let one = stage.merge(survivor, merged).await;
        assert!(one.opted_out && one.banned, "{turn}");
        let consents = stage.consents(survivor).await;
        assert_eq!(consents[0], (ConsentPurpose::Marketing, ConsentAct::Withdrawn, "merge".to_owned()));
        assert_eq!(consents.len(), 4, "{consents:?}");
        stage.merge(survivor, merged).await;
        assert_eq!(stage.consents(survivor).await.len(), 4);
        // For all addresses of both, whoever comes with them, and whoever has one already.
        let late =
            stage.create(Profile { email: format!("a.{mark}@example.org"), ..Profile::default() }).await;
        assert!(late.opted_out && late.banned, "{turn}");
        let asked: i64 = sqlx::query_scalar("select count(*) from opt_out_spreads where contact_id = $1")
            .bind(uuid_of(&survivor.contact_id))
            .fetch_one(&mut stage.superuser().await)
            .await
            .unwrap();
        assert!(asked == 1 || stage.get(&sharer.contact_id).await.opted_out, "the others are to follow");
    }
}
