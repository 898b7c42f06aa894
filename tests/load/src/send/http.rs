//! OTLP/HTTP with encoded requests: HTTP/1.1, so one connection for each request in flight.

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// A connection.
#[derive(Debug)]
pub struct HttpSender {
    address: String,
    connection: SendRequest<Full<Bytes>>,
}

impl HttpSender {
    /// Connects.
    pub async fn connect(address: &str) -> anyhow::Result<Self> {
        let stream =
            TcpStream::connect(address).await.with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        let (connection, driver) = http1::handshake(TokioIo::new(stream)).await?;
        // Its failure shows in the request that waits for it.
        tokio::spawn(driver);
        Ok(Self { address: address.to_string(), connection })
    }

    /// Sends a request; returns the encoded answer.
    pub async fn send(&mut self, body: Bytes) -> anyhow::Result<Bytes> {
        self.connection.ready().await.context("the connection is gone")?;
        let request = Request::post("/v1/traces")
            .header("host", &self.address)
            .header("content-type", "application/x-protobuf")
            .body(Full::new(body))?;
        let answer = self.connection.send_request(request).await.context("a request got no answer")?;
        let status = answer.status();
        let body = answer.into_body().collect().await.context("an answer broke off")?.to_bytes();
        anyhow::ensure!(
            status.is_success(),
            "a request was refused: {status} {}",
            String::from_utf8_lossy(&body)
        );
        Ok(body)
    }
}
