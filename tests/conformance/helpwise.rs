//! What Helpwise, a shared inbox for e-mail, SMS and calls, publishes about itself.

use super::claims;

#[tokio::test(flavor = "multi_thread")]
async fn id_15_an_operator_reaches_data_only_by_a_timed_grant_in_the_tenants_sight() {
    claims::id_15_an_operator_reaches_data_only_by_a_timed_grant_in_the_tenants_sight().await;
}

#[tokio::test]
async fn ms_12_stop_opts_out_on_any_channel_and_start_opts_in() {
    claims::ms_12_stop_opts_out_on_any_channel_and_start_opts_in().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pl_01_every_connection_is_tls_1_2_or_newer_between_services_too() {
    claims::pl_01_every_connection_is_tls_1_2_or_newer_between_services_too().await;
}

#[tokio::test]
async fn re_06_each_mode_of_erasure_ends_certified_and_a_hold_queues_what_it_holds() {
    claims::re_06_each_mode_of_erasure_ends_certified_and_a_hold_queues_what_it_holds().await;
}

#[tokio::test]
async fn ms_13_a_suppressed_address_stays_blocked_after_the_erasure_until_start() {
    claims::ms_13_a_suppressed_address_stays_blocked_after_the_erasure_until_start().await;
}
