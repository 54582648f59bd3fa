//! UpdateSpamSettings: whether the detector marks. Other processes hear of it within ten seconds.

use lethe_proto::messaging::{SpamSettings, UpdateSpamSettingsRequest};
use tonic::Request;

use crate::{
    error::Error,
    state::{Call, State},
    store::{spam, unsigned},
};

pub(super) async fn update_spam_settings(
    state: &State,
    request: Request<UpdateSpamSettingsRequest>,
) -> Result<SpamSettings, Error> {
    let call = Call::of(&request)?;
    let request = request.into_inner();
    let mut tx = state.tx(call.tenant).await?;
    let (now, version) = spam::settings(&mut tx).await?;
    if request.if_version != 0 && request.if_version != unsigned(version) {
        return Err(Error::VersionMismatch);
    }
    let detect = request.detect.unwrap_or(now);
    if detect == now {
        return Ok(SpamSettings { detect, version: unsigned(version) });
    }
    if !spam::set_settings(&mut tx, detect, version).await? {
        return Err(Error::VersionMismatch);
    }
    let id = call.tenant.to_string();
    state.audit_setting(&mut tx, &call, "UpdateSpamSettings", ("tenant", &id)).await?;
    state.commit(tx).await?;
    state.detector.forget(call.tenant);
    Ok(SpamSettings { detect, version: unsigned(version) + 1 })
}
