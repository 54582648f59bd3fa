//! A program that signs its requests with an API key (RFC 9421).

use lethe_access::SigningKey;
use reqwest::{
    Method,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use serde_json::{Value, json};

use crate::{Answer, Api, platform};

/// A program of a tenant's.
#[derive(Clone)]
pub struct Machine {
    /// What it signs with.
    pub key: SigningKey,
    /// `key_…`.
    pub id: String,
    url: String,
}

/// A request that is signed, to be sent as it is, or not quite.
#[derive(Clone)]
pub struct Signed {
    /// As signed.
    pub method: Method,
    /// As signed.
    pub path: String,
    /// With the signature.
    pub headers: HeaderMap,
    /// As signed.
    pub body: String,
}

impl Machine {
    /// Has `maker` make a key like this.
    ///
    /// # Panics
    /// When it is not made.
    pub async fn make(maker: &Api, asked: Value) -> Self {
        let made = maker.create("/v1/api-keys", &platform().nonce(), asked).await.ok();
        let key = SigningKey::parse(made["secret"].as_str().expect("a secret")).expect("a key");
        let id = made["api_key"]["api_key_id"].as_str().expect("an id").to_owned();
        Self { key, id, url: maker.url.clone() }
    }

    /// A key of these scopes.
    pub async fn with(maker: &Api, scopes: &[&str]) -> Self {
        Self::make(maker, json!({"name": "A program", "scopes": scopes})).await
    }

    /// The same program at another gateway.
    #[must_use]
    pub fn at(&self, url: &str) -> Self {
        Self { url: url.to_owned(), ..self.clone() }
    }

    /// A signed request; `seconds` from now is when it says it was made.
    ///
    /// # Panics
    /// When it cannot be signed.
    pub fn sign(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
        seconds: i64,
    ) -> Signed {
        let mut signed = HeaderMap::new();
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
            signed.insert(name, HeaderValue::from_str(value).expect("a value"));
        }
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        if !body.is_empty() {
            signed.insert("content-type", HeaderValue::from_static("application/json"));
        }
        let authority = self.url.split_once("://").expect("a URL").1;
        let uri = format!("{}{path}", self.url);
        let created_s = platform().clock.millis() / 1_000 + seconds;
        self.key
            .sign((method.as_str(), authority, &uri), &mut signed, body.as_bytes(), created_s)
            .expect("it can be signed");
        Signed { method, path: path.to_owned(), headers: signed, body }
    }

    /// Sends it, here.
    ///
    /// # Panics
    /// When the gateway does not answer.
    pub async fn send(&self, signed: Signed) -> Answer {
        let request = reqwest::Client::new()
            .request(signed.method, format!("{}{}", self.url, signed.path))
            .headers(signed.headers)
            .body(signed.body);
        let answer = request.send().await.expect("the gateway answers");
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = answer.bytes().await.expect("a whole body");
        Answer { status, headers, body: serde_json::from_slice(&body).unwrap_or_default() }
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.sign(Method::GET, path, &[], None, 0)).await
    }

    /// POST under a key of its own.
    pub async fn create(&self, path: &str, key: &str, body: Value) -> Answer {
        self.send(self.sign(Method::POST, path, &[("idempotency-key", key)], Some(body), 0)).await
    }
}
