//! What HelpCrunch, live chat, publishes about itself.

use super::claims;

#[tokio::test]
async fn id_02_passwords_are_argon2id_and_bcrypt_from_elsewhere_is_upgraded() {
    claims::id_02_passwords_are_argon2id_and_bcrypt_from_elsewhere_is_upgraded().await;
}

#[tokio::test]
async fn id_07_rights_are_separate_and_only_by_explicit_grant() {
    claims::id_07_rights_are_separate_and_only_by_explicit_grant().await;
}

#[tokio::test]
async fn id_13_a_member_who_left_is_erased_and_his_conversations_stay() {
    claims::id_13_a_member_who_left_is_erased_and_his_conversations_stay().await;
}

#[tokio::test]
async fn ms_12_stop_opts_out_on_any_channel_and_start_opts_in() {
    claims::ms_12_stop_opts_out_on_any_channel_and_start_opts_in().await;
}

#[tokio::test]
async fn ms_19_a_restricted_contact_is_kept_but_not_used() {
    claims::ms_19_a_restricted_contact_is_kept_but_not_used().await;
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
async fn re_06_each_mode_of_erasure_ends_certified_and_a_hold_queues_what_it_holds() {
    claims::re_06_each_mode_of_erasure_ends_certified_and_a_hold_queues_what_it_holds().await;
}

#[tokio::test]
async fn id_14_a_member_copies_corrects_and_carries_away_his_data_and_asks_for_erasure_or_objects() {
    claims::id_14_a_member_copies_corrects_and_carries_away_his_data_and_asks_for_erasure_or_objects().await;
}
