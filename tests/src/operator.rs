//! What an operator of the platform does: `lethe operator`, on the configuration file of a running platform.

use std::path::Path;

use lethe::{config, operator};
use lethe_proto::identity::{OperatorAccessReason, RequestOperatorAccessRequest};
use lethe_service::Failure;

/// Asks the tenant for four hours of reading, and answers the access's id.
///
/// # Panics
/// When asking is refused: it grants nothing.
pub async fn request_operator_access(file: &Path, slug: &str) -> String {
    let request = RequestOperatorAccessRequest {
        tenant_slug: slug.to_owned(),
        operator: "j.doe".to_owned(),
        reason: OperatorAccessReason::Support.into(),
        ticket: "T-4711".to_owned(),
        permissions: Vec::new(),
        hours: 4,
    };
    let config = config::load(Some(file)).expect("the platform's configuration");
    operator::request_access(config, request).await.expect("an operator may ask").operator_access_id
}

/// Makes a session of a granted access, and answers its token.
///
/// # Errors
/// The reason of the refusal, when the tenant does not grant it or it was opened before.
///
/// # Panics
/// When identity cannot be asked.
pub async fn open_operator_access(file: &Path, slug: &str, access: &str) -> Result<String, String> {
    let config = config::load(Some(file)).expect("the platform's configuration");
    match operator::open_access(config, slug, access).await {
        Ok(opened) => Ok(opened.token),
        Err(error) => Err(error.downcast::<Failure>().expect("a refusal").reason.into_owned()),
    }
}
