//! Photos: sealed, bounded, one's own; their secrets go with them, also after a crash.

use lethe_access::{PrincipalToken, Role};
use lethe_identity::jobs::destroy_retired_units;
use lethe_proto::identity::{
    DeletePhotoRequest, GetPhotoRequest, GetPhotoResponse, SetPhotoRequest,
    person_service_client::PersonServiceClient,
};
use lethe_service::PeerChannel;
use lethe_testkit::Databases;
use tonic::Status;

use crate::rig::{Rig, dump, field, reason};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\ncanary-in-a-picture";

fn client(rig: &Rig, principal: &PrincipalToken) -> PersonServiceClient<PeerChannel> {
    PersonServiceClient::new(rig.world.client("gateway", "identity", Some(principal.clone())))
}

fn set(member: &str, photo: &'static [u8]) -> SetPhotoRequest {
    SetPhotoRequest { member_id: member.into(), media_type: "image/png".into(), photo: photo.into() }
}

async fn get(rig: &Rig, by: &PrincipalToken, member: &str) -> Result<GetPhotoResponse, Status> {
    let request = GetPhotoRequest { member_id: member.into(), unless_tags: Vec::new() };
    client(rig, by).get_photo(request).await.map(tonic::Response::into_inner)
}

/// Secrets and tombstones in the keystore.
async fn secrets(rig: &Rig) -> (i64, i64) {
    let mut keystore = Databases::superuser(&rig.config.keystore).await;
    sqlx::query_as("select (select count(*) from secrets), (select count(*) from tombstones)")
        .fetch_one(&mut keystore)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_photo_is_ones_own_to_set_and_the_tenants_to_see() {
    let rig = Rig::new().await;
    let owner = rig.owner("acme").await;
    let ada = rig.member(&owner, "ada@example.com", &[Role::Agent]).await;
    let eve = rig.member(&owner, "eve@example.com", &[Role::Auditor]).await;
    let me = ada.member.member_id.as_str();
    assert_eq!(reason(get(&rig, &ada.principal, me).await), "PHOTO_NOT_FOUND");
    let mut mine = client(&rig, &ada.principal);
    let tag = mine.set_photo(set(me, PNG)).await.unwrap().into_inner().tag;
    let seen = get(&rig, &owner.principal, me).await.unwrap();
    assert_eq!((&seen.photo[..], seen.media_type.as_str()), (PNG, "image/png"));
    let unless = GetPhotoRequest { member_id: me.into(), unless_tags: vec!["x".into(), tag.clone()] };
    let same = mine.get_photo(unless).await.unwrap().into_inner();
    assert!(same.photo.is_empty() && same.media_type.is_empty() && same.tag == tag);

    // Neither a colleague's to set nor an auditor's to see.
    assert_eq!(reason(mine.set_photo(set(&owner.member.member_id, PNG)).await), "PERMISSION_DENIED");
    assert_eq!(reason(get(&rig, &eve.principal, me).await), "PERMISSION_DENIED");
    let stranger = rig.owner("other").await;
    assert_eq!(reason(get(&rig, &stranger.principal, me).await), "MEMBER_NOT_FOUND");
    client(&rig, &owner.principal).set_photo(set(me, b"\x89PNG\r\n\x1a\nother")).await.unwrap();
    assert_ne!(get(&rig, &ada.principal, me).await.unwrap().tag, tag);

    assert_eq!(field(mine.set_photo(set(me, b"<html>")).await), "photo");
    let svg = SetPhotoRequest { media_type: "image/svg+xml".into(), ..set(me, PNG) };
    assert_eq!(field(mine.set_photo(svg).await), "media_type");
    let text = dump(&rig.config.database).await.to_lowercase();
    let hex: String = "canary-in".bytes().map(|byte| format!("{byte:02x}")).collect();
    assert!(!text.contains("canary-in") && !text.contains(&hex), "a photo is stored in the clear");
}

#[tokio::test]
async fn an_old_photos_secret_goes_with_it_and_after_a_crash_by_the_job() {
    let rig = Rig::new().await;
    let owner = rig.owner("acme").await;
    let me = owner.member.member_id.as_str();
    let (before, _) = secrets(&rig).await;
    let mut client = client(&rig, &owner.principal);
    client.set_photo(set(me, PNG)).await.unwrap();
    client.set_photo(set(me, b"\x89PNG\r\n\x1a\nother")).await.unwrap();
    assert_eq!(secrets(&rig).await, (before + 1, 1));
    for _ in 0..2 {
        client.delete_photo(DeletePhotoRequest { member_id: me.into() }).await.unwrap();
    }
    assert_eq!(secrets(&rig).await, (before, 2));
    assert_eq!(reason(get(&rig, &owner.principal, me).await), "PHOTO_NOT_FOUND");

    // What a crash between the row and the keystore leaves: the note of a unit whose secret is still there.
    client.set_photo(set(me, PNG)).await.unwrap();
    let mut database = Databases::superuser(&rig.config.database).await;
    sqlx::query(
        "with gone as (delete from member_photos returning tenant_id, unit_id)
         insert into retired_units select tenant_id, unit_id, gen_random_uuid(), now() from gone",
    )
    .execute(&mut database)
    .await
    .unwrap();
    assert_eq!(secrets(&rig).await, (before + 1, 2));
    for _ in 0..2 {
        destroy_retired_units::round(&rig.identity).await.unwrap();
        assert_eq!(secrets(&rig).await, (before, 3));
    }
    let left: i64 =
        sqlx::query_scalar("select count(*) from retired_units").fetch_one(&mut database).await.unwrap();
    assert_eq!(left, 0);
}
