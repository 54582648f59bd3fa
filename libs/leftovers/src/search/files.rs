//! Every file of a folder, as raw bytes, on all cores. Names of files are looked at as well.

use std::{
    fs::{self, File},
    io::{self, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{Progress, Search, Seen};
use crate::{Place, Unread, streams::Kind, wal};

/// How many bytes are looked at between two reports of progress.
const REPORT_EVERY: u64 = 8 << 20;

struct Job {
    path: PathBuf,
    name: String,
    length: u64,
}

struct Walk<'a> {
    store: &'a str,
    jobs: Mutex<Vec<Job>>,
    done: AtomicU64,
    total: u64,
}

impl Search<'_> {
    /// Looks at every file below `folder`. Blocks. Links are not followed; sockets and pipes hold nothing. Files that go
    /// while it looks are counted as vanished; one that cannot be read is reported as unread.
    pub fn folder(&self, store: &str, folder: &Path) {
        let mut jobs = Vec::new();
        self.list(store, folder, folder, &mut jobs);
        // The largest first, so that no core ends up alone with it.
        jobs.sort_by_key(|job| job.length);
        let total = jobs.iter().map(|job| job.length).sum();
        let walk = Walk { store, jobs: Mutex::new(jobs), done: AtomicU64::new(0), total };
        std::thread::scope(|scope| {
            for _ in 0..self.threads {
                scope.spawn(|| {
                    loop {
                        let job = walk.jobs.lock().unwrap_or_else(PoisonError::into_inner).pop();
                        let Some(job) = job else { break };
                        self.file(&walk, &job);
                    }
                });
            }
        });
        self.tell(&walk);
    }

    fn list(&self, store: &str, root: &Path, folder: &Path, jobs: &mut Vec<Job>) {
        let name = |path: &Path| path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned();
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => return self.gone(store, &name(folder), &error),
        };
        for entry in entries {
            let (entry, kind) = match entry.and_then(|entry| entry.file_type().map(|kind| (entry, kind))) {
                Ok(entry) => entry,
                Err(error) => {
                    self.gone(store, &name(folder), &error);
                    continue;
                }
            };
            let path = entry.path();
            if kind.is_dir() {
                self.list(store, root, &path, jobs);
            } else if kind.is_symlink() {
                match fs::metadata(&path) {
                    // What it names may be elsewhere: the caller hands that folder in.
                    Ok(target) if target.is_dir() => {
                        self.unread(store, &name(&path), "a link to a folder is not followed");
                    }
                    _ => self.names(store, &name(&path)),
                }
            } else if kind.is_file() {
                match entry.metadata() {
                    Ok(metadata) => {
                        jobs.push(Job { name: name(&path), path, length: metadata.len() });
                    }
                    Err(error) => self.gone(store, &name(&path), &error),
                }
            }
        }
    }

    fn file(&self, walk: &Walk<'_>, job: &Job) {
        self.names(walk.store, &job.name);
        let mut seen = Seen::default();
        let place = Place { store: walk.store.to_owned(), path: job.name.clone(), offset: 0 };
        match self.read(walk, job, &place, &mut seen) {
            Ok(bytes) => {
                self.count(|looked| {
                    looked.files += 1;
                    looked.bytes += bytes;
                });
                self.note(seen, walk.store, bytes);
            }
            Err(error) => {
                self.note(seen, walk.store, 0);
                self.gone(walk.store, &job.name, &error);
            }
        }
    }

    fn read(&self, walk: &Walk<'_>, job: &Job, place: &Place, seen: &mut Seen) -> io::Result<u64> {
        let mut file = File::open(&job.path)?;
        let mut streams = Vec::new();
        let mut since = 0;
        let bytes = self.windows(Vec::new(), &mut file, place, seen, &mut streams, &mut |fresh| {
            walk.done.fetch_add(fresh, Ordering::Relaxed);
            since += fresh;
            if since >= REPORT_EVERY {
                since = 0;
                self.tell(walk);
            }
        })?;
        // A file may be a bare deflate stream: nothing marks it.
        if bytes > 0 && !streams.iter().any(|(_, at)| *at == 0) {
            streams.push((Kind::Deflate, 0));
        }
        for (kind, at) in streams {
            file.seek(SeekFrom::Start(at))?;
            self.packed(kind, &mut file, at, place, 0, seen);
        }
        // Once more, for what the headers of its pages cut in two.
        let more = 2 * self.engine.margin() as u64;
        if let Some(mut records) = wal::records(&job.path, more)? {
            self.windows(Vec::new(), &mut records, place, seen, &mut Vec::new(), &mut |_| {})?;
        }
        Ok(bytes)
    }

    /// A file's name is data too.
    fn names(&self, store: &str, name: &str) {
        let mut seen = Seen::default();
        let place = Place { store: store.to_owned(), path: format!("the name of {name}"), offset: 0 };
        self.memory(name.as_bytes(), &place, super::DEPTH, &mut seen);
        self.note(seen, store, 0);
    }

    fn gone(&self, store: &str, name: &str, error: &io::Error) {
        if error.kind() == io::ErrorKind::NotFound && !name.is_empty() {
            self.count(|looked| looked.vanished += 1);
        } else {
            let place = Place { store: store.to_owned(), path: name.to_owned(), offset: 0 };
            let unread = vec![Unread { place, why: error.to_string() }];
            self.note(Seen { unread, ..Seen::default() }, store, 0);
        }
    }

    fn tell(&self, walk: &Walk<'_>) {
        if let Some(progress) = &self.progress {
            let done = walk.done.load(Ordering::Relaxed);
            progress(Progress { store: walk.store, done: done.min(walk.total), total: walk.total });
        }
    }
}
