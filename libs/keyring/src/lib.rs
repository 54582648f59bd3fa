//! Keys and their end. A service's [`Keyring`] makes a secret for each subject and each unit, hands
//! out [`Sealer`]s that seal values under both, and destroys secrets so that nothing opens any more what they sealed.
//!
//! ```text
//! epoch key    a KMS key of its own; to be a week old at most, once it rotates
//!  └ tenant key, fresh for each epoch, wrapped by it
//!     ├ subject secret   one a subject
//!     └ unit secret      one a profile, a conversation and month
//!        data key = HKDF(subject secret ‖ unit secret, purpose)
//! ```
//! Nothing that can be destroyed is ever wrapped by a key that outlives it. The surprising thing: a unit is *of* a
//! subject and goes with it, and opens together with that subject only.

pub mod blind;
mod cache;
mod crypto;
mod error;
pub mod header;
mod keyring;
pub mod kms;
pub mod normalise;
mod purpose;
mod sealer;
mod settle;
mod store;
mod sweep;
mod tenant_keys;
mod verify;
pub mod wrapped;

use lethe_service::Migration;

pub use blind::{AddressKind, BlindIndex, Mac, Suppression};
pub use crypto::{COMMITMENT_LEN, KEY_LEN};
pub use error::{KeyError, OpenError};
pub use keyring::{Keyring, Mark, missing, shred_bound};
pub use kms::{EncryptionContext, KeyState, Kms, KmsConfig, KmsError, LocalKms};
pub use purpose::Purpose;
pub use sealer::{Place, Sealer, open_with, seal_with};
pub use store::Destroyed;
pub use sweep::{SecretId, Swept, UNOWNED_FOR};
pub use verify::Remains;

/// The defaults of the section `[kms]`.
pub const DEFAULTS: &str = include_str!("../config.default.toml");

/// The schema of a keystore.
pub fn migrations() -> Vec<Migration> {
    let own = |version, name, sql| Migration { version, name, sql };
    vec![
        own(3, "keystore", include_str!("../sql/keystore.sql")),
        own(4, "settle_addresses", include_str!("../sql/settle_addresses.sql")),
        own(6, "settle_addresses_by_name", include_str!("../sql/settle_addresses_by_name.sql")),
        own(7, "no_deletes_at", include_str!("../sql/no_deletes_at.sql")),
    ]
}
