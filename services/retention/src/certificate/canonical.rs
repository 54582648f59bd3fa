//! JSON with one form: keys sorted, no white space, numbers only as integers (the subset of RFC 8785 that we need).

use serde_json::Value;

/// The one form of `value`. Our keys are ASCII, so sorting by bytes is sorting as RFC 8785 wants.
pub(super) fn canonical(value: &Value) -> String {
    let mut text = String::new();
    write(value, &mut text);
    text
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_unstable_by_key(|(key, _)| *key);
            out.push('{');
            for (index, (key, item)) in fields.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                write(item, out);
            }
            out.push('}');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn there_is_one_form() {
        let value = json!({"b": [1, {"z": null, "a": true}], "a": "\u{1f}\"é\n", "": {}});
        assert_eq!(
            canonical(&value),
            "{\"\":{},\"a\":\"\\u001f\\\"é\\n\",\"b\":[1,{\"a\":true,\"z\":null}]}"
        );
    }
}
