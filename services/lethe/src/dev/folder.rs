//! The folder of a `lethe dev`, claimed by one process at a time.

use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use rustix::fs::{FlockOperation, flock};

use super::Run;

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

    /// Removes a file that may not be there.
    pub(crate) fn remove(&self, name: &str) {
        let _gone = fs::remove_file(self.path(name));
    }
}
