//! Members. The profile is sealed; whoever wants to read it needs the keyring.

use lethe_ids::{MemberId, SubjectId, TeamId, UnitId};
use lethe_service::{Limit, PageKey, TenantTx};
use sqlx::{Row, postgres::PgRow};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::{member::Roles, member_erasure::Mode};

/// A member as he is kept.
#[derive(Clone)]
pub struct MemberRow {
    /// His id.
    pub id: MemberId,
    /// The holder of his subject secret.
    pub subject: SubjectId,
    /// The holder of his profile's secret.
    pub unit: UnitId,
    /// Sealed: `domain::member::Profile`.
    pub profile: Vec<u8>,
    /// The seal version of the profile.
    pub profile_version: i32,
    /// PHC string.
    pub password_hash: String,
    /// The password is a one-time one.
    pub must_change_password: bool,
    /// When a one-time password is worth nothing any more.
    pub password_expires_at: Option<OffsetDateTime>,
    /// What he was given.
    pub roles: Roles,
    /// Whether he may log in.
    pub active: bool,
    /// Counted up by each change.
    pub version: i64,
    /// No principal of his counts as issued before this.
    pub void_before_ms: i64,
    /// When he was created.
    pub created_at: OffsetDateTime,
    /// How much of him is gone.
    pub erased: Option<Mode>,
}

fn read(row: &PgRow) -> Result<MemberRow, sqlx::Error> {
    Ok(MemberRow {
        id: MemberId::new(row.try_get("member_id")?),
        subject: SubjectId::new(row.try_get("subject_id")?),
        unit: UnitId::new(row.try_get("unit_id")?),
        profile: row.try_get("profile")?,
        profile_version: row.try_get("profile_version")?,
        password_hash: row.try_get("password_hash")?,
        must_change_password: row.try_get("must_change_password")?,
        password_expires_at: row.try_get("password_expires_at")?,
        roles: Roles::from_numbers(&row.try_get::<Vec<i16>, _>("roles")?),
        active: row.try_get("active")?,
        version: row.try_get("version")?,
        void_before_ms: row.try_get("void_before_ms")?,
        created_at: row.try_get("created_at")?,
        erased: Mode::of(row.try_get("erased")?),
    })
}

/// Inserts a member of the transaction's tenant.
pub async fn insert(tx: &mut TenantTx, row: &MemberRow) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant();
    sqlx::query(
        "insert into members (tenant_id, member_id, subject_id, unit_id, profile, profile_version, password_hash,
                              must_change_password, roles, active, version, void_before_ms, created_at, password_expires_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
    )
    .bind(tenant.uuid())
    .bind(row.id.uuid())
    .bind(row.subject.uuid())
    .bind(row.unit.uuid())
    .bind(&row.profile)
    .bind(row.profile_version)
    .bind(&row.password_hash)
    .bind(row.must_change_password)
    .bind(row.roles.numbers())
    .bind(row.active)
    .bind(row.version)
    .bind(row.void_before_ms)
    .bind(row.created_at)
    .bind(row.password_expires_at)
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// A member.
pub async fn get(tx: &mut TenantTx, member: MemberId) -> Result<Option<MemberRow>, sqlx::Error> {
    let tenant = tx.tenant();
    let row = sqlx::query(
        "select member_id, subject_id::uuid, unit_id, profile, profile_version, password_hash, must_change_password,
                password_expires_at, roles, active, version, void_before_ms, created_at, erased
           from members where tenant_id = $1 and member_id = $2",
    )
    .bind(tenant.uuid())
    .bind(member.uuid())
    .fetch_optional(&mut **tx)
    .await?;
    row.as_ref().map(read).transpose()
}

/// A member whom nobody else changes until the transaction ends.
pub async fn lock(tx: &mut TenantTx, member: MemberId) -> Result<Option<MemberRow>, sqlx::Error> {
    let tenant = tx.tenant();
    let row = sqlx::query(
        "select member_id, subject_id::uuid, unit_id, profile, profile_version, password_hash, must_change_password,
                password_expires_at, roles, active, version, void_before_ms, created_at, erased
           from members where tenant_id = $1 and member_id = $2 for update",
    )
    .bind(tenant.uuid())
    .bind(member.uuid())
    .fetch_optional(&mut **tx)
    .await?;
    row.as_ref().map(read).transpose()
}

/// The members behind these subjects, which a blind index found.
pub async fn by_subjects(tx: &mut TenantTx, subjects: &[SubjectId]) -> Result<Vec<MemberRow>, sqlx::Error> {
    let tenant = tx.tenant();
    let subjects: Vec<Uuid> = subjects.iter().map(|subject| subject.uuid()).collect();
    let rows = sqlx::query(
        "select member_id, subject_id::uuid, unit_id, profile, profile_version, password_hash, must_change_password,
                password_expires_at, roles, active, version, void_before_ms, created_at, erased
           from members where tenant_id = $1 and subject_id::uuid = any($2)",
    )
    .bind(tenant.uuid())
    .bind(subjects)
    .fetch_all(&mut **tx)
    .await?;
    rows.iter().map(read).collect()
}

/// Members by age, of one team if given, one more than the limit.
pub async fn list(
    tx: &mut TenantTx,
    team: Option<TeamId>,
    after: Option<PageKey>,
    limit: Limit,
) -> Result<Vec<MemberRow>, sqlx::Error> {
    let tenant = tx.tenant();
    let (at, id) = super::after(after);
    let rows = sqlx::query(
        "select member_id, subject_id::uuid, unit_id, profile, profile_version, password_hash, must_change_password,
                password_expires_at, roles, active, version, void_before_ms, created_at, erased
           from members
          where tenant_id = $1 and ($2::timestamptz is null or (created_at, member_id) > ($2, $3::uuid))
            and ($5::uuid is null or exists (select from team_members t
                  where t.tenant_id = $1 and t.team_id = $5 and t.member_id = members.member_id))
          order by created_at, member_id limit $4",
    )
    .bind(tenant.uuid())
    .bind(at)
    .bind(id)
    .bind(limit.and_one())
    .bind(team.map(TeamId::uuid))
    .fetch_all(&mut **tx)
    .await?;
    rows.iter().map(read).collect()
}

/// The tenant's oldest member with this role.
pub async fn first_with_role(tx: &mut TenantTx, role: i16) -> Result<Option<MemberRow>, sqlx::Error> {
    let tenant = tx.tenant();
    let row = sqlx::query(
        "select member_id, subject_id::uuid, unit_id, profile, profile_version, password_hash, must_change_password,
                password_expires_at, roles, active, version, void_before_ms, created_at, erased
           from members where tenant_id = $1 and $2 = any(roles) order by created_at, member_id limit 1",
    )
    .bind(tenant.uuid())
    .bind(role)
    .fetch_optional(&mut **tx)
    .await?;
    row.as_ref().map(read).transpose()
}

/// How many active members besides this one have the role.
pub async fn others_with_role(tx: &mut TenantTx, member: MemberId, role: i16) -> Result<i64, sqlx::Error> {
    let tenant = tx.tenant();
    sqlx::query_scalar(
        "select count(*) from members where tenant_id = $1 and member_id <> $2 and active and $3 = any(roles)",
    )
    .bind(tenant.uuid())
    .bind(member.uuid())
    .bind(role)
    .fetch_one(&mut **tx)
    .await
}

/// Writes the profile over version `version`. `false` when it is another version by now.
pub async fn update_profile(
    tx: &mut TenantTx,
    member: MemberId,
    version: i64,
    profile: &[u8],
    profile_version: i32,
) -> Result<bool, sqlx::Error> {
    let tenant = tx.tenant();
    let done = sqlx::query(
        "update members set profile = $4, profile_version = $5, version = version + 1
          where tenant_id = $1 and member_id = $2 and version = $3",
    )
    .bind(tenant.uuid())
    .bind(member.uuid())
    .bind(version)
    .bind(profile)
    .bind(profile_version)
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Writes roles and activity, and voids the principals of before.
pub async fn update_rights(
    tx: &mut TenantTx,
    member: MemberId,
    roles: &Roles,
    active: bool,
    void_before_ms: i64,
) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant();
    sqlx::query(
        "update members set roles = $3, active = $4, void_before_ms = greatest(void_before_ms, $5),
                            version = version + 1
          where tenant_id = $1 and member_id = $2",
    )
    .bind(tenant.uuid())
    .bind(member.uuid())
    .bind(roles.numbers())
    .bind(active)
    .bind(void_before_ms)
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// Replaces a password. `false` when it is not `old_hash` any more, or the member is inactive.
pub async fn update_password(
    tx: &mut TenantTx,
    member: MemberId,
    old_hash: &str,
    new_hash: &str,
    void_before_ms: i64,
) -> Result<bool, sqlx::Error> {
    let tenant = tx.tenant();
    let done = sqlx::query(
        "update members set password_hash = $4, must_change_password = false,
                            password_expires_at = null, void_before_ms = greatest(void_before_ms, $5)
          where tenant_id = $1 and member_id = $2 and password_hash = $3 and active",
    )
    .bind(tenant.uuid())
    .bind(member.uuid())
    .bind(old_hash)
    .bind(new_hash)
    .bind(void_before_ms)
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Gives a one-time password.
pub async fn reset_password(
    tx: &mut TenantTx,
    member: MemberId,
    hash: &str,
    expires_at: OffsetDateTime,
    void_before_ms: i64,
) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant();
    sqlx::query(
        "update members set password_hash = $3, must_change_password = true,
                            password_expires_at = $4, void_before_ms = greatest(void_before_ms, $5)
          where tenant_id = $1 and member_id = $2",
    )
    .bind(tenant.uuid())
    .bind(member.uuid())
    .bind(hash)
    .bind(expires_at)
    .bind(void_before_ms)
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// Whether the member is active with this very password, and stays so until the transaction ends.
pub async fn hold(tx: &mut TenantTx, member: MemberId, password_hash: &str) -> Result<bool, sqlx::Error> {
    let tenant = tx.tenant();
    let row = sqlx::query(
        "select 1 from members where tenant_id = $1 and member_id = $2 and active and password_hash = $3 for share",
    )
    .bind(tenant.uuid())
    .bind(member.uuid())
    .bind(password_hash)
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.is_some())
}

/// Those of the secrets that a member of the tenant still uses.
pub async fn owned(tx: &mut TenantTx, secrets: &[Uuid]) -> Result<Vec<Uuid>, sqlx::Error> {
    let tenant = tx.tenant();
    sqlx::query_scalar(
        "select s from members, unnest(array[subject_id::uuid, unit_id]) s
          where tenant_id = $1 and s = any($2) and (subject_id::uuid = any($2) or unit_id = any($2))
         union all select unit_id from member_photos where tenant_id = $1 and unit_id = any($2)",
    )
    .bind(tenant.uuid())
    .bind(secrets)
    .fetch_all(&mut **tx)
    .await
}
