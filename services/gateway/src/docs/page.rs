//! The document as one HTML page: no script, no image, one style whose hash the page's policy names.

use std::fmt::Write;

use serde_json::Value;

/// The style. Its SHA-256 stands in the page's `Content-Security-Policy`.
pub(super) const STYLE: &str = "\
:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:62rem;margin:0 auto;padding:1rem}\
code,pre{font:14px/1.4 ui-monospace,monospace}pre{overflow:auto;padding:.7rem;border:1px solid #8884;border-radius:6px}\
h2{margin-top:2.5rem;border-bottom:1px solid #8886}details{margin:.4rem 0;padding:.2rem .6rem;border:1px solid #8884;\
border-radius:6px}summary{cursor:pointer}table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.2rem .6rem \
.2rem 0;vertical-align:top;border-bottom:1px solid #8883}b.m{display:inline-block;min-width:4.5rem}nav a{margin-right:1rem;display:inline-block}";

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// The page of a document.
pub(super) fn render(document: &Value) -> String {
    let mut page = String::with_capacity(128 * 1024);
    // Writing into a String does not fail; so in all of this file.
    let _infallible = write!(
        page,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width,initial-scale=1\"><title>Lethe: HTTP API</title><style>{STYLE}</style></head><body>\
         <h1>Lethe: HTTP API</h1>"
    );
    prose(&mut page, text(&document["info"]["description"]));
    page.push_str(
        "<p>The same for machines: <a href=\"/openapi.json\">/openapi.json</a> (OpenAPI 3.1).</p><nav>",
    );
    let tags: Vec<(&str, &str)> =
        items(&document["tags"]).map(|tag| (text(&tag["name"]), text(&tag["description"]))).collect();
    for (name, _) in &tags {
        let _infallible = write!(page, "<a href=\"#{0}\">{0}</a>", escape(name));
    }
    page.push_str("<a href=\"#credentials\">credentials</a><a href=\"#schemas\">schemas</a><a href=\"#problems\">problems</a></nav>");
    for (name, about) in tags {
        let _infallible = write!(page, "<h2 id=\"{0}\">{0}</h2><p>{1}</p>", escape(name), escape(about));
        for (path, item) in fields(&document["paths"]) {
            for method in METHODS {
                let operation = &item[method];
                if items(&operation["tags"]).any(|tag| tag == name) {
                    self::operation(&mut page, method, path, operation);
                }
            }
        }
    }
    page.push_str("<h2 id=\"credentials\">credentials</h2>");
    for (name, scheme) in fields(&document["components"]["securitySchemes"]) {
        let _infallible = write!(page, "<h3>{}</h3>", escape(name));
        prose(&mut page, text(&scheme["description"]));
    }
    page.push_str("<h2 id=\"schemas\">schemas</h2>");
    for (name, schema) in fields(&document["components"]["schemas"]) {
        self::schema(&mut page, name, schema);
    }
    page.push_str("<h2 id=\"problems\">problems</h2><table><tr><th>kind</th><th>meaning</th></tr>");
    for (name, response) in fields(&document["components"]["responses"]) {
        let _infallible = write!(page, "<tr><td>{}</td><td>", escape(name));
        inline(&mut page, text(&response["description"]));
        page.push_str("</td></tr>");
    }
    page.push_str("</table></body></html>");
    page
}

fn operation(page: &mut String, method: &str, path: &str, operation: &Value) {
    let _infallible = write!(
        page,
        "<details><summary><b class=\"m\">{}</b> <code>{}</code> ",
        method.to_uppercase(),
        escape(path)
    );
    inline(page, text(&operation["summary"]));
    page.push_str("</summary>");
    prose(page, text(&operation["description"]));
    let words = |name: &str| items(&operation[name]).map(text).collect::<Vec<_>>().join(", ");
    let permission = text(&operation["x-lethe-permission"]);
    if !permission.is_empty() {
        let _infallible = write!(
            page,
            "<p>Permission: <code>{}</code> (roles: {}",
            escape(permission),
            escape(&words("x-lethe-roles"))
        );
        let by_key = items(&operation["security"]).any(|one| !one["signature"].is_null());
        page.push_str(if by_key { "; keys with that scope)</p>" } else { "; no key)</p>" });
    }
    let limits = words("x-lethe-limits");
    if !limits.is_empty() {
        let _infallible = write!(page, "<p>Limits: {}</p>", escape(&limits));
    }
    let mut parameters = items(&operation["parameters"]).peekable();
    if parameters.peek().is_some() {
        page.push_str("<table><tr><th>parameter</th><th>in</th><th>meaning</th></tr>");
        for parameter in parameters {
            let must = if parameter["required"] == true { "" } else { " (optional)" };
            let _infallible = write!(
                page,
                "<tr><td><code>{}</code></td><td>{}{must}</td><td>",
                escape(text(&parameter["name"])),
                escape(text(&parameter["in"]))
            );
            inline(page, text(&parameter["description"]));
            page.push_str("</td></tr>");
        }
        page.push_str("</table>");
    }
    let body = &operation["requestBody"]["content"]["application/json"]["schema"];
    if !body.is_null() {
        let _infallible = write!(page, "<p>Body: {}</p>", kind(body));
    } else if let Some((media_type, _)) = fields(&operation["requestBody"]["content"]).next() {
        let _infallible = write!(page, "<p>Body: <code>{}</code></p>", escape(media_type));
    }
    page.push_str("<table><tr><th>status</th><th>meaning</th><th>body</th></tr>");
    for (status, response) in fields(&operation["responses"]) {
        let _infallible = write!(page, "<tr><td>{}</td><td>", escape(status));
        let name = text(&response["$ref"]).rsplit('/').next().unwrap_or_default();
        if name.is_empty() {
            inline(page, text(&response["description"]));
            let schema = &response["content"]["application/json"]["schema"];
            let _infallible = write!(page, "</td><td>{}</td></tr>", kind(schema));
        } else {
            let _infallible = write!(page, "<a href=\"#problems\">{}</a></td><td></td></tr>", escape(name));
        }
    }
    page.push_str("</table></details>");
}

fn schema(page: &mut String, name: &str, schema: &Value) {
    let _infallible =
        write!(page, "<details id=\"schema-{0}\"><summary><code>{0}</code></summary>", escape(name));
    prose(page, text(&schema["description"]));
    let words: Vec<&str> = items(&schema["enum"]).map(text).collect();
    if !words.is_empty() {
        let _infallible = write!(page, "<p>One of: <code>{}</code></p>", escape(&words.join(", ")));
    }
    let mut properties = fields(&schema["properties"]).peekable();
    if properties.peek().is_some() {
        page.push_str("<table><tr><th>field</th><th>type</th><th>meaning</th></tr>");
        for (field, of) in properties {
            let must = if items(&schema["required"]).any(|name| name == field) { "" } else { " (optional)" };
            let _infallible =
                write!(page, "<tr><td><code>{}</code></td><td>{}{must}</td><td>", escape(field), kind(of));
            inline(page, text(&of["description"]));
            page.push_str("</td></tr>");
        }
        page.push_str("</table>");
    }
    if !schema["example"].is_null() {
        let example = serde_json::to_string_pretty(&schema["example"]).unwrap_or_default();
        let _infallible = write!(page, "<pre>{}</pre>", escape(&example));
    }
    page.push_str("</details>");
}

/// What a schema is, in a few words; a named one is a link.
fn kind(schema: &Value) -> String {
    let name = text(&schema["$ref"]).rsplit('/').next().unwrap_or_default();
    if !name.is_empty() {
        return format!("<a href=\"#schema-{0}\">{0}</a>", escape(name));
    }
    if let Some(of) = items(&schema["oneOf"]).find(|of| of["type"] != "null") {
        return format!("{} or null", kind(of));
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        other => items(other).map(text).collect(),
    };
    let items = &schema["items"];
    match (types.first(), items.is_null()) {
        (Some(&"array"), false) => format!("array of {}", kind(items)),
        _ => escape(&types.join(" or ")),
    }
}

/// Paragraphs, with `code` and **bold**.
fn prose(page: &mut String, text: &str) {
    for paragraph in text.split("\n\n").filter(|paragraph| !paragraph.is_empty()) {
        page.push_str("<p>");
        inline(page, paragraph);
        page.push_str("</p>");
    }
}

fn inline(page: &mut String, text: &str) {
    for (number, part) in text.split('`').enumerate() {
        if number % 2 == 1 {
            let _infallible = write!(page, "<code>{}</code>", escape(part));
            continue;
        }
        for (number, part) in part.split("**").enumerate() {
            let (open, close) = if number % 2 == 1 { ("<b>", "</b>") } else { ("", "") };
            let _infallible = write!(page, "{open}{}{close}", escape(part));
        }
    }
}

fn escape(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    // An address in an example is text to be read, and nothing else.
    text.replace("://", "&#58;//")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn fields(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}
