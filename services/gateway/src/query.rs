//! What stands behind the `?`: known parameters, each once, in valid UTF-8. Nothing personal is ever asked for here:
//! URLs end up in logs of others.

use axum::extract::FromRequestParts;
use http::request::Parts;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{App, problem::Problem, unfit};

/// The parameters of a query, strictly read.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<App> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        read(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

fn read<T: DeserializeOwned>(query: &str) -> Result<T, Problem> {
    let mut parameters = Map::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (Some(name), Some(value)) = (decode(name), decode(value)) else {
            return Err(Problem::bad_request("QUERY_MALFORMED", "is not percent-encoded UTF-8"));
        };
        if parameters.insert(name.clone(), Value::String(value)).is_some() {
            let name: String = name.chars().take(64).collect();
            return Err(Problem::bad_request("FIELD_DUPLICATE", "stands there twice").at(name));
        }
    }
    unfit::read_value(Value::Object(parameters)).map_err(|unfit| {
        let problem = Problem::bad_request(unfit.code, unfit.detail);
        match unfit.field {
            Some(field) => problem.at(field),
            None => problem,
        }
    })
}

/// Undoes `application/x-www-form-urlencoded`, and takes nothing for what it is not.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |letter: u8| char::from(letter).to_digit(16);
                let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
                u8::try_from(high << 4 | low).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::json::{PageLimit, Text};

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Parameters {
        #[serde(default)]
        limit: PageLimit,
        after: Option<Text>,
    }

    #[test]
    fn parameters_are_read_strictly() {
        let good: Parameters = read("limit=20&after=a%2Fb+c").expect("fits");
        assert_eq!((good.limit, good.after), (PageLimit(20), Some(Text("a/b c".to_owned()))));
        let none: Parameters = read("").expect("fits");
        assert_eq!((none.limit, none.after), (PageLimit(50), None));
        for (query, code) in [
            ("limit=0", "FIELD_INVALID"),
            ("limit=201", "FIELD_INVALID"),
            ("limit=secret", "FIELD_INVALID"),
            ("limit=1&limit=2", "FIELD_DUPLICATE"),
            ("page=2", "FIELD_UNKNOWN"),
            ("%6cimit=2&limit=3", "FIELD_DUPLICATE"),
            ("after=%", "QUERY_MALFORMED"),
            ("after=%zz", "QUERY_MALFORMED"),
            ("after=%ff", "QUERY_MALFORMED"),
            ("after=%00", "QUERY_MALFORMED"),
            ("after=%+5", "QUERY_MALFORMED"),
        ] {
            assert_eq!(read::<Parameters>(query).expect_err("does not fit").code(), code, "{query}");
        }
    }
}
