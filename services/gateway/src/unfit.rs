//! What serde says of a value that does not fit, put into words that hold no value: serde quotes what it met
//! (``invalid type: string "secret"``), a problem must not.

use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::error::Category;
use serde_path_to_error::{Path, Segment};

/// The longest field name that is repeated to the client, in characters.
const LONGEST_NAME: usize = 64;
/// The deepest nesting that is told apart from plain nonsense.
const DEEPEST: usize = 32;

/// Why a text is not the request it should be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unfit {
    /// `JSON_MALFORMED`, `JSON_TOO_DEEP`, `FIELD_UNKNOWN`, `FIELD_MISSING`, `FIELD_DUPLICATE` or `FIELD_INVALID`.
    pub(crate) code: &'static str,
    /// What would fit.
    pub(crate) detail: String,
    /// Where; `None` for the whole body.
    pub(crate) field: Option<String>,
}

impl Unfit {
    /// Whether it could be read and does not fit, rather than not be read at all.
    pub(crate) fn is_of_a_field(&self) -> bool {
        self.code.starts_with("FIELD_")
    }
}

/// Reads an object. What fits, as nearly everything does, is read once; what does not is read again for its field.
pub(crate) fn read<T: DeserializeOwned>(text: &str) -> Result<T, Unfit> {
    match serde_json::from_str(text) {
        // serde takes an array for a struct's fields in their order; a client has no business with that.
        Ok(_) if !text.trim_ascii_start().starts_with('{') => {
            Err(Unfit { code: "FIELD_INVALID", detail: "must be an object".to_owned(), field: None })
        }
        Ok(value) => Ok(value),
        Err(_) if is_too_deep(text) => Err(Unfit {
            code: "JSON_TOO_DEEP",
            detail: format!("is nested deeper than {DEEPEST} levels"),
            field: None,
        }),
        Err(error) => Err(explain::<T>(text, &error)),
    }
}

/// Reads a value that is JSON already, as a query's parameters are.
pub(crate) fn read_value<T: DeserializeOwned>(value: serde_json::Value) -> Result<T, Unfit> {
    serde_path_to_error::deserialize(value).map_err(|error| of_data(error.path(), &error.inner().to_string()))
}

fn explain<T: DeserializeOwned>(text: &str, error: &serde_json::Error) -> Unfit {
    // A wrong type in front hides malformed JSON behind it: all of it must be JSON before a field is to blame.
    let whole = serde_json::from_str::<IgnoredAny>(text);
    let malformed = match &whole {
        Err(error) => Some(error),
        Ok(IgnoredAny) => Some(error).filter(|error| error.classify() != Category::Data),
    };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    match (malformed, serde_path_to_error::deserialize::<_, T>(&mut deserializer)) {
        (None, Err(error)) => of_data(error.path(), &error.inner().to_string()),
        (malformed, _) => {
            let error = malformed.unwrap_or(error);
            Unfit {
                code: "JSON_MALFORMED",
                detail: format!("is not JSON at line {} column {}", error.line(), error.column()),
                field: None,
            }
        }
    }
}

/// From serde's message: its beginning says what kind it is, and what stands behind the last `, expected` was written by
/// a type of ours, not by the client.
fn of_data(path: &Path, message: &str) -> Unfit {
    let message = message.rsplit_once(" at line ").map_or(message, |(message, _)| message);
    let named = message.split('`').nth(1).unwrap_or_default();
    let at = place(path, None);
    if message.starts_with("unknown field") {
        let field = place(path, Some(named));
        return Unfit { code: "FIELD_UNKNOWN", detail: "is not a field of this request".to_owned(), field };
    }
    if message.starts_with("missing field") {
        let field = place(path, Some(named));
        return Unfit { code: "FIELD_MISSING", detail: "is missing".to_owned(), field };
    }
    if message.starts_with("duplicate field") {
        let field = place(path, Some(named));
        return Unfit { code: "FIELD_DUPLICATE", detail: "stands there twice".to_owned(), field };
    }
    let theirs = ["invalid type", "invalid value", "invalid length", "unknown variant"];
    let detail = if theirs.iter().any(|start| message.starts_with(start)) {
        match message.rsplit_once(", expected ") {
            Some((_, "one of ``")) | None => "does not fit".to_owned(),
            Some((_, expected)) => format!("must be {}", without_rust(expected)),
        }
    } else {
        // Written by one of our own types, which quote nothing.
        message.to_owned()
    };
    Unfit { code: "FIELD_INVALID", detail, field: at }
}

/// serde's words for types, in JSON's.
fn without_rust(expected: &str) -> String {
    match expected {
        "a map" => "an object".to_owned(),
        "a sequence" => "an array".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "u32" | "u64" | "i64" => "a whole number".to_owned(),
        _ if expected.starts_with("struct ") || expected.starts_with("map") => "an object".to_owned(),
        _ => expected.replace('`', "\""),
    }
}

/// `wait_for.seq`, `tags[3]`; `last` is added unless the path ends with it already.
fn place(path: &Path, last: Option<&str>) -> Option<String> {
    let mut text = String::new();
    let mut ends_with = "";
    for segment in path.iter() {
        match segment {
            Segment::Seq { index } => text += &format!("[{index}]"),
            Segment::Map { key } | Segment::Enum { variant: key } => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.extend(key.chars().take(LONGEST_NAME));
                ends_with = key;
            }
            Segment::Unknown => {}
        }
    }
    if let Some(last) = last.filter(|last| *last != ends_with) {
        if !text.is_empty() {
            text.push('.');
        }
        text.extend(last.chars().take(LONGEST_NAME));
    }
    (!text.is_empty()).then_some(text)
}

/// Whether brackets outside of strings nest deeper than [`DEEPEST`]. Looked at only when reading failed: no request of
/// ours is deeper than four, so one that was read is not.
fn is_too_deep(text: &str) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                if depth > DEEPEST {
                    return true;
                }
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only read into")]
    struct Outer {
        name: String,
        #[serde(default)]
        inner: Option<Inner>,
        #[serde(default)]
        kind: Option<Kind>,
    }
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only read into")]
    struct Inner {
        seqs: Vec<u64>,
    }
    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Kind {
        LiveChat,
        Sms,
    }

    fn unfit(text: &str) -> (&'static str, String, Option<String>) {
        let unfit = read::<Outer>(text).expect_err("does not fit");
        (unfit.code, unfit.detail, unfit.field)
    }

    #[test]
    fn each_misfit_names_its_field_and_no_value() {
        let field = |field: &str| Some(field.to_owned());
        for (text, code, detail, at) in [
            (r#"{"name":"#, "JSON_MALFORMED", "is not JSON at line 1 column 8", None),
            (r#"{"name":"a"} x"#, "JSON_MALFORMED", "is not JSON at line 1 column 14", None),
            (r#"{"name":5,"#, "JSON_MALFORMED", "is not JSON at line 1 column 10", None),
            ("", "JSON_MALFORMED", "is not JSON at line 1 column 0", None),
            (r#"["a",null,null]"#, "FIELD_INVALID", "must be an object", None),
            ("7", "FIELD_INVALID", "must be an object", None),
            (r#"{}"#, "FIELD_MISSING", "is missing", field("name")),
            (r#"{"name":5}"#, "FIELD_INVALID", "must be a string", field("name")),
            (r#"{"name":"a","name":"secret"}"#, "FIELD_DUPLICATE", "stands there twice", field("name")),
            (
                r#"{"name":"a","secret":1}"#,
                "FIELD_UNKNOWN",
                "is not a field of this request",
                field("secret"),
            ),
            (
                r#"{"name":"a","inner":{"x":1}}"#,
                "FIELD_UNKNOWN",
                "is not a field of this request",
                field("inner.x"),
            ),
            (r#"{"name":"a","inner":{}}"#, "FIELD_MISSING", "is missing", field("inner.seqs")),
            (
                r#"{"name":"a","inner":{"seqs":[1,"secret"]}}"#,
                "FIELD_INVALID",
                "must be a whole number",
                field("inner.seqs[1]"),
            ),
            (
                r#"{"name":"a","inner":{"seqs":[-1]}}"#,
                "FIELD_INVALID",
                "must be a whole number",
                field("inner.seqs[0]"),
            ),
            (
                r#"{"name":"a","inner":"x, expected secret"}"#,
                "FIELD_INVALID",
                "must be an object",
                field("inner"),
            ),
            (
                r#"{"name":"a","kind":"secret"}"#,
                "FIELD_INVALID",
                "must be \"live_chat\" or \"sms\"",
                field("kind"),
            ),
        ] {
            assert_eq!(unfit(text), (code, detail.to_owned(), at), "{text}");
        }
    }

    #[test]
    fn depth_counts_brackets_outside_of_strings() {
        let deep = |levels: usize| format!(r#"{{"name":{}1{}}}"#, "[".repeat(levels), "]".repeat(levels));
        assert_eq!(unfit(&deep(31)).0, "FIELD_INVALID");
        assert_eq!(unfit(&deep(32)).0, "JSON_TOO_DEEP");
        let text = format!(r#"{{"name":"{}\"[","x":1}}"#, "[".repeat(100));
        assert_eq!(unfit(&text).0, "FIELD_UNKNOWN");
        assert_eq!(unfit(&"[".repeat(100_000)).0, "JSON_TOO_DEEP");
    }
}
