//! The OpenAPI document, the page made of it, and health.

use http::{HeaderValue, Method, header};
use lethe_access::Revocations;
use serde_json::Value;

use crate::support::{edge, edge_with_revocations, request};

#[test]
fn the_committed_document_is_what_the_code_says() {
    let committed: Value = serde_json::from_str(include_str!("../../openapi.json")).expect("JSON");
    let now: Value = serde_json::from_str(&lethe_gateway::openapi_json()).expect("JSON");
    assert!(committed == now, "services/gateway/openapi.json is old: write it anew with `make openapi`");
}

#[test]
fn the_document_is_complete() {
    let document: Value = serde_json::from_str(&lethe_gateway::openapi_json()).expect("JSON");
    assert_eq!(document["openapi"], "3.1.0");
    let tags: Vec<&str> =
        document["tags"].as_array().unwrap().iter().map(|tag| tag["name"].as_str().unwrap()).collect();
    let mut ids = std::collections::BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let place = format!("{method} {path}");
            let summary = operation["summary"].as_str().unwrap_or_default();
            assert!(!summary.is_empty() && summary.len() < 140, "{place}: {summary}");
            assert!(ids.insert(operation["operationId"].as_str().expect("an id").to_owned()), "{place}");
            assert!(tags.contains(&operation["tags"][0].as_str().unwrap()), "{place}");
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                assert!(
                    parameter["description"].as_str().is_some_and(|text| !text.is_empty()),
                    "{place} {parameter}"
                );
            }
            let responses = operation["responses"].as_object().unwrap();
            for (status, response) in responses {
                let described = response["description"].as_str().is_some_and(|text| !text.is_empty());
                assert!(described || response["$ref"].is_string(), "{place} {status}");
            }
            if path.starts_with("/v1/") {
                for status in ["401", "429", "500", "503", "504"] {
                    assert!(responses.contains_key(status), "{place} {status}");
                }
                let secured = operation["security"].as_array().unwrap().len();
                let permission = operation["x-lethe-permission"].as_str();
                let wanted = match permission {
                    None => 0,
                    Some("own_account" | "api_keys") => 2,
                    Some(_) => 3,
                };
                assert_eq!(secured, wanted, "{place}");
                assert_eq!(permission.is_none(), place == "post /v1/sessions", "{place}");
                assert!(!operation["x-lethe-limits"].as_array().unwrap().is_empty(), "{place}");
                if let Some(permission) = permission {
                    assert!(!operation["x-lethe-roles"].as_array().unwrap().is_empty(), "{place}");
                    assert!(
                        secured == 2
                            || operation["security"][2]["signature"] == serde_json::json!([permission])
                    );
                }
            }
        }
    }
    references_lead_somewhere(&document, &document);
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        let described = schema["description"].as_str().is_some_and(|text| !text.is_empty());
        assert!(described, "{name} has no description");
    }
}

#[test]
fn what_was_created_leads_to_what_can_be_done_with_it() {
    let document: Value = serde_json::from_str(&lethe_gateway::openapi_json()).expect("JSON");
    let links = |path: &str| document["paths"][path]["post"]["responses"]["201"]["links"].clone();
    let contacts = links("/v1/contacts");
    assert_eq!(contacts["get_contact"]["parameters"]["contact_id"], "$response.body#/contact_id");
    let members = links("/v1/members");
    assert_eq!(members["deactivate_member"]["operationId"], "deactivate_member");
    assert_eq!(members["deactivate_member"]["parameters"]["member_id"], "$response.body#/member/member_id");
    // It takes a role besides.
    assert_eq!(members["grant_role"], Value::Null);
}

fn references_lead_somewhere(document: &Value, value: &Value) {
    match value {
        Value::Object(fields) => {
            if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
                assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
            }
            fields.values().for_each(|value| references_lead_somewhere(document, value));
        }
        Value::Array(items) => items.iter().for_each(|value| references_lead_somewhere(document, value)),
        _ => {}
    }
}

#[tokio::test]
async fn the_document_is_served() {
    let edge = edge().await;
    let mut request = request(Method::GET, "/openapi.json", "");
    request.headers_mut().remove(header::AUTHORIZATION);
    let answer = edge.send(request).await;
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.body, lethe_gateway::openapi_json());
}

#[tokio::test]
async fn the_page_shows_every_route_and_loads_nothing() {
    let edge = edge().await;
    let mut request = request(Method::GET, "/docs", "");
    request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static("text/html"));
    let answer = edge.send(request).await;
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    let policy = answer.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    assert!(!policy.contains("http") && !policy.contains("unsafe"), "{policy}");
    let page = String::from_utf8(answer.body.to_vec()).unwrap();
    for loads in
        ["<script", "<link", "<img", "<iframe", "@import", "url(", "http://", "https://", " style=", " on"]
    {
        let found = page.match_indices(loads).find(|(place, _)| {
            // ` on` is an attribute only inside of a tag.
            loads != " on" || page[..*place].rfind('<') > page[..*place].rfind('>')
        });
        assert_eq!(found, None, "{loads}");
    }
    let document: Value = serde_json::from_str(&lethe_gateway::openapi_json()).unwrap();
    for path in document["paths"].as_object().unwrap().keys() {
        assert!(page.contains(&format!("<code>{path}</code>")), "{path}");
    }
    for name in document["components"]["schemas"].as_object().unwrap().keys() {
        assert!(page.contains(&format!("id=\"schema-{name}\"")), "{name}");
    }
}

#[tokio::test]
async fn living_needs_nothing_and_being_ready_needs_identity() {
    let edge = edge().await;
    for path in ["/livez", "/readyz"] {
        assert_eq!(edge.ask(Method::GET, path, "").await.json(), serde_json::json!({"status": "ok"}));
    }
    let deaf = edge_with_revocations(Revocations::new()).await;
    assert_eq!(deaf.ask(Method::GET, "/livez", "").await.status, 200);
    let expected = (503, "NOT_READY".to_owned(), Some("identity".to_owned()));
    assert_eq!(deaf.ask(Method::GET, "/readyz", "").await.problem(), expected);
    edge.tasks.shut_down(std::time::Duration::from_secs(1)).await;
    assert_eq!(edge.ask(Method::GET, "/readyz", "").await.problem().2.as_deref(), Some("process"));
    assert_eq!(edge.ask(Method::GET, "/livez", "").await.status, 200);
}

#[tokio::test]
async fn the_documents_words_are_the_wires() {
    fn enums<'a>(value: &'a Value, into: &mut Vec<&'a str>) {
        match value {
            Value::Object(fields) => {
                if let Some(Value::Array(words)) = fields.get("enum") {
                    into.extend(words.iter().filter_map(Value::as_str));
                }
                fields.values().for_each(|field| enums(field, into));
            }
            Value::Array(items) => items.iter().for_each(|item| enums(item, into)),
            _ => {}
        }
    }
    let document: Value = serde_json::from_str(&lethe_gateway::openapi_json()).unwrap();
    let mut words = Vec::new();
    enums(&document, &mut words);
    assert!(words.contains(&"live_chat") && words.contains(&"re_verified") && words.len() > 30, "{words:?}");
    let odd: Vec<_> =
        // The types of events have dots, as Standard Webhooks has them.
        words.iter().filter(|word| word.bytes().any(|b| !(b.is_ascii_lowercase() || matches!(b, b'_' | b'.')))).collect();
    assert!(odd.is_empty(), "{odd:?}");
}
