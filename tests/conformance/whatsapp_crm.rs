//! What the WhatsApp CRM platform publishes about itself.

use super::claims;

#[tokio::test]
async fn id_08_sessions_expire_are_listed_and_revoked_at_once() {
    claims::id_08_sessions_expire_are_listed_and_revoked_at_once().await;
}
