//! ListCertificateKeys: the document served at `/.well-known/lethe-keys.json`.

use lethe_proto::retention::ListCertificateKeysResponse;

use super::Api;
use crate::error::Error;

pub(super) fn list_certificate_keys(api: &Api) -> Result<ListCertificateKeysResponse, Error> {
    Ok(ListCertificateKeysResponse { document: api.saga.signer.keys_document()?.into() })
}
