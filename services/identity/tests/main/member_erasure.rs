//! Erasing a member who left: what goes, what stays, that a crash anywhere is made good, and that the verifier disbelieves.

use std::time::Duration;

use lethe_access::{PrincipalToken, Role};
use lethe_identity::jobs::finish_member_erasures;
use lethe_proto::identity::{
    AddTeamMemberRequest, CreateTeamRequest, DeactivateMemberRequest, EraseMemberRequest,
    GetMemberErasureRequest, GetMemberRequest, GetPhotoRequest, ListAuditEventsRequest,
    ListLogInRecordsRequest, ListMembersRequest, MemberErasure, MemberErasureMode, SetPhotoRequest,
    UpdateMemberRequest, person_service_client::PersonServiceClient, team_service_client::TeamServiceClient,
};
use lethe_service::PeerChannel;
use lethe_testkit::Databases;

use crate::rig::{PASSWORD, Rig, Someone, dump, field, new_member, reason};

/// Tables with a `member_id` that an erasure leaves alone, each with the reason.
const STAY: [(&str, &str); 3] = [
    ("members", "a tombstone stays, so that what he did stays somebody's"),
    ("member_erasures", "what was erased, and that it was"),
    ("revocations", "ids alone, and they go in ten minutes"),
];

fn person(rig: &Rig, principal: &PrincipalToken) -> PersonServiceClient<PeerChannel> {
    PersonServiceClient::new(rig.world.client("gateway", "identity", Some(principal.clone())))
}

fn erase(member: &str, mode: MemberErasureMode, first_name: &str) -> EraseMemberRequest {
    EraseMemberRequest {
        member_id: member.into(),
        mode: mode.into(),
        first_name: first_name.into(),
        confirmation: member.into(),
    }
}

async fn deactivate(rig: &Rig, owner: &Someone, member: &str) {
    let request = DeactivateMemberRequest { member_id: member.into() };
    rig.as_member(&owner.principal).deactivate_member(request).await.unwrap();
}

/// A member with everything that one can have: "Ada Agent".
async fn ada(rig: &Rig, owner: &Someone) -> Someone {
    let ada = rig.member(owner, "ada@example.com", &[Role::Agent]).await;
    let member_id = ada.member.member_id.clone();
    let photo = SetPhotoRequest {
        member_id: member_id.clone(),
        media_type: "image/png".into(),
        photo: b"\x89PNG\r\n\x1a\nface".as_slice().into(),
    };
    person(rig, &ada.principal).set_photo(photo).await.unwrap();
    let owners = rig.world.client("gateway", "identity", Some(owner.principal.clone()));
    let mut teams = TeamServiceClient::new(owners);
    let team = CreateTeamRequest { name: "Support".into(), idempotency: None };
    let team_id = teams.create_team(team).await.unwrap().into_inner().team_id;
    teams.add_team_member(AddTeamMemberRequest { team_id, member_id }).await.unwrap();
    ada
}

fn is_erased(erasure: &MemberErasure) -> bool {
    erasure.erased_at.is_some()
        && erasure.findings.len() > 5
        && erasure.findings.iter().all(|finding| finding.found == 0)
}

#[tokio::test]
async fn a_profile_goes_but_for_the_first_name_and_then_everything() {
    let rig = Rig::new().await;
    let owner = rig.owner("acme").await;
    let ada = ada(&rig, &owner).await;
    let me = ada.member.member_id.as_str();
    deactivate(&rig, &owner, me).await;
    let mut by_owner = person(&rig, &owner.principal);
    let mut client = rig.as_member(&owner.principal);
    let records = ListLogInRecordsRequest { member_id: me.into(), page: None };
    let before = client.list_log_in_records(records.clone()).await.unwrap().into_inner();
    assert!(!before.records.is_empty());

    let request = erase(me, MemberErasureMode::Profile, "Ada");
    let erased = by_owner.erase_member(request.clone()).await.unwrap().into_inner();
    assert!(is_erased(&erased), "{erased:?}");
    assert_eq!(by_owner.erase_member(request).await.unwrap().into_inner(), erased, "twice is as once");
    let left = client.get_member(GetMemberRequest { member_id: me.into() }).await.unwrap().into_inner();
    assert_eq!((left.name.as_str(), left.email.as_str()), ("Ada", "ada@example.com"));
    assert_eq!(left.erased, i32::from(MemberErasureMode::Profile));
    let photo = GetPhotoRequest { member_id: me.into(), unless_tags: Vec::new() };
    assert_eq!(reason(by_owner.get_photo(photo).await), "PHOTO_NOT_FOUND");
    let after = client.list_log_in_records(records.clone()).await.unwrap().into_inner();
    assert_eq!(after.records, before.records, "they open under the new secret");
    let update = UpdateMemberRequest {
        member_id: me.into(),
        name: Some("Ada Agent".into()),
        if_version: left.version,
        ..UpdateMemberRequest::default()
    };
    assert_eq!(reason(client.update_member(update).await), "MEMBER_ERASED");

    let all = by_owner.erase_member(erase(me, MemberErasureMode::All, "")).await.unwrap().into_inner();
    assert!(is_erased(&all) && all.erasure_id != erased.erasure_id);
    // The narrower one is asked for again: the wider one stands.
    let again = by_owner.erase_member(erase(me, MemberErasureMode::Profile, "")).await.unwrap();
    assert_eq!(again.into_inner(), all);
    let seen = by_owner.get_member_erasure(GetMemberErasureRequest { member_id: me.into() }).await.unwrap();
    assert_eq!(seen.into_inner(), all);
    let left = client.get_member(GetMemberRequest { member_id: me.into() }).await.unwrap().into_inner();
    assert_eq!((left.name.as_str(), left.email.as_str(), left.phone.as_str()), ("", "", ""));
    assert!(left.roles.is_empty() && !left.active);
    let listed = client.list_members(ListMembersRequest::default()).await.unwrap().into_inner();
    assert!(listed.members.contains(&left), "what he did stays somebody's");
    assert!(client.list_log_in_records(records).await.unwrap().into_inner().records.is_empty());
    assert_eq!(reason(rig.log_in("acme", "ada@example.com", PASSWORD).await), "LOG_IN_FAILED");
    let by_ada = ListAuditEventsRequest { actor_id: me.into(), ..ListAuditEventsRequest::default() };
    let by_ada = client.list_audit_events(by_ada).await.unwrap().into_inner().events;
    assert!(by_ada.iter().any(|event| event.action == "LogIn"), "what was done stays in the audit log");
    let erasures =
        ListAuditEventsRequest { action: "EraseMember".into(), ..ListAuditEventsRequest::default() };
    let erasures = client.list_audit_events(erasures).await.unwrap().into_inner().events;
    let details: Vec<_> = erasures.iter().map(|event| event.detail.as_str()).collect();
    assert_eq!(details, ["all", "profile"]);
    assert!(client.create_member(new_member("ada@example.com", &[])).await.is_ok(), "her address is free");
}

#[tokio::test]
async fn who_may_erase_whom_and_only_when_meant() {
    let rig = Rig::new().await;
    let owner = rig.owner("acme").await;
    let ada = ada(&rig, &owner).await;
    let officer = rig.member(&owner, "officer@example.com", &[Role::PrivacyOfficer]).await;
    let second = rig.member(&owner, "second@example.com", &[Role::Owner]).await;
    let me = ada.member.member_id.as_str();
    let all = || erase(me, MemberErasureMode::All, "");
    let mut by_officer = person(&rig, &officer.principal);
    assert_eq!(reason(by_officer.erase_member(all()).await), "MEMBER_ACTIVE");
    assert_eq!(reason(person(&rig, &ada.principal).erase_member(all()).await), "PERMISSION_DENIED");
    let second_id = second.member.member_id.as_str();
    deactivate(&rig, &owner, second_id).await;
    assert_eq!(
        reason(by_officer.erase_member(erase(second_id, MemberErasureMode::All, "")).await),
        "OWNER_REQUIRED"
    );
    deactivate(&rig, &owner, me).await;
    let stranger = rig.owner("other").await;
    assert_eq!(reason(person(&rig, &stranger.principal).erase_member(all()).await), "MEMBER_NOT_FOUND");
    for (request, wrong) in [
        (EraseMemberRequest { confirmation: String::new(), ..all() }, "confirmation"),
        (EraseMemberRequest { confirmation: second_id.into(), ..all() }, "confirmation"),
        (EraseMemberRequest { mode: 0, ..all() }, "mode"),
        (EraseMemberRequest { first_name: "Ada".into(), ..all() }, "first_name"),
        (erase(me, MemberErasureMode::Profile, "Ada Agent"), "first_name"),
        (erase(me, MemberErasureMode::Profile, "Eve"), "first_name"),
    ] {
        assert_eq!(field(by_officer.erase_member(request).await), wrong);
    }
    let none = GetMemberErasureRequest { member_id: me.into() };
    assert_eq!(reason(by_officer.get_member_erasure(none).await), "MEMBER_ERASURE_NOT_FOUND");
    assert!(is_erased(&by_officer.erase_member(all()).await.unwrap().into_inner()));
}

#[tokio::test]
async fn a_crash_anywhere_is_made_good_and_the_verifier_disbelieves() {
    let rig = Rig::new().await;
    let owner = rig.owner("acme").await;
    let ada = ada(&rig, &owner).await;
    let me = ada.member.member_id.as_str();
    deactivate(&rig, &owner, me).await;
    let mut keystore = Databases::superuser(&rig.config.keystore).await;
    let mut database = Databases::superuser(&rig.config.database).await;
    let subject: uuid::Uuid = sqlx::query_scalar("select subject_id::uuid from members where not active")
        .fetch_one(&mut database)
        .await
        .unwrap();

    // The keystore is away: the rows are gone, and it goes on by itself.
    sqlx::query("alter table tombstones rename to away").execute(&mut keystore).await.unwrap();
    let mut client = person(&rig, &owner.principal);
    let begun = client.erase_member(erase(me, MemberErasureMode::All, "")).await.unwrap().into_inner();
    assert!(begun.erased_at.is_none() && begun.findings.is_empty());
    let left = rig.as_member(&owner.principal).get_member(GetMemberRequest { member_id: me.into() }).await;
    assert_eq!(left.unwrap().into_inner().name, "", "hidden at once");
    let look = async || {
        let request = GetMemberErasureRequest { member_id: me.into() };
        let now = rig.authenticate(&owner.token).await.unwrap();
        person(&rig, &now).get_member_erasure(request).await.unwrap().into_inner()
    };
    rig.world.clock.advance(Duration::from_secs(60));
    finish_member_erasures::round(&rig.identity).await.unwrap();
    assert!(look().await.erased_at.is_none());
    sqlx::query("alter table away rename to tombstones").execute(&mut keystore).await.unwrap();
    finish_member_erasures::round(&rig.identity).await.unwrap();
    assert!(look().await.erased_at.is_none(), "not before its next attempt");
    rig.world.clock.advance(Duration::from_secs(60));
    finish_member_erasures::round(&rig.identity).await.unwrap();
    assert!(is_erased(&look().await));
    // In hex as bytes are dumped: in the head of a sealed value. As an id with hyphens it stays, and is a tombstone's.
    let dumped = dump(&rig.config.database).await.to_lowercase();
    assert!(!dumped.contains(&subject.simple().to_string()), "a sealed value of his is still there");

    // A crash between the keystore and the note; and rows that a defect would have left.
    let again =
        "update member_erasures set erased_at = null, findings = '[]', next_attempt_at = '2000-01-01'";
    for plant in [
        "select 1",
        "insert into log_in_records select tenant_id, gen_random_uuid(), member_id, now(), 'x', true, '' from member_erasures",
        "update members set profile = 'x' where not active",
    ] {
        sqlx::query(again).execute(&mut database).await.unwrap();
        sqlx::query(plant).execute(&mut database).await.unwrap();
        rig.world.clock.advance(Duration::from_secs(7_200));
        finish_member_erasures::round(&rig.identity).await.unwrap();
        assert_eq!(is_erased(&look().await), plant == "select 1", "{plant}");
        for undo in [
            "delete from log_in_records where method = 'x'",
            "update members set profile = '' where not active",
        ] {
            sqlx::query(undo).execute(&mut database).await.unwrap();
        }
        rig.world.clock.advance(Duration::from_secs(7_200));
        finish_member_erasures::round(&rig.identity).await.unwrap();
        assert!(is_erased(&look().await), "{plant}");
    }
}

#[tokio::test]
async fn every_table_that_names_a_member_is_erased_or_excused() {
    let rig = Rig::new().await;
    let mut database = Databases::superuser(&rig.config.database).await;
    let tables: Vec<String> = sqlx::query_scalar(
        "select c.relname::text from pg_attribute a join pg_class c on c.oid = a.attrelid and c.relkind in ('r', 'p')
          where a.attname = 'member_id' and not a.attisdropped and c.relnamespace = 'public'::regnamespace",
    )
    .fetch_all(&mut database)
    .await
    .unwrap();
    let erased = include_str!("../../src/verify_member.rs");
    for table in tables {
        let excused = STAY.iter().any(|(stays, _)| *stays == table);
        assert!(excused || erased.contains(&format!("\"{table}\"")), "{table}: who erases it, who looks?");
    }
}
