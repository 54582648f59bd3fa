//! The public API as the demo uses it: one member's session.

use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::{Method, StatusCode, header};
use serde_json::{Value, json};

/// Between tries of a request that is safe to repeat.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The platform asked for patience (503 or 429).
#[derive(Debug)]
struct TryAgain(String);

impl std::fmt::Display for TryAgain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TryAgain {}

/// A signed-in member. Clones share the connections.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
    token: String,
}

impl Client {
    /// Signs in; a one-time password is changed at once.
    pub(crate) async fn log_in(
        http: reqwest::Client,
        url: &str,
        tenant: &str,
        email: &str,
        password: &str,
        own_password: &str,
    ) -> anyhow::Result<Self> {
        let mut client = Self { http, url: url.to_owned(), token: String::new() };
        let log_in = |password: &str| json!({"tenant": tenant, "email": email, "password": password});
        let session = client.send(Method::POST, "/v1/sessions", None, Some(log_in(password))).await?;
        client.token = text(&session, "token")?;
        if session["must_change_password"] == json!(true) {
            let change = json!({"current_password": password, "new_password": own_password});
            client.send(Method::PUT, "/v1/self/password", None, Some(change)).await?;
            let session = client.send(Method::POST, "/v1/sessions", None, Some(log_in(own_password))).await?;
            client.token = text(&session, "token")?;
        }
        Ok(client)
    }

    /// GET, and the answer's body.
    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.send(Method::GET, path, None, None).await
    }

    /// POST that creates: safe to repeat under `key`.
    pub(crate) async fn create(&self, path: &str, key: &str, body: Value) -> anyhow::Result<Value> {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.send(Method::POST, path, Some(key), Some(body.clone())).await {
                // The platform is busy and says so; the key makes it safe to ask again.
                Err(error) if error.is::<TryAgain>() && pause < LONGEST_PAUSE => {
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                answer => return answer,
            }
        }
    }

    /// POST that asks or acts.
    pub(crate) async fn post(&self, path: &str, body: Value) -> anyhow::Result<Value> {
        self.send(Method::POST, path, None, Some(body)).await
    }

    /// The status of a GET, for what should not be there any more.
    pub(crate) async fn status(&self, path: &str) -> anyhow::Result<StatusCode> {
        Ok(self.request(Method::GET, path).send().await?.status())
    }

    /// A body as it is, for what is kept as a file.
    pub(crate) async fn download(&self, path: &str) -> anyhow::Result<Vec<u8>> {
        let answer = self.request(Method::GET, path).send().await?.error_for_status()?;
        Ok(answer.bytes().await?.to_vec())
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.url));
        if self.token.is_empty() { request } else { request.bearer_auth(&self.token) }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        key: Option<&str>,
        body: Option<Value>,
    ) -> anyhow::Result<Value> {
        let mut request = self.request(method.clone(), path);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        if let Some(body) = body {
            request = request.header(header::CONTENT_TYPE, "application/json").body(body.to_string());
        }
        let answer = request.send().await.with_context(|| format!("{method} {path}"))?;
        let status = answer.status();
        let body = answer.bytes().await?;
        if [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS].contains(&status) {
            let said = String::from_utf8_lossy(&body).into_owned();
            return Err(TryAgain(format!("{method} {path} answered {status}: {said}")).into());
        }
        if !status.is_success() {
            let problem: Value = serde_json::from_slice(&body).unwrap_or_default();
            bail!("{method} {path} answered {status}: {} {}", problem["code"], problem["detail"]);
        }
        if body.is_empty() { Ok(Value::Null) } else { Ok(serde_json::from_slice(&body)?) }
    }
}

/// A text field of an answer.
pub(crate) fn text(value: &Value, field: &str) -> anyhow::Result<String> {
    value[field].as_str().map(str::to_owned).with_context(|| format!("the answer has no {field}"))
}
