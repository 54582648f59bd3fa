//! Contacts. What is fenced is not there.

use lethe_ids::{ContactId, SubjectId, UnitId};
use lethe_service::TenantTx;
use sqlx::FromRow;
use time::OffsetDateTime;
use uuid::Uuid;

use super::merge;
use crate::error::Error;

/// A contact as it is stored, with its head.
#[derive(Debug, FromRow)]
pub(crate) struct ContactRow {
    contact_id: Uuid,
    subject_id: Uuid,
    unit_id: Uuid,
    /// Sealed.
    pub(crate) profile: Vec<u8>,
    /// The seal version of the profile.
    pub(crate) sealed_version: i32,
    /// Counts changes of what a reader sees.
    pub(crate) version: i64,
    /// The contact's sequence when the contact itself last changed.
    pub(crate) seq: i64,
    /// When it was created.
    pub(crate) created_at: OffsetDateTime,
    /// When it last changed.
    pub(crate) updated_at: OffsetDateTime,
    /// On the opt-out list.
    pub(crate) opted_out: bool,
    /// The ground of the restriction; 0 is none.
    pub(crate) restriction: i16,
    /// There is one in contact_pictures.
    pub(crate) has_picture: bool,
    /// What it says is refused.
    pub(crate) banned: bool,
}

impl ContactRow {
    /// Which contact.
    pub(crate) fn id(&self) -> ContactId {
        ContactId::new(self.contact_id)
    }
    /// Whose secret its profile is sealed under.
    pub(crate) fn subject(&self) -> SubjectId {
        SubjectId::new(self.subject_id)
    }
    /// The profile's unit.
    pub(crate) fn unit(&self) -> UnitId {
        UnitId::new(self.unit_id)
    }
}

/// A contact to be inserted.
#[derive(Debug)]
pub(crate) struct NewContact<'a> {
    /// Its id.
    pub(crate) contact: ContactId,
    /// Whose secret.
    pub(crate) subject: SubjectId,
    /// The profile's unit.
    pub(crate) unit: UnitId,
    /// Sealed, seal version 1.
    pub(crate) profile: &'a [u8],
    /// Begins on the opt-out list.
    pub(crate) opted_out: bool,
    /// Now.
    pub(crate) at: OffsetDateTime,
}

/// The contacts of the tenant `$1` for which `$condition` is so.
macro_rules! columns {
    ($condition:literal) => {
        concat!(
            "select c.contact_id, c.subject_id, c.unit_id, c.profile, c.sealed_version, c.version, c.seq, c.created_at,
                    c.updated_at, h.opted_out, h.restriction, h.banned,
                    exists (select from contact_pictures p
                             where p.tenant_id = c.tenant_id and p.contact_id = c.contact_id) as has_picture
               from contacts c join contact_head h on h.tenant_id = c.tenant_id and h.contact_id = c.contact_id
              where c.tenant_id = $1 and not h.fenced and ",
            $condition
        )
    };
}

/// Inserts a contact, its head and its subject; version and sequence are 1.
pub(crate) async fn insert(tx: &mut TenantTx, new: &NewContact<'_>) -> sqlx::Result<()> {
    let tenant = tx.tenant();
    super::head::insert(tx, new.contact, new.opted_out).await?;
    sqlx::query(
        "with subject as (
           insert into contact_subjects (tenant_id, subject_id, contact_id) values ($1, $3, $2))
         insert into contacts (tenant_id, contact_id, subject_id, unit_id, profile, sealed_version, version, seq,
                               created_at, updated_at)
         values ($1, $2, $3, $4, $5, 1, 1, 1, $6, $6)",
    )
    .bind(tenant.uuid())
    .bind(new.contact.uuid())
    .bind(new.subject.uuid())
    .bind(new.unit.uuid())
    .bind(new.profile)
    .bind(new.at)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// One contact.
pub(crate) async fn find(tx: &mut TenantTx, contact: ContactId) -> sqlx::Result<Option<ContactRow>> {
    let tenant = tx.tenant();
    sqlx::query_as(columns!("c.contact_id = $2"))
        .bind(tenant.uuid())
        .bind(contact.uuid())
        .fetch_optional(&mut **tx)
        .await
}

/// The same.
///
/// # Errors
/// [`Error::NotFound`], or [`Error::Merged`] for one that was merged.
pub(crate) async fn require(tx: &mut TenantTx, contact: ContactId) -> Result<ContactRow, Error> {
    match find(tx, contact).await? {
        Some(row) => Ok(row),
        None => Err(merge::missing(tx, contact).await?),
    }
}

/// The newest contacts older than `before`.
pub(crate) async fn list(tx: &mut TenantTx, before: Uuid, most: i64) -> sqlx::Result<Vec<ContactRow>> {
    let tenant = tx.tenant();
    sqlx::query_as(columns!("c.contact_id < $2 order by c.contact_id desc limit $3"))
        .bind(tenant.uuid())
        .bind(before)
        .bind(most)
        .fetch_all(&mut **tx)
        .await
}

/// The contacts that these subjects belong to, oldest first.
pub(crate) async fn of_subjects(tx: &mut TenantTx, subjects: &[SubjectId]) -> sqlx::Result<Vec<ContactRow>> {
    let tenant = tx.tenant();
    let subjects: Vec<Uuid> = subjects.iter().map(|subject| subject.uuid()).collect();
    sqlx::query_as(columns!("c.contact_id in
                (select s.contact_id from contact_subjects s where s.tenant_id = $1 and s.subject_id = any ($2))
          order by c.contact_id"))
    .bind(tenant.uuid())
    .bind(subjects)
    .fetch_all(&mut **tx)
    .await
}

/// The same after `after`, at most `most`.
pub(crate) async fn of_subjects_after(
    tx: &mut TenantTx,
    subjects: &[SubjectId],
    after: Uuid,
    most: i64,
) -> sqlx::Result<Vec<ContactRow>> {
    let tenant = tx.tenant();
    let subjects: Vec<Uuid> = subjects.iter().map(|subject| subject.uuid()).collect();
    sqlx::query_as(columns!("c.contact_id > $3 and c.contact_id in
                (select s.contact_id from contact_subjects s where s.tenant_id = $1 and s.subject_id = any ($2))
          order by c.contact_id limit $4"))
    .bind(tenant.uuid())
    .bind(subjects)
    .bind(after)
    .bind(most)
    .fetch_all(&mut **tx)
    .await
}

/// A contact's version. The caller holds the lock of its head.
pub(crate) async fn version(tx: &mut TenantTx, contact: ContactId) -> sqlx::Result<Option<i64>> {
    let tenant = tx.tenant();
    sqlx::query_scalar("select version from contacts where tenant_id = $1 and contact_id = $2")
        .bind(tenant.uuid())
        .bind(contact.uuid())
        .fetch_optional(&mut **tx)
        .await
}

/// Writes another profile. The caller holds the lock of the head and has compared the version.
pub(crate) async fn rectify(
    tx: &mut TenantTx,
    contact: ContactId,
    (profile, sealed_version): (&[u8], i32),
    seq: i64,
    at: OffsetDateTime,
) -> sqlx::Result<()> {
    let tenant = tx.tenant();
    sqlx::query(
        "update contacts set profile = $3, sealed_version = $4, version = version + 1, seq = $5, updated_at = $6
          where tenant_id = $1 and contact_id = $2",
    )
    .bind(tenant.uuid())
    .bind(contact.uuid())
    .bind(profile)
    .bind(sealed_version)
    .bind(seq)
    .bind(at)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Counts the version after a change of the head. The caller holds its lock.
pub(crate) async fn touch(
    tx: &mut TenantTx,
    contact: ContactId,
    seq: i64,
    at: OffsetDateTime,
) -> sqlx::Result<()> {
    let tenant = tx.tenant();
    sqlx::query(
        "update contacts set version = version + 1, seq = $3, updated_at = $4
          where tenant_id = $1 and contact_id = $2",
    )
    .bind(tenant.uuid())
    .bind(contact.uuid())
    .bind(seq)
    .bind(at)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
