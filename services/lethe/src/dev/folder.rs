//! The folder of a `lethe dev`, claimed by one process at a time.

use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use rustix::fs::{FlockOperation, flock, statvfs};
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};

use super::Run;

/// Bytes that must be free: two instances of PostgreSQL with the WAL that each keeps, and NATS.
const ROOM: u64 = 512 << 20;
/// What the services of this run say.
pub(super) const LOG: &str = "log";
/// Says when Lethe last ran here.
const CLOCK: &str = "last-ran";
/// NTP steps a clock by less.
const CLOCK_MAY_STEP: Duration = Duration::minutes(5);

/// A folder that is ours until this is dropped: the kernel gives the lock back however the process ends.
pub(crate) struct Folder {
    root: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes the folder if it is not there, readable by us alone, and claims it.
    pub(crate) fn claim(root: &Path) -> anyhow::Result<Self> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(root)
            .with_context(|| format!("cannot make {}", root.display()))?;
        let root = root.canonicalize().with_context(|| format!("cannot find {}", root.display()))?;
        let lock = File::options().create(true).truncate(false).write(true).open(root.join("lock"));
        let lock = lock.with_context(|| format!("cannot write in {}", root.display()))?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            match Self::running(&root) {
                Some(run) => bail!("Lethe runs here already: process {}, {}", run.pid, run.url),
                None => bail!("another `lethe dev` is starting or stopping in {}", root.display()),
            }
        }
        let folder = Self { root, _lock: lock };
        // Left by a run that was killed.
        folder.remove("run.json");
        Ok(folder)
    }

    /// What the `lethe dev` that holds `root` says of itself; `None` when none runs there.
    pub(crate) fn running(root: &Path) -> Option<Run> {
        let lock = File::options().write(true).open(root.join("lock")).ok()?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
            return None;
        }
        serde_json::from_slice(&fs::read(root.join("run.json")).ok()?).ok()
    }

    /// Refuses to begin where PostgreSQL would soon stop for want of space.
    pub(crate) fn check_room(&self) -> anyhow::Result<()> {
        let stat = statvfs(&self.root).with_context(|| format!("cannot look at {}", self.root.display()))?;
        let free = stat.f_bavail * stat.f_frsize;
        ensure!(
            free >= ROOM,
            "only {} MB are free under {}, and Lethe needs {} MB to begin: make room, or take another folder (`lethe dev --folder …`)",
            free >> 20,
            self.root.display(),
            ROOM >> 20
        );
        Ok(())
    }

    /// Refuses to go on with a clock that was set back: sessions, deadlines and partitions of the outbox go by it.
    pub(crate) fn check_clock(&self, now: OffsetDateTime) -> anyhow::Result<()> {
        let file = self.path(CLOCK);
        let last =
            fs::read_to_string(&file).ok().and_then(|text| OffsetDateTime::parse(text.trim(), &Rfc3339).ok());
        match last {
            Some(last) if now + CLOCK_MAY_STEP < last => bail!(
                "this machine's clock says {}, but Lethe ran here at {}: set the clock (by NTP: `timedatectl set-ntp true`), or, if it was wrong then, remove {}",
                now.format(&Rfc3339)?,
                last.format(&Rfc3339)?,
                file.display()
            ),
            _ => Ok(()),
        }
    }

    /// Notes what the clock says.
    pub(crate) fn note_clock(&self, now: OffsetDateTime) -> anyhow::Result<()> {
        self.write_private(CLOCK, now.format(&Rfc3339)?.as_bytes())
    }

    /// A path in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Writes a file that only we may read, whole or not at all.
    pub(crate) fn write_private(&self, name: &str, content: &[u8]) -> anyhow::Result<()> {
        let (path, fresh) = (self.path(name), self.path(&format!("{name}.new")));
        let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&fresh, &path).with_context(|| format!("cannot write {}", path.display()))
    }

    /// The log, begun anew; that of the run before is kept beside it.
    pub(crate) fn begin_log(&self) -> anyhow::Result<File> {
        let path = self.path(LOG);
        let _none = fs::rename(&path, path.with_extension("before"));
        let file = File::options().append(true).create(true).mode(0o600).open(&path);
        file.with_context(|| format!("cannot write {}", path.display()))
    }

    /// Removes a file that may not be there.
    pub(crate) fn remove(&self, name: &str) {
        let _gone = fs::remove_file(self.path(name));
    }
}
