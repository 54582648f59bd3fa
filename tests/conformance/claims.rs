//! The claims that several systems share, each proven once.

mod id_01;
mod id_02;
mod id_07;
mod id_08;
mod id_11;
mod id_13;
mod id_17;
mod ms_01;
mod ms_12;
mod ms_13;
mod ms_15;
mod ms_17;
mod ms_19;
mod ms_23;
mod pl_01;
mod pl_04;
mod re_06;
mod re_07;

pub(super) use id_01::id_01_a_tenant_has_teams_and_members_with_photos;
pub(super) use id_02::id_02_passwords_are_argon2id_and_bcrypt_from_elsewhere_is_upgraded;
pub(super) use id_07::id_07_rights_are_separate_and_only_by_explicit_grant;
pub(super) use id_08::id_08_sessions_expire_are_listed_and_revoked_at_once;
pub(super) use id_11::id_11_programs_sign_with_api_keys_that_have_scopes_limits_and_a_log;
pub(super) use id_13::id_13_a_member_who_left_is_erased_and_his_conversations_stay;
pub(super) use id_17::id_17_limits_by_tenant_key_member_and_address_and_protected_log_in;
pub(super) use ms_01::ms_01_every_field_of_a_contact_can_be_rectified;
pub(super) use ms_12::ms_12_stop_opts_out_on_any_channel_and_start_opts_in;
pub(super) use ms_13::ms_13_a_suppressed_address_stays_blocked_after_the_erasure_until_start;
pub(super) use ms_15::ms_15_a_resolved_conversation_is_rated_with_stars_and_a_text;
pub(super) use ms_17::ms_17_spam_is_detected_and_visitors_are_banned;
pub(super) use ms_19::ms_19_a_restricted_contact_is_kept_but_not_used;
pub(super) use ms_23::ms_23_tenant_webhooks_are_signed_repeated_and_stay_outside;
pub(super) use pl_01::pl_01_every_connection_is_tls_1_2_or_newer_between_services_too;
pub(super) use pl_04::pl_04_one_request_is_followed_through_every_service_and_the_bus;
pub(super) use re_06::re_06_each_mode_of_erasure_ends_certified_and_a_hold_queues_what_it_holds;
pub(super) use re_07::re_07_erasure_is_acknowledged_verified_and_reported_to_the_recipients;
