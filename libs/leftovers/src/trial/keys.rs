//! Every key that exists now.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use lethe_ids::TenantId;
use lethe_keyring::{
    EncryptionContext, KEY_LEN, Kms, KmsError, shred_bound,
    wrapped::{self, Kind, TenantKey, Wrapped},
};
use sqlx::{Connection, PgConnection, Row};
use time::OffsetDateTime;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{Harvest, Sightings};

/// A keystore and the key service above it.
#[derive(Clone)]
pub struct KeySource {
    /// The store under whose name the keystore's own files were searched: an old wrapper in there is dated.
    pub store: String,
    /// The superuser's URL of the keystore's database.
    pub url: String,
    /// The key service of the service whose keystore it is.
    pub kms: Arc<dyn Kms>,
}

/// Why a trial shows nothing.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// A keystore could not be read.
    #[error("a keystore could not be read")]
    Keystore(#[from] sqlx::Error),
    /// A key service gave no answer.
    #[error("a key service gave no answer")]
    Kms(#[source] KmsError),
}

/// A secret that can be had.
pub(super) struct Candidate {
    pub(super) id: Uuid,
    pub(super) kind: Kind,
    pub(super) secret: Zeroizing<[u8; KEY_LEN]>,
    /// From the keystore, not from an old wrapper.
    pub(super) live: bool,
    /// Until when it can be had; none: for ever.
    pub(super) until: Option<OffsetDateTime>,
}

/// All of them, by id.
#[derive(Default)]
pub(super) struct Keys {
    secrets: HashMap<Uuid, Vec<(TenantId, Candidate)>>,
    /// Living units and whose they are.
    units: Vec<(Uuid, Uuid)>,
    /// How many old wrappers opened.
    pub(super) old: u64,
}

/// A tenant key that can be had.
struct Held {
    key: TenantKey,
    /// When the epoch's key goes; none: nobody says.
    until: Option<OffsetDateTime>,
}

type Epochs = HashMap<u32, (String, OffsetDateTime)>;
type TenantKeys = HashMap<(TenantId, u32), Vec<Held>>;

impl Keys {
    pub(super) async fn gather(
        harvest: &Harvest,
        sources: &[KeySource],
        now: OffsetDateTime,
    ) -> Result<Self, TrialError> {
        let mut keys = Self::default();
        let mut held = Vec::new();
        for source in sources {
            held.push(keys.living(source, harvest, now).await?);
        }
        for (wrapped, sightings) in &harvest.wrapped {
            for (source, tenant_keys) in sources.iter().zip(&held) {
                keys.try_old(source, tenant_keys, wrapped, sightings);
            }
        }
        Ok(keys)
    }

    /// The candidates with this id.
    pub(super) fn of(&self, id: Uuid) -> &[(TenantId, Candidate)] {
        self.secrets.get(&id).map_or(&[], Vec::as_slice)
    }

    /// Living units with their living subjects.
    pub(super) fn living_pairs(&self) -> impl Iterator<Item = (TenantId, &Candidate, &Candidate)> {
        self.units.iter().flat_map(|(subject, unit)| {
            let living = |id: &Uuid| self.of(*id).iter().filter(|(_, candidate)| candidate.live);
            living(unit).flat_map(move |(tenant, unit)| {
                living(subject)
                    .filter(move |(of, _)| of == tenant)
                    .map(move |(_, subject)| (*tenant, subject, unit))
            })
        })
    }

    /// Every subject with every unit of its tenant, where one of the two comes from an old wrapper.
    pub(super) fn pairs_with_old(&self) -> impl Iterator<Item = (TenantId, &Candidate, &Candidate)> {
        let all = || self.secrets.values().flatten();
        all().filter(|(_, unit)| unit.kind == Kind::Unit).flat_map(move |(tenant, unit)| {
            all()
                .filter(move |(of, subject)| {
                    of == tenant && subject.kind == Kind::Subject && !(subject.live && unit.live)
                })
                .map(move |(_, subject)| (*tenant, subject, unit))
        })
    }

    /// Reads a keystore: its secrets become candidates, its tenant keys are answered.
    async fn living(
        &mut self,
        source: &KeySource,
        harvest: &Harvest,
        now: OffsetDateTime,
    ) -> Result<TenantKeys, TrialError> {
        let mut connection = PgConnection::connect(&source.url).await?;
        sqlx::raw_sql("set row_security = off").execute(&mut connection).await?;
        let epochs = epochs(&mut connection, now).await?;
        let mut held = TenantKeys::new();
        let mut known: HashSet<Vec<u8>> = HashSet::new();
        let rows =
            sqlx::query("select tenant_id, epoch, wrapped from tenant_keys").fetch_all(&mut connection);
        for row in rows.await? {
            let tenant = TenantId::new(row.try_get(0)?);
            let epoch: u32 = row.try_get::<i32, _>(1)?.cast_unsigned();
            let blob: Vec<u8> = row.try_get(2)?;
            if let Some((kms_key, until)) = epochs.get(&epoch)
                && let Some(key) = unwrap(source, kms_key, EncryptionContext { tenant, epoch }, &blob).await?
            {
                held.entry((tenant, epoch)).or_default().push(Held { key, until: Some(*until) });
            }
            known.insert(blob);
        }
        old_tenant_keys(source, harvest, &epochs, &known, &mut held).await?;
        let rows = sqlx::query("select secret_id, subject_id::uuid, wrapped from secrets")
            .fetch_all(&mut connection);
        for row in rows.await? {
            let (id, subject): (Uuid, Uuid) = (row.try_get(0)?, row.try_get(1)?);
            let bytes: Vec<u8> = row.try_get(2)?;
            let Some(wrapped) = wrapped::parse(&bytes) else { continue };
            for tenant_key in held.get(&(wrapped.tenant, wrapped.epoch)).into_iter().flatten() {
                let Ok(secret) = wrapped.try_unwrap(&tenant_key.key) else { continue };
                let candidate = Candidate { id, kind: wrapped.kind, secret, live: true, until: None };
                self.secrets.entry(id).or_default().push((wrapped.tenant, candidate));
                if id != subject {
                    self.units.push((subject, id));
                }
                break;
            }
        }
        connection.close().await?;
        Ok(held)
    }

    /// A wrapped secret from raw bytes: does it open, and is it news?
    fn try_old(&mut self, source: &KeySource, held: &TenantKeys, wrapped: &Wrapped, sightings: &Sightings) {
        if !matches!(wrapped.kind, Kind::Subject | Kind::Unit) {
            return;
        }
        for tenant_key in held.get(&(wrapped.tenant, wrapped.epoch)).into_iter().flatten() {
            let Ok(secret) = wrapped.try_unwrap(&tenant_key.key) else { continue };
            let until = if only_in(&source.store, sightings) { tenant_key.until } else { None };
            let candidates = self.secrets.entry(wrapped.id).or_default();
            let same = candidates
                .iter_mut()
                .find(|(tenant, candidate)| *tenant == wrapped.tenant && *candidate.secret == *secret);
            match same {
                Some((_, candidate)) if candidate.live => {}
                // Had twice: the longer counts.
                Some((_, candidate)) => {
                    candidate.until = candidate.until.zip(until).map(|(a, b)| a.max(b));
                }
                None => {
                    self.old += 1;
                    let candidate =
                        Candidate { id: wrapped.id, kind: wrapped.kind, secret, live: false, until };
                    candidates.push((wrapped.tenant, candidate));
                }
            }
        }
    }
}

fn only_in(store: &str, sightings: &Sightings) -> bool {
    sightings.first.keys().all(|seen| seen == store)
}

/// The key of each epoch, and when it is deleted at the latest.
async fn epochs(connection: &mut PgConnection, now: OffsetDateTime) -> Result<Epochs, TrialError> {
    let rows = sqlx::query("select number, kms_key, created_at from epochs").fetch_all(connection).await?;
    let mut epochs = Epochs::new();
    for row in rows {
        let number: u32 = row.try_get::<i32, _>(0)?.cast_unsigned();
        epochs.insert(number, (row.try_get(1)?, shred_bound(row.try_get(2)?, now)));
    }
    Ok(epochs)
}

/// Tenant keys that are in no row any more, but in raw bytes. Their key is named in them; tenant and epoch are tried.
async fn old_tenant_keys(
    source: &KeySource,
    harvest: &Harvest,
    epochs: &Epochs,
    known: &HashSet<Vec<u8>>,
    held: &mut TenantKeys,
) -> Result<(), TrialError> {
    let mut contexts: HashSet<(TenantId, u32)> = held.keys().copied().collect();
    contexts.extend(harvest.wrapped.keys().map(|wrapped| (wrapped.tenant, wrapped.epoch)));
    for (blob, sightings) in &harvest.tenant_keys {
        if known.contains(blob.as_slice()) {
            continue;
        }
        let Some(id) = blob[lethe_keyring::kms::BLOB_MAGIC.len()..].first_chunk() else { continue };
        let kms_key = Uuid::from_bytes(*id).to_string();
        for (tenant, epoch) in &contexts {
            let context = EncryptionContext { tenant: *tenant, epoch: *epoch };
            if let Some(key) = unwrap(source, &kms_key, context, blob).await? {
                let until = epochs
                    .get(epoch)
                    .filter(|(of, _)| *of == kms_key && only_in(&source.store, sightings))
                    .map(|(_, until)| *until);
                held.entry((*tenant, *epoch)).or_default().push(Held { key, until });
                break;
            }
        }
    }
    Ok(())
}

/// A tenant key, if the key service still gives it.
async fn unwrap(
    source: &KeySource,
    kms_key: &str,
    context: EncryptionContext,
    blob: &[u8],
) -> Result<Option<TenantKey>, TrialError> {
    match source.kms.unwrap(kms_key, &context, blob).await {
        Ok(bytes) => Ok(bytes.as_slice().try_into().ok().map(TenantKey::new)),
        Err(error @ (KmsError::Unavailable(_) | KmsError::Throttled)) => Err(TrialError::Kms(error)),
        Err(_) => Ok(None),
    }
}
