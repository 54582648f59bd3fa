//! What Lethe alone publishes about itself.

use super::claims;

#[tokio::test]
async fn pl_04_one_request_is_followed_through_every_service_and_the_bus() {
    claims::pl_04_one_request_is_followed_through_every_service_and_the_bus().await;
}
