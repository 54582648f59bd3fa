//! What Lethe alone publishes about itself.

use super::claims;

#[tokio::test]
async fn pl_04_one_request_is_followed_through_every_service_and_the_bus() {
    claims::pl_04_one_request_is_followed_through_every_service_and_the_bus().await;
}

#[tokio::test]
async fn re_07_erasure_is_acknowledged_verified_and_reported_to_the_recipients() {
    claims::re_07_erasure_is_acknowledged_verified_and_reported_to_the_recipients().await;
}

/// A part of the row: in this module, which does not publish it, so that the row is not taken for proven.
#[tokio::test]
async fn ms_04_a_contact_merged_into_another_is_one_person_and_erased_as_one() {
    claims::ms_04_a_contact_merged_into_another_is_one_person_and_erased_as_one().await;
}
