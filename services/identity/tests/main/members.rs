//! Members and roles: only what was granted, and what is taken away is gone at once.

use lethe_access::Role;
use lethe_proto::{
    identity::{
        CheckMemberRequest, CreateMemberRequest, DeactivateMemberRequest, GetMemberRequest, GetSelfRequest,
        GrantRoleRequest, ListMembersRequest, RevokeRoleRequest, UpdateMemberRequest,
    },
    request::{Idempotency, Page},
};

use crate::rig::{PASSWORD, Rig, Someone, dump, field, new_member, reason};

fn grant(member: &str, role: Role) -> GrantRoleRequest {
    GrantRoleRequest { member_id: member.into(), role: role.into() }
}

fn revoke(member: &str, role: Role) -> RevokeRoleRequest {
    RevokeRoleRequest { member_id: member.into(), role: role.into() }
}

#[tokio::test]
async fn a_member_has_the_roles_that_were_granted_and_no_others() {
    let rig = Rig::new().await;
    let owner = rig.owner("acme").await;
    let ada = rig.member(&owner, "ada@example.com", &[]).await;
    assert!(ada.member.roles.is_empty());
    let mut client = rig.as_member(&ada.principal);
    assert_eq!(reason(client.list_members(ListMembersRequest::default()).await), "PERMISSION_DENIED");

    let granted =
        rig.as_member(&owner.principal).grant_role(grant(&ada.member.member_id, Role::Agent)).await.unwrap();
    assert_eq!(granted.into_inner().roles, [i32::from(Role::Agent)]);
    let principal = rig.authenticate(&ada.token).await.unwrap();
    assert!(rig.as_member(&principal).list_members(ListMembersRequest::default()).await.is_ok());
}

#[tokio::test]
async fn a_revoked_role_is_gone_at_once() {
    let rig = Rig::new().await;
    let owner = rig.owner("acme").await;
    let ada = rig.member(&owner, "ada@example.com", &[Role::Admin, Role::Auditor]).await;
    let create = || new_member("new@example.com", &[]);
    let request = revoke(&ada.member.member_id, Role::Admin);
    rig.as_member(&owner.principal).revoke_role(request.clone()).await.unwrap();
    assert_eq!(reason(rig.as_member(&ada.principal).create_member(create()).await), "SESSION_REVOKED");
    let principal = rig.authenticate(&ada.token).await.unwrap();
    assert_eq!(reason(rig.as_member(&principal).create_member(create()).await), "PERMISSION_DENIED");
    let again = rig.as_member(&owner.principal).revoke_role(request).await.unwrap().into_inner();
    assert_eq!(again.roles, [i32::from(Role::Auditor)]);
    assert!(rig.as_member(&principal).get_self(GetSelfRequest {}).await.is_ok(), "twice revokes nothing new");
}

#[tokio::test]
async fn the_last_owner_stays() {
    let rig = Rig::new().await;
    let owner = rig.owner("acme").await;
    let me = owner.member.member_id.clone();
    let mut client = rig.as_member(&owner.principal);
    assert_eq!(reason(client.revoke_role(revoke(&me, Role::Owner)).await), "LAST_OWNER");
    let leave = DeactivateMemberRequest { member_id: me.clone() };
    assert_eq!(reason(client.deactivate_member(leave.clone()).await), "LAST_OWNER");
    let second = rig.member(&owner, "second@example.com", &[Role::Owner]).await;
    // Two owners who take each other's role at once: one is left.
    let mut other = rig.as_member(&second.principal);
    let (a, b) = tokio::join!(
        client.revoke_role(revoke(&second.member.member_id, Role::Owner)),
        other.revoke_role(revoke(&me, Role::Owner)),
    );
    assert!(a.is_ok() != b.is_ok(), "{a:?} {b:?}");
}

#[tokio::test]
async fn only_an_owner_makes_or_changes_an_owner() {
    let rig = Rig::new().await;
    let owner = rig.owner("acme").await;
    let admin = rig.member(&owner, "admin@example.com", &[Role::Admin]).await;
    let (me, boss) = (admin.member.member_id.clone(), owner.member.member_id.clone());
    let mut client = rig.as_member(&admin.principal);
    let only = "OWNER_REQUIRED";
    assert_eq!(reason(client.grant_role(grant(&me, Role::Owner)).await), only);
    assert_eq!(reason(client.grant_role(grant(&boss, Role::Agent)).await), only);
    assert_eq!(reason(client.revoke_role(revoke(&boss, Role::Owner)).await), only);
    assert_eq!(reason(client.create_member(new_member("x@example.com", &[Role::Owner])).await), only);
    assert_eq!(
        reason(client.deactivate_member(DeactivateMemberRequest { member_id: boss.clone() }).await),
        only
    );
    let update = UpdateMemberRequest {
        member_id: boss,
        email: Some("mine@example.com".into()),
        if_version: 1,
        ..UpdateMemberRequest::default()
    };
    assert_eq!(reason(client.update_member(update).await), only);
    assert!(client.grant_role(grant(&me, Role::Agent)).await.is_ok());
}

#[tokio::test]
async fn nobody_gives_a_right_that_he_has_not() {
    let rig = Rig::new().await;
    let owner = rig.owner("acme").await;
    let admin = rig.member(&owner, "admin@example.com", &[Role::Admin]).await;
    let ada = rig.member(&owner, "ada@example.com", &[Role::Agent]).await;
    let (me, her) = (admin.member.member_id.clone(), ada.member.member_id.clone());
    let mut client = rig.as_member(&admin.principal);
    // An admin places and lifts no legal holds: a privacy officer does.
    for whom in [&me, &her] {
        let given = client.grant_role(grant(whom, Role::PrivacyOfficer)).await;
        assert_eq!(reason(given), "PERMISSION_DENIED");
    }
    let made = client.create_member(new_member("x@example.com", &[Role::Agent, Role::PrivacyOfficer])).await;
    assert_eq!(reason(made), "PERMISSION_DENIED");
    for role in [Role::Admin, Role::Auditor] {
        assert!(client.grant_role(grant(&her, role)).await.is_ok(), "{role:?}");
    }
    let mut client = rig.as_member(&owner.principal);
    assert!(client.grant_role(grant(&her, Role::PrivacyOfficer)).await.is_ok());
}

#[tokio::test]
async fn create_member_twice_with_one_key_is_once() {
    let rig = Rig::new().await;
    let owner = rig.owner("acme").await;
    let mut client = rig.as_member(&owner.principal);
    let request = |email: &str| CreateMemberRequest {
        idempotency: Some(Idempotency { key: "key-1".into() }),
        ..new_member(email, &[Role::Agent])
    };
    let first = client.create_member(request("ada@example.com")).await.unwrap().into_inner();
    let second = client.create_member(request("ada@example.com")).await.unwrap().into_inner();
    assert_eq!(second.member, first.member);
    assert!(!first.one_time_password.is_empty() && second.one_time_password.is_empty());
    assert_eq!(reason(client.create_member(request("eve@example.com")).await), "IDEMPOTENCY_KEY_REUSED");
    let bad = CreateMemberRequest {
        idempotency: Some(Idempotency { key: "a b".into() }),
        ..new_member("bob@example.com", &[])
    };
    assert_eq!(field(client.create_member(bad).await), "idempotency.key");
}

#[tokio::test]
async fn create_member_with_one_key_at_once_is_once() {
    let rig = Rig::new().await;
    let owner = rig.owner("acme").await;
    let create = || async {
        let request = CreateMemberRequest {
            idempotency: Some(Idempotency { key: "key-2".into() }),
            ..new_member("ada@example.com", &[Role::Agent])
        };
        rig.as_member(&owner.principal).create_member(request).await.map(|answer| answer.into_inner().member)
    };
    let (a, b) = tokio::join!(create(), create());
    let answers = [a, b];
    let good: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().ok()).collect();
    // Both may answer the same member; one may be told that the address is being taken; never are there two.
    assert!(good.windows(2).all(|pair| pair[0] == pair[1]));
    let listed = rig.as_member(&owner.principal).list_members(ListMembersRequest::default()).await.unwrap();
    assert!(listed.into_inner().members.len() <= 2);
}

#[tokio::test]
async fn an_address_is_one_members() {
    let rig = Rig::new().await;
    let owner = rig.owner("acme").await;
    let mut client = rig.as_member(&owner.principal);
    client.create_member(new_member("ada@example.com", &[])).await.unwrap();
    assert_eq!(reason(client.create_member(new_member("ADA@Example.com", &[])).await), "EMAIL_TAKEN");
    let create =
        || async { rig.as_member(&owner.principal).create_member(new_member("bob@example.com", &[])).await };
    let (a, b) = tokio::join!(create(), create());
    assert!(!(a.is_ok() && b.is_ok()), "two members have one address");
    let stranger = rig.owner("other").await;
    let elsewhere = new_member("ada@example.com", &[]);
    assert!(rig.as_member(&stranger.principal).create_member(elsewhere).await.is_ok(), "another tenant's");
}

#[tokio::test]
async fn update_member_moves_the_log_in_to_the_new_address() {
    let rig = Rig::new().await;
    let owner = rig.owner("acme").await;
    let ada = rig.member(&owner, "ada@example.com", &[Role::Agent]).await;
    rig.member(&owner, "bob@example.com", &[Role::Agent]).await;
    let mut client = rig.as_member(&owner.principal);
    let update = |email: &str, version| UpdateMemberRequest {
        member_id: ada.member.member_id.clone(),
        name: Some("Ada Lovelace".into()),
        email: Some(email.into()),
        if_version: version,
        ..UpdateMemberRequest::default()
    };
    assert_eq!(reason(client.update_member(update("new@example.com", 0)).await), "VERSION_REQUIRED");
    assert_eq!(reason(client.update_member(update("new@example.com", 9)).await), "VERSION_MISMATCH");
    assert_eq!(reason(client.update_member(update("bob@example.com", 1)).await), "EMAIL_TAKEN");
    assert!(rig.log_in("acme", "ada@example.com", PASSWORD).await.is_ok(), "nothing has changed");
    assert!(
        rig.log_in("acme", "bob@example.com", PASSWORD).await.unwrap().member.unwrap().member_id
            != ada.member.member_id
    );

    let changed = client.update_member(update("new@example.com", 1)).await.unwrap().into_inner();
    assert_eq!(
        (changed.name.as_str(), changed.email.as_str(), changed.version),
        ("Ada Lovelace", "new@example.com", 2)
    );
    assert_eq!(changed.phone, "+4930901820", "what was not given stays");
    assert_eq!(reason(rig.log_in("acme", "ada@example.com", PASSWORD).await), "LOG_IN_FAILED");
    assert!(rig.log_in("acme", "new@example.com", PASSWORD).await.is_ok());
    let read = client.get_member(GetMemberRequest { member_id: changed.member_id.clone() }).await.unwrap();
    assert_eq!(read.into_inner(), changed);
    assert!(client.create_member(new_member("ada@example.com", &[])).await.is_ok(), "the old one is free");
}

#[tokio::test]
async fn deactivate_member_ends_sessions_and_log_in() {
    let rig = Rig::new().await;
    let owner = rig.owner("acme").await;
    let ada = rig.member(&owner, "ada@example.com", &[Role::Agent]).await;
    let request = DeactivateMemberRequest { member_id: ada.member.member_id.clone() };
    let mut client = rig.as_member(&owner.principal);
    assert!(!client.deactivate_member(request.clone()).await.unwrap().into_inner().active);
    assert_eq!(reason(rig.as_member(&ada.principal).get_self(GetSelfRequest {}).await), "SESSION_REVOKED");
    assert_eq!(reason(rig.authenticate(&ada.token).await), "SESSION_INVALID");
    assert_eq!(reason(rig.log_in("acme", "ada@example.com", PASSWORD).await), "LOG_IN_FAILED");
    assert_eq!(client.deactivate_member(request).await.unwrap().into_inner().version, 2, "twice is as once");
    let back = client.grant_role(grant(&ada.member.member_id, Role::Admin)).await;
    assert_eq!(reason(back), "MEMBER_INACTIVE");
}

#[tokio::test]
async fn members_are_listed_in_pages_and_foreign_ones_are_not_there() {
    let rig = Rig::new().await;
    let owner = rig.owner("acme").await;
    for number in 0..4 {
        rig.as_member(&owner.principal)
            .create_member(new_member(&format!("m{number}@example.com"), &[]))
            .await
            .unwrap();
    }
    let mut client = rig.as_member(&owner.principal);
    let (mut seen, mut after) = (Vec::new(), tonic::codegen::Bytes::new());
    loop {
        let request = ListMembersRequest { page: Some(Page { limit: 2, after }), ..Default::default() };
        let page = client.list_members(request).await.unwrap().into_inner();
        assert!(page.members.len() <= 2);
        seen.extend(page.members.into_iter().map(|member| member.email));
        after = page.next;
        if after.is_empty() {
            break;
        }
    }
    seen.sort();
    assert_eq!(
        seen,
        ["m0@example.com", "m1@example.com", "m2@example.com", "m3@example.com", "owner@example.com"]
    );
    let too_many = ListMembersRequest {
        page: Some(Page { limit: 201, after: Vec::new().into() }),
        ..Default::default()
    };
    assert_eq!(field(client.list_members(too_many).await), "page.limit");

    let stranger = rig.owner("other").await;
    let mut client = rig.as_member(&stranger.principal);
    let id = owner.member.member_id.clone();
    let gone = "MEMBER_NOT_FOUND";
    assert_eq!(reason(client.get_member(GetMemberRequest { member_id: id.clone() }).await), gone);
    assert_eq!(reason(client.grant_role(grant(&id, Role::Agent)).await), gone);
    assert_eq!(reason(client.revoke_role(revoke(&id, Role::Owner)).await), gone);
    assert_eq!(reason(client.deactivate_member(DeactivateMemberRequest { member_id: id }).await), gone);
    assert_eq!(field(client.get_member(GetMemberRequest { member_id: "con_1".into() }).await), "member_id");
}

#[tokio::test]
async fn what_a_member_is_called_is_nowhere_in_the_clear() {
    let rig = Rig::new().await;
    let owner = rig.owner("acme").await;
    rig.member(&owner, "canary.mail@example.com", &[Role::Agent]).await;
    for text in [dump(&rig.config.database).await, dump(&rig.config.keystore).await] {
        let lower = text.to_lowercase();
        for canary in ["olive", "ada agent", "canary", "example.com", "901820", "203.0.113", "firefox"] {
            assert!(!lower.contains(canary), "{canary} is stored in the clear");
            let hex: String = canary.bytes().map(|byte| format!("{byte:02x}")).collect();
            assert!(!lower.contains(&hex), "{canary} is stored as bytes");
        }
        assert!(lower.contains("4c544853") || lower.contains("4c544857"), "the dump has sealed values in it");
    }
}

#[tokio::test]
async fn check_member_says_whether_he_is_active_and_nothing_else() {
    let rig = Rig::new().await;
    let owner = rig.owner("acme").await;
    let ada = rig.member(&owner, "ada@example.com", &[Role::Agent]).await;
    let stranger = rig.owner("other").await;
    let check = async |member: &Someone| {
        let asked = CheckMemberRequest { member_id: member.member.member_id.clone() };
        let mut messaging = rig.as_messaging(&owner.principal);
        messaging.check_member(asked).await.map(|answer| answer.into_inner().active)
    };
    for _twice in 0..2 {
        assert!(check(&ada).await.unwrap());
        assert_eq!(reason(check(&stranger).await), "MEMBER_NOT_FOUND");
    }
    let leave = DeactivateMemberRequest { member_id: ada.member.member_id.clone() };
    rig.as_member(&owner.principal).deactivate_member(leave).await.unwrap();
    assert!(!check(&ada).await.unwrap());
}
