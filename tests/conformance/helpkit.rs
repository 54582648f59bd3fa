//! What HelpKit, a WhatsApp shared inbox, publishes about itself.

use super::claims;

#[tokio::test]
async fn id_01_a_tenant_has_teams_and_members_with_photos() {
    claims::id_01_a_tenant_has_teams_and_members_with_photos().await;
}

#[tokio::test]
async fn id_07_rights_are_separate_and_only_by_explicit_grant() {
    claims::id_07_rights_are_separate_and_only_by_explicit_grant().await;
}

#[tokio::test]
async fn ms_12_stop_opts_out_on_any_channel_and_start_opts_in() {
    claims::ms_12_stop_opts_out_on_any_channel_and_start_opts_in().await;
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
async fn re_06_each_mode_of_erasure_ends_certified_and_a_hold_queues_what_it_holds() {
    claims::re_06_each_mode_of_erasure_ends_certified_and_a_hold_queues_what_it_holds().await;
}

#[tokio::test]
async fn ms_23_tenant_webhooks_are_signed_repeated_and_stay_outside() {
    claims::ms_23_tenant_webhooks_are_signed_repeated_and_stay_outside().await;
}
