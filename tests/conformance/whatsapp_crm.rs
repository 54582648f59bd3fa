//! What the WhatsApp CRM platform publishes about itself.

use super::claims;

#[tokio::test]
async fn id_02_passwords_are_argon2id_and_bcrypt_from_elsewhere_is_upgraded() {
    claims::id_02_passwords_are_argon2id_and_bcrypt_from_elsewhere_is_upgraded().await;
}

#[tokio::test]
async fn id_08_sessions_expire_are_listed_and_revoked_at_once() {
    claims::id_08_sessions_expire_are_listed_and_revoked_at_once().await;
}

#[tokio::test]
async fn ms_01_every_field_of_a_contact_can_be_rectified() {
    claims::ms_01_every_field_of_a_contact_can_be_rectified().await;
}
