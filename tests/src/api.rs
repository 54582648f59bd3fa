//! The public API as a test uses it: plain requests, whole answers.

use reqwest::{Method, StatusCode, header::HeaderMap};
use serde_json::{Value, json};

/// The password that a test's members give themselves.
pub const PASSWORD: &str = "correct horse battery staple";

/// A member's session, or nobody's.
#[derive(Clone)]
pub struct Api {
    http: reqwest::Client,
    /// Of the gateway.
    pub url: String,
    /// `lth_s_…`, or empty.
    pub token: String,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body; `Null` when it is empty or no JSON.
    pub body: Value,
}

impl Answer {
    /// The body of an answer that must be a success.
    ///
    /// # Panics
    /// When it is not.
    #[track_caller]
    pub fn ok(self) -> Value {
        assert!(self.status.is_success(), "{}: {}", self.status, self.body);
        self.body
    }

    /// A problem's status and code, as `(409, "VERSION_MISMATCH")`.
    pub fn problem(&self) -> (u16, &str) {
        (self.status.as_u16(), self.body["code"].as_str().unwrap_or_default())
    }
}

impl Api {
    /// Nobody yet.
    pub fn anonymous(url: &str) -> Self {
        Self { http: reqwest::Client::new(), url: url.to_owned(), token: String::new() }
    }

    /// Nobody yet, over one connection of HTTP/2.
    ///
    /// # Panics
    /// When there can be no client.
    pub fn multiplexed(url: &str) -> Self {
        let http = reqwest::Client::builder().http2_prior_knowledge().build().expect("a client");
        Self { http, url: url.to_owned(), token: String::new() }
    }

    /// The same member at another gateway.
    #[must_use]
    pub fn at(&self, url: &str) -> Self {
        Self { url: url.to_owned(), ..self.clone() }
    }

    /// With another bearer token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: token.to_owned(), ..self.clone() }
    }

    /// Signs in with a password that has been changed already.
    pub async fn log_in(url: &str, slug: &str, email: &str, password: &str) -> Self {
        Self::log_in_by(reqwest::Client::new(), url, slug, email, password).await
    }

    /// As [`Api::log_in`], by a client that trusts the gateway.
    pub async fn log_in_by(
        http: reqwest::Client,
        url: &str,
        slug: &str,
        email: &str,
        password: &str,
    ) -> Self {
        let api = Self { http, url: url.to_owned(), token: String::new() };
        let body = json!({"tenant": slug, "email": email, "password": password});
        let session = api.post("/v1/sessions", body).await.ok();
        api.with_token(session["token"].as_str().expect("a session has a token"))
    }

    /// Signs in with a one-time password, changes it to [`PASSWORD`], and signs in again.
    pub async fn log_in_first(url: &str, slug: &str, email: &str, one_time_password: &str) -> Self {
        Self::log_in_first_by(reqwest::Client::new(), url, slug, email, one_time_password).await
    }

    /// As [`Api::log_in_first`], by a client that trusts the gateway.
    pub async fn log_in_first_by(
        http: reqwest::Client,
        url: &str,
        slug: &str,
        email: &str,
        one_time_password: &str,
    ) -> Self {
        let first = Self::log_in_by(http.clone(), url, slug, email, one_time_password).await;
        let change = json!({"current_password": one_time_password, "new_password": PASSWORD});
        first.send(Method::PUT, "/v1/self/password", &[], Some(change)).await.ok();
        Self::log_in_by(http, url, slug, email, PASSWORD).await
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], None).await
    }

    /// POST that asks or acts.
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, &[], Some(body)).await
    }

    /// POST that creates, under a key.
    pub async fn create(&self, path: &str, key: &str, body: Value) -> Answer {
        self.send(Method::POST, path, &[("idempotency-key", key)], Some(body)).await
    }

    /// PATCH of the state that `etag` names.
    pub async fn patch(&self, path: &str, etag: &str, body: Value) -> Answer {
        self.send(Method::PATCH, path, &[("if-match", etag)], Some(body)).await
    }

    /// PUT.
    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PUT, path, &[], Some(body)).await
    }

    /// PUT of a picture, or whatever it calls one.
    pub async fn put_bytes(&self, path: &str, media_type: &str, content: &[u8]) -> Answer {
        let headers = [("content-type", media_type)];
        let (status, headers, body) =
            self.exchange(Method::PUT, path, &headers, Some(content.to_vec())).await;
        Answer { status, headers, body: serde_json::from_slice(&body).unwrap_or_default() }
    }

    /// GET of a picture: its media type, its entity tag and its bytes.
    ///
    /// # Panics
    /// When there is none.
    pub async fn get_bytes(&self, path: &str) -> (String, String, Vec<u8>) {
        let request = self.http.get(format!("{}{path}", self.url)).bearer_auth(&self.token);
        let answer = request.send().await.expect("the gateway answers");
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        let header = |name| answer.headers()[name].to_str().expect("a text").to_owned();
        let (media_type, etag) = (header("content-type"), header("etag"));
        (media_type, etag, answer.bytes().await.expect("a whole body").to_vec())
    }

    /// DELETE.
    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, &[], None).await
    }

    /// Any request.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> Answer {
        let json = [("content-type", "application/json")];
        let headers: Vec<_> = headers.iter().chain(json.iter().filter(|_| body.is_some())).copied().collect();
        let body = body.map(|body| body.to_string().into_bytes());
        let (status, headers, body) = self.exchange(method, path, &headers, body).await;
        Answer { status, headers, body: serde_json::from_slice(&body).unwrap_or_default() }
    }

    /// Any request, in bytes of any kind.
    pub async fn exchange(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Vec<u8>>,
    ) -> (StatusCode, HeaderMap, Vec<u8>) {
        let mut request = self.http.request(method, format!("{}{path}", self.url));
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.body(body);
        }
        let answer = request.send().await.expect("the gateway answers");
        let (status, headers) = (answer.status(), answer.headers().clone());
        (status, headers, answer.bytes().await.expect("a whole body").to_vec())
    }
}
