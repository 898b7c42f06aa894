//! The body of an answer: at most one piece of data, and for gRPC the trailers after it; and what success says.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use ::http::HeaderMap;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceResponse,
};
use prost::Message;

use super::intake::Accepted;

/// A response body that is known in full.
#[derive(Debug, Default)]
pub(super) struct Answer {
    data: Bytes,
    trailers: Option<HeaderMap>,
}

impl Answer {
    pub(super) fn of(data: impl Into<Bytes>) -> Self {
        Self { data: data.into(), trailers: None }
    }

    pub(super) fn with_trailers(data: Bytes, trailers: HeaderMap) -> Self {
        Self { data, trailers: Some(trailers) }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if !self.data.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.data)))));
        }
        Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_empty() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        // An exact size becomes a content-length, which gRPC answers do not carry.
        match self.trailers {
            Some(_) => SizeHint::default(),
            None => SizeHint::with_exact(self.data.len() as u64),
        }
    }
}

/// An `ExportTraceServiceResponse`. For full success it is empty, and so are the responses of metrics and logs.
pub(super) fn export_response(accepted: &Accepted) -> Vec<u8> {
    if is_full_success(accepted) {
        return Vec::new();
    }
    let partial_success = Some(ExportTracePartialSuccess {
        rejected_spans: accepted.rejected_spans,
        error_message: accepted.message.clone(),
    });
    ExportTraceServiceResponse { partial_success }.encode_to_vec()
}

/// Whether there is nothing to tell but success.
pub(super) fn is_full_success(accepted: &Accepted) -> bool {
    accepted.rejected_spans == 0 && accepted.message.is_empty()
}
