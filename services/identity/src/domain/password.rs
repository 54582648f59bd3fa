//! Passwords: what is accepted as one, and the one-time ones that we make. Hashing is `crate::passwords`.

use bcrypt::{HashParts, Version};
use lethe_ambient::{Entropy, Sensitive};

use super::Invalid;

const SHORTEST: usize = 12;
const LONGEST: usize = 256;
/// No letter that is read for another; 32 of them, so that five bits choose one.
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// A password that somebody chose, or tries.
#[derive(Clone)]
pub struct Password(Sensitive<String>);

impl Password {
    /// A new one: 12 to 256 characters, whatever they are (NIST SP 800-63B asks for no mixture).
    ///
    /// # Errors
    /// Names `field`.
    pub fn chosen(field: &'static str, text: &str) -> Result<Self, Invalid> {
        match text.chars().count() {
            SHORTEST..=LONGEST => Ok(Self(text.to_owned().into())),
            _ => Err(Invalid::new(field, "must have 12 to 256 characters")),
        }
    }

    /// One that is tried. `None` when it is longer than any password can be: it is not worth hashing.
    pub fn tried(text: &str) -> Option<Self> {
        (text.chars().count() <= LONGEST).then(|| Self(text.to_owned().into()))
    }

    /// A random one of 100 bits, to be said once and changed at the first log-in.
    pub fn one_time(entropy: &Entropy) -> Self {
        let bytes: [u8; 20] = entropy.bytes();
        let mut text = String::with_capacity(23);
        for (place, byte) in bytes.iter().enumerate() {
            if place > 0 && place % 5 == 0 {
                text.push('-');
            }

            text.push(char::from(LETTERS[usize::from(byte % 32)]));
        }
        Self(text.into())
    }

    /// The text, for hashing, or for the one it belongs to.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

/// A bcrypt hash that was made elsewhere.
#[derive(Clone)]
pub struct BcryptHash(Sensitive<String>);

impl BcryptHash {
    /// `$2a$`, `$2b$` or `$2y$`, a cost of 4 to 12, 22 characters of salt and 31 of hash. What costs more would keep a core
    /// busy for longer than a log-in may take.
    ///
    /// # Errors
    /// Names `field`.
    pub fn parse(field: &'static str, text: &str) -> Result<Self, Invalid> {
        // Read by the one that will verify it, and written back the same: what it would refuse at log-in is refused here.
        let parts: Option<HashParts> = text.parse().ok();
        let parts = parts.filter(|parts| parts.format_for_version(Version::TwoB).get(3..) == text.get(3..));
        let known = ["$2a$", "$2b$", "$2y$"].iter().any(|prefix| text.starts_with(prefix));
        match parts.filter(|_| known).map(|parts| parts.get_cost()) {
            Some(4..=12) => Ok(Self(text.to_owned().into())),
            Some(_) => Err(Invalid::new(field, "must have a cost of 04 to 12")),
            None => Err(Invalid::new(field, "must be a bcrypt hash, as $2b$12$\u{2026}")),
        }
    }

    /// Whether a stored hash is one.
    pub fn is_one(stored: &str) -> bool {
        stored.starts_with("$2")
    }

    /// For storing.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_is_counted_in_characters() {
        assert!(Password::chosen("new_password", &"ä".repeat(12)).is_ok());
        assert!(Password::chosen("new_password", &"ä".repeat(11)).is_err());
        assert!(Password::chosen("new_password", &"ä".repeat(256)).is_ok());
        assert!(Password::chosen("new_password", &"ä".repeat(257)).is_err());
        assert!(Password::tried(&"x".repeat(257)).is_none());
    }

    #[test]
    fn a_bcrypt_hash_is_of_a_known_kind_and_not_too_dear() {
        let hash = "R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW";
        for (text, fits) in [
            (format!("$2a$12${hash}"), true),
            (format!("$2b$04${hash}"), true),
            (format!("$2y$10${hash}"), true),
            (format!("$2b$13${hash}"), false),
            (format!("$2b$03${hash}"), false),
            (format!("$2b$4${hash}"), false),
            (format!("$2c$10${hash}"), false),
            (format!("$2b$10${hash}x"), false),
            (format!("$2b$10${}", &hash[1..]), false),
            (format!("$2b$10$-{}", &hash[1..]), false),
            // The last letter of salt and hash says more bits than there are: bcrypt itself would not read it.
            (format!("$2b$10${}v{}", &hash[..21], &hash[22..]), false),
            (format!("$2b$10${}V", &hash[..52]), false),
            (format!("$2b$+4${hash}"), false),
            (String::new(), false),
        ] {
            assert_eq!(BcryptHash::parse("bcrypt_hash", &text).is_ok(), fits, "{text}");
        }
    }

    #[test]
    fn a_one_time_password_is_random_and_a_password() {
        let entropy = Entropy::seeded(1);
        let (first, second) = (Password::one_time(&entropy), Password::one_time(&entropy));
        assert_ne!(first.expose(), second.expose());
        assert_eq!(first.expose().len(), 23);
        assert!(first.expose().split('-').all(|group| group.len() == 5));
        assert!(Password::chosen("x", first.expose()).is_ok());
    }
}
