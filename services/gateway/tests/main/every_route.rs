//! What holds for every route, taken from the document: each has its RPC and reaches it, and whatever a request lacks
//! or has too much of is refused before anything is called.

mod pictures;

use std::collections::BTreeSet;

use axum::body::Body;
use http::{HeaderValue, Method, Request, header};
use lethe_access::{PRINCIPAL, SERVICE_TOKEN};
use lethe_proto::{METHODS, access::Acting, identity, messaging, retention};
use serde_json::Value;

use crate::support::{Edge, MEMBER, TOKEN, edge, request, who};

/// A route of the document.
#[derive(Debug, Clone)]
struct Route {
    method: Method,
    path: String,
    rpc: String,
    operation: Value,
    body: Option<Value>,
}

impl Route {
    fn has_parameter(&self, name: &str) -> bool {
        self.operation["parameters"].as_array().into_iter().flatten().any(|one| one["name"] == name)
    }
    fn is_public(&self) -> bool {
        self.operation["security"].as_array().is_some_and(Vec::is_empty)
    }
    /// The path with an id for each parameter.
    fn filled(&self) -> String {
        let mut path = self.path.clone();
        for parameter in self.operation["parameters"].as_array().into_iter().flatten() {
            if parameter["in"] == "path" {
                let name = parameter["name"].as_str().unwrap();
                let example = match &parameter["example"] {
                    Value::Null => "agent".to_owned(),
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                };
                path = path.replace(&format!("{{{name}}}"), &example);
            }
            if parameter["in"] == "query" && parameter["required"] == true {
                let mark = if path.contains('?') { '&' } else { '?' };
                let (name, example) = (&parameter["name"], &parameter["example"]);
                path += &format!("{mark}{}={}", name.as_str().unwrap(), example.as_str().unwrap());
            }
        }
        path
    }
    fn text(&self) -> String {
        self.body.as_ref().map(Value::to_string).unwrap_or_default()
    }
    fn takes_a_picture(&self) -> bool {
        self.operation["requestBody"]["content"]["image/png"].is_object()
    }
    fn takes_lines(&self) -> bool {
        self.operation["requestBody"]["content"]["application/jsonl"].is_object()
    }
    fn request(&self) -> Request<Body> {
        let mut request = request(self.method.clone(), &self.filled(), &self.text());
        if self.takes_lines() {
            request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/jsonl"));
            *request.body_mut() = Body::from("{}\n");
        }
        if self.takes_a_picture() {
            request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("image/png"));
            *request.body_mut() = Body::from(PNG);
        }
        request
    }
}

/// Begins as a PNG picture does.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

fn document() -> Value {
    serde_json::from_str(&lethe_gateway::openapi_json()).expect("JSON")
}

fn routes() -> Vec<Route> {
    let document = document();
    let mut routes = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let Some(rpc) = operation["x-lethe-rpc"].as_str() else { continue };
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"]["$ref"];
            let body = schema.as_str().map(|name| {
                let name = name.rsplit('/').next().unwrap();
                let example = &document["components"]["schemas"][name]["example"];
                match example {
                    Value::Null => serde_json::json!({"confirmation_token": "token"}),
                    example => example.clone(),
                }
            });
            routes.push(Route {
                method: method.to_uppercase().parse().unwrap(),
                path: path.clone(),
                rpc: rpc.to_owned(),
                operation: operation.clone(),
                body,
            });
        }
    }
    routes
}

#[test]
fn every_rpc_has_a_route_or_is_internal_and_every_route_has_an_rpc() {
    let routed: BTreeSet<String> = routes().into_iter().map(|route| route.rpc).collect();
    assert_eq!(routed.len(), routes().len(), "an RPC has two routes");
    for method in METHODS {
        assert_ne!(method.internal, routed.contains(method.rpc), "{}: a route, or `internal`", method.path);
    }
    let rpcs: BTreeSet<&str> = METHODS.iter().map(|method| method.rpc).collect();
    for rpc in &routed {
        assert!(rpcs.contains(rpc.as_str()), "{rpc} is no RPC");
    }
    let without: Vec<String> = document()["paths"]
        .as_object()
        .expect("paths")
        .iter()
        .flat_map(|(path, item)| {
            let silent = item
                .as_object()
                .expect("operations")
                .iter()
                .filter(|(_, operation)| operation["x-lethe-rpc"].is_null());
            silent.map(move |(method, _)| format!("{method} {path}")).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(without, ["get /livez", "get /readyz"], "only health is the gateway's own");
}

/// Answers for the RPCs whose empty answer would be a defect.
fn fill(edge: &Edge) {
    let member = identity::Member { member_id: MEMBER.to_owned(), ..Default::default() };
    edge.behind.answers(
        "LogIn",
        identity::LogInResponse {
            token: "lth_s_x".to_owned(),
            session: Some(identity::Session::default()),
            member: Some(member.clone()),
            must_change_password: false,
        },
    );
    let picture =
        messaging::ContactPicture { media_type: "image/png".to_owned(), content: PNG.into(), version: 3 };
    edge.behind.answers("GetContactPicture", picture);
    let api_key = Some(identity::ApiKey { api_key_id: "key_x".to_owned(), ..Default::default() });
    edge.behind
        .answers("CreateApiKey", identity::CreateApiKeyResponse { api_key, secret: "once".to_owned() });
    edge.behind.answers(
        "CreateMember",
        identity::CreateMemberResponse {
            member: Some(member),
            one_time_password: "once".to_owned(),
            ..Default::default()
        },
    );
    let photo = b"\x89PNG\r\n\x1a\n".as_slice().into();
    edge.behind.answers(
        "GetPhoto",
        identity::GetPhotoResponse { tag: "tag".to_owned(), media_type: "image/png".to_owned(), photo },
    );
    let accepted =
        messaging::AcceptedMessage { message: Some(messaging::Message::default()), replayed: false };
    edge.behind.answers("SendMessage", accepted.clone());
    edge.behind.answers("ReceiveMessage", accepted);
    let endpoint = messaging::WebhookEndpoint { version: 1, ..Default::default() };
    let made =
        messaging::WebhookEndpointWithSecret { endpoint: Some(endpoint), secret: "whsec_x".to_owned() };
    edge.behind.answers("CreateWebhookEndpoint", made.clone());
    edge.behind.answers("RotateWebhookSecret", made);
    let chunk = messaging::ImportChunk { import: Some(messaging::Import::default()), ..Default::default() };
    edge.behind.answers("PutImportChunk", chunk);
    edge.behind.answers(
        "RequestErasure",
        retention::RequestErasureResponse {
            erasure: Some(retention::Erasure::default()),
            confirmation_token: "token".to_owned(),
        },
    );
    edge.behind
        .answers("ListCertificateKeys", retention::ListCertificateKeysResponse { document: "{}".into() });
}

#[tokio::test]
async fn every_route_reaches_its_rpc_and_answers_as_documented() {
    for route in routes() {
        let edge = edge().await;
        fill(&edge);
        let answer = edge.send(route.request()).await;
        let calls = edge.behind.calls();
        let rpcs: Vec<&str> = calls.iter().map(|call| call.rpc.as_str()).collect();
        assert_eq!(rpcs, [route.rpc.as_str()], "{} {}: {answer:?}", route.method, route.path);
        assert!(answer.status.is_success(), "{} {}: {answer:?}", route.method, route.path);
        let documented = &route.operation["responses"][answer.status.as_str()];
        assert!(!documented.is_null(), "{} {} answers {}", route.method, route.path, answer.status);
        for name in ["Location", "ETag"] {
            let says = !documented["headers"][name].is_null();
            assert_eq!(says, answer.header(name).is_some(), "{} {}: {name}", route.method, route.path);
        }
        // Who calls, for whom, how long, and in which request and trace.
        let headers = &calls[0].headers;
        assert!(headers.contains_key(SERVICE_TOKEN));
        let acts =
            METHODS.iter().any(|method| method.rpc == route.rpc && method.acting == Acting::Unspecified);
        assert_eq!(headers.contains_key(PRINCIPAL), acts, "{}", route.rpc);
        assert_eq!(headers["x-request-id"].len(), 32);
        assert!(headers["traceparent"].to_str().unwrap().starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"));
        let timeout = headers["grpc-timeout"].to_str().unwrap().trim_end_matches('m').parse::<u64>().unwrap();
        assert!((1..=edge.config.request_timeout_ms).contains(&timeout), "{timeout}");
    }
}

#[tokio::test]
async fn nobody_gets_in_without_a_session() {
    let edge = edge().await;
    for route in routes().into_iter().filter(|route| !route.is_public()) {
        let mut request = route.request();
        request.headers_mut().remove(header::AUTHORIZATION);
        // Headers that a client might hope to be believed.
        for name in ["x-lethe-principal-bin", "x-lethe-service-bin", "x-tenant-id"] {
            request.headers_mut().insert(name, HeaderValue::from_static("AAAA"));
        }
        let answer = edge.send(request).await;
        assert_eq!(
            answer.problem(),
            (401, "SESSION_MISSING".to_owned(), None),
            "{} {}",
            route.method,
            route.path
        );
        assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"lethe\""));
    }
    assert!(edge.behind.calls().is_empty());
}

#[tokio::test]
async fn a_one_time_password_opens_its_own_change_and_nothing_else() {
    let edge = edge().await;
    edge.lets_in_newcomer(TOKEN, who());
    let mut open = BTreeSet::new();
    for route in routes().into_iter().filter(|route| !route.is_public()) {
        let answer = edge.send(route.request()).await;
        let says = route.operation["x-lethe-before-password-change"] == true;
        assert_eq!(answer.status.is_success(), says, "{} {}: {answer:?}", route.method, route.path);
        if says {
            open.insert(route.rpc);
            continue;
        }
        assert_eq!(answer.problem(), (403, "PASSWORD_CHANGE_REQUIRED".to_owned(), None), "{}", route.path);
        assert!(!route.operation["responses"]["403"].is_null(), "{} documents it", route.path);
        assert_eq!(edge.behind.count(&route.rpc), 0, "{}", route.path);
    }
    assert_eq!(open, ["ChangePassword", "GetSelf", "LogOut"].map(str::to_owned).into());
}

#[tokio::test]
async fn a_wrong_id_in_a_path_is_named_and_nothing_is_called() {
    let edge = edge().await;
    let mut tried = 0;
    for route in routes() {
        for parameter in route.operation["parameters"].as_array().into_iter().flatten() {
            if parameter["in"] != "path" {
                continue;
            }
            let name = parameter["name"].as_str().unwrap();
            for (bad, code) in [
                ("nonsense", "FIELD_INVALID"),
                ("con_0199AABBCCDD7EEF8123456789ABCDEF", "FIELD_INVALID"),
                ("ten_0199aabbccdd7eef8123456789abcdef", "FIELD_INVALID"),
                ("%00", "FIELD_INVALID"),
                ("..%2f..%2fetc", "FIELD_INVALID"),
                ("%ff%fe", "PATH_NOT_UTF8"),
            ] {
                let broken = Route { path: route.path.replace(&format!("{{{name}}}"), bad), ..route.clone() };
                let (status, found, field) = edge.send(broken.request()).await.problem();
                assert_eq!((status, found.as_str()), (400, code), "{} {}", route.method, broken.path);
                if code == "FIELD_INVALID" {
                    assert_eq!(field.as_deref(), Some(name), "{} {}", route.method, broken.path);
                }
                tried += 1;
            }
        }
    }
    assert!(tried > 100, "{tried}");
    assert!(edge.behind.calls().is_empty());
}

#[tokio::test]
async fn an_unknown_parameter_of_a_list_is_refused() {
    let edge = edge().await;
    let lists: Vec<Route> = routes().into_iter().filter(|route| route.has_parameter("after")).collect();
    assert!(lists.len() >= 9);
    for route in lists {
        for (query, code, field) in [
            ("email=ada%40example.org", "FIELD_UNKNOWN", Some("email")),
            ("limit=201", "FIELD_INVALID", Some("limit")),
            ("limit=0", "FIELD_INVALID", Some("limit")),
            ("limit=1&limit=1", "FIELD_DUPLICATE", Some("limit")),
            ("after=forged", "CURSOR_INVALID", Some("after")),
            ("after=%ff", "QUERY_MALFORMED", None),
        ] {
            let path = format!("{}?{query}", route.filled());
            let (status, found, at) = edge.ask(Method::GET, &path, "").await.problem();
            assert_eq!((status, found.as_str(), at.as_deref()), (400, code, field), "{path}");
        }
    }
    assert!(edge.behind.calls().is_empty());
}

#[tokio::test]
async fn what_creates_needs_an_idempotency_key() {
    let edge = edge().await;
    let creating: Vec<Route> =
        routes().into_iter().filter(|route| route.has_parameter("Idempotency-Key")).collect();
    let rpcs: BTreeSet<&str> = creating.iter().map(|route| route.rpc.as_str()).collect();
    let expected = [
        "CreateApiKey",
        "CreateContact",
        "CreateImport",
        "CreateLabel",
        "CreateMember",
        "CreateTeam",
        "CreateWebhookEndpoint",
        "GrantOperatorAccess",
        "MakeOwnRequest",
        "OpenConversation",
        "PlaceHold",
        "RateConversation",
        "ReceiveMessage",
        "RecordConsent",
        "RequestErasure",
        "SendMessage",
        "TestWebhookEndpoint",
    ];
    assert_eq!(rpcs, expected.into());
    for route in creating {
        let mut without = route.request();
        without.headers_mut().remove("idempotency-key");
        let field = Some("Idempotency-Key".to_owned());
        let required = (400, "IDEMPOTENCY_KEY_REQUIRED".to_owned(), field.clone());
        assert_eq!(edge.send(without).await.problem(), required, "{}", route.rpc);
        let too_long = "k".repeat(65);
        for bad in ["", "with space", "ümlaut", "a/b", too_long.as_str()] {
            let mut request = route.request();
            request.headers_mut().insert("idempotency-key", HeaderValue::from_bytes(bad.as_bytes()).unwrap());
            let invalid = (400, "IDEMPOTENCY_KEY_INVALID".to_owned(), field.clone());
            assert_eq!(edge.send(request).await.problem(), invalid, "{} {bad}", route.rpc);
        }
        let mut twice = route.request();
        twice.headers_mut().append("idempotency-key", HeaderValue::from_static("key-2"));
        assert_eq!(edge.send(twice).await.problem().1, "IDEMPOTENCY_KEY_INVALID");
    }
    assert!(edge.behind.calls().is_empty());
}

#[tokio::test]
async fn a_change_to_null_clears_or_is_refused_and_is_never_ignored() {
    let edge = edge().await;
    let document = document();
    let (mut cleared, mut refused) = (0, 0);
    for route in routes().into_iter().filter(|route| route.method == Method::PATCH) {
        let schema = &route.operation["requestBody"]["content"]["application/json"]["schema"]["$ref"];
        let schema = document.pointer(schema.as_str().unwrap().trim_start_matches('#')).unwrap();
        for (name, property) in schema["properties"].as_object().unwrap() {
            let is_null = |kind: &Value| kind == "null";
            let clears = property["type"].as_array().is_some_and(|kinds| kinds.iter().any(is_null))
                || property["oneOf"]
                    .as_array()
                    .is_some_and(|ones| ones.iter().any(|one| is_null(&one["type"])));
            let body = serde_json::json!({ name: null }).to_string();
            let changed = Route { body: serde_json::from_str(&body).ok(), ..route.clone() };
            let answer = edge.send(changed.request()).await;
            if clears {
                assert!(answer.status.is_success(), "{} {name}: {answer:?}", route.rpc);
                cleared += 1;
            } else {
                let wrong = (422, "FIELD_INVALID".to_owned(), Some(name.clone()));
                assert_eq!(answer.problem(), wrong, "{} {name}", route.rpc);
                refused += 1;
            }
        }
    }
    assert!(cleared > 5 && refused > 10, "{cleared} {refused}");
    assert_eq!(edge.behind.calls().len(), cleared);
}

#[tokio::test]
async fn what_changes_needs_the_version_that_was_read() {
    let edge = edge().await;
    let changing: Vec<Route> = routes().into_iter().filter(|route| route.method == Method::PATCH).collect();
    assert_eq!(changing.len(), 10);
    for route in changing {
        assert!(route.has_parameter("If-Match"), "{}", route.rpc);
        let mut without = route.request();
        without.headers_mut().remove(header::IF_MATCH);
        let field = || Some("If-Match".to_owned());
        assert_eq!(
            edge.send(without).await.problem(),
            (428, "VERSION_REQUIRED".to_owned(), field()),
            "{}",
            route.rpc
        );
        for (tag, status, code) in [
            ("*", 400, "IF_MATCH_INVALID"),
            ("\"1\", \"2\"", 400, "IF_MATCH_INVALID"),
            ("W/\"3\"", 412, "VERSION_MISMATCH"),
            ("3", 412, "VERSION_MISMATCH"),
            ("\"0\"", 412, "VERSION_MISMATCH"),
            ("\"+3\"", 412, "VERSION_MISMATCH"),
            ("\"99999999999999999999\"", 412, "VERSION_MISMATCH"),
            ("\"abc\"", 412, "VERSION_MISMATCH"),
        ] {
            let mut request = route.request();
            request.headers_mut().insert(header::IF_MATCH, HeaderValue::from_static(tag));
            assert_eq!(
                edge.send(request).await.problem(),
                (status, code.to_owned(), field()),
                "{} {tag}",
                route.rpc
            );
        }
    }
    assert!(edge.behind.calls().is_empty());
}

#[tokio::test]
async fn bodies_are_read_strictly_everywhere() {
    let edge = edge().await;
    let deep = format!("{}1{}", "[".repeat(40), "]".repeat(40));
    for route in routes() {
        let Some(Value::Object(body)) = route.body.clone() else { continue };
        let with = |name: &str, value: Value| {
            let mut body = body.clone();
            body.insert(name.to_owned(), value);
            Value::Object(body).to_string()
        };
        let mut cases = vec![
            ("{".to_owned(), 400, "JSON_MALFORMED", None),
            ("[]".to_owned(), 422, "FIELD_INVALID", None),
            ("null".to_owned(), 422, "FIELD_INVALID", None),
            (with("surplus", Value::Null), 422, "FIELD_UNKNOWN", Some("surplus".to_owned())),
            (with("surplus", Value::Null).replace("null", &deep), 400, "JSON_TOO_DEEP", None),
        ];
        for name in body.keys() {
            cases.push((with(name, serde_json::json!([[true]])), 422, "FIELD_INVALID", None));
        }
        for (text, status, code, field) in cases {
            let answer = edge.send(request(route.method.clone(), &route.filled(), &text)).await;
            let (found_status, found, at) = answer.problem();
            assert_eq!((found_status, found.as_str()), (status, code), "{} {text}: {answer:?}", route.rpc);
            if field.is_some() {
                assert_eq!(at, field, "{} {text}", route.rpc);
            }
        }
        for media_type in
            ["text/plain", "application/xml", "application/json; charset=latin1", "application/jsonx"]
        {
            let mut request = route.request();
            request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
            let answer = edge.send(request).await;
            assert_eq!(answer.problem().0, 415, "{} {media_type}", route.rpc);
        }
    }
    assert!(edge.behind.calls().is_empty());
}

#[tokio::test]
async fn what_takes_no_body_takes_none_or_an_empty_object() {
    let edge = edge().await;
    let bare = |route: &Route| {
        route.body.is_none() && !route.takes_a_picture() && !route.takes_lines() && !route.method.is_safe()
    };
    let bare: Vec<Route> = routes().into_iter().filter(bare).collect();
    assert!(bare.len() >= 9);
    for route in bare {
        let refused = edge.ask(route.method.clone(), &route.filled(), r#"{"force":true}"#).await;
        assert_eq!(
            refused.problem(),
            (422, "FIELD_UNKNOWN".to_owned(), Some("force".to_owned())),
            "{}",
            route.rpc
        );
        assert_eq!(edge.behind.count(&route.rpc), 0);
    }
    let empty =
        edge.ask(Method::POST, "/v1/erasures/era_0199aabbccdd7eef8123456789abcdef/cancel", "{}").await;
    assert!(empty.status.is_success(), "{empty:?}");
}
