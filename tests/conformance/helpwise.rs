//! What Helpwise, a shared inbox for e-mail, SMS and calls, publishes about itself.

use super::claims;

#[tokio::test]
async fn ms_12_stop_opts_out_on_any_channel_and_start_opts_in() {
    claims::ms_12_stop_opts_out_on_any_channel_and_start_opts_in().await;
}
