//! JSON Lines in: an object a line, each read as strictly as a body. A line that does not fit is that line's matter, and keeps
//! no other out.

use axum::extract::{FromRequest, Request};
use serde::de::DeserializeOwned;

use crate::{
    App,
    body::{collect, require},
    problem::Problem,
    unfit::{self, Unfit},
};

const MEDIA_TYPES: [&str; 2] = ["application/jsonl", "application/x-ndjson"];

/// The lines of a body. Blank ones are counted and left out.
pub(crate) struct Lines<T> {
    /// How many there are.
    pub(crate) count: u32,
    /// By number, from 1.
    pub(crate) lines: Vec<(u32, Result<T, Unfit>)>,
}

impl<T: DeserializeOwned> FromRequest<App> for Lines<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        require(request.headers(), MEDIA_TYPES)?;
        let (parts, body) = request.into_parts();
        Ok(read(&collect(&parts.headers, body, app.body_limit(), app).await?))
    }
}

/// Reads lines. A line feed at the end begins no other.
pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Lines<T> {
    let mut read = Lines { count: 0, lines: Vec::new() };
    if bytes.is_empty() {
        return read;
    }
    for line in bytes.strip_suffix(b"\n").unwrap_or(bytes).split(|byte| *byte == b'\n') {
        read.count += 1;
        if !line.trim_ascii().is_empty() {
            read.lines.push((read.count, one(line)));
        }
    }
    read
}

fn one<T: DeserializeOwned>(line: &[u8]) -> Result<T, Unfit> {
    let not_utf8 = |_| Unfit { code: "LINE_NOT_UTF8", detail: "is not valid UTF-8".to_owned(), field: None };
    unfit::read(std::str::from_utf8(line).map_err(not_utf8)?)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Row {
        n: u32,
    }

    type Said = (u32, Result<u32, &'static str>);

    fn said(bytes: &[u8]) -> (u32, Vec<Said>) {
        let Lines { count, lines } = read::<Row>(bytes);
        let told = |(at, line): (u32, Result<Row, Unfit>)| (at, line.map(|row| row.n).map_err(|u| u.code));
        (count, lines.into_iter().map(told).collect())
    }

    #[test]
    fn each_line_is_read_by_itself() {
        assert_eq!(said(b""), (0, vec![]));
        assert_eq!(said(b"\n"), (1, vec![]));
        assert_eq!(said(b"\n\n"), (2, vec![]));
        assert_eq!(said(b"{\"n\":1}"), (1, vec![(1, Ok(1))]));
        let mixed = b"{\"n\":1}\r\n\n{\"n\":\"Maud\"}\n{\"m\":1}\n\xff\n{\"n\":2\n[1]\n{\"n\":7}\n";
        let read = vec![
            (1, Ok(1)),
            (3, Err("FIELD_INVALID")),
            (4, Err("FIELD_UNKNOWN")),
            (5, Err("LINE_NOT_UTF8")),
            (6, Err("JSON_MALFORMED")),
            (7, Err("FIELD_INVALID")),
            (8, Ok(7)),
        ];
        assert_eq!(said(mixed), (8, read));
    }
}
