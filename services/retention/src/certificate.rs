//! Certificates of erasure: what they say, how they are signed, and how anybody checks them offline.
//!
//! A certificate is a DSSE envelope (dsse v1.0.2) around canonical JSON, signed with Ed25519 by a key that retention uses
//! for nothing else and that is published at `/.well-known/lethe-keys.json`. It holds codes, counts, dates and digests and
//! no free text; whose erasure it was stands in it as a commitment. [`verify`] needs the envelope and the keys document and
//! nothing of the platform; [`explain`] says in plain words what is attested.

mod canonical;
mod envelope;
mod explain;
mod keys;
mod statement;

pub use envelope::{PAYLOAD_TYPE, VerifyError, verify};
pub use explain::explain;
pub use keys::{KeyError, KeysDocument, PublishedKey, Signer, generate_key};
pub use statement::{
    Attestation, Dates, Digest, LedgerReference, Line, Participant, Statement, Tally, VERSION, outside,
};
