//! Whose an erasure was, said without saying it.

use aws_lc_rs::digest;
use lethe_ids::{ContactId, ErasureId, TenantId};

/// SHA-256(nonce ‖ domain ‖ tenant ‖ erasure ‖ contact). It stands in the certificate; who was given the nonce can show
/// that the certificate is about this contact, and nobody else can tell or try.
pub fn commitment(nonce: &[u8; 32], tenant: TenantId, erasure: ErasureId, contact: ContactId) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(nonce);
    context.update(b"lethe erasure subject v1");
    context.update(tenant.uuid().as_bytes());
    context.update(erasure.uuid().as_bytes());
    context.update(contact.uuid().as_bytes());
    let mut commitment = [0; 32];
    commitment.copy_from_slice(context.finish().as_ref());
    commitment
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn each_part_is_committed_to() {
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let of = |nonce, tenant, erasure, contact| {
            commitment(&nonce, TenantId::new(tenant), ErasureId::new(erasure), ContactId::new(contact))
        };
        let base = of([0; 32], one, one, one);
        assert_eq!(base, of([0; 32], one, one, one));
        for other in [
            of([1; 32], one, one, one),
            of([0; 32], two, one, one),
            of([0; 32], one, two, one),
            of([0; 32], one, one, two),
        ] {
            assert_ne!(base, other);
        }
    }
}
