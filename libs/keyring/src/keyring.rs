//! The keyring of one service: creates secrets, hands out sealers, destroys.

mod addresses;

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use lethe_ambient::{Clock, Entropy, Planted, planted};
use lethe_ids::{ErasureId, SubjectId, TenantId, UnitId};
use lethe_service::{DatabaseConfig, Probe};
use moka::future::Cache;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;
use zeroize::Zeroizing;

pub use addresses::Mark;

use crate::{
    Destroyed, KeyError, Sealer,
    cache::{Sealers, Secret},
    kms::{KeyState, Kms, KmsConfig, KmsError},
    store::{Epoch, Found, NewSecret, Store},
    tenant_keys::TenantKeys,
    wrapped::{self, Kind},
};

/// How old an epoch gets, how long its rotation takes at most, and how long the key service waits before it deletes
/// the old key. Their sum is the shred bound.
const EPOCH_AGE: Duration = Duration::days(7);
const ROTATION: Duration = Duration::days(1);
const KMS_WAIT: Duration = Duration::days(7);

/// A service's keys. Clones share them.
#[derive(Clone)]
pub struct Keyring(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) store: Store,
    pub(crate) kms: Arc<dyn Kms>,
    pub(crate) clock: Clock,
    pub(crate) entropy: Entropy,
    pub(crate) tenant_keys: TenantKeys,
    sealers: Sealers,
    lists: Cache<TenantId, addresses::Lists>,
    lists_lifetime: i64,
    epoch: RwLock<Epoch>,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyring({})", self.0.store.database.service())
    }
}

impl Keyring {
    /// Opens the keystore of a service, which is migrated; makes its first epoch if it has none. Whoever does so at the
    /// same time agrees on one.
    ///
    /// # Errors
    /// [`KeyError::Unavailable`] when keystore or key service do not answer.
    pub async fn open(
        service: &'static str,
        keystore: DatabaseConfig,
        kms: KmsConfig,
        clock: Clock,
        entropy: Entropy,
    ) -> Result<Self, KeyError> {
        let service_kms = TenantKeys::new(&kms).answer(connect(service, &kms, &clock, &entropy)).await?;
        Self::with_kms(service, keystore, service_kms, &kms, clock, entropy).await
    }

    /// As [`Keyring::open`], by a key service of the caller's. Of `limits` only the cache's are used.
    ///
    /// # Errors
    /// As [`Keyring::open`].
    pub async fn with_kms(
        service: &'static str,
        keystore: DatabaseConfig,
        kms: Arc<dyn Kms>,
        limits: &KmsConfig,
        clock: Clock,
        entropy: Entropy,
    ) -> Result<Self, KeyError> {
        let store = Store::open(service, &keystore).await?;
        let tenant_keys = TenantKeys::new(limits);
        let epoch = first_epoch(&store, &*kms, &tenant_keys, &clock).await?;
        let seconds = limits.cache_seconds;
        Ok(Self(Arc::new(Inner {
            store,
            kms,
            clock,
            entropy,
            tenant_keys,
            sealers: Sealers::new(limits.cache_subjects, seconds),
            lists: Cache::builder()
                .max_capacity(limits.cache_subjects)
                .time_to_live(std::time::Duration::from_secs(seconds.into()))
                .build(),
            lists_lifetime: i64::from(seconds) * 1000,
            epoch: RwLock::new(epoch),
        })))
    }

    /// Makes secrets: a subject's own, if given, and those of units of `of_subject`. One trip, before the first row
    /// that uses them; all or none. A tombstoned id is refused for ever.
    ///
    /// # Errors
    /// [`KeyError::AlreadyExists`], [`KeyError::Destroyed`], [`KeyError::Missing`] when `of_subject` is not there.
    pub async fn create(
        &self,
        tenant: TenantId,
        subject: Option<SubjectId>,
        units: &[UnitId],
        of_subject: SubjectId,
    ) -> Result<(), KeyError> {
        let wanted: Vec<(Uuid, Kind, SubjectId)> = subject
            .iter()
            .map(|subject| (subject.uuid(), Kind::Subject, *subject))
            .chain(units.iter().map(|unit| (unit.uuid(), Kind::Unit, of_subject)))
            .collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let ticket = self.0.sealers.ticket();
        let secrets: Vec<Secret> = wanted.iter().map(|_| Zeroizing::new(self.0.entropy.bytes())).collect();
        match self.insert(tenant, &wanted, &secrets).await {
            // Another process has begun a new epoch.
            Err(KeyError::EpochClosed) => {
                self.0.reload_epoch().await?;
                self.insert(tenant, &wanted, &secrets).await?;
            }
            other => other?,
        }
        let now = self.0.clock.millis();
        let made: HashMap<Uuid, &Secret> = wanted.iter().map(|(id, ..)| *id).zip(&secrets).collect();
        let shelf = self.0.sealers.shelf(tenant, of_subject, now);
        let known = made.get(&of_subject.uuid()).copied().or(shelf.as_ref().map(|shelf| &shelf.secret));
        if let Some(of_secret) = known {
            let sealers = units.iter().map(|unit| {
                let of = (of_subject, &**of_secret);
                Sealer::of_secrets(tenant, of, (*unit, made[&unit.uuid()]), &self.0.entropy)
            });
            self.0.sealers.put(ticket, tenant, of_secret, sealers, (of_subject, now));
        }
        Ok(())
    }

    async fn insert(
        &self,
        tenant: TenantId,
        wanted: &[(Uuid, Kind, SubjectId)],
        secrets: &[Secret],
    ) -> Result<(), KeyError> {
        let epoch = self.0.epoch();
        let key = self.0.tenant_key(tenant, epoch.number).await?;
        let rows: Vec<NewSecret> = wanted
            .iter()
            .zip(secrets)
            .map(|((id, kind, subject), secret)| NewSecret {
                id: *id,
                kind: *kind,
                subject: *subject,
                wrapped: key.wrap((*kind, epoch.number, tenant, *id), secret, &self.0.entropy),
            })
            .collect();
        self.0.store.create(tenant, epoch.number, self.0.clock.now(), &rows).await
    }

    /// The keys of a unit of a subject. From memory in about a microsecond, else one trip to the keystore.
    ///
    /// # Errors
    /// [`KeyError::Destroyed`], [`KeyError::Missing`], [`KeyError::Refused`], [`KeyError::Damaged`],
    /// [`KeyError::Unavailable`].
    pub async fn sealer(
        &self,
        tenant: TenantId,
        subject: SubjectId,
        unit: UnitId,
    ) -> Result<Sealer, KeyError> {
        if let Some(sealer) = self.0.sealers.sealer(tenant, (subject, unit), self.0.clock.millis()) {
            return Ok(sealer);
        }
        self.sealers(tenant, &[(subject, unit)]).await.pop().unwrap_or(Err(KeyError::Missing))
    }

    /// The keys of many, in their order: one trip for all that are not in memory.
    pub async fn sealers(
        &self,
        tenant: TenantId,
        wanted: &[(SubjectId, UnitId)],
    ) -> Vec<Result<Sealer, KeyError>> {
        let now = self.0.clock.millis();
        let mut out: Vec<Option<Result<Sealer, KeyError>>> =
            wanted.iter().map(|pair| self.0.sealers.sealer(tenant, *pair, now).map(Ok)).collect();
        let missing: HashSet<(SubjectId, UnitId)> =
            wanted.iter().zip(&out).filter(|(_, got)| got.is_none()).map(|(pair, _)| *pair).collect();
        if !missing.is_empty() {
            let ticket = self.0.sealers.ticket();
            let loaded = self.load(tenant, &missing, ticket).await;
            for (pair, slot) in wanted.iter().zip(&mut out).filter(|(_, slot)| slot.is_none()) {
                *slot = Some(match &loaded {
                    Ok(loaded) => loaded.get(pair).cloned().unwrap_or(Err(KeyError::Missing)),
                    Err(error) => Err(error.clone()),
                });
            }
        }
        out.into_iter().map(|got| got.unwrap_or(Err(KeyError::Missing))).collect()
    }

    async fn load(
        &self,
        tenant: TenantId,
        pairs: &HashSet<(SubjectId, UnitId)>,
        ticket: crate::cache::Ticket,
    ) -> Result<HashMap<(SubjectId, UnitId), Result<Sealer, KeyError>>, KeyError> {
        let ids: HashSet<Uuid> =
            pairs.iter().flat_map(|(subject, unit)| [subject.uuid(), unit.uuid()]).collect();
        let ids: Vec<Uuid> = ids.into_iter().collect();
        let mut secrets: HashMap<Uuid, Result<(SubjectId, Secret), KeyError>> = HashMap::new();
        for (id, found) in self.0.store.read(tenant, &ids).await? {
            let secret = match found {
                Found::Destroyed => Err(KeyError::Destroyed),
                Found::Living { subject, epoch, wrapped } => {
                    let key = self.0.tenant_key(tenant, epoch).await?;
                    wrapped::parse(&wrapped)
                        .filter(|wrapped| wrapped.id == id && wrapped.tenant == tenant)
                        .and_then(|wrapped| wrapped.try_unwrap(&key).ok())
                        .map(|secret| (subject, secret))
                        .ok_or(KeyError::Damaged)
                }
            };
            secrets.insert(id, secret);
        }
        let now = self.0.clock.millis();
        let lookup = |id: Uuid| secrets.get(&id).cloned().unwrap_or(Err(KeyError::Missing));
        let loaded = pairs.iter().map(|(subject, unit)| {
            let sealer = lookup(subject.uuid()).and_then(|(itself, of_secret)| {
                let (owner, secret) = lookup(unit.uuid())?;
                if itself != *subject || owner != *subject || unit.uuid() == subject.uuid() {
                    return Err(KeyError::Missing);
                }
                let sealer =
                    Sealer::of_secrets(tenant, (*subject, &of_secret), (*unit, &secret), &self.0.entropy);
                self.0.sealers.put(ticket, tenant, &of_secret, [sealer.clone()], (*subject, now));
                Ok(sealer)
            });
            ((*subject, *unit), sealer)
        });
        Ok(loaded.collect())
    }

    /// Destroys secrets for good, in one transaction: the rows, the units of the subjects, the subjects' addresses in
    /// the blind index; and leaves a tombstone for each id, whether it was there or not. Twice is as once.
    /// Other processes' caches are the fence's to evict.
    ///
    /// # Errors
    /// [`KeyError::Unavailable`]: ask again.
    pub async fn destroy(
        &self,
        tenant: TenantId,
        subjects: &[SubjectId],
        units: &[UnitId],
        cause: ErasureId,
    ) -> Result<Destroyed, KeyError> {
        self.evict(tenant, subjects);
        let subjects = if planted(Planted::SecretKept) { &[] } else { subjects };
        let at = self.0.clock.now();
        let (destroyed, touched) = self.0.store.destroy(tenant, subjects, units, cause, at).await?;
        self.evict(tenant, subjects);
        self.evict(tenant, &touched);
        Ok(destroyed)
    }

    /// Forgets subjects' keys in this process, those being loaded too.
    pub fn evict(&self, tenant: TenantId, subjects: &[SubjectId]) {
        self.0.sealers.evict(tenant, subjects);
    }

    /// Until when a secret that is destroyed now could still be unwrapped by who holds an old page, WAL or backup of
    /// the keystore together with the key service: the open epoch's age, its rotation, and the key service's wait.
    pub fn shred_bound(&self) -> OffsetDateTime {
        shred_bound(self.0.epoch().created_at, self.0.clock.now())
    }

    /// Ready when the keystore answers, and when the key service would use the open epoch's key.
    pub fn probes(&self) -> [Probe; 2] {
        let inner = Arc::clone(&self.0);
        let kms = Probe::new("kms", move || {
            let inner = Arc::clone(&inner);
            async move {
                let epoch = inner.epoch();
                match inner.tenant_keys.answer(inner.kms.describe(&epoch.kms_key)).await {
                    Ok(KeyState::Enabled) => Ok(()),
                    Ok(_) => Err("the epoch's key is not enabled".to_owned()),
                    Err(error) => Err(error.to_string()),
                }
            }
        });
        [self.0.store.database.probe("keystore"), kms]
    }
}

/// Until when what was wrapped in an epoch that is open can be unwrapped by who holds the wrapper: it closes at an age of
/// seven days, or from now on if it is older; then come its rotation and the key service's wait.
pub fn shred_bound(epoch_created_at: OffsetDateTime, now: OffsetDateTime) -> OffsetDateTime {
    (epoch_created_at + EPOCH_AGE).max(now) + ROTATION + KMS_WAIT
}

/// Key files are read on the way: not by a thread that others wait for.
async fn connect(
    service: &'static str,
    kms: &KmsConfig,
    clock: &Clock,
    entropy: &Entropy,
) -> Result<Arc<dyn Kms>, KmsError> {
    let (kms, clock, entropy) = (kms.clone(), clock.clone(), entropy.clone());
    let connected = tokio::task::spawn_blocking(move || kms.connect(service, &clock, &entropy)).await;
    connected.map_err(|error| KmsError::Unavailable(error.into()))?
}

/// What a service's keys need and lack: `keystore`, `kms`. Changes nothing, for whoever looks from outside.
pub async fn missing(
    service: &'static str,
    keystore: &DatabaseConfig,
    kms: &KmsConfig,
    (clock, entropy): (&Clock, &Entropy),
) -> Option<&'static str> {
    let asked = async { Store::open(service, keystore).await?.open_epoch().await };
    let Ok(epoch) = asked.await else { return Some("keystore") };
    // One that has no epoch yet has asked for no key.
    let key = epoch?.kms_key;
    let limits = TenantKeys::new(kms);
    let asked = async {
        if !kms.directory.join(service).is_dir() {
            return Err(KmsError::Unavailable("its folder is not there".into()));
        }
        connect(service, kms, clock, entropy).await?.describe(&key).await
    };
    let state = limits.answer(asked).await;
    (!matches!(state, Ok(KeyState::Enabled))).then_some("kms")
}

impl Inner {
    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn reload_epoch(&self) -> Result<(), KeyError> {
        let open = self.store.open_epoch().await?.ok_or(KeyError::EpochClosed)?;
        *self.epoch.write().unwrap_or_else(PoisonError::into_inner) = open;
        Ok(())
    }
}

/// The open epoch; the first one is made if there is none. The key comes before the row, and a key whose row lost the
/// race goes: nothing was ever wrapped under it.
async fn first_epoch(
    store: &Store,
    kms: &dyn Kms,
    limits: &TenantKeys,
    clock: &Clock,
) -> Result<Epoch, KeyError> {
    if let Some(epoch) = store.open_epoch().await? {
        return Ok(epoch);
    }
    let key = limits.answer(kms.create_key()).await?;
    if !store.insert_epoch(&key, clock.now()).await? {
        limits.answer(kms.schedule_deletion(&key, *crate::kms::DELETION_DAYS.start())).await?;
    }
    store.open_epoch().await?.ok_or(KeyError::EpochClosed)
}
