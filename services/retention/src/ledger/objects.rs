//! Objects by key, as S3 has them: put if absent, get, list. Never overwritten, never deleted from here.
//!
//! The local directory is durable when a call returns: the object is written to a file of another name and fsynced, then
//! linked to its own name, which fails when that exists, then the folder is fsynced. (object_store's local backend fsyncs
//! neither file nor folder.) So a reader sees a whole object or none, also after a loss of power.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
};

use serde::Deserialize;
use tokio::task::spawn_blocking;

/// Where the objects are.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum ObjectsConfig {
    /// A folder of this machine, or of a volume that is not part of the databases' backups.
    Directory {
        /// Made when it is not there.
        path: PathBuf,
    },
}

/// The store. Clones share it.
#[derive(Debug, Clone)]
pub struct Objects {
    root: PathBuf,
}

/// Why an object was not put.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    /// There is one of that key.
    #[error("there is an object of that key")]
    Exists,
    /// The store is away or full.
    #[error("the store failed")]
    Store(#[from] io::Error),
}

impl Objects {
    /// Opens the store; makes the folder when it is not there.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn open(config: &ObjectsConfig) -> io::Result<Self> {
        let ObjectsConfig::Directory { path } = config;
        fs::create_dir_all(path)?;
        Ok(Self { root: path.clone() })
    }

    /// Puts an object of a new key. Durable when it returns.
    ///
    /// # Errors
    /// [`PutError::Exists`] when the key is taken.
    pub async fn put_if_absent(&self, key: &str, bytes: Vec<u8>) -> Result<(), PutError> {
        let (root, path) = (self.root.clone(), self.path(key));
        blocking(move || put(&root, &path, &bytes)).await.map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => PutError::Exists,
            _ => PutError::Store(error),
        })
    }

    /// The object of that key, if there is one.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn get(&self, key: &str) -> io::Result<Option<Vec<u8>>> {
        let path = self.path(key);
        blocking(move || absent_is_none(fs::read(path))).await
    }

    /// The keys that begin with `prefix`, a folder with its slash, without it; in order.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(&self, prefix: &str) -> io::Result<Vec<String>> {
        let path = self.path(prefix);
        blocking(move || {
            let Some(files) = absent_is_none(fs::read_dir(path))? else { return Ok(Vec::new()) };
            let mut keys = Vec::new();
            for file in files {
                let name = file?.file_name();
                keys.extend(name.to_str().filter(|name| !name.starts_with('.')).map(str::to_owned));
            }
            keys.sort_unstable();
            Ok(keys)
        })
        .await
    }

    /// Makes an object durable that is there: its own bytes, and its name in every folder up to the root.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn make_durable(&self, key: &str) -> io::Result<()> {
        let (root, path) = (self.root.clone(), self.path(key));
        blocking(move || {
            File::open(&path)?.sync_all()?;
            let mut folders = path.ancestors().skip(1).take_while(|folder| folder.starts_with(&root));
            folders.try_for_each(sync_folder)
        })
        .await
    }

    fn path(&self, key: &str) -> PathBuf {
        self.root.join(key)
    }
}

fn put(root: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().ok_or(ErrorKind::InvalidInput)?;
    make_durable_folder(root, folder)?;
    if path.try_exists()? {
        return Err(ErrorKind::AlreadyExists.into());
    }
    let (temporary, mut file) = create_temporary(folder)?;
    let linked = file
        .write_all(bytes)
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::hard_link(&temporary, path))
        .and_then(|()| sync_folder(folder));
    // A file that a crash leaves here has a name that no listing shows.
    let removed = fs::remove_file(&temporary);
    linked.and(removed)
}

/// A file of a name that nobody else writes to at the moment.
fn create_temporary(folder: &Path) -> io::Result<(PathBuf, File)> {
    for attempt in 0_u32.. {
        let path = folder.join(format!(".{}-{attempt}.part", std::process::id()));
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            opened => return opened.map(|file| (path, file)),
        }
    }
    Err(ErrorKind::AlreadyExists.into())
}

/// Makes the folders below the root; each is fsynced into the one above it.
fn make_durable_folder(root: &Path, folder: &Path) -> io::Result<()> {
    if folder == root || folder.is_dir() {
        return Ok(());
    }
    let above = folder.parent().ok_or(ErrorKind::InvalidInput)?;
    make_durable_folder(root, above)?;
    match fs::create_dir(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => sync_folder(above),
    }
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn absent_is_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    spawn_blocking(work).await.map_err(io::Error::other)?
}
