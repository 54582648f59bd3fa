//! Certificates of erasures, and the keys they are checked with. Both are handed on byte by byte: what is signed must
//! arrive as it was signed, and saved as a file it is what `lethe verify FILE` takes.

use axum::response::Response;
use http::{HeaderName, HeaderValue, Method, header};
use lethe_ids::ErasureId;
use lethe_proto::retention::{GetCertificateRequest, ListCertificateKeysRequest};
use tokio::time::Instant;

use super::Anyone;
use crate::{body::json_bytes, path::Id, problem::Problem, session::Acting};

/// The header of the nonce that opens the commitment.
const SUBJECT_NONCE: HeaderName = HeaderName::from_static("lethe-subject-nonce");

/// Gets the newest certificate of an erasure.
///
/// The body is the DSSE envelope: save it, and check it offline with `lethe verify FILE`. Whose erasure it was stands in
/// it as a commitment; the nonce that opens it comes in the header `Lethe-Subject-Nonce`, once.
#[utoipa::path(get, path = "/v1/erasures/{erasure_id}/certificate", tag = "erasures",
    params(("erasure_id" = String, Path, description = "The erasure's id.", example = "era_01998f2ac3e47b0f8a5d2f60b1c9e7aa")),
    responses((status = 200, body = Object, content_type = "application/json", description = "The DSSE envelope.",
        headers(("Lethe-Subject-Nonce" = String, description = "Opens the commitment to whose it was. Only in the first answer.")),
        example = json!({"payloadType": "application/vnd.lethe.erasure-certificate.v1+json", "payload": "eyJ…", "signatures": [{"keyid": "…", "sig": "…"}]}))),
    extensions(("x-lethe-rpc" = json!("GetCertificate"))))]
pub(crate) async fn get_certificate(
    acting: Acting,
    method: Method,
    Id(erasure): Id<ErasureId>,
) -> Result<Response, Problem> {
    // The nonce is told once: not to somebody who only wants the headers' size and shape.
    if method == Method::HEAD {
        return Err(super::method_not_allowed().await);
    }
    let request = GetCertificateRequest { erasure_id: erasure.to_string() };
    let answer = acting.retention().get_certificate(request).await?.into_inner();
    let mut response = json_bytes(answer.envelope);
    if !answer.subject_nonce.is_empty() {
        let nonce = HeaderValue::try_from(answer.subject_nonce).map_err(Problem::internal)?;
        response.headers_mut().insert(SUBJECT_NONCE, nonce);
    }
    Ok(response)
}

/// Lists the keys that certificates are signed with, and from when until when.
#[utoipa::path(get, path = "/.well-known/lethe-keys.json", tag = "erasures",
    responses((status = 200, body = Object, content_type = "application/json", description = "The published keys.")),
    extensions(("x-lethe-rpc" = json!("ListCertificateKeys"))))]
pub(crate) async fn list_certificate_keys(anyone: Anyone) -> Result<Response, Problem> {
    let Anyone { app, context, client, .. } = anyone;
    app.windows().address.take(client.household(), Instant::now())?;
    let answer = app.retention(&context).list_certificate_keys(ListCertificateKeysRequest {}).await?;
    let mut response = json_bytes(answer.into_inner().document);
    // Public, and rarely changed.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    Ok(response)
}
