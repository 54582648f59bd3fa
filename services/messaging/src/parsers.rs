//! What messaging reads from strangers, for those who feed it nonsense: `tests/parsers` and the fuzz targets. The service
//! itself does not use it.

use lethe_proto::messaging::Profile as Given;
use prost::Message;

use crate::domain::{import::Refusal, keyword::Keyword, label, picture::Picture, profile::Profile};

/// Whether the text is STOP or START in some language.
pub fn is_keyword(text: &str) -> bool {
    Keyword::of(text).is_some()
}

/// Reads a profile as a client gives it. Answers whether it comes back from its blob as it was; `None` for one that does
/// not fit.
pub fn profile(bytes: &[u8]) -> Option<bool> {
    let profile = Profile::new(Given::decode(bytes).ok()?).ok()?;
    Some(Profile::decode(&profile.encode()).is_ok_and(|again| again == profile))
}

/// Whether the bytes are a picture of that kind.
pub fn is_picture(media_type: &str, bytes: &[u8]) -> bool {
    Picture::new(media_type, bytes.to_vec().into()).is_ok()
}

/// Whether the text is a label's name or colour.
pub fn is_label(text: &str) -> bool {
    label::colour(text).is_ok() || label::name(text).is_ok()
}

/// The field that the report of an import names, of the one that a row was refused for.
pub fn told_field(field: &str) -> String {
    Refusal::new(field, "", "").field
}
