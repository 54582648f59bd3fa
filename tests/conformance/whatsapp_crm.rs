//! What the WhatsApp CRM platform publishes about itself.

use super::claims;

#[tokio::test]
async fn id_01_a_tenant_has_teams_and_members_with_photos() {
    claims::id_01_a_tenant_has_teams_and_members_with_photos().await;
}

#[tokio::test]
async fn id_02_passwords_are_argon2id_and_bcrypt_from_elsewhere_is_upgraded() {
    claims::id_02_passwords_are_argon2id_and_bcrypt_from_elsewhere_is_upgraded().await;
}

#[tokio::test]
async fn id_07_rights_are_separate_and_only_by_explicit_grant() {
    claims::id_07_rights_are_separate_and_only_by_explicit_grant().await;
}

#[tokio::test]
async fn id_08_sessions_expire_are_listed_and_revoked_at_once() {
    claims::id_08_sessions_expire_are_listed_and_revoked_at_once().await;
}

#[tokio::test]
async fn ms_01_every_field_of_a_contact_can_be_rectified() {
    claims::ms_01_every_field_of_a_contact_can_be_rectified().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pl_01_every_connection_is_tls_1_2_or_newer_between_services_too() {
    claims::pl_01_every_connection_is_tls_1_2_or_newer_between_services_too().await;
}

#[tokio::test]
async fn id_11_programs_sign_with_api_keys_that_have_scopes_limits_and_a_log() {
    claims::id_11_programs_sign_with_api_keys_that_have_scopes_limits_and_a_log().await;
}

#[tokio::test]
async fn id_17_limits_by_tenant_key_member_and_address_and_protected_log_in() {
    claims::id_17_limits_by_tenant_key_member_and_address_and_protected_log_in().await;
}

#[tokio::test]
async fn id_14_a_member_copies_corrects_and_carries_away_his_data_and_asks_for_erasure_or_objects() {
    claims::id_14_a_member_copies_corrects_and_carries_away_his_data_and_asks_for_erasure_or_objects().await;
}
