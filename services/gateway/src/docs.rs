//! The OpenAPI 3.1 document: what the routes say of themselves, completed by what is the same for all of them (problems,
//! credentials, headers), so that no route repeats it. Served at `/openapi.json`, and as a page at `/docs` that
//! loads nothing from elsewhere.

mod links;
mod page;

use std::collections::BTreeMap;

use axum::{Router, response::IntoResponse, routing::get};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use lethe_access::{Permission, ROLES, allows};
use serde_json::{Value, json};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        Components, ContentBuilder, Header, InfoBuilder, License, ObjectBuilder, OpenApi, OpenApiBuilder,
        Ref, RefOr, Response, ResponseBuilder, Schema, Type,
        path::{Operation, Parameter, ParameterIn},
        schema::SchemaType,
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
        tag::TagBuilder,
    },
};

use crate::{App, problem, routes};

const DESCRIPTION: &str = "\
Lethe keeps conversations with a tenant's customers, finds them, and erases them provably.

**Credentials.** `POST /v1/sessions` answers a token for `Authorization: Bearer`, and sets the same as a cookie. Changes \
by cookie must carry `Origin` and `Sec-Fetch-Site` of this origin. Programs sign each request with an API key: see *signature* below.

**Errors** are problems (RFC 9457, `application/problem+json`) with a stable `code`, the `request_id`, and the name of \
the field that does not fit; never its value.

**Creating** needs an `Idempotency-Key`: the same key and body answer the same resource (410 after its erasure, 409 \
while the first is at work, 422 with another body).

**Changing** needs `If-Match` with the `ETag` that was read (428 without, 412 when somebody was faster).

**Lists** come in pages of at most 200; `next` is sealed, good for this list and these filters, and for a day.

**A one-time password** must be changed first: until then everything but `GET /v1/self`, `PUT /v1/self/password` and logging out \
answers 403 `PASSWORD_CHANGE_REQUIRED`; those say `x-lethe-before-password-change`.

**Permissions.** Each operation names the one that it needs, and the roles that have it; a key has those in its scopes.

**Limits** are counted in the windows that an operation names (a tenant's, and its member's or key's); what is left is told in `RateLimit` and `RateLimit-Policy`; 429 and 503 say in `Retry-After` when to come back.

**Tracing.** `traceparent` is taken over from the request; every answer has an `x-request-id` of ours, by which an operator finds it.";

/// How a program signs, for the document.
const SIGNATURE: &str = "\
A program's signature by its API key (RFC 9421, `hmac-sha256`), with `Signature-Input`. It covers `@method`, `@authority` and \
`@target-uri`, and `content-digest` (RFC 9530, sha-256; every body needs one), `idempotency-key` and `if-match` where the request has \
them; `created` within 60 seconds, `keyid` as the key has it, `alg` and `expires` if you like; one signature a request. A change \
needs an `Idempotency-Key`: it is the nonce, and a signature that comes again changes nothing. Reads may be repeated for that minute. \
The key's scopes are the permissions that an operation names.";

const TAGS: [(&str, &str); 17] = [
    ("sessions", "Log in and out, see and end sessions."),
    ("account", "The member who asks."),
    ("tenant", "The tenant that the member belongs to."),
    ("members", "The tenant's people and their roles."),
    ("teams", "Groups of members."),
    ("operators", "Who of the platform may see the tenant's data."),
    ("audit", "Who did what, when."),
    ("api-keys", "Programs of the tenant's that sign their requests, and what they asked."),
    ("contacts", "The tenant's customers: the data subjects."),
    ("labels", "The tenant's catalogue of them; contacts and conversations carry their ids."),
    ("conversations", "One contact, one channel, a thread of messages."),
    ("messages", "What was said."),
    ("imports", "Contacts and conversations from elsewhere, in bulk."),
    ("search", "Where it was said."),
    ("webhooks", "The tenant's own systems hear of its events, by Standard Webhooks."),
    ("erasures", "The right to be forgotten, with its certificates."),
    ("health", "For the machinery that runs the gateway."),
];

/// Name, status, meaning of every kind of problem.
const PROBLEMS: [(&str, u16, &str); 18] = [
    ("BadRequest", 400, "The request cannot be read: malformed JSON, path, query, header or cursor."),
    (
        "Unauthorized",
        401,
        "No session, or one that is not valid any more; or a signature that breaks a rule: `code` says which.",
    ),
    (
        "Forbidden",
        403,
        "The member's roles, or the key's scopes, do not allow it, or the page's origin is another one, or a one-time password \
         must be changed first (`PASSWORD_CHANGE_REQUIRED`).",
    ),
    ("NotFound", 404, "There is no such thing, or it is somebody else's, or it is being erased."),
    ("NotAcceptable", 406, "The client accepts no JSON."),
    ("RequestTimeout", 408, "The body did not arrive in time."),
    ("Conflict", 409, "Not in this state; `code` says why."),
    ("Gone", 410, "What the idempotency key once created has been erased."),
    ("PreconditionFailed", 412, "Somebody was faster: read again."),
    ("ContentTooLarge", 413, "The body is longer than allowed."),
    ("UnsupportedMediaType", 415, "The body is of another media type than the route reads."),
    ("UnprocessableContent", 422, "A field is unknown, missing, of a wrong type or value; `field` names it."),
    ("PreconditionRequired", 428, "`If-Match` is missing."),
    ("TooManyRequests", 429, "Too many requests; see `Retry-After`."),
    ("InternalServerError", 500, "A defect; the operator finds it by the `request_id`."),
    ("NotImplemented", 501, "This platform does not have it."),
    ("ServiceUnavailable", 503, "Something is away or too busy; see `Retry-After`."),
    ("GatewayTimeout", 504, "It took too long, and may still have happened."),
];

/// Adds what is the same for all routes.
pub(crate) fn complete(mut members: OpenApi, mut public: OpenApi) -> OpenApi {
    for item in members.paths.paths.values_mut() {
        for operation in operations(item) {
            let mut security = vec![
                SecurityRequirement::new("bearer", [] as [&str; 0]),
                SecurityRequirement::new("cookie", [] as [&str; 0]),
            ];
            let permission = routes::rpc(operation).map_or(Permission::Unspecified, |rpc| rpc.permission);
            // A key has no account of its own, and makes no keys.
            if !matches!(permission, Permission::Unspecified | Permission::OwnAccount | Permission::ApiKeys) {
                security.push(SecurityRequirement::new("signature", [word(permission.as_str_name())]));
            }
            operation.security = Some(security);
            describe_access(operation, permission);
            if routes::rpc(operation).is_some_and(|rpc| rpc.before_password_change) {
                extend(operation, "x-lethe-before-password-change", json!(true));
            }
        }
    }
    for item in public.paths.paths.values_mut() {
        for operation in operations(item) {
            operation.security = Some(Vec::new());
            if routes::rpc(operation).is_some_and(|rpc| rpc.rpc == "LogIn") {
                extend(operation, "x-lethe-limits", json!(["log_in_address", "log_in_member"]));
            }
        }
    }
    members.merge(public);
    let mut components = members.components.take().unwrap_or_default();
    add_components(&mut components);
    let versioned = |name: &str| is_versioned(&components.schemas, name);
    for (path, item) in &mut members.paths.paths {
        for (is_safe, operation) in
            [(true, item.get.as_mut()), (false, item.put.as_mut()), (false, item.post.as_mut())]
                .into_iter()
                .chain([(false, item.patch.as_mut()), (false, item.delete.as_mut())])
                .filter_map(|(is_safe, operation)| operation.map(|operation| (is_safe, operation)))
        {
            describe_success(operation, &versioned);
            for status in statuses(path, is_safe, operation) {
                if let Some((name, ..)) = PROBLEMS.iter().find(|(_, of, _)| *of == status) {
                    let reference = RefOr::Ref(Ref::from_response_name(*name));
                    operation.responses.responses.entry(status.to_string()).or_insert(reference);
                }
            }
        }
    }
    let info = InfoBuilder::new()
        .title("Lethe")
        .version("1")
        .description(Some(DESCRIPTION))
        .license(Some(License::new("Apache-2.0")));
    let tags = TAGS.map(|(name, about)| TagBuilder::new().name(name).description(Some(about)).build());
    let mut document = OpenApiBuilder::new().info(info).build();
    document.paths = members.paths;
    document.components = Some(components);
    document.tags = Some(tags.into());
    links::add(&mut document);
    document
}

fn operations(item: &mut utoipa::openapi::PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.put, &mut item.post, &mut item.patch, &mut item.delete]
        .into_iter()
        .filter_map(Option::as_mut)
}

/// Who may call it, and which windows count it: what the services enforce, said for those who read.
fn describe_access(operation: &mut Operation, permission: Permission) {
    let roles = ROLES.into_iter().filter(|role| allows(&[*role], permission));
    let roles: Vec<String> = roles.map(|role| word(role.as_str_name())).collect();
    extend(operation, "x-lethe-permission", json!(word(permission.as_str_name())));
    extend(operation, "x-lethe-roles", json!(roles));
    extend(operation, "x-lethe-limits", json!(["member", "api_key", "tenant"]));
}

/// `read_inbox` of `PERMISSION_READ_INBOX`.
fn word(name: &str) -> String {
    name.split_once('_').map_or(name, |(_, word)| word).to_lowercase()
}

fn extend(operation: &mut Operation, name: &str, value: Value) {
    operation.extensions.get_or_insert_default().insert(name.to_owned(), value);
}

fn add_components(components: &mut Components) {
    let mut schemas = Vec::new();
    problem::Body::schemas(&mut schemas);
    components.schemas.extend(schemas);
    components.schemas.insert(problem::Body::name().into_owned(), problem::Body::schema());
    let body = || ContentBuilder::new().schema(Some(Ref::from_schema_name(problem::Body::name()))).build();
    for (name, status, meaning) in PROBLEMS {
        let mut response = ResponseBuilder::new().description(meaning).content(problem::MEDIA_TYPE, body());
        if matches!(status, 429 | 503) {
            response =
                response.header("Retry-After", header_of(Type::Integer, "Seconds until it is worth trying."));
        }
        components.responses.insert(name.to_owned(), RefOr::T(response.build()));
    }
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("lth_s_<tenant>_<secret>")
        .description(Some("A session's token."))
        .build();
    let cookie =
        ApiKeyValue::with_description("__Host-lethe_session", "A session's token, set by POST /v1/sessions.");
    let signature = ApiKeyValue::with_description("Signature", SIGNATURE);
    components.security_schemes = BTreeMap::from([
        ("signature".to_owned(), RefOr::T(SecurityScheme::ApiKey(ApiKey::Header(signature)))),
        ("bearer".to_owned(), RefOr::T(SecurityScheme::Http(bearer))),
        ("cookie".to_owned(), RefOr::T(SecurityScheme::ApiKey(ApiKey::Cookie(cookie)))),
    ]);
}

/// Whether a schema has a `version`, whose answers then have an `ETag`.
fn is_versioned(schemas: &BTreeMap<String, RefOr<Schema>>, name: &str) -> bool {
    matches!(schemas.get(name), Some(RefOr::T(Schema::Object(object))) if object.properties.contains_key("version"))
}

/// Meaning and headers of what comes back when all is well.
fn describe_success(operation: &mut Operation, versioned: &impl Fn(&str) -> bool) {
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else { continue };
        if response.description.is_empty() {
            response.description = match status.as_str() {
                "201" => "Created.",
                "202" => "Accepted; follow it at `Location`.",
                _ => "As asked for.",
            }
            .to_owned();
        }
        if matches!(status.as_str(), "201" | "202") {
            let header = header_of(Type::String, "Where it is.");
            response.headers.insert("Location".to_owned(), RefOr::T(header));
        }
        if schema_of(response).is_some_and(|name| versioned(&name)) {
            let header = header_of(Type::String, "The version, for `If-Match`.");
            response.headers.insert("ETag".to_owned(), RefOr::T(header));
        }
    }
}

/// The name of the schema of a response's JSON.
fn schema_of(response: &Response) -> Option<String> {
    let RefOr::T(content) = response.content.get("application/json")? else { return None };
    match content.schema.as_ref()? {
        RefOr::Ref(reference) => reference.ref_location.rsplit('/').next().map(str::to_owned),
        RefOr::T(_) => None,
    }
}

fn header_of(kind: Type, about: &str) -> Header {
    let schema = ObjectBuilder::new().schema_type(SchemaType::Type(kind)).build();
    let mut header = Header::new(schema);
    header.description = Some(about.to_owned());
    header
}

/// The problems that an operation may answer with.
fn statuses(path: &str, is_safe: bool, operation: &Operation) -> Vec<u16> {
    if !path.starts_with("/v1/") {
        return if path == "/livez" { Vec::new() } else { vec![429, 500, 503, 504] };
    }
    let parameters: Vec<&Parameter> = operation
        .parameters
        .iter()
        .flatten()
        .filter_map(|parameter| match parameter {
            RefOr::T(parameter) => Some(parameter),
            RefOr::Ref(_) => None,
        })
        .collect();
    let has = |name: &str| parameters.iter().any(|parameter| parameter.name == name);
    let has_path = parameters.iter().any(|parameter| parameter.parameter_in == ParameterIn::Path);
    let is_open = operation.security.as_ref().is_some_and(Vec::is_empty);
    let mut statuses = vec![401, 406, 429, 500, 501, 503, 504];
    if !is_open || !is_safe {
        statuses.push(403);
    }
    if has_path || !parameters.is_empty() || operation.request_body.is_some() {
        statuses.push(400);
    }
    if has_path || has("Idempotency-Key") {
        statuses.push(404);
    }
    if !is_safe {
        statuses.extend([408, 409, 413, 415, 422]);
    }
    if has("Idempotency-Key") {
        statuses.push(410);
    }
    if has("If-Match") {
        statuses.extend([412, 428]);
    }
    if is_safe && !parameters.is_empty() {
        statuses.push(422);
    }
    statuses
}

/// The document as text.
pub(crate) fn render(document: &OpenApi) -> String {
    // As a value first: it sorts what the document keeps without order. Schemas of ours hold nothing that JSON cannot.
    let value = serde_json::to_value(document).expect("the document is JSON");
    serde_json::to_string_pretty(&value).expect("the document is JSON")
}

/// `/openapi.json` and `/docs`.
pub(crate) fn pages(document: &OpenApi) -> Router<App> {
    let text = Bytes::from(render(document));
    let page = Bytes::from(page::render(&serde_json::from_slice(&text).unwrap_or_default()));
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, page::STYLE.as_bytes());
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        STANDARD.encode(digest)
    );
    let policy = HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"));
    let answer = |kind: &'static str, body: Bytes, policy: Option<HeaderValue>| {
        let mut response = (StatusCode::OK, [(header::CONTENT_TYPE, kind)], body).into_response();
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
        if let Some(policy) = policy {
            response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
        }
        response
    };
    Router::new()
        .route(
            "/openapi.json",
            get(move || std::future::ready(answer("application/json", text.clone(), None))),
        )
        .route(
            "/docs",
            get(move || {
                std::future::ready(answer("text/html; charset=utf-8", page.clone(), Some(policy.clone())))
            }),
        )
}
