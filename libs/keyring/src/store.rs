//! Every SQL statement of the app role in the keystore. Each is one trip: a function of the schema that sets the tenant
//! itself (`sql/keystore.sql`), so that row-level security holds. Nothing here sees a key unwrapped.

use std::{sync::Arc, time::Duration};

use lethe_ids::{ErasureId, SubjectId, TenantId, UnitId};
use lethe_service::{Database, DatabaseConfig};
use sqlx::{Row, postgres::PgRow};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{KeyError, blind::Mac, wrapped::Kind};

#[derive(Clone)]
pub(crate) struct Store {
    pub(crate) database: Database,
}

/// An epoch that takes wraps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Epoch {
    pub(crate) number: u32,
    /// Its key at the key service.
    pub(crate) kms_key: Arc<str>,
    pub(crate) created_at: OffsetDateTime,
}

/// A secret that is about to be inserted.
pub(crate) struct NewSecret {
    pub(crate) id: Uuid,
    pub(crate) kind: Kind,
    pub(crate) subject: SubjectId,
    pub(crate) wrapped: Vec<u8>,
}

/// What the keystore says of an id.
pub(crate) enum Found {
    Living { subject: SubjectId, epoch: u32, wrapped: Vec<u8> },
    Destroyed,
}

/// What a destruction came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Destroyed {
    /// Subject secrets deleted by this call.
    pub subjects: u64,
    /// Unit secrets deleted by this call, those of the subjects among them.
    pub units: u64,
    /// Rows of the blind index deleted by this call.
    pub blind_index_rows: u64,
    /// Of the ids that were asked for: how many have a tombstone now. It is all of them.
    pub tombstones: u64,
}

/// A subject's addresses as the index knows them, all of one version of key and rules.
pub(crate) struct Macs {
    pub(crate) key_version: u32,
    pub(crate) normaliser_version: u16,
    pub(crate) macs: Vec<(i16, Mac)>,
}

impl Macs {
    fn columns(&self) -> (Vec<i16>, Vec<&[u8]>) {
        self.macs.iter().map(|(kind, mac)| (*kind, mac.mac.as_slice())).unzip()
    }
}

/// What takes longer is no answer: a keystore that fell silent would else be waited for as long as the caller waits, and nobody
/// be told what is missing.
const ANSWERS: Duration = Duration::from_secs(5);

async fn in_time<T>(asked: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, KeyError> {
    let late = |_| sqlx::Error::Io(std::io::ErrorKind::TimedOut.into());
    Ok(tokio::time::timeout(ANSWERS, asked).await.map_err(late)??)
}

impl Store {
    pub(crate) async fn open(service: &'static str, config: &DatabaseConfig) -> Result<Self, KeyError> {
        Ok(Self { database: Database::connect(service, config).await? })
    }

    /// The open epoch, if there is one.
    pub(crate) async fn open_epoch(&self) -> Result<Option<Epoch>, KeyError> {
        let row = in_time(
            sqlx::query("select number, kms_key, created_at from epochs where closing_at is null")
                .fetch_optional(self.database.app()),
        )
        .await?;
        row.map(|row| {
            let kms_key: String = row.try_get(1)?;
            Ok(Epoch { number: number(&row, 0)?, kms_key: kms_key.into(), created_at: row.try_get(2)? })
        })
        .transpose()
    }

    /// Inserts the epoch after the last one, unless one is open by now. Whoever comes second reads the first one's.
    pub(crate) async fn insert_epoch(&self, kms_key: &str, at: OffsetDateTime) -> Result<bool, KeyError> {
        let done = sqlx::query(
            "insert into epochs (number, kms_key, created_at)
             select coalesce(max(number), 0) + 1, $1, $2 from epochs on conflict do nothing",
        )
        .bind(kms_key)
        .bind(at)
        .execute(self.database.app())
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// The epoch's key at the key service, and the tenant's wrapped key, if it has one there already.
    pub(crate) async fn tenant_key(
        &self,
        tenant: TenantId,
        epoch: u32,
    ) -> Result<(String, Option<Vec<u8>>), KeyError> {
        let row = in_time(
            sqlx::query("select key_service_id, wrap from read_tenant_key_v1($1, $2)")
                .bind(tenant.uuid())
                .bind(signed(epoch))
                .fetch_optional(self.database.app()),
        )
        .await?
        .ok_or(KeyError::Missing)?;
        Ok((row.try_get(0)?, row.try_get(1)?))
    }

    /// Keeps a tenant's key, unless it has one by now.
    pub(crate) async fn put_tenant_key(
        &self,
        tenant: TenantId,
        epoch: u32,
        at: OffsetDateTime,
        wrapped: &[u8],
    ) -> Result<(), KeyError> {
        in_time(
            sqlx::query("select put_tenant_key_v1($1, $2, $3, $4)")
                .bind(tenant.uuid())
                .bind(signed(epoch))
                .bind(at)
                .bind(wrapped)
                .execute(self.database.app()),
        )
        .await?;
        Ok(())
    }

    /// Inserts secrets, all or none.
    pub(crate) async fn create(
        &self,
        tenant: TenantId,
        epoch: u32,
        at: OffsetDateTime,
        secrets: &[NewSecret],
    ) -> Result<(), KeyError> {
        let ids: Vec<Uuid> = secrets.iter().map(|secret| secret.id).collect();
        let kinds: Vec<i16> = secrets.iter().map(|secret| secret.kind as i16).collect();
        let subjects: Vec<Uuid> = secrets.iter().map(|secret| secret.subject.uuid()).collect();
        let wraps: Vec<&[u8]> = secrets.iter().map(|secret| secret.wrapped.as_slice()).collect();
        in_time(
            sqlx::query("select create_secrets_v1($1, $2, $3, $4, $5, $6, $7)")
                .bind(tenant.uuid())
                .bind(signed(epoch))
                .bind(at)
                .bind(ids)
                .bind(kinds)
                .bind(subjects)
                .bind(wraps)
                .execute(self.database.app()),
        )
        .await?;
        Ok(())
    }

    /// What is there of these ids; those never heard of are left out.
    pub(crate) async fn read(&self, tenant: TenantId, ids: &[Uuid]) -> Result<Vec<(Uuid, Found)>, KeyError> {
        let rows = in_time(
            sqlx::query("select id, subject, in_epoch, wrap from read_secrets_v1($1, $2)")
                .bind(tenant.uuid())
                .bind(ids)
                .fetch_all(self.database.app()),
        )
        .await?;
        rows.iter()
            .map(|row| {
                let found = match row.try_get::<Option<Vec<u8>>, _>(3)? {
                    Some(wrapped) => Found::Living {
                        subject: SubjectId::new(row.try_get(1)?),
                        epoch: number(row, 2)?,
                        wrapped,
                    },
                    None => Found::Destroyed,
                };
                Ok((row.try_get(0)?, found))
            })
            .collect()
    }

    /// The tenant's wrapped index keys: kind, version, wrap.
    pub(crate) async fn index_keys(&self, tenant: TenantId) -> Result<Vec<(i16, u32, Vec<u8>)>, KeyError> {
        let rows = in_time(
            sqlx::query("select its_kind, its_version, wrap from read_index_keys_v1($1)")
                .bind(tenant.uuid())
                .fetch_all(self.database.app()),
        )
        .await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, number(row, 1)?, row.try_get(2)?))).collect()
    }

    /// Keeps version 1 of an index key, unless there is one by now.
    pub(crate) async fn put_index_key(
        &self,
        tenant: TenantId,
        (kind, id): (Kind, Uuid),
        epoch: u32,
        at: OffsetDateTime,
        wrapped: &[u8],
    ) -> Result<(), KeyError> {
        in_time(
            sqlx::query("select put_index_key_v1($1, $2, 1, $3, $4, $5, $6)")
                .bind(tenant.uuid())
                .bind(kind as i16)
                .bind(id)
                .bind(signed(epoch))
                .bind(at)
                .bind(wrapped)
                .execute(self.database.app()),
        )
        .await?;
        Ok(())
    }

    /// Adds a subject's addresses and marks all it has as unsettled; answers the mark, by the keystore's clock.
    pub(crate) async fn add_addresses(
        &self,
        tenant: TenantId,
        subject: SubjectId,
        macs: &Macs,
        at: OffsetDateTime,
    ) -> Result<OffsetDateTime, KeyError> {
        let (kinds, bytes) = macs.columns();
        let row = in_time(
            sqlx::query("select add_addresses_v1($1, $2, $3, $4, $5, $6, $7)")
                .bind(tenant.uuid())
                .bind(subject.uuid())
                .bind(signed(macs.key_version))
                .bind(macs.normaliser_version.cast_signed())
                .bind(kinds)
                .bind(bytes)
                .bind(at)
                .fetch_one(self.database.app()),
        )
        .await?;
        Ok(row.try_get(0)?)
    }

    /// Makes these all addresses that a subject has, if its mark is still `mark`.
    pub(crate) async fn settle_addresses(
        &self,
        tenant: TenantId,
        subject: SubjectId,
        macs: &Macs,
        at: OffsetDateTime,
        mark: Option<OffsetDateTime>,
    ) -> Result<(), KeyError> {
        let (kinds, bytes) = macs.columns();
        in_time(
            sqlx::query("select settle_addresses_v1($1, $2, $3, $4, $5, $6, $7, $8)")
                .bind(tenant.uuid())
                .bind(subject.uuid())
                .bind(signed(macs.key_version))
                .bind(macs.normaliser_version.cast_signed())
                .bind(kinds)
                .bind(bytes)
                .bind(at)
                .bind(mark)
                .execute(self.database.app()),
        )
        .await?;
        Ok(())
    }

    /// Marks a subject anew, unless its mark is another by now.
    pub(crate) async fn put_off_settling(
        &self,
        tenant: TenantId,
        subject: SubjectId,
        mark: OffsetDateTime,
    ) -> Result<(), KeyError> {
        sqlx::query("select put_off_settling_v1($1, $2, $3)")
            .bind(tenant.uuid())
            .bind(subject.uuid())
            .bind(mark)
            .execute(self.database.app())
            .await?;
        Ok(())
    }

    /// Which of these subjects are marked as unsettled.
    pub(crate) async fn unsettled_of(
        &self,
        tenant: TenantId,
        subjects: &[SubjectId],
    ) -> Result<Vec<SubjectId>, KeyError> {
        let subjects: Vec<Uuid> = subjects.iter().map(|subject| subject.uuid()).collect();
        let rows = sqlx::query("select unsettled_subjects_v1($1, $2)")
            .bind(tenant.uuid())
            .bind(subjects)
            .fetch_all(self.database.app())
            .await?;
        rows.iter().map(|row| Ok(SubjectId::new(row.try_get(0)?))).collect()
    }

    /// Subjects marked as unsettled for longer than `for_seconds`, longest first, with their marks. As the jobs role.
    pub(crate) async fn unsettled(
        &self,
        for_seconds: f64,
        limit: i64,
    ) -> Result<Vec<(TenantId, SubjectId, OffsetDateTime)>, KeyError> {
        let rows = sqlx::query(
            "select tenant_id, subject_id, max(unsettled_since) from blind_index
              where unsettled_since <= clock_timestamp() - make_interval(secs => $1)
              group by tenant_id, subject_id order by 3 limit $2",
        )
        .bind(for_seconds)
        .bind(limit)
        .fetch_all(self.database.jobs())
        .await?;
        rows.iter()
            .map(|row| Ok((TenantId::new(row.try_get(0)?), SubjectId::new(row.try_get(1)?), row.try_get(2)?)))
            .collect()
    }

    /// Subjects with one of these MACs.
    pub(crate) async fn find(
        &self,
        tenant: TenantId,
        kind: i16,
        macs: &[Mac],
    ) -> Result<Vec<SubjectId>, KeyError> {
        let versions: Vec<i32> = macs.iter().map(|mac| signed(mac.key_version)).collect();
        let normalisers: Vec<i16> = macs.iter().map(|mac| mac.normaliser_version.cast_signed()).collect();
        let macs: Vec<&[u8]> = macs.iter().map(|mac| mac.mac.as_slice()).collect();
        let rows = in_time(
            sqlx::query("select find_subjects_v1($1, $2, $3, $4, $5)")
                .bind(tenant.uuid())
                .bind(kind)
                .bind(versions)
                .bind(normalisers)
                .bind(macs)
                .fetch_all(self.database.app()),
        )
        .await?;
        rows.iter().map(|row| Ok(SubjectId::new(row.try_get(0)?))).collect()
    }

    /// Deletes secrets and leaves tombstones. Answers also the subjects whose keys any cache must forget.
    pub(crate) async fn destroy(
        &self,
        tenant: TenantId,
        subjects: &[SubjectId],
        units: &[UnitId],
        cause: ErasureId,
        at: OffsetDateTime,
    ) -> Result<(Destroyed, Vec<SubjectId>), KeyError> {
        let subjects: Vec<Uuid> = subjects.iter().map(|id| id.uuid()).collect();
        let units: Vec<Uuid> = units.iter().map(|id| id.uuid()).collect();
        let row = sqlx::query(
            "select subjects_gone, units_gone, addresses_gone, dead, touched
             from destroy_secrets_v1($1, $2, $3, $4, $5)",
        )
        .bind(tenant.uuid())
        .bind(subjects)
        .bind(units)
        .bind(cause.uuid())
        .bind(at)
        .fetch_one(self.database.app())
        .await?;
        let count = |index| row.try_get::<i64, _>(index).map(i64::cast_unsigned);
        let destroyed = Destroyed {
            subjects: count(0)?,
            units: count(1)?,
            blind_index_rows: count(2)?,
            tombstones: count(3)?,
        };
        let touched: Vec<Uuid> = row.try_get(4)?;
        Ok((destroyed, touched.into_iter().map(SubjectId::new).collect()))
    }

    /// Secrets created before `before` that no sweep has seen in use: tenant, id, kind. As the jobs role.
    pub(crate) async fn unseen(
        &self,
        before: OffsetDateTime,
        limit: i64,
    ) -> Result<Vec<(TenantId, Uuid, i16)>, KeyError> {
        let rows = sqlx::query(
            "select tenant_id, secret_id, kind from secrets
             where owned_at is null and created_at < $1 order by created_at limit $2",
        )
        .bind(before)
        .bind(limit)
        .fetch_all(self.database.jobs())
        .await?;
        rows.iter()
            .map(|row| Ok((TenantId::new(row.try_get(0)?), row.try_get(1)?, row.try_get(2)?)))
            .collect()
    }

    /// Marks secrets as owned and destroys those without an owner. Answers how many went.
    pub(crate) async fn sweep(
        &self,
        tenant: TenantId,
        owned: &[Uuid],
        unowned: &[Uuid],
        at: OffsetDateTime,
    ) -> Result<u64, KeyError> {
        let row = sqlx::query("select sweep_secrets_v1($1, $2, $3, $4)")
            .bind(tenant.uuid())
            .bind(owned)
            .bind(unowned)
            .bind(at)
            .fetch_one(self.database.app())
            .await?;
        Ok(row.try_get::<i64, _>(0)?.cast_unsigned())
    }
}

/// Epoch and version numbers are `integer` there and count up from one.
fn signed(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn number(row: &PgRow, index: usize) -> Result<u32, KeyError> {
    Ok(row.try_get::<i32, _>(index)?.cast_unsigned())
}
