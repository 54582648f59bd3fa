//! What was sealed is harvested from raw files, and every key there is tried.

use std::{fs, io::Write as _, sync::Arc};

use lethe_ambient::{Clock, Entropy};
use lethe_ids::{ErasureId, SubjectId, TenantId, UnitId};
use lethe_keyring::{Keyring, Kms, KmsConfig, LocalKms, Place, Purpose, Sealer, migrations, seal_with};
use lethe_leftovers::{KeySource, Report, Search, Summary, Tokens, Trial, trial};
use lethe_service::DatabaseConfig;
use lethe_testkit::{Databases, servers};
use sqlx::{Executor as _, PgConnection};
use tempfile::TempDir;
use uuid::Uuid;

const TENANT: TenantId = TenantId::new(Uuid::from_u128(0xaaaa));

struct World {
    clock: Clock,
    entropy: Entropy,
    keystore: DatabaseConfig,
    keyring: Keyring,
    kms: Arc<dyn Kms>,
    folder: TempDir,
    erased: (SubjectId, UnitId),
    kept: (SubjectId, UnitId),
}

impl World {
    async fn new() -> Self {
        let (clock, entropy) = (Clock::system(), Entropy::system());
        let keystore = Databases::keystore("leftovers", &migrations()).await;
        let folder = tempfile::tempdir().unwrap();
        let limits = KmsConfig::local(folder.path().join("kms"));
        let kms: Arc<dyn Kms> =
            Arc::new(LocalKms::open(folder.path().join("kms"), clock.clone(), entropy.clone()).unwrap());
        let (ours, keys) = (kms.clone(), keystore.clone());
        let keyring = Keyring::with_kms("leftovers", keys, ours, &limits, clock.clone(), entropy.clone())
            .await
            .unwrap();
        fs::create_dir(folder.path().join("data")).unwrap();
        let pair = || (SubjectId::new(entropy.uuid4()), UnitId::new(entropy.uuid4()));
        let (erased, kept) = (pair(), pair());
        for (subject, unit) in [erased, kept] {
            keyring.create(TENANT, Some(subject), &[unit], subject).await.unwrap();
        }
        Self { clock, entropy, keystore, keyring, kms, folder, erased, kept }
    }

    async fn sealer(&self, (subject, unit): (SubjectId, UnitId)) -> Sealer {
        self.keyring.sealer(TENANT, subject, unit).await.unwrap()
    }

    fn seal(&self, sealer: &Sealer, text: &[u8]) -> Vec<u8> {
        sealer.seal(Purpose::MessageText, self.entropy.uuid4(), 1, text)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.folder.path().join("data").join(name), bytes).unwrap();
    }

    async fn superuser(&self) -> PgConnection {
        Databases::superuser(&self.keystore).await
    }

    /// Searches the data and, if wanted, the keystore's files; tries all keys.
    async fn look(&self, keystore_too: bool) -> (Report, Trial) {
        let search = Search::new(&Tokens::default());
        search.folder("data", &self.folder.path().join("data"));
        if keystore_too {
            self.superuser().await.execute("checkpoint").await.unwrap();
            search.folder("keystore", &servers().await.keystore_data());
        }
        let report = search.report();
        assert_eq!(report.unread, []);
        let trial = trial(&report.harvest, &[self.source().await], self.clock.now()).await.unwrap();
        (report, trial)
    }

    async fn source(&self) -> KeySource {
        let admin = servers().await.keystore_admin_url();
        let database = self.keystore.url.rsplit('/').next().unwrap();
        KeySource { store: "keystore".to_owned(), url: format!("{admin}/{database}"), kms: self.kms.clone() }
    }

    fn of(&self, trial: &Trial, (subject, unit): (SubjectId, UnitId)) -> Summary {
        trial.of(&[subject], &[unit])
    }

    async fn erase(&self) {
        let cause = ErasureId::new(Uuid::from_u128(1));
        self.keyring.destroy(TENANT, &[self.erased.0], &[], cause).await.unwrap();
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn hex(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect()
}

#[tokio::test]
async fn what_opens_before_the_erasure_is_dated_or_closed_after_it() {
    let world = World::new().await;
    let (gone, kept) = (world.sealer(world.erased).await, world.sealer(world.kept).await);
    // Whole, cut off behind its header, in hex, in base64 behind one and two bytes, in a stream.
    let sealed = world.seal(&gone, b"erase me");
    world.write("whole", &[b"page ".as_slice(), &sealed, b" page"].concat());
    world.write("torn", &[b"page ".as_slice(), &world.seal(&gone, b"erase me")[..71]].concat());
    world.write("hex", &hex(&world.seal(&gone, b"erase me")));
    let base64 = |prefix: &str, bytes: &[u8]| {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode([prefix.as_bytes(), bytes].concat()).into_bytes()
    };
    world.write("base64", &base64("x", &world.seal(&gone, b"erase me")));
    world.write("more base64", &base64("xy", &world.seal(&gone, b"erase me")));
    world.write("no base64", &base64("xyz", &world.seal(&gone, b"erase me")));
    world.write("gzip", &gzip(&world.seal(&gone, b"erase me")));
    world.write("kept", &world.seal(&kept, b"keep me"));

    let (_, before) = world.look(true).await;
    assert_eq!(world.of(&before, world.erased), Summary { live: 7, ..Summary::default() });
    assert_eq!(world.of(&before, world.kept), Summary { live: 1, ..Summary::default() });

    let bound = world.keyring.shred_bound();
    world.erase().await;
    // The keystore's pages and WAL still hold the wrapper: dated. Without them nothing opens.
    let (report, after) = world.look(true).await;
    let gone = world.of(&after, world.erased);
    assert_eq!((gone.live, gone.undated, gone.dated, gone.closed), (0, 0, 7, 0));
    assert!((gone.until.unwrap() - bound).abs() < time::Duration::minutes(1), "{:?}", gone.until);
    assert!(report.harvest.wrapped.len() >= 4);
    assert_eq!(world.of(&after, world.kept), Summary { live: 1, ..Summary::default() });
    let (_, after) = world.look(false).await;
    assert_eq!(world.of(&after, world.erased), Summary { closed: 7, ..Summary::default() });
    assert_eq!(after.old_wrappers, 0);
}

#[tokio::test]
async fn a_planted_wrapper_is_undated() {
    for packed in [false, true] {
        let world = World::new().await;
        let gone = world.sealer(world.erased).await;
        world.write("sealed", &world.seal(&gone, b"erase me"));
        let wraps: Vec<Vec<u8>> = sqlx::query_scalar("select wrapped from secrets")
            .fetch_all(&mut world.superuser().await)
            .await
            .unwrap();
        world.erase().await;
        // One half of the pair outside is enough, if the other can be had at all: here both.
        let planted = wraps.concat();
        world.write("backup of the keystore", &if packed { gzip(&hex(&planted)) } else { planted });
        let (_, after) = world.look(false).await;
        assert_eq!(world.of(&after, world.erased), Summary { undated: 1, ..Summary::default() });
        assert_eq!(after.old_wrappers, 2);
        // The keystore's own files cannot make up for it.
        let (_, after) = world.look(true).await;
        assert_eq!(world.of(&after, world.erased).undated, 1);
    }
}

#[tokio::test]
async fn half_a_pair_opens_nothing() {
    let world = World::new().await;
    let gone = world.sealer(world.erased).await;
    world.write("sealed", &world.seal(&gone, b"erase me"));
    let wrap: Vec<u8> = sqlx::query_scalar("select wrapped from secrets where secret_id = $1")
        .bind(world.erased.0.uuid())
        .fetch_one(&mut world.superuser().await)
        .await
        .unwrap();
    world.erase().await;
    world.write("planted", &wrap);
    let (_, after) = world.look(false).await;
    assert_eq!(world.of(&after, world.erased), Summary { closed: 1, ..Summary::default() });
    assert_eq!(after.old_wrappers, 1);
}

#[tokio::test]
async fn a_census_is_judged_by_the_key_that_was_handed_over() {
    let world = World::new().await;
    let erasure = world.entropy.uuid4();
    let key = world.sealer(world.erased).await.handed_key(Purpose::Census);
    let place =
        Place { tenant: TENANT, unit: erasure, purpose: Purpose::Census, record: erasure, version: 1 };
    world.write("fences", &seal_with(&key, &world.entropy, place, b"[1, 2, 3]"));
    let units = [UnitId::new(erasure)];
    let (_, before) = world.look(true).await;
    assert_eq!(before.of(&[], &units), Summary { live: 1, ..Summary::default() });
    world.erase().await;
    let (_, after) = world.look(true).await;
    assert_eq!(after.of(&[], &units).dated, 1);
    let (_, after) = world.look(false).await;
    assert_eq!(after.of(&[], &units).closed, 1);
}

#[tokio::test]
async fn a_header_with_damaged_ids_still_opens_and_a_foreign_one_does_not() {
    let world = World::new().await;
    let kept = world.sealer(world.kept).await;
    let mut bent = world.seal(&kept, b"keep me");
    bent[12] ^= 1;
    world.write("bent", &bent);
    let owner = (world.kept.0, &[7; 32]);
    let foreign = Sealer::of_secrets(TENANT, owner, (world.kept.1, &[8; 32]), &world.entropy);
    world.write("foreign", &world.seal(&foreign, b"another installation's"));
    let (report, trial) = world.look(false).await;
    assert_eq!(report.harvest.headers.len(), 2);
    assert_eq!(trial.all(), Summary { live: 1, closed: 1, ..Summary::default() });
}

#[tokio::test]
async fn what_the_key_service_no_longer_unwraps_does_not_open() {
    let world = World::new().await;
    let gone = world.sealer(world.erased).await;
    world.write("sealed", &world.seal(&gone, b"erase me"));
    world.erase().await;
    let mut superuser = world.superuser().await;
    let key: String =
        sqlx::query_scalar("select kms_key from epochs").fetch_one(&mut superuser).await.unwrap();
    assert_eq!(world.of(&world.look(true).await.1, world.erased).dated, 1);
    // The epoch is over: its tenant key's row goes first. The row's bytes in old pages are tried as well.
    superuser.execute("delete from tenant_keys").await.unwrap();
    assert_eq!(world.of(&world.look(true).await.1, world.erased).dated, 1);
    // An epoch that nobody knows of ends never.
    superuser.execute("delete from epochs").await.unwrap();
    assert_eq!(world.of(&world.look(true).await.1, world.erased).undated, 1);
    world.kms.schedule_deletion(&key, 7).await.unwrap();
    assert_eq!(
        world.of(&world.look(true).await.1, world.erased),
        Summary { closed: 1, ..Summary::default() }
    );
}
