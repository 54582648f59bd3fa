//! ContactService.

use std::collections::BTreeMap;

use lethe_proto::{
    messaging::{
        Consent, ConsentAct, ConsentPurpose, Contact, CreateContactRequest, GetContactRequest,
        LiftRestrictionRequest, ListConsentsRequest, ListContactsRequest, LookUpContactsRequest,
        OptInContactRequest, OptOutContactRequest, Profile, RecordConsentRequest, RestrictContactRequest,
        RestrictionGround, Tags, UpdateContactRequest, look_up_contacts_request::By,
    },
    request::Idempotency,
};
use sqlx::Row;
use tonic::{Code, Status};

use crate::stage::{Stage, field, full_profile, page, reason};

async fn look_up(stage: &Stage, by: By) -> Vec<Contact> {
    let request = LookUpContactsRequest { by: Some(by), page: None };
    stage.contacts().look_up_contacts(request).await.unwrap().into_inner().contacts
}

async fn get(stage: &Stage, id: &str) -> Result<Contact, Status> {
    let request = GetContactRequest { contact_id: id.into() };
    stage.contacts().get_contact(request).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn create_contact_seals_the_profile_and_finds_it_by_its_addresses() {
    let stage = Stage::new().await;
    let created = stage.create(full_profile("zyx")).await;
    assert_eq!((created.version, created.seq), (1, 1));
    assert_eq!(created.profile.as_ref().unwrap().phone, "+442079460018");
    assert_eq!(get(&stage, &created.contact_id).await.unwrap(), created);
    let by_phone = look_up(&stage, By::Phone("0044 20 7946 0018".into())).await;
    let by_email = look_up(&stage, By::Email("MAUD.ZYX@example.org".into())).await;
    assert_eq!((by_phone, by_email), (vec![created.clone()], vec![created]));
    assert!(look_up(&stage, By::Email("other@example.org".into())).await.is_empty());

    let mut db = stage.superuser().await;
    let row = sqlx::query("select contacts::text as row from contacts").fetch_one(&mut db).await.unwrap();
    assert!(!row.get::<String, _>("row").contains(&hex("zyx")), "the profile is not sealed");
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn create_contact_refuses_what_does_not_fit_and_makes_nothing() {
    let stage = Stage::new().await;
    for (profile, wrong) in [
        (Profile { name: "x".repeat(201), ..Profile::default() }, "profile.name"),
        (Profile { phone: "12".into(), ..Profile::default() }, "profile.phone"),
        (Profile { email: "nobody".into(), ..Profile::default() }, "profile.email"),
        (Profile { tags: vec!["x".into(); 51], ..Profile::default() }, "profile.tags"),
        (Profile { address: "a\u{7}".into(), ..Profile::default() }, "profile.address"),
    ] {
        let request = CreateContactRequest { profile: Some(profile), idempotency: None };
        let status = stage.contacts().create_contact(request).await.unwrap_err();
        assert_eq!((status.code(), field(&status).as_str()), (Code::InvalidArgument, wrong));
        assert!(!status.message().contains('x'), "the message quotes the value");
    }
    let request =
        CreateContactRequest { profile: None, idempotency: Some(Idempotency { key: "a b".into() }) };
    let status = stage.contacts().create_contact(request).await.unwrap_err();
    assert_eq!(field(&status), "idempotency.key");
    let listed = stage.contacts().list_contacts(ListContactsRequest { page: None }).await.unwrap();
    assert!(listed.into_inner().contacts.is_empty());
}

#[tokio::test]
async fn create_contact_with_a_key_makes_one_contact() {
    let stage = Stage::new().await;
    let request = |name: &str| CreateContactRequest {
        profile: Some(Profile { name: name.into(), ..Profile::default() }),
        idempotency: Some(Idempotency { key: "k-1".into() }),
    };
    let first = stage.contacts().create_contact(request("Ada")).await.unwrap().into_inner();
    let again = stage.contacts().create_contact(request("Ada")).await.unwrap().into_inner();
    assert_eq!(first, again);
    let status = stage.contacts().create_contact(request("Bob")).await.unwrap_err();
    assert_eq!(reason(&status), "IDEMPOTENCY_KEY_REUSED");
    // As it is now, not as it was.
    let update = UpdateContactRequest {
        contact_id: first.contact_id.clone(),
        name: Some("Ada L.".into()),
        ..UpdateContactRequest::default()
    };
    stage.contacts().update_contact(update).await.unwrap();
    let now = stage.contacts().create_contact(request("Ada")).await.unwrap().into_inner();
    assert_eq!(now.profile.unwrap().name, "Ada L.");
    // All at once.
    let same = |_: usize| {
        let mut contacts = stage.contacts();
        async move {
            let profile = Some(Profile { name: "Eve".into(), ..Profile::default() });
            let idempotency = Some(Idempotency { key: "k-2".into() });
            contacts
                .create_contact(CreateContactRequest { profile, idempotency })
                .await
                .unwrap()
                .into_inner()
                .contact_id
        }
    };
    let ids = futures::future::join_all((0..8).map(same)).await;
    assert!(ids.iter().all(|id| *id == ids[0]));
    let page = stage.contacts().list_contacts(ListContactsRequest { page: None }).await.unwrap().into_inner();
    assert_eq!(page.contacts.len(), 2);
}

#[tokio::test]
async fn list_contacts_pages_from_the_newest() {
    let mut stage = Stage::new().await;
    let mut names = Vec::new();
    for number in 0..5 {
        names.push(stage.contact(&format!("n{number}")).await.profile.unwrap().name);
        stage.advance(std::time::Duration::from_millis(1));
    }
    names.reverse();
    let (mut seen, mut after) = (Vec::new(), bytes::Bytes::new());
    loop {
        let request = ListContactsRequest { page: page(2, after) };
        let answer = stage.contacts().list_contacts(request).await.unwrap().into_inner();
        assert!(answer.contacts.len() <= 2);
        seen.extend(answer.contacts.into_iter().map(|contact| contact.profile.unwrap().name));
        after = answer.next;
        if after.is_empty() {
            break;
        }
    }
    assert_eq!(seen, names);
    for (limit, after, wrong) in [(201, "", "page.limit"), (0, "junk", "page.after")] {
        let request = ListContactsRequest { page: page(limit, after.into()) };
        assert_eq!(field(&stage.contacts().list_contacts(request).await.unwrap_err()), wrong);
    }
}

#[tokio::test]
async fn get_and_look_up_name_the_field_that_is_wrong() {
    let stage = Stage::new().await;
    for id in ["", "con_1", "msg_0199aabbccdd7eef8123456789abcdef"] {
        let status = get(&stage, id).await.unwrap_err();
        assert_eq!((status.code(), field(&status).as_str()), (Code::InvalidArgument, "contact_id"));
    }
    let status = get(&stage, "con_0199aabbccdd7eef8123456789abcdef").await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "CONTACT_NOT_FOUND"));
    for (by, wrong) in
        [(None, "by"), (Some(By::Phone("x".into())), "phone"), (Some(By::Email("x".into())), "email")]
    {
        let status =
            stage.contacts().look_up_contacts(LookUpContactsRequest { by, page: None }).await.unwrap_err();
        assert_eq!(field(&status), wrong);
    }
}

#[tokio::test]
async fn update_contact_rectifies_and_the_old_address_finds_nobody() {
    let stage = Stage::new().await;
    let before = stage.create(full_profile("a")).await;
    let request = UpdateContactRequest {
        contact_id: before.contact_id.clone(),
        phone: Some(String::new()),
        email: Some("new@example.org".into()),
        tags: Some(Tags { values: vec!["one".into()] }),
        custom_fields: BTreeMap::from([("key-a".into(), String::new())]),
        if_version: before.version,
        ..UpdateContactRequest::default()
    };
    let after = stage.contacts().update_contact(request.clone()).await.unwrap().into_inner();
    assert_eq!((after.version, after.seq), (2, 2));
    let profile = after.profile.clone().unwrap();
    assert_eq!((profile.name.as_str(), profile.phone.as_str()), ("Maud a", ""));
    assert_eq!((profile.tags, profile.custom_fields.len()), (vec!["one".to_owned()], 0));
    assert_eq!(look_up(&stage, By::Email("new@example.org".into())).await, vec![after]);
    assert!(look_up(&stage, By::Email("maud.a@example.org".into())).await.is_empty());
    assert!(look_up(&stage, By::Phone("+442079460018".into())).await.is_empty());
    let mut keystore = lethe_testkit::Databases::superuser(&stage.keystore).await;
    let rows: i64 =
        sqlx::query_scalar("select count(*) from blind_index").fetch_one(&mut keystore).await.unwrap();
    assert_eq!(rows, 1, "the old addresses left the blind index");

    let status = stage.contacts().update_contact(request.clone()).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Aborted, "VERSION_MISMATCH"));
    let bad = UpdateContactRequest { name: Some("x".repeat(201)), if_version: 0, ..request.clone() };
    assert_eq!(field(&stage.contacts().update_contact(bad).await.unwrap_err()), "name");
    let nobody =
        UpdateContactRequest { contact_id: "con_0199aabbccdd7eef8123456789abcdef".into(), ..request };
    assert_eq!(reason(&stage.contacts().update_contact(nobody).await.unwrap_err()), "CONTACT_NOT_FOUND");
}

#[tokio::test]
async fn updates_at_once_all_land_and_the_index_follows_the_last() {
    let stage = Stage::new().await;
    let contact = stage.create(full_profile("a")).await;
    let update = |number: usize| {
        let mut contacts = stage.contacts();
        let contact_id = contact.contact_id.clone();
        async move {
            let custom_fields = BTreeMap::from([(format!("k{number}"), "v".to_owned())]);
            let email = Some(format!("mail{number}@example.org"));
            let request = UpdateContactRequest { contact_id, email, custom_fields, ..Default::default() };
            contacts.update_contact(request).await.unwrap();
        }
    };
    futures::future::join_all((0..3).map(update)).await;
    let now = get(&stage, &contact.contact_id).await.unwrap();
    let profile = now.profile.clone().unwrap();
    assert_eq!((now.version, profile.custom_fields.len()), (4, 4), "no change was lost");
    for number in 0..3 {
        let email = format!("mail{number}@example.org");
        let expected = if profile.email == email { vec![now.clone()] } else { Vec::new() };
        assert_eq!(look_up(&stage, By::Email(email)).await, expected);
    }
}

#[tokio::test]
async fn restriction_is_set_once_and_lifted() {
    let stage = Stage::new().await;
    let contact = stage.contact("Ada").await;
    let restrict = |ground: i32| RestrictContactRequest { contact_id: contact.contact_id.clone(), ground };
    for wrong in [0, 5] {
        let status = stage.contacts().restrict_contact(restrict(wrong)).await.unwrap_err();
        assert_eq!(field(&status), "ground");
    }
    let ground = RestrictionGround::Objection.into();
    let once = stage.contacts().restrict_contact(restrict(ground)).await.unwrap().into_inner();
    let twice = stage.contacts().restrict_contact(restrict(ground)).await.unwrap().into_inner();
    assert!(once.restricted && once.version == 2 && once.seq == 2);
    assert_eq!(once, twice);
    let lift = LiftRestrictionRequest { contact_id: contact.contact_id.clone() };
    let lifted = stage.contacts().lift_restriction(lift).await.unwrap().into_inner();
    assert!(!lifted.restricted && lifted.version == 3);
}

#[tokio::test]
async fn consents_are_a_history() {
    let mut stage = Stage::new().await;
    let contact = stage.contact("Ada").await;
    let request = |act: ConsentAct, source: &str, key: Option<&str>| RecordConsentRequest {
        contact_id: contact.contact_id.clone(),
        purpose: ConsentPurpose::Marketing.into(),
        act: act.into(),
        source: source.into(),
        idempotency: key.map(|key| Idempotency { key: key.into() }),
    };
    let mut given = Vec::new();
    for (act, source) in
        [(ConsentAct::Given, "widget"), (ConsentAct::Withdrawn, "phone"), (ConsentAct::Given, "form")]
    {
        let answer = stage.contacts().record_consent(request(act, source, Some(source))).await.unwrap();
        let again = stage.contacts().record_consent(request(act, source, Some(source))).await.unwrap();
        assert_eq!(answer.get_ref(), again.get_ref());
        given.push(answer.into_inner());
        stage.advance(std::time::Duration::from_secs(1));
    }
    given.reverse();
    let (mut seen, mut after): (Vec<Consent>, _) = (Vec::new(), bytes::Bytes::new());
    loop {
        let request =
            ListConsentsRequest { contact_id: contact.contact_id.clone(), page: page(2, after.clone()) };
        let answer = stage.contacts().list_consents(request).await.unwrap().into_inner();
        seen.extend(answer.consents);
        after = answer.next;
        if after.is_empty() {
            break;
        }
    }
    assert_eq!(seen, given);
    let status = stage.contacts().record_consent(request(ConsentAct::Given, "phone", Some("form"))).await;
    assert_eq!(reason(&status.unwrap_err()), "IDEMPOTENCY_KEY_REUSED");
    for (wrong, request) in [
        ("source", request(ConsentAct::Given, "Web Form", None)),
        ("source", request(ConsentAct::Given, &"x".repeat(65), None)),
        ("act", RecordConsentRequest { act: 9, ..request(ConsentAct::Given, "form", None) }),
        ("purpose", RecordConsentRequest { purpose: 0, ..request(ConsentAct::Given, "form", None) }),
        (
            "contact_id",
            RecordConsentRequest { contact_id: "x".into(), ..request(ConsentAct::Given, "form", None) },
        ),
    ] {
        assert_eq!(field(&stage.contacts().record_consent(request).await.unwrap_err()), wrong);
    }
}

#[tokio::test]
async fn opting_out_is_about_the_address() {
    let stage = Stage::new().await;
    let ada = stage.create(full_profile("a")).await;
    // Shares the phone, not the e-mail address.
    let bob = stage.create(full_profile("b")).await;
    let eve = stage.contact("Eve").await;
    let out = OptOutContactRequest { contact_id: ada.contact_id.clone() };
    let opted_out = stage.contacts().opt_out_contact(out.clone()).await.unwrap().into_inner();
    let twice = stage.contacts().opt_out_contact(out).await.unwrap().into_inner();
    assert!(opted_out.opted_out && opted_out.version == 2);
    assert_eq!(opted_out, twice);
    assert!(get(&stage, &bob.contact_id).await.unwrap().opted_out, "the same phone");
    assert!(!get(&stage, &eve.contact_id).await.unwrap().opted_out);
    // A later contact with the address begins opted out, one who takes it too.
    let late = stage.create(Profile { email: "MAUD.A@example.org".into(), ..Profile::default() }).await;
    assert!(late.opted_out);
    let take = UpdateContactRequest {
        contact_id: eve.contact_id.clone(),
        phone: Some("+44 20 7946 0018".into()),
        ..UpdateContactRequest::default()
    };
    assert!(stage.contacts().update_contact(take).await.unwrap().into_inner().opted_out);
    // In again: this contact, and its addresses are off the list.
    let back = OptInContactRequest { contact_id: ada.contact_id.clone() };
    assert!(!stage.contacts().opt_in_contact(back).await.unwrap().into_inner().opted_out);
    assert!(
        !stage.create(Profile { email: "maud.a@example.org".into(), ..Profile::default() }).await.opted_out
    );
    assert!(get(&stage, &bob.contact_id).await.unwrap().opted_out, "what others said stands");
    let none = OptInContactRequest { contact_id: "con_0199aabbccdd7eef8123456789abcdef".into() };
    assert_eq!(reason(&stage.contacts().opt_in_contact(none).await.unwrap_err()), "CONTACT_NOT_FOUND");
}

#[tokio::test]
async fn whoever_opted_out_stays_so_under_a_new_address() {
    let stage = Stage::new().await;
    let ada = stage.create(full_profile("a")).await;
    stage
        .contacts()
        .opt_out_contact(OptOutContactRequest { contact_id: ada.contact_id.clone() })
        .await
        .unwrap();
    let request = UpdateContactRequest {
        contact_id: ada.contact_id,
        email: Some("elsewhere@example.org".into()),
        ..UpdateContactRequest::default()
    };
    assert!(stage.contacts().update_contact(request).await.unwrap().into_inner().opted_out);
    let other = stage.create(Profile { email: "elsewhere@example.org".into(), ..Profile::default() }).await;
    assert!(other.opted_out);
}
