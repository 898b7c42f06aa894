//! Commands to a running server, over its admin address.

use std::time::Duration;

use anyhow::{Context as _, bail};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use crate::running_server::RunningServer;

/// A running server, as a command speaks to it.
pub struct AdminClient<'s> {
    server: &'s RunningServer,
}

impl<'s> AdminClient<'s> {
    /// Speaks to this server.
    pub fn new(server: &'s RunningServer) -> Self {
        Self { server }
    }

    /// Sends a command and returns its answer, or the server's reason as an error.
    pub async fn post(
        &self,
        path: &str,
        body: Option<&serde_json::Value>,
        timeout: Duration,
    ) -> anyhow::Result<serde_json::Value> {
        self.send(hyper::Method::POST, path, body, timeout).await
    }

    /// Asks for something, as [`AdminClient::post`].
    pub async fn get(&self, path: &str, timeout: Duration) -> anyhow::Result<serde_json::Value> {
        self.send(hyper::Method::GET, path, None, timeout).await
    }

    async fn send(
        &self,
        method: hyper::Method,
        path: &str,
        body: Option<&serde_json::Value>,
        timeout: Duration,
    ) -> anyhow::Result<serde_json::Value> {
        let body = body.map(serde_json::Value::to_string).unwrap_or_default();
        let request = hyper::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.server.admin))
            .header("authorization", format!("Bearer {}", self.server.admin_token))
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))?;
        let client = Client::builder(TokioExecutor::new()).build_http();
        let sent = tokio::time::timeout(timeout, client.request(request)).await;
        let place = || format!("the server at {} (process {})", self.server.admin, self.server.pid);
        let answer = sent.with_context(|| format!("{} gave no answer within {timeout:?}", place()))?;
        let answer = answer.with_context(|| format!("{} does not answer", place()))?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        let value: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        if !status.is_success() {
            let reason =
                value.get("error").and_then(serde_json::Value::as_str).unwrap_or("no reason was given");
            bail!("{reason}");
        }
        Ok(value)
    }
}
