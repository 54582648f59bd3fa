//! LogIn and ChangePassword: one-time passwords, equal work for whoever does not exist, and the throttle.

use std::time::{Duration, Instant};

use lethe_access::Role;
use lethe_identity::jobs::sweep_expired;
use lethe_proto::identity::{
    ChangePasswordRequest, CreateMemberRequest, DeactivateMemberRequest, GetSelfRequest, GetTenantRequest,
    ListAuditEventsRequest, ListLogInRecordsRequest, ListMembersRequest, ListSessionsRequest, LogInRequest,
    LogOutRequest, ResetPasswordRequest, RevokeSessionRequest,
};
use lethe_service::Failure;
use lethe_testkit::Databases;

use crate::{
    audit::events,
    rig::{PASSWORD, Rig, Someone, dump, field, new_member, reason},
};

#[tokio::test]
async fn a_one_time_password_opens_nothing_but_its_own_change() {
    let rig = Rig::new().await;
    let created = rig.create_tenant("acme").await;
    let one_time = created.one_time_password;
    let opened = rig.log_in("acme", "owner@example.com", &one_time).await.unwrap();
    assert!(opened.must_change_password);
    let first = rig.authenticate(&opened.token).await.unwrap();
    assert!(rig.world.access.of("identity").verify_principal(&first).await.unwrap().roles().is_empty());

    let mut client = rig.as_member(&first);
    assert_eq!(client.get_self(GetSelfRequest {}).await.unwrap().into_inner().email, "owner@example.com");
    let must = "PASSWORD_CHANGE_REQUIRED";
    assert_eq!(reason(client.list_members(ListMembersRequest::default()).await), must);
    assert_eq!(reason(client.list_sessions(ListSessionsRequest::default()).await), must);
    assert_eq!(reason(client.list_log_in_records(ListLogInRecordsRequest::default()).await), must);
    assert_eq!(reason(client.get_tenant(GetTenantRequest {}).await), must);
    let session_id = opened.session.unwrap().session_id;
    assert_eq!(reason(client.revoke_session(RevokeSessionRequest { session_id }).await), must);

    let change = |current: &str, new: &str| ChangePasswordRequest {
        current_password: current.into(),
        new_password: new.into(),
    };
    assert_eq!(reason(client.change_password(change("wrong", PASSWORD)).await), "WRONG_PASSWORD");
    assert_eq!(field(client.change_password(change(&one_time, "too short")).await), "new_password");
    assert_eq!(field(client.change_password(change(&one_time, &one_time)).await), "new_password");
    client.change_password(change(&one_time, PASSWORD)).await.unwrap();

    assert_eq!(
        reason(client.get_self(GetSelfRequest {}).await),
        "SESSION_REVOKED",
        "the principal without roles"
    );
    let principal = rig.authenticate(&opened.token).await.unwrap();
    assert_eq!(
        rig.as_member(&principal)
            .list_members(ListMembersRequest::default())
            .await
            .unwrap()
            .into_inner()
            .members
            .len(),
        1
    );
    assert_eq!(reason(rig.log_in("acme", "owner@example.com", &one_time).await), "LOG_IN_FAILED");
    assert!(!rig.log_in("acme", "Owner@Example.COM ", PASSWORD).await.unwrap().must_change_password);
}

#[tokio::test]
async fn change_password_ends_all_other_sessions() {
    let rig = Rig::new().await;
    let owner = rig.owner("acme").await;
    let other = rig.log_in("acme", "owner@example.com", PASSWORD).await.unwrap();
    let held = rig.authenticate(&other.token).await.unwrap();
    let change =
        ChangePasswordRequest { current_password: PASSWORD.into(), new_password: "another password".into() };
    rig.as_member(&owner.principal).change_password(change).await.unwrap();
    assert_eq!(reason(rig.authenticate(&other.token).await), "SESSION_INVALID");
    assert_eq!(reason(rig.as_member(&held).get_self(GetSelfRequest {}).await), "SESSION_REVOKED");
    assert!(rig.authenticate(&owner.token).await.is_ok(), "the one that asked goes on");
}

#[tokio::test]
async fn whoever_does_not_exist_costs_the_same_and_hears_the_same() {
    let rig = Rig::new().await;
    let owner = rig.owner("acme").await;
    let gone = rig.member(&owner, "gone@example.com", &[Role::Agent]).await;
    let deactivate = DeactivateMemberRequest { member_id: gone.member.member_id };
    rig.as_member(&owner.principal).deactivate_member(deactivate).await.unwrap();
    let mut heard = Vec::new();
    for (slug, email, password) in [
        ("acme", "owner@example.com", "not the password"),
        ("acme", "nobody@example.com", PASSWORD),
        ("acme", "no address", PASSWORD),
        ("acme", "gone@example.com", PASSWORD),
        ("nowhere", "owner@example.com", PASSWORD),
        ("NO SLUG", "owner@example.com", PASSWORD),
        ("acme", "owner@example.com", &"x".repeat(5_000)),
        ("acme", "owner@example.com", ""),
    ] {
        let before = rig.identity.passwords_verified();
        let status = rig.log_in(slug, email, password).await.unwrap_err();
        assert_eq!(rig.identity.passwords_verified() - before, 1, "{slug} {email}");
        heard.push((status.code(), Failure::from_status(&status).reason, status.message().to_owned()));
    }
    heard.dedup();
    assert_eq!(heard.len(), 1, "{heard:?}");
    let before = rig.identity.passwords_verified();
    rig.log_in("acme", "owner@example.com", PASSWORD).await.unwrap();
    assert_eq!(rig.identity.passwords_verified() - before, 1);
}

#[tokio::test]
async fn a_failure_is_not_answered_before_its_time() {
    let floor = Duration::from_millis(300);
    let rig = Rig::with(|config| config.log_in.failure_floor_ms = 300).await;
    let owner = rig.owner("acme").await;
    for (slug, email) in
        [("acme", "owner@example.com"), ("acme", "nobody@example.com"), ("nowhere", "a@example.com")]
    {
        let start = Instant::now();
        assert_eq!(reason(rig.log_in(slug, email, "wrong").await), "LOG_IN_FAILED");
        assert!(start.elapsed() >= floor, "{slug} {email}: {:?}", start.elapsed());
    }
    drop(owner);
}

#[test]
fn passwords_cost_what_owasp_asks() {
    let text: toml::Table = lethe_identity::DEFAULTS.parse().unwrap();
    let passwords = &text["identity"]["passwords"];
    let cost = |key: &str| passwords[key].as_integer().unwrap();
    assert_eq!((cost("memory_kib"), cost("passes"), cost("lanes")), (19 * 1_024, 2, 1));
}

#[tokio::test]
async fn guessing_is_slowed_down_for_one_account_from_one_address() {
    let rig = Rig::with(|config| config.log_in.per_account_and_address = 3).await;
    let owner = rig.owner("acme").await;
    for _ in 0..3 {
        assert_eq!(reason(rig.log_in("acme", "owner@example.com", "wrong").await), "LOG_IN_FAILED");
    }
    let before = rig.identity.passwords_verified();
    let refused = rig.log_in("acme", "OWNER@example.com", PASSWORD).await.unwrap_err();
    let failure = Failure::from_status(&refused);
    assert_eq!((refused.code(), &*failure.reason), (tonic::Code::ResourceExhausted, "TOO_MANY_LOG_INS"));
    assert_eq!(failure.retry_after, Some(Duration::from_secs(900)));
    assert_eq!(rig.identity.passwords_verified(), before, "a refusal hashes nothing");
    let elsewhere = LogInRequest {
        tenant_slug: "acme".into(),
        email: "owner@example.com".into(),
        password: PASSWORD.into(),
        ip: "198.51.100.1".into(),
        user_agent: String::new(),
    };
    assert!(rig.gateway().log_in(elsewhere).await.is_ok(), "the owner himself is not locked out");
    rig.world.clock.advance(Duration::from_secs(900));
    assert!(rig.log_in("acme", "owner@example.com", PASSWORD).await.is_ok());
    drop(owner);
}

#[tokio::test]
async fn log_ins_leave_records_that_say_from_where() {
    let rig = Rig::new().await;
    let owner = rig.owner("acme").await;
    rig.world.clock.advance(Duration::from_secs(1));
    assert!(rig.log_in("acme", "owner@example.com", "wrong").await.is_err());
    let mine = ListLogInRecordsRequest::default();
    let records =
        rig.as_member(&owner.principal).list_log_in_records(mine).await.unwrap().into_inner().records;
    assert_eq!(records.iter().map(|record| record.succeeded).collect::<Vec<_>>(), [false, true]);
    for record in &records {
        assert_eq!(record.member_id, owner.member.member_id);
        let from =
            (record.ip.as_str(), record.browser.as_str(), record.os.as_str(), record.device_type.as_str());
        assert_eq!(from, ("203.0.113.7", "Firefox", "Linux", "desktop"));
        assert_eq!(record.method, "password");
    }
    // Another member's need the right to read the audit trail.
    let agent = rig.member(&owner, "agent@example.com", &[Role::Agent]).await;
    let others = ListLogInRecordsRequest { member_id: owner.member.member_id.clone(), page: None };
    assert_eq!(
        reason(rig.as_member(&agent.principal).list_log_in_records(others.clone()).await),
        "PERMISSION_DENIED"
    );
    let auditor = rig.member(&owner, "auditor@example.com", &[Role::Auditor]).await;
    let seen = rig.as_member(&auditor.principal).list_log_in_records(others).await.unwrap();
    assert_eq!(seen.into_inner().records.len(), 2);
}

#[tokio::test]
async fn log_out_ends_the_session_and_may_come_twice() {
    let rig = Rig::new().await;
    let owner = rig.owner("acme").await;
    rig.as_member(&owner.principal).log_out(LogOutRequest {}).await.unwrap();
    assert_eq!(reason(rig.authenticate(&owner.token).await), "SESSION_INVALID");
    assert_eq!(reason(rig.as_member(&owner.principal).log_out(LogOutRequest {}).await), "SESSION_REVOKED");
}

#[tokio::test]
async fn a_member_has_no_password_but_his_own() {
    let rig = Rig::new().await;
    let owner = rig.owner("acme").await;
    let created =
        rig.as_member(&owner.principal).create_member(new_member("ada@example.com", &[])).await.unwrap();
    let one_time = created.into_inner().one_time_password;
    assert_eq!(reason(rig.log_in("acme", "owner@example.com", &one_time).await), "LOG_IN_FAILED");
    assert_eq!(reason(rig.log_in("acme", "ada@example.com", PASSWORD).await), "LOG_IN_FAILED");
    assert!(rig.log_in("acme", "ada@example.com", &one_time).await.is_ok());
}

#[tokio::test]
async fn id_09_log_in_records_are_kept_ninety_days() {
    let rig = Rig::new().await;
    let owner = rig.owner("acme").await;
    let mut connection = Databases::superuser(&rig.config.database).await;
    let mut sweep = async |days: u64| {
        rig.world.clock.advance(Duration::from_secs(days * 86_400));
        sweep_expired::round(&rig.identity).await.unwrap();
        sqlx::query_as::<_, (i64, i64)>(
            "select (select count(*) from log_in_records), (select count(*) from audit_events)",
        )
        .fetch_one(&mut connection)
        .await
        .unwrap()
    };
    let (records, events) = sweep(90).await;
    assert_eq!(records, 1);
    assert_eq!(sweep(1).await, (0, events), "what was done stays in the audit log");
    drop(owner);
}

#[tokio::test]
async fn a_hash_made_by_bcrypt_elsewhere_lets_in_and_becomes_argon2id() {
    let rig = Rig::new().await;
    let owner = rig.owner("acme").await;
    let mut client = rig.as_member(&owner.principal);
    let bringing = |hash: &str| CreateMemberRequest {
        bcrypt_hash: hash.into(),
        ..new_member("ada@example.com", &[Role::Agent])
    };
    // One whose last letter says bits that are none: verifying it would be an error, not an answer.
    let unread = "$2b$05$Flnd.Cd3p1/tXdF28SzYjuts0hz5X/kMKIWXuyn6AYRvJih45H7HT";
    for bad in ["$2b$05$short", unread] {
        assert_eq!(field(client.create_member(bringing(bad)).await), "bcrypt_hash");
    }
    // Of "correct horse", by Python's bcrypt.
    let hash = "$2b$05$Flnd.Cd3p1/tXdF28SzYjuts0hz5X/kMKIWXuyn6AYRvJih45H7HS";
    let created = client.create_member(bringing(hash)).await.unwrap().into_inner();
    assert!(created.one_time_password.is_empty());

    let mut database = Databases::superuser(&rig.config.database).await;
    let mut stored = async || -> String {
        sqlx::query_scalar(
            "select password_hash from members where password_hash not like '$argon2id$%' limit 1",
        )
        .fetch_optional(&mut database)
        .await
        .unwrap()
        .unwrap_or_default()
    };
    assert_eq!(reason(rig.log_in("acme", "ada@example.com", "wrong horse").await), "LOG_IN_FAILED");
    assert_eq!(stored().await, hash, "a failure changes nothing");
    assert!(!rig.log_in("acme", "ada@example.com", "correct horse").await.unwrap().must_change_password);
    assert_eq!(stored().await, "", "all hashes are Argon2id's");
    rig.log_in("acme", "ada@example.com", "correct horse").await.unwrap();
    assert_eq!(reason(rig.log_in("acme", "ada@example.com", "wrong horse").await), "LOG_IN_FAILED");
}

#[tokio::test]
async fn id_17_a_crowd_of_log_ins_is_refused_at_once_and_others_are_served() {
    let rig = Rig::with(|config| {
        config.log_in.at_once = 16;
        config.log_in.failure_floor_ms = 2_000;
        config.log_in.per_address = 10_000;
    })
    .await;
    let owner = rig.owner("acme").await;
    let crowd = (0..200).map(|number| {
        let rig = &rig;
        async move {
            let started = Instant::now();
            let answer = rig.log_in("acme", &format!("nobody-{number}@example.com"), "x").await;
            (reason(answer), started.elapsed())
        }
    });
    let meanwhile = async {
        let started = Instant::now();
        for _ in 0..10 {
            rig.authenticate(&owner.token).await.unwrap();
        }
        started.elapsed()
    };
    let (answers, served) = tokio::join!(futures::future::join_all(crowd), meanwhile);
    let busy: Vec<_> = answers.iter().filter(|(reason, _)| reason == "LOG_IN_BUSY").collect();
    let failed = answers.iter().filter(|(reason, _)| reason == "LOG_IN_FAILED").count();
    assert_eq!((busy.len(), failed), (184, 16), "as many as may go on at a time");
    assert!(busy.iter().all(|(_, took)| took.as_millis() < 2_000), "refused before the floor");
    assert!(served.as_secs() < 2, "{served:?}");
    // And then there is room again.
    assert!(rig.log_in("acme", "owner@example.com", PASSWORD).await.is_ok());
}

#[tokio::test]
async fn a_one_time_password_that_nobody_used_in_time_lets_nobody_in() {
    let rig = Rig::new().await;
    let first = rig.create_tenant("other").await.one_time_password;
    let owner = rig.owner("acme").await;
    let days = |days: u64| Duration::from_secs(days * 86_400);
    let good_for = days(rig.config.passwords.one_time_days.get().into());
    let mut client = rig.as_member(&owner.principal);
    let ada = client.create_member(new_member("ada@example.com", &[Role::Agent])).await.unwrap().into_inner();
    let eve = client.create_member(new_member("eve@example.com", &[Role::Agent])).await.unwrap().into_inner();
    let until = lethe_service::timestamp(rig.world.clock.now() + good_for).seconds;
    assert!((until - 60..=until).contains(&ada.password_expires_at.unwrap().seconds));
    rig.settle("acme", "eve@example.com", &eve.one_time_password).await;
    let opened = rig.log_in("acme", "ada@example.com", &ada.one_time_password).await.unwrap();
    rig.world.clock.advance(good_for);

    let refused = rig.log_in("acme", "ada@example.com", &ada.one_time_password).await;
    assert_eq!(reason(refused), "LOG_IN_FAILED");
    assert_eq!(reason(rig.authenticate(&opened.token).await), "SESSION_INVALID");
    assert!(rig.log_in("acme", "eve@example.com", PASSWORD).await.is_ok(), "she has chosen her own");
    assert!(rig.log_in("other", "owner@example.com", &first).await.is_ok(), "nobody could make him another");

    let owner = rig.log_in("acme", "owner@example.com", PASSWORD).await.unwrap();
    let principal = rig.authenticate(&owner.token).await.unwrap();
    let member_id = ada.member.unwrap().member_id;
    let again = rig.as_member(&principal).reset_password(ResetPasswordRequest { member_id }).await.unwrap();
    let again = again.into_inner().one_time_password;
    assert!(rig.log_in("acme", "ada@example.com", &again).await.unwrap().must_change_password);
    rig.world.clock.advance(good_for);
    assert_eq!(reason(rig.log_in("acme", "ada@example.com", &again).await), "LOG_IN_FAILED");
}

#[tokio::test]
async fn a_lost_password_is_made_anew_by_another_member_and_ends_the_sessions() {
    let rig = Rig::new().await;
    let owner = rig.owner("acme").await;
    let admin = rig.member(&owner, "admin@example.com", &[Role::Admin]).await;
    let ada = rig.member(&owner, "ada@example.com", &[Role::Agent]).await;
    let officer = rig.member(&owner, "officer@example.com", &[Role::PrivacyOfficer]).await;
    let stranger = rig.owner("other").await;
    let of = |member: &Someone| ResetPasswordRequest { member_id: member.member.member_id.clone() };
    let mut by_admin = rig.as_member(&admin.principal);
    assert_eq!(reason(by_admin.reset_password(of(&owner)).await), "OWNER_REQUIRED");
    assert_eq!(reason(by_admin.reset_password(of(&admin)).await), "PERMISSION_DENIED", "one's own");
    assert_eq!(reason(by_admin.reset_password(of(&officer)).await), "PERMISSION_DENIED", "he may hold");
    assert_eq!(reason(by_admin.reset_password(of(&stranger)).await), "MEMBER_NOT_FOUND");
    assert_eq!(reason(rig.as_member(&ada.principal).reset_password(of(&admin)).await), "PERMISSION_DENIED");

    assert!(rig.log_in("acme", "officer@example.com", PASSWORD).await.is_ok(), "nothing was changed");
    rig.as_member(&owner.principal).reset_password(of(&officer)).await.unwrap();

    let lost = by_admin.reset_password(of(&ada)).await.unwrap().into_inner().one_time_password;
    let one_time = by_admin.reset_password(of(&ada)).await.unwrap().into_inner().one_time_password;
    assert_eq!(reason(rig.authenticate(&ada.token).await), "SESSION_INVALID");
    assert_eq!(reason(rig.as_member(&ada.principal).get_self(GetSelfRequest {}).await), "SESSION_REVOKED");
    for old in [PASSWORD, &lost] {
        assert_eq!(reason(rig.log_in("acme", "ada@example.com", old).await), "LOG_IN_FAILED");
    }
    assert!(!dump(&rig.config.database).await.contains(&one_time), "only its hash is kept");
    assert!(rig.log_in("acme", "ada@example.com", &one_time).await.unwrap().must_change_password);
    rig.settle("acme", "ada@example.com", &one_time).await;
    let about = ListAuditEventsRequest { target_id: ada.member.member_id.clone(), ..Default::default() };
    let trail = events(&rig, &owner, about).await;
    let resets: Vec<_> = trail.iter().filter(|event| event.action == "ResetPassword").collect();
    assert_eq!((resets.len(), &resets[0].actor_id), (2, &admin.member.member_id));
    let gone = DeactivateMemberRequest { member_id: ada.member.member_id.clone() };
    by_admin.deactivate_member(gone).await.unwrap();
    assert_eq!(reason(by_admin.reset_password(of(&ada)).await), "MEMBER_INACTIVE");
    rig.world.stop().await;
}
