//! GetCertificate: the newest certificate of an erasure, and once the nonce that opens whose it is.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use lethe_proto::retention::{GetCertificateRequest, GetCertificateResponse};
use lethe_service::id;

use super::{Api, Asking};
use crate::{error::Error, store};

pub(super) async fn get_certificate(
    api: &Api,
    asking: &Asking,
    request: GetCertificateRequest,
) -> Result<GetCertificateResponse, Error> {
    let erasure_id = id("erasure_id", &request.erasure_id)?;
    let mut tx = api.db().tenant(asking.tenant).await?;
    store::get(&mut tx, erasure_id).await?.ok_or(Error::ErasureNotFound)?;
    let envelope = store::newest_certificate(&mut tx, erasure_id).await?.ok_or(Error::CertificateNotFound)?;
    let nonce = store::take_nonce(&mut tx, erasure_id).await?;
    if nonce.is_some() {
        api.audit(&mut tx, asking, "GetCertificate", erasure_id).await?;
    }
    tx.commit().await?;
    api.saga.outbox.wake();
    Ok(GetCertificateResponse {
        envelope: envelope.into(),
        subject_nonce: nonce.map(|nonce| URL_SAFE_NO_PAD.encode(nonce)).unwrap_or_default(),
    })
}
