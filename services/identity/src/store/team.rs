//! Teams and who is in them.

use lethe_ids::{MemberId, TeamId};
use lethe_service::{Limit, PageKey, TenantTx};
use sqlx::{Row, postgres::PgRow};
use time::OffsetDateTime;

/// A team as it is kept.
#[derive(Debug, Clone)]
pub struct TeamRow {
    /// Its id.
    pub id: TeamId,
    /// Its name.
    pub name: String,
    /// How many are in it.
    pub members: i64,
    /// Counted up when the name changes.
    pub version: i64,
    /// When it was made.
    pub created_at: OffsetDateTime,
}

fn read(row: &PgRow) -> Result<TeamRow, sqlx::Error> {
    Ok(TeamRow {
        id: TeamId::new(row.try_get(0)?),
        name: row.try_get(1)?,
        members: row.try_get(2)?,
        version: row.try_get(3)?,
        created_at: row.try_get(4)?,
    })
}

/// Inserts a team. `false` when another has the name.
pub async fn insert(tx: &mut TenantTx, row: &TeamRow) -> Result<bool, sqlx::Error> {
    let tenant = tx.tenant();
    let done = sqlx::query(
        "insert into teams (tenant_id, team_id, name, version, created_at) values ($1, $2, $3, $4, $5)
         on conflict (tenant_id, lower(name)) do nothing",
    )
    .bind(tenant.uuid())
    .bind(row.id.uuid())
    .bind(&row.name)
    .bind(row.version)
    .bind(row.created_at)
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// How many teams the tenant has.
pub async fn count(tx: &mut TenantTx) -> Result<i64, sqlx::Error> {
    let tenant = tx.tenant();
    sqlx::query_scalar("select count(*) from teams where tenant_id = $1")
        .bind(tenant.uuid())
        .fetch_one(&mut **tx)
        .await
}

/// A team.
pub async fn get(tx: &mut TenantTx, team: TeamId) -> Result<Option<TeamRow>, sqlx::Error> {
    let tenant = tx.tenant();
    let row = sqlx::query(
        "select team_id, name,
                (select count(*) from team_members m where m.tenant_id = $1 and m.team_id = t.team_id), version, created_at
           from teams t where tenant_id = $1 and team_id = $2",
    )
    .bind(tenant.uuid())
    .bind(team.uuid())
    .fetch_optional(&mut **tx)
    .await?;
    row.as_ref().map(read).transpose()
}

/// Whoever changes who is in a team waits here for whoever else does. `false` when there is no such team.
pub async fn lock(tx: &mut TenantTx, team: TeamId) -> Result<bool, sqlx::Error> {
    let tenant = tx.tenant();
    let row = sqlx::query("select 1 from teams where tenant_id = $1 and team_id = $2 for update")
        .bind(tenant.uuid())
        .bind(team.uuid())
        .fetch_optional(&mut **tx)
        .await?;
    Ok(row.is_some())
}

/// Teams by age, one more than the limit; of one member, if given.
pub async fn list(
    tx: &mut TenantTx,
    member: Option<MemberId>,
    after: Option<PageKey>,
    limit: Limit,
) -> Result<Vec<TeamRow>, sqlx::Error> {
    let tenant = tx.tenant();
    let (at, id) = super::after(after);
    let rows = sqlx::query(
        "select team_id, name,
                (select count(*) from team_members m where m.tenant_id = $1 and m.team_id = t.team_id), version, created_at
           from teams t
          where tenant_id = $1 and ($2::timestamptz is null or (created_at, team_id) > ($2, $3::uuid))
            and ($5::uuid is null or exists (select from team_members m
                  where m.tenant_id = $1 and m.member_id = $5 and m.team_id = t.team_id))
          order by created_at, team_id limit $4",
    )
    .bind(tenant.uuid())
    .bind(at)
    .bind(id)
    .bind(limit.and_one())
    .bind(member.map(MemberId::uuid))
    .fetch_all(&mut **tx)
    .await?;
    rows.iter().map(read).collect()
}

/// Whether another team has the name.
pub async fn has_name(tx: &mut TenantTx, team: TeamId, name: &str) -> Result<bool, sqlx::Error> {
    let tenant = tx.tenant();
    sqlx::query_scalar(
        "select exists (select from teams where tenant_id = $1 and team_id <> $2 and lower(name) = lower($3))",
    )
    .bind(tenant.uuid())
    .bind(team.uuid())
    .bind(name)
    .fetch_one(&mut **tx)
    .await
}

/// Writes the name over version `version`. `false` when it is another version by now.
pub async fn update(tx: &mut TenantTx, team: TeamId, version: i64, name: &str) -> Result<bool, sqlx::Error> {
    let tenant = tx.tenant();
    let done = sqlx::query(
        "update teams set name = $4, version = version + 1
          where tenant_id = $1 and team_id = $2 and version = $3",
    )
    .bind(tenant.uuid())
    .bind(team.uuid())
    .bind(version)
    .bind(name)
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Deletes a team. `false` when there is none.
pub async fn delete(tx: &mut TenantTx, team: TeamId) -> Result<bool, sqlx::Error> {
    let tenant = tx.tenant();
    let done = sqlx::query("delete from teams where tenant_id = $1 and team_id = $2")
        .bind(tenant.uuid())
        .bind(team.uuid())
        .execute(&mut **tx)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Puts a member into a team. `false` when he is in it.
pub async fn add(
    tx: &mut TenantTx,
    team: TeamId,
    member: MemberId,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let tenant = tx.tenant();
    let done = sqlx::query(
        "insert into team_members (tenant_id, team_id, member_id, added_at) values ($1, $2, $3, $4)
         on conflict do nothing",
    )
    .bind(tenant.uuid())
    .bind(team.uuid())
    .bind(member.uuid())
    .bind(now)
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Takes a member out of a team. `false` when he is not in it.
pub async fn remove(tx: &mut TenantTx, team: TeamId, member: MemberId) -> Result<bool, sqlx::Error> {
    let tenant = tx.tenant();
    let done =
        sqlx::query("delete from team_members where tenant_id = $1 and team_id = $2 and member_id = $3")
            .bind(tenant.uuid())
            .bind(team.uuid())
            .bind(member.uuid())
            .execute(&mut **tx)
            .await?;
    Ok(done.rows_affected() == 1)
}
