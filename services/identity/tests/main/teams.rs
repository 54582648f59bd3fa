//! Teams: one name in a tenant, bounds, and who is in them.

use lethe_access::{PrincipalToken, Role};
use lethe_proto::{
    identity::{
        AddTeamMemberRequest, CreateTeamRequest, DeactivateMemberRequest, DeleteTeamRequest, GetTeamRequest,
        ListMembersRequest, ListTeamsRequest, RemoveTeamMemberRequest, Team, UpdateTeamRequest,
        team_service_client::TeamServiceClient,
    },
    request::{Idempotency, Page},
};
use lethe_service::PeerChannel;
use tonic::Status;

use crate::rig::{Rig, field, reason};

fn client(rig: &Rig, principal: &PrincipalToken) -> TeamServiceClient<PeerChannel> {
    TeamServiceClient::new(rig.world.client("gateway", "identity", Some(principal.clone())))
}

async fn create(rig: &Rig, principal: &PrincipalToken, name: &str, key: &str) -> Result<Team, Status> {
    let idempotency = Some(Idempotency { key: key.into() });
    let request = CreateTeamRequest { name: name.into(), idempotency };
    client(rig, principal).create_team(request).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn a_team_has_a_name_of_its_own_and_is_made_once() {
    let rig = Rig::new().await;
    let owner = rig.owner("acme").await;
    let team = create(&rig, &owner.principal, " Support ", "k1").await.unwrap();
    assert_eq!((team.name.as_str(), team.members, team.version), ("Support", 0, 1));
    assert_eq!(create(&rig, &owner.principal, " Support ", "k1").await.unwrap(), team);
    assert_eq!(reason(create(&rig, &owner.principal, "Sales", "k1").await), "IDEMPOTENCY_KEY_REUSED");
    assert_eq!(reason(create(&rig, &owner.principal, "SUPPORT", "k2").await), "TEAM_NAME_TAKEN");
    assert_eq!(field(create(&rig, &owner.principal, " ", "k3").await), "name");
    let stranger = rig.owner("other").await;
    assert!(create(&rig, &stranger.principal, "Support", "k1").await.is_ok(), "another tenant's");

    let sales = create(&rig, &owner.principal, "Sales", "k4").await.unwrap();
    let mut teams = client(&rig, &owner.principal);
    let rename = |name: &str, if_version| UpdateTeamRequest {
        team_id: sales.team_id.clone(),
        name: name.into(),
        if_version,
    };
    assert_eq!(reason(teams.update_team(rename("support", 1)).await), "TEAM_NAME_TAKEN");
    assert_eq!(reason(teams.update_team(rename("Orders", 0)).await), "VERSION_REQUIRED");
    let renamed = teams.update_team(rename("sales", 1)).await.unwrap().into_inner();
    assert_eq!((renamed.name.as_str(), renamed.version), ("sales", 2));
    assert_eq!(reason(teams.update_team(rename("Orders", 1)).await), "VERSION_MISMATCH");

    let theirs =
        client(&rig, &stranger.principal).get_team(GetTeamRequest { team_id: sales.team_id.clone() }).await;
    assert_eq!(reason(theirs), "TEAM_NOT_FOUND");
    let delete = DeleteTeamRequest { team_id: sales.team_id.clone() };
    assert_eq!(reason(client(&rig, &stranger.principal).delete_team(delete.clone()).await), "TEAM_NOT_FOUND");
    teams.delete_team(delete.clone()).await.unwrap();
    assert_eq!(reason(teams.delete_team(delete).await), "TEAM_NOT_FOUND");
    assert_eq!(
        reason(create(&rig, &owner.principal, "Sales", "k4").await),
        "TEAM_GONE",
        "it is not made anew"
    );
    assert!(create(&rig, &owner.principal, "Sales", "k5").await.is_ok(), "the name is free");
}

#[tokio::test]
async fn members_come_and_go_and_are_listed_by_team() {
    let rig = Rig::new().await;
    let owner = rig.owner("acme").await;
    let ada = rig.member(&owner, "ada@example.com", &[Role::Agent]).await;
    let bob = rig.member(&owner, "bob@example.com", &[]).await;
    let team = create(&rig, &owner.principal, "Support", "k1").await.unwrap();
    create(&rig, &owner.principal, "Sales", "k2").await.unwrap();
    let mut teams = client(&rig, &owner.principal);
    let add =
        |member: &str| AddTeamMemberRequest { team_id: team.team_id.clone(), member_id: member.to_owned() };
    let (ada_id, bob_id) = (ada.member.member_id.as_str(), bob.member.member_id.as_str());
    assert_eq!(teams.add_team_member(add(ada_id)).await.unwrap().into_inner().members, 1);
    assert_eq!(teams.add_team_member(add(ada_id)).await.unwrap().into_inner().members, 1, "twice is once");
    let leave = DeactivateMemberRequest { member_id: bob_id.to_owned() };
    rig.as_member(&owner.principal).deactivate_member(leave).await.unwrap();
    assert_eq!(reason(teams.add_team_member(add(bob_id)).await), "MEMBER_INACTIVE");
    let stranger = rig.owner("other").await;
    assert_eq!(reason(teams.add_team_member(add(&stranger.member.member_id)).await), "MEMBER_NOT_FOUND");
    assert_eq!(reason(client(&rig, &ada.principal).add_team_member(add(ada_id)).await), "PERMISSION_DENIED");

    let mut as_agent = client(&rig, &ada.principal);
    let all = as_agent.list_teams(ListTeamsRequest::default()).await.unwrap().into_inner();
    assert_eq!(all.teams.len(), 2);
    let mine = ListTeamsRequest { member_id: ada_id.to_owned(), ..ListTeamsRequest::default() };
    let mine = as_agent.list_teams(mine).await.unwrap().into_inner();
    assert_eq!(mine.teams.iter().map(|team| team.name.as_str()).collect::<Vec<_>>(), ["Support"]);
    let first = ListTeamsRequest {
        page: Some(Page { limit: 1, after: Vec::new().into() }),
        ..ListTeamsRequest::default()
    };
    let first = as_agent.list_teams(first).await.unwrap().into_inner();
    assert!(first.teams.len() == 1 && !first.next.is_empty());
    let of_team = ListMembersRequest { team_id: team.team_id.clone(), ..ListMembersRequest::default() };
    let listed =
        rig.as_member(&ada.principal).list_members(of_team.clone()).await.unwrap().into_inner().members;
    assert_eq!(listed.iter().map(|member| member.member_id.as_str()).collect::<Vec<_>>(), [ada_id]);

    let remove = RemoveTeamMemberRequest { team_id: team.team_id.clone(), member_id: ada_id.to_owned() };
    for _ in 0..2 {
        assert_eq!(teams.remove_team_member(remove.clone()).await.unwrap().into_inner().members, 0);
    }
    let listed = rig.as_member(&ada.principal).list_members(of_team).await.unwrap().into_inner();
    assert!(listed.members.is_empty());
}

#[tokio::test]
async fn teams_and_their_members_are_bounded() {
    let rig = Rig::with(|config| {
        config.teams.most = 2;
        config.teams.most_members = 1;
    })
    .await;
    let owner = rig.owner("acme").await;
    let ada = rig.member(&owner, "ada@example.com", &[]).await;
    let team = create(&rig, &owner.principal, "one", "k1").await.unwrap();
    create(&rig, &owner.principal, "two", "k2").await.unwrap();
    assert_eq!(reason(create(&rig, &owner.principal, "three", "k3").await), "TOO_MANY_TEAMS");
    let add =
        |member: &str| AddTeamMemberRequest { team_id: team.team_id.clone(), member_id: member.to_owned() };
    let mut teams = client(&rig, &owner.principal);
    teams.add_team_member(add(&owner.member.member_id)).await.unwrap();
    assert_eq!(reason(teams.add_team_member(add(&ada.member.member_id)).await), "TOO_MANY_TEAM_MEMBERS");
    let one = teams.get_team(GetTeamRequest { team_id: team.team_id.clone() }).await.unwrap();
    assert_eq!(one.into_inner().members, 1);
}
