//! OTLP/gRPC with encoded requests: one HTTP/2 connection, shared by those who send on it.

use anyhow::Context as _;
use bytes::{Buf as _, BufMut as _, Bytes};
use http::uri::PathAndQuery;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// One who sends on a connection.
#[derive(Clone, Debug)]
pub struct GrpcSender {
    client: Grpc<Channel>,
}

impl GrpcSender {
    /// Connects.
    pub async fn connect(address: &str) -> anyhow::Result<Self> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?
            .tcp_nodelay(true)
            .initial_stream_window_size(4 << 20)
            .initial_connection_window_size(16 << 20);
        let channel = endpoint.connect().await.with_context(|| format!("cannot connect to {address}"))?;
        Ok(Self { client: Grpc::new(channel) })
    }

    /// Sends a request; returns the encoded answer.
    pub async fn send(&mut self, body: Bytes) -> anyhow::Result<Bytes> {
        self.client.ready().await.context("the connection is gone")?;
        let answer = self.client.unary(Request::new(body), PathAndQuery::from_static(EXPORT), Encoded).await;
        Ok(answer.context("a request was refused")?.into_inner())
    }
}

/// Messages that are bytes already.
#[derive(Clone, Copy, Debug)]
struct Encoded;

impl Codec for Encoded {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Encoded {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(item);
        Ok(())
    }
}

impl Decoder for Encoded {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, input: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        let length = input.remaining();
        Ok(Some(input.copy_to_bytes(length)))
    }
}
