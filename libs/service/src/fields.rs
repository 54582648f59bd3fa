//! Fields of requests on their way between protobuf and our types. Whatever does not fit is an invalid argument
//! that names the field and not its value.

use std::str::FromStr;

use lethe_ids::NotAnId;
use prost_types::Timestamp;
use time::OffsetDateTime;

use crate::Failure;

/// The id that `text` is.
///
/// # Errors
/// INVALID_ARGUMENT with the name of the field.
pub fn id<T: FromStr<Err = NotAnId>>(field: &str, text: &str) -> Result<T, Failure> {
    text.parse().map_err(|error: NotAnId| Failure::invalid(field, error.to_string()))
}

/// An instant as protobuf has it.
pub fn timestamp(at: OffsetDateTime) -> Timestamp {
    Timestamp { seconds: at.unix_timestamp(), nanos: i32::try_from(at.nanosecond()).unwrap_or(0) }
}

/// The instant that `timestamp` is, cut to the microsecond, which is what PostgreSQL keeps.
///
/// # Errors
/// INVALID_ARGUMENT with the name of the field, when it lies outside the years 0001 to 9999 (RFC 3339).
pub fn instant(timestamp: &Timestamp, field: &str) -> Result<OffsetDateTime, Failure> {
    let wrong = || Failure::invalid(field, "is not an instant between the years 1 and 9999");
    let nanos = u32::try_from(timestamp.nanos).ok().filter(|n| *n < 1_000_000_000).ok_or_else(wrong)?;
    let at = OffsetDateTime::from_unix_timestamp(timestamp.seconds).map_err(|_| wrong())?;
    if !(1..=9999).contains(&at.year()) {
        return Err(wrong());
    }
    at.replace_nanosecond(nanos / 1_000 * 1_000).map_err(|_| wrong())
}
