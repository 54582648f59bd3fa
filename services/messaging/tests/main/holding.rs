//! Legal holds: what they keep of a contact, and what is left of one that was released.

use std::time::Duration;

use lethe_ids::HoldId;
use lethe_proto::{
    erasure::{HoldRequest, Mode, ReleaseRequest, hold_request::What},
    messaging::{DeleteContactPictureRequest, RestrictContactRequest, UpdateContactRequest},
};

use crate::{
    details::{PNG, picture},
    stage::{Stage, full_profile, reason},
};

#[tokio::test]
async fn a_hold_that_was_released_before_it_was_placed_is_never_placed_and_is_forgotten_after_a_month() {
    let mut stage = Stage::with(|config| config.idempotency.sweep_interval_s = 1).await;
    let ada = stage.create(full_profile("a")).await;
    let place = HoldRequest {
        tenant_id: stage.tenant.to_string(),
        hold_id: HoldId::new(stage.world.entropy.uuid4()).to_string(),
        what: Some(What::ContactId(ada.contact_id.clone())),
    };
    assert!(!stage.let_go(&place).await);
    let late = stage.holds().hold(place.clone()).await.unwrap_err();
    assert_eq!(reason(&late), "HOLD_RELEASED");
    // It waits for the head while somebody releases it.
    let second = HoldRequest { hold_id: HoldId::new(stage.world.entropy.uuid4()).to_string(), ..place };
    let lock = stage.hold(&ada).await;
    let mut holds = stage.holds();
    let release = async {
        stage.somebody_waits().await;
        assert!(!stage.let_go(&second).await);
        drop(lock);
    };
    let (answer, ()) = tokio::join!(holds.hold(second.clone()), release);
    assert_eq!(reason(&answer.unwrap_err()), "HOLD_RELEASED");
    stage.fence(&stage.part(&ada, Mode::Everything, None)).await;

    stage.advance(Duration::from_secs(32 * 86_400));
    let mut db = stage.superuser().await;
    for _ in 0..600 {
        let left: i64 = sqlx::query_scalar("select count(*) from holds").fetch_one(&mut db).await.unwrap();
        if left == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("released holds are never forgotten");
}

#[tokio::test]
async fn a_release_answers_the_same_when_it_is_asked_again() {
    let stage = Stage::new().await;
    let ada = stage.create(full_profile("a")).await;
    let conversation = stage.open(&ada).await;
    let hold = stage.place(What::ConversationId(conversation.conversation_id)).await.unwrap();
    stage.fence(&stage.part(&ada, Mode::Everything, None)).await;
    let release = || ReleaseRequest { tenant_id: hold.tenant_id.clone(), hold_id: hold.hold_id.clone() };
    for _ in 0..2 {
        assert!(stage.holds().release(release()).await.unwrap().into_inner().being_erased);
    }
}

#[tokio::test]
async fn what_is_held_of_a_contact_is_neither_replaced_nor_deleted() {
    let stage = Stage::new().await;
    let ada = stage.create(full_profile("a")).await;
    stage.contacts().put_contact_picture(picture(&ada.contact_id, PNG)).await.unwrap();
    let contact_id = ada.contact_id.clone();
    let update = UpdateContactRequest { name: Some("Eve".into()), contact_id, ..Default::default() };
    let delete = DeleteContactPictureRequest { contact_id: ada.contact_id.clone() };
    let other: &[u8] = b"\x89PNG\r\n\x1a\nanother";
    let hold = stage.place(What::ContactId(ada.contact_id.clone())).await.unwrap();
    for refused in [
        stage.contacts().update_contact(update.clone()).await.map(drop),
        stage.contacts().put_contact_picture(picture(&ada.contact_id, other)).await.map(drop),
        stage.contacts().delete_contact_picture(delete.clone()).await.map(drop),
    ] {
        assert_eq!(refused.map_err(|status| reason(&status)), Err("LEGAL_HOLD_ACTIVE".to_owned()));
    }
    stage.let_go(&hold).await;
    // Under restriction data is kept as well; but what is wrong may be put right, that may be why it is restricted.
    let restrict = RestrictContactRequest { contact_id: ada.contact_id.clone(), ground: 1 };
    stage.contacts().restrict_contact(restrict).await.unwrap();
    for refused in [
        stage.contacts().put_contact_picture(picture(&ada.contact_id, other)).await.map(drop),
        stage.contacts().delete_contact_picture(delete).await.map(drop),
    ] {
        assert_eq!(refused.map_err(|status| reason(&status)), Err("CONTACT_RESTRICTED".to_owned()));
    }
    stage.contacts().update_contact(update).await.unwrap();
}
