//! Argon2id (RFC 9106) with a bound: as many hashes at a time as the machine has cores, a short queue before them, and a
//! refusal past it; otherwise log-in would be a way to eat all memory (19 MiB each).
//!
//! Hashes made by bcrypt elsewhere are verified too, and are replaced at the first log-in that they let in.
//!
//! Who does not exist costs the same: his password is verified against a hash that nobody's password has.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{self, PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use lethe_ambient::{Entropy, Sensitive};
use tokio::sync::Semaphore;

use crate::{
    Error,
    config::PasswordConfig,
    domain::password::{BcryptHash, Password},
};

/// Hashes and verifies passwords. Clones share the bound.
#[derive(Clone)]
pub(crate) struct Passwords(Arc<Inner>);

struct Inner {
    argon2: Argon2<'static>,
    entropy: Entropy,
    /// A hash of 256 random bits that were thrown away.
    nobody: String,
    /// Those that run.
    running: Arc<Semaphore>,
    /// Those that run or wait.
    places: Arc<Semaphore>,
    verified: AtomicU64,
}

impl Passwords {
    /// With these parameters.
    ///
    /// # Errors
    /// When Argon2 refuses them.
    pub(crate) fn new(config: &PasswordConfig, entropy: Entropy) -> Result<Self, Error> {
        let params = Params::new(config.memory_kib, config.passes, config.lanes, None)
            .map_err(|error| Error::Hash(error.to_string()))?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let at_once = match config.at_once {
            0 => thread::available_parallelism().map_or(1, usize::from),
            at_once => at_once,
        };
        let unknown = Sensitive::new(entropy.bytes::<32>());
        let nobody = hash(&argon2, unknown.expose(), &entropy.bytes())?;
        Ok(Self(Arc::new(Inner {
            argon2,
            entropy,
            nobody,
            running: Arc::new(Semaphore::new(at_once)),
            places: Arc::new(Semaphore::new(at_once + config.queue)),
            verified: AtomicU64::new(0),
        })))
    }

    /// A PHC string with a salt of its own.
    ///
    /// # Errors
    /// [`Error::Busy`] when the queue is full.
    pub(crate) async fn hash(&self, password: Password) -> Result<String, Error> {
        let inner = self.0.clone();
        let salt: [u8; 16] = inner.entropy.bytes();
        self.run(move || hash(&inner.argon2, password.expose().as_bytes(), &salt)).await
    }

    /// Whether `password` is the one that `stored` was made of. Without either the answer is no, for the same work.
    ///
    /// # Errors
    /// [`Error::Busy`] when the queue is full.
    pub(crate) async fn verify(
        &self,
        password: Option<Password>,
        stored: Option<String>,
    ) -> Result<bool, Error> {
        let inner = self.0.clone();
        let possible = password.is_some() && stored.is_some();
        self.run(move || {
            let stored = stored.as_deref().unwrap_or(&inner.nobody);
            let password = password.as_ref().map_or("", Password::expose).as_bytes();
            inner.verified.fetch_add(1, Ordering::Relaxed);
            if BcryptHash::is_one(stored) {
                let right =
                    bcrypt::verify(password, stored).map_err(|error| Error::Hash(error.to_string()))?;
                return Ok(right && possible);
            }
            let stored = PasswordHash::new(stored).map_err(|error| Error::Hash(error.to_string()))?;
            match inner.argon2.verify_password(password, &stored) {
                Ok(()) => Ok(possible),
                Err(password_hash::Error::PasswordInvalid) => Ok(false),
                Err(error) => Err(Error::Hash(error.to_string())),
            }
        })
        .await
    }

    /// How many verifications ran so far.
    pub(crate) fn verified(&self) -> u64 {
        self.0.verified.load(Ordering::Relaxed)
    }

    /// Runs on a thread of its own. The bound is kept by the work, not by the caller: one that goes away frees nothing
    /// before the hash is done.
    async fn run<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce() -> Result<T, Error> + Send + 'static,
    {
        let place = self.0.places.clone().try_acquire_owned().map_err(|_| Error::Busy)?;
        let turn = self.0.running.clone().acquire_owned().await.map_err(|_| Error::Busy)?;
        tokio::task::spawn_blocking(move || {
            let _held = (place, turn);
            work()
        })
        .await
        .map_err(|error| Error::Hash(error.to_string()))?
    }
}

fn hash(argon2: &Argon2<'_>, password: &[u8], salt: &[u8; 16]) -> Result<String, Error> {
    let hash: PasswordHash =
        argon2.hash_password_with_salt(password, salt).map_err(|error| Error::Hash(error.to_string()))?;
    Ok(hash.to_string())
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU8;

    use super::*;

    fn passwords(at_once: usize, queue: usize) -> Passwords {
        let config = PasswordConfig {
            memory_kib: 64,
            passes: 1,
            lanes: 1,
            at_once,
            queue,
            one_time_days: NonZeroU8::MIN,
        };
        Passwords::new(&config, Entropy::seeded(1)).unwrap()
    }

    fn password(text: &str) -> Option<Password> {
        Password::tried(text)
    }

    #[tokio::test]
    async fn a_hash_is_argon2id_with_its_own_salt_and_knows_its_password() {
        let passwords = passwords(1, 1);
        let first = passwords.hash(password("correct horse").unwrap()).await.unwrap();
        let second = passwords.hash(password("correct horse").unwrap()).await.unwrap();
        assert!(first.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{first}");
        assert_ne!(first, second);
        assert!(passwords.verify(password("correct horse"), Some(first.clone())).await.unwrap());
        assert!(!passwords.verify(password("wrong"), Some(first)).await.unwrap());
        assert!(passwords.verify(password("x"), Some("rubbish".into())).await.is_err());
    }

    /// A hash that Python's `bcrypt` made.
    #[tokio::test]
    async fn a_hash_from_elsewhere_knows_its_password() {
        let passwords = passwords(1, 1);
        let stored = "$2b$05$Flnd.Cd3p1/tXdF28SzYjuts0hz5X/kMKIWXuyn6AYRvJih45H7HS".to_owned();
        assert!(passwords.verify(password("correct horse"), Some(stored.clone())).await.unwrap());
        assert!(!passwords.verify(password("wrong horse"), Some(stored.clone())).await.unwrap());
        assert!(!passwords.verify(None, Some(stored)).await.unwrap());
    }

    #[tokio::test]
    async fn nobody_costs_a_verification_too_and_has_no_password() {
        let passwords = passwords(1, 1);
        assert!(!passwords.verify(password(""), None).await.unwrap());
        assert!(!passwords.verify(None, None).await.unwrap());
        let empty = passwords.hash(password("").unwrap()).await.unwrap();
        assert!(!passwords.verify(None, Some(empty)).await.unwrap());
        assert_eq!(passwords.verified(), 3);
    }

    #[tokio::test]
    async fn past_the_queue_a_log_in_is_refused() {
        let passwords = passwords(1, 2);
        let turn = passwords.0.running.clone().acquire_owned().await.unwrap();
        let mut waiting = Vec::new();
        for _ in 0..3 {
            let mut call = Box::pin(passwords.verify(None, None));
            assert!(futures::poll!(&mut call).is_pending());
            waiting.push(call);
        }
        assert!(matches!(passwords.verify(None, None).await, Err(Error::Busy)));
        drop(turn);
        for call in waiting {
            assert!(!call.await.unwrap());
        }
        assert!(passwords.verify(None, None).await.is_ok());
    }
}
