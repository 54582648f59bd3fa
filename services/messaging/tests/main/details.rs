//! What a contact has beside its profile's texts: a picture, labels, a stage and a score.

use lethe_proto::{
    messaging::{
        CreateLabelRequest, DeleteContactPictureRequest, DeleteLabelRequest, GetContactPictureRequest,
        LabelIds, ListConversationsRequest, ListLabelsRequest, LookUpContactsRequest, Profile,
        PutContactPictureRequest, UpdateContactRequest, UpdateConversationRequest, UpdateLabelRequest,
        look_up_contacts_request::By,
    },
    request::{Idempotency, Page},
};
use sqlx::Row;
use tonic::Code;

use crate::stage::{Stage, field, full_profile, reason};

/// Begins as a PNG picture does.
pub(crate) const PNG: &[u8] = b"\x89PNG\r\n\x1a\nnot much of a picture";

pub(crate) fn picture(contact_id: &str, content: &'static [u8]) -> PutContactPictureRequest {
    PutContactPictureRequest {
        contact_id: contact_id.into(),
        media_type: "image/png".into(),
        content: content.into(),
    }
}

#[tokio::test]
async fn a_picture_is_sealed_replaced_and_deleted() {
    let stage = Stage::new().await;
    let contact = stage.contact("Ada").await;
    let get = GetContactPictureRequest { contact_id: contact.contact_id.clone() };
    let none = stage.contacts().get_contact_picture(get.clone()).await.unwrap_err();
    assert_eq!(reason(&none), "PICTURE_NOT_FOUND");

    let put = stage.contacts().put_contact_picture(picture(&contact.contact_id, PNG)).await.unwrap();
    let first = put.into_inner();
    assert!(first.has_picture && first.version == 2 && !contact.has_picture);
    let again = stage.contacts().put_contact_picture(picture(&contact.contact_id, PNG)).await.unwrap();
    assert_eq!(again.into_inner(), first, "the same again changes nothing");
    let shown = stage.contacts().get_contact_picture(get.clone()).await.unwrap().into_inner();
    assert_eq!((&shown.content[..], shown.media_type.as_str(), shown.version), (PNG, "image/png", 2));
    let mut db = stage.superuser().await;
    let row = sqlx::query("select picture from contact_pictures").fetch_one(&mut db).await.unwrap();
    let stored: Vec<u8> = row.get("picture");
    assert!(!stored.windows(8).any(|some| some == &PNG[..8]), "the picture is not sealed");

    let other: &[u8] = b"\x89PNG\r\n\x1a\nanother";
    stage.contacts().put_contact_picture(picture(&contact.contact_id, other)).await.unwrap();
    let shown = stage.contacts().get_contact_picture(get.clone()).await.unwrap().into_inner();
    assert_eq!((&shown.content[..], shown.version), (other, 3));

    let wrong = stage.contacts().put_contact_picture(picture(&contact.contact_id, b"<svg>")).await;
    assert_eq!(field(&wrong.unwrap_err()), "content");
    let delete = DeleteContactPictureRequest { contact_id: contact.contact_id.clone() };
    let gone = stage.contacts().delete_contact_picture(delete.clone()).await.unwrap().into_inner();
    assert!(!gone.has_picture);
    assert_eq!(stage.contacts().delete_contact_picture(delete).await.unwrap().into_inner(), gone);
    assert_eq!(stage.contacts().get_contact_picture(get).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn labels_are_a_catalogue_that_contacts_and_conversations_carry_ids_of() {
    let stage = Stage::new().await;
    let request = CreateLabelRequest {
        name: "VIP".into(),
        colour: "#A0B1C2".into(),
        idempotency: Some(Idempotency { key: "vip".into() }),
    };
    let vip = stage.labels().create_label(request.clone()).await.unwrap().into_inner();
    assert_eq!(stage.labels().create_label(request.clone()).await.unwrap().into_inner(), vip);
    assert_eq!((vip.colour.as_str(), vip.version), ("#a0b1c2", 1));
    let taken = CreateLabelRequest { name: "vip".into(), idempotency: None, ..request.clone() };
    assert_eq!(reason(&stage.labels().create_label(taken).await.unwrap_err()), "LABEL_NAME_TAKEN");
    let returns = stage.label("Returns").await;

    // A contact carries it, sealed.
    let mut profile = full_profile("a");
    profile.label_ids = vec![vip.label_id.clone()];
    let contact = stage.create(profile).await;
    assert_eq!(contact.profile.as_ref().unwrap().label_ids, std::slice::from_ref(&vip.label_id));
    let unknown = UpdateContactRequest {
        contact_id: contact.contact_id.clone(),
        label_ids: Some(LabelIds { values: vec!["lbl_01998f2ac3e47b0f8a5d2f60b1c9e7aa".into()] }),
        ..UpdateContactRequest::default()
    };
    assert_eq!(field(&stage.contacts().update_contact(unknown).await.unwrap_err()), "label_ids");

    // So does a conversation, which is found by it.
    let (conversation, other) = (stage.open(&contact).await, stage.open(&contact).await);
    let update = UpdateConversationRequest {
        conversation_id: conversation.conversation_id.clone(),
        label_ids: Some(LabelIds { values: vec![returns.label_id.clone()] }),
        ..UpdateConversationRequest::default()
    };
    let labelled = stage.conversations().update_conversation(update.clone()).await.unwrap().into_inner();
    assert_eq!((labelled.label_ids.len(), labelled.version), (1, 2));
    assert_eq!(stage.conversations().update_conversation(update).await.unwrap().into_inner(), labelled);
    for contact_id in ["", &contact.contact_id] {
        let which = |label_id: &str| ListConversationsRequest {
            contact_id: contact_id.into(),
            label_id: label_id.into(),
            ..ListConversationsRequest::default()
        };
        let list = stage.conversations().list_conversations(which(&returns.label_id)).await.unwrap();
        assert_eq!(list.into_inner().conversations, std::slice::from_ref(&labelled));
        let list = stage.conversations().list_conversations(which("")).await.unwrap().into_inner();
        assert_eq!(list.conversations.len(), 2);
    }
    assert!(other.label_ids.is_empty());

    // Renamed, and gone: what carried it still says its id.
    let rename = |name: &str, if_version| UpdateLabelRequest {
        label_id: returns.label_id.clone(),
        name: Some(name.into()),
        colour: None,
        if_version,
    };
    let stale = stage.labels().update_label(rename("Repairs", 7)).await.unwrap_err();
    assert_eq!(reason(&stale), "VERSION_MISMATCH");
    assert_eq!(reason(&stage.labels().update_label(rename("ViP", 1)).await.unwrap_err()), "LABEL_NAME_TAKEN");
    let renamed = stage.labels().update_label(rename("Repairs", 1)).await.unwrap().into_inner();
    assert_eq!((renamed.name.as_str(), renamed.version), ("Repairs", 2));
    let delete = DeleteLabelRequest { label_id: vip.label_id.clone() };
    stage.labels().delete_label(delete.clone()).await.unwrap();
    assert_eq!(reason(&stage.labels().delete_label(delete).await.unwrap_err()), "LABEL_NOT_FOUND");
    assert_eq!(reason(&stage.labels().create_label(request).await.unwrap_err()), "LABEL_GONE");
    let list = stage.labels().list_labels(ListLabelsRequest {}).await.unwrap().into_inner();
    assert_eq!(list.labels, [renamed]);
    assert_eq!(stage.get(&contact.contact_id).await.profile.unwrap().label_ids, [vip.label_id]);
}

#[tokio::test]
async fn a_tenant_has_200_labels_at_most() {
    let stage = Stage::new().await;
    for number in 0..200 {
        stage.label(&format!("label {number}")).await;
    }
    let one_more = CreateLabelRequest { name: "more".into(), colour: "#000000".into(), idempotency: None };
    assert_eq!(reason(&stage.labels().create_label(one_more).await.unwrap_err()), "TOO_MANY_LABELS");
}

#[tokio::test]
async fn a_shared_address_is_looked_up_in_pages() {
    let stage = Stage::new().await;
    let shared = Profile { email: "office@example.org".into(), ..Profile::default() };
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(stage.create(shared.clone()).await.contact_id);
    }
    made.sort();
    let (mut found, mut after) = (Vec::new(), bytes::Bytes::new());
    loop {
        let request = LookUpContactsRequest {
            by: Some(By::Email("office@example.org".into())),
            page: Some(Page { limit: 2, after }),
        };
        let answer = stage.contacts().look_up_contacts(request).await.unwrap().into_inner();
        assert!(answer.contacts.len() <= 2);
        found.extend(answer.contacts.into_iter().map(|contact| contact.contact_id));
        after = answer.next;
        if after.is_empty() {
            break;
        }
    }
    assert_eq!(found, made);
}
