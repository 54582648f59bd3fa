//! GetSpamSettings.

use lethe_proto::messaging::{GetSpamSettingsRequest, SpamSettings};
use tonic::Request;

use crate::{
    error::Error,
    state::{Call, State},
    store::{spam, unsigned},
};

pub(super) async fn get_spam_settings(
    state: &State,
    request: Request<GetSpamSettingsRequest>,
) -> Result<SpamSettings, Error> {
    let call = Call::of(&request)?;
    let mut tx = state.tx(call.tenant).await?;
    let (detect, version) = spam::settings(&mut tx).await?;
    Ok(SpamSettings { detect, version: unsigned(version) })
}
