//! What the gateway reads from strangers, for those who feed it nonsense: `tests/parsers` and the fuzz targets. The gateway
//! itself does not use it.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, header};
use lethe_ambient::{Clock, Entropy};
use lethe_ids::TenantId;
use serde::Deserialize;
use time::OffsetDateTime;

use crate::{
    api::ImportRow,
    cookie,
    cursor::{Cursors, Place},
    edge::address::Peer,
    json::{At, Change, Named, Object, PageLimit, Text},
    lines::{self, Lines},
    unfit,
};

/// A body with a field of every kind that bodies have.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    #[serde(rename = "text")]
    _text: Text,
    #[serde(rename = "change", default)]
    _change: Change<Text>,
    #[serde(rename = "named", default)]
    _named: Named<Text>,
    #[serde(rename = "at", default)]
    _at: Option<At>,
    #[serde(rename = "inner", default)]
    _inner: Option<Object<Inner>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Inner {
    #[serde(rename = "texts")]
    _texts: Vec<Text>,
}

/// Reads a body of JSON. Answers what is said of one that does not fit.
pub fn body(text: &str) -> Option<String> {
    unfit::read::<Body>(text).err().map(|unfit| unfit.detail)
}

/// Of a line that does not fit, the field and what is said of it.
pub type Said = Option<(String, String)>;

/// Reads a chunk of an import: how many lines it has, and the numbers of those that are not blank.
pub fn import_lines(bytes: &[u8]) -> (u32, Vec<(u32, Said)>) {
    let Lines { count, lines } = lines::read::<ImportRow>(bytes);
    let said = lines.into_iter().map(|(number, line)| {
        (number, line.err().map(|unfit| (unfit.field.unwrap_or_default(), unfit.detail)))
    });
    (count, said.collect())
}

/// Opens a cursor: whether it is one, and the one that was made.
pub fn cursor(text: &str) -> (bool, String) {
    let (clock, entropy) = (Clock::fixed(OffsetDateTime::UNIX_EPOCH), Entropy::seeded(1));
    let cursors = Cursors::new(&[7; 32], Duration::from_secs(60), clock, entropy);
    let tenant: TenantId = "ten_00000000000000000000000000000001".parse().expect("an id");
    let place = Place { tenant, list: "ListContacts", filters: "" };
    let made = cursors.seal(&place, b"row 17").unwrap_or_default();
    (cursors.page(&place, PageLimit(1), Some(text)).is_ok(), made)
}

/// Finds the session's token among cookies, on plain loopback, where either of its names counts.
pub fn cookie(value: &HeaderValue) -> Option<String> {
    let host = (header::HOST, HeaderValue::from_static("localhost"));
    let headers = HeaderMap::from_iter([host, (header::COOKIE, value.clone())]);
    let peer = Peer::plain(([127, 0, 0, 1], 1).into());
    cookie::token(&headers, Some(peer)).map(str::to_owned)
}
