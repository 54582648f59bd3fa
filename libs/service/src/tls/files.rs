//! What is made of some files, made again when one of them changes.

use std::{
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use lethe_ambient::Tasks;

use super::{TlsError, read};

/// The newest good state of some files. Clones share it.
pub(super) struct Files<T>(Arc<Inner<T>>);

type Build<T> = dyn Fn(&[Vec<u8>]) -> Result<T, TlsError> + Send + Sync;

struct Inner<T> {
    paths: Vec<PathBuf>,
    build: Box<Build<T>>,
    current: RwLock<Arc<T>>,
}

impl<T> Clone for Files<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Send + Sync + 'static> Files<T> {
    /// What `build` makes of the contents of `paths`, in their order; looked at again every `interval`.
    pub(super) fn watch(
        paths: Vec<PathBuf>,
        interval: Duration,
        tasks: &Tasks,
        build: impl Fn(&[Vec<u8>]) -> Result<T, TlsError> + Send + Sync + 'static,
    ) -> Result<Self, TlsError> {
        let mut seen: Vec<Vec<u8>> = paths.iter().map(read).collect::<Result<_, _>>()?;
        let current = RwLock::new(Arc::new(build(&seen)?));
        let files = Self(Arc::new(Inner { paths, build: Box::new(build), current }));
        let (watched, until) = (files.clone(), tasks.clone());
        tasks.spawn("certificates", async move {
            while until.rest(interval).await {
                watched.look_again(&mut seen);
            }
        });
        Ok(files)
    }

    /// What holds now.
    pub(super) fn current(&self) -> Arc<T> {
        self.0.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Small local files: read here and now.
    fn look_again(&self, seen: &mut Vec<Vec<u8>>) {
        let inner = &self.0;
        let now: Result<Vec<Vec<u8>>, _> = inner.paths.iter().map(read).collect();
        // A file that is gone for the moment is being replaced.
        let Ok(now) = now else { return };
        if now == *seen {
            return;
        }
        let file = inner.paths[0].display();
        match (inner.build)(&now) {
            Ok(fresh) => {
                *inner.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(fresh);
                tracing::info!(%file, "certificates were replaced");
            }
            Err(error) => tracing::error!(%error, %file, "new certificates are refused, the old ones stay"),
        }
        *seen = now;
    }
}
