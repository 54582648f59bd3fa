//! The keyed fingerprint of a request's body, by which an idempotency key is held to one body. Keyed, because a
//! plain hash of a short message could be guessed.

use aws_lc_rs::hmac;
use prost::Message;

/// HMAC-SHA-256 of the message's encoding, under a key that the owning service keeps.
pub fn body_mac(key: &[u8; 32], message: &impl Message) -> [u8; 32] {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), &message.encode_to_vec());
    let mut mac = [0; 32];
    mac.copy_from_slice(tag.as_ref());
    mac
}
