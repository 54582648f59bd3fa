//! What Helpr, live chat with an e-mail channel and an AI assistant, publishes about itself.

use super::claims;

#[tokio::test]
async fn id_08_sessions_expire_are_listed_and_revoked_at_once() {
    claims::id_08_sessions_expire_are_listed_and_revoked_at_once().await;
}
