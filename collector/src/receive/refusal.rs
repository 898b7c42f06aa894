//! Every reason to refuse a request, and the one table of what each edge answers.
//!
//! What a later attempt can mend is `UNAVAILABLE` with RetryInfo on gRPC and 503 with Retry-After on HTTP, always.
//! OTLP also allows `RESOURCE_EXHAUSTED` and 429, but they are not retried everywhere: the Python SDK's HTTP exporter
//! drops a batch at 429 and retries at 5xx, and `RESOURCE_EXHAUSTED` is final to exporters that miss the RetryInfo. A
//! dropped batch is revenue lost, so the answer that every exporter retries is the only one given. What no retry can
//! mend is never one of these.

use std::time::Duration;

use ::http::StatusCode;
use bytes::Bytes;
use tonic::Code;
use tonic_types::{ErrorDetails, StatusExt};

/// Why a request was refused. Texts go to the client and name no content of its request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The body is not what it says it is.
    Malformed(String),
    /// The body is larger than this collector takes.
    TooLarge(String),
    /// The body ended before it was complete.
    Incomplete(String),
    /// No key, or one that is unknown or revoked.
    Unauthenticated(String),
    /// A media type, content coding or protocol that is not spoken here.
    Unsupported(String),
    /// Nothing is served at that path.
    UnknownPath(String),
    /// The path is served, but not with that method.
    WrongMethod(String),
    /// The client sends too slowly.
    Slow {
        /// What to tell the client.
        reason: String,
        /// How long it should wait before it sends again.
        retry_after: Duration,
    },
    /// All memory or places for requests are taken just now.
    Busy {
        /// What to tell the client.
        reason: String,
        /// How long it should wait before it sends again.
        retry_after: Duration,
    },
    /// The journal is at its bound.
    Full {
        /// What to tell the client.
        reason: String,
        /// How long it should wait before it sends again.
        retry_after: Duration,
    },
    /// The collector is shutting down.
    Stopping {
        /// What to tell the client.
        reason: String,
        /// How long it should wait before it sends again.
        retry_after: Duration,
    },
    /// The journal's disk fails.
    Storage {
        /// What to tell the client.
        reason: String,
        /// How long it should wait before it sends again.
        retry_after: Duration,
    },
}

/// A refusal without its text: the label of a metric, the row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is the `Refusal` of the same name")]
pub enum RefusalKind {
    Malformed,
    TooLarge,
    Incomplete,
    Unauthenticated,
    Unsupported,
    UnknownPath,
    WrongMethod,
    Slow,
    Busy,
    Full,
    Stopping,
    Storage,
}

impl RefusalKind {
    /// Every kind, in the order of their discriminants.
    pub const ALL: [Self; 12] = [
        Self::Malformed,
        Self::TooLarge,
        Self::Incomplete,
        Self::Unauthenticated,
        Self::Unsupported,
        Self::UnknownPath,
        Self::WrongMethod,
        Self::Slow,
        Self::Busy,
        Self::Full,
        Self::Stopping,
        Self::Storage,
    ];

    /// The stable short code: metric label and anchor in the documentation.
    pub fn code(self) -> &'static str {
        self.answers().0
    }

    /// What the gRPC edge answers.
    pub fn grpc_code(self) -> Code {
        self.answers().1
    }

    /// What the HTTP edge answers.
    pub fn http_status(self) -> StatusCode {
        self.answers().2
    }

    fn answers(self) -> (&'static str, Code, StatusCode) {
        match self {
            Self::Malformed => ("malformed", Code::InvalidArgument, StatusCode::BAD_REQUEST),
            Self::TooLarge => ("too_large", Code::InvalidArgument, StatusCode::PAYLOAD_TOO_LARGE),
            Self::Incomplete => ("incomplete", Code::InvalidArgument, StatusCode::BAD_REQUEST),
            Self::Unauthenticated => ("unauthenticated", Code::Unauthenticated, StatusCode::UNAUTHORIZED),
            Self::Unsupported => ("unsupported", Code::Unimplemented, StatusCode::UNSUPPORTED_MEDIA_TYPE),
            Self::UnknownPath => ("unknown_path", Code::Unimplemented, StatusCode::NOT_FOUND),
            Self::WrongMethod => ("wrong_method", Code::Unimplemented, StatusCode::METHOD_NOT_ALLOWED),
            Self::Slow => ("slow", Code::Unavailable, StatusCode::SERVICE_UNAVAILABLE),
            Self::Busy => ("busy", Code::Unavailable, StatusCode::SERVICE_UNAVAILABLE),
            Self::Full => ("full", Code::Unavailable, StatusCode::SERVICE_UNAVAILABLE),
            Self::Stopping => ("stopping", Code::Unavailable, StatusCode::SERVICE_UNAVAILABLE),
            Self::Storage => ("storage", Code::Unavailable, StatusCode::SERVICE_UNAVAILABLE),
        }
    }
}

impl Refusal {
    /// The refusal without its text.
    pub fn kind(&self) -> RefusalKind {
        match self {
            Self::Malformed(_) => RefusalKind::Malformed,
            Self::TooLarge(_) => RefusalKind::TooLarge,
            Self::Incomplete(_) => RefusalKind::Incomplete,
            Self::Unauthenticated(_) => RefusalKind::Unauthenticated,
            Self::Unsupported(_) => RefusalKind::Unsupported,
            Self::UnknownPath(_) => RefusalKind::UnknownPath,
            Self::WrongMethod(_) => RefusalKind::WrongMethod,
            Self::Slow { .. } => RefusalKind::Slow,
            Self::Busy { .. } => RefusalKind::Busy,
            Self::Full { .. } => RefusalKind::Full,
            Self::Stopping { .. } => RefusalKind::Stopping,
            Self::Storage { .. } => RefusalKind::Storage,
        }
    }

    /// What to tell the client.
    pub fn reason(&self) -> &str {
        match self {
            Self::Malformed(reason)
            | Self::TooLarge(reason)
            | Self::Incomplete(reason)
            | Self::Unauthenticated(reason)
            | Self::Unsupported(reason)
            | Self::UnknownPath(reason)
            | Self::WrongMethod(reason)
            | Self::Slow { reason, .. }
            | Self::Busy { reason, .. }
            | Self::Full { reason, .. }
            | Self::Stopping { reason, .. }
            | Self::Storage { reason, .. } => reason,
        }
    }

    /// How long to wait before sending the same again; `None` where that cannot help.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Slow { retry_after, .. }
            | Self::Busy { retry_after, .. }
            | Self::Full { retry_after, .. }
            | Self::Stopping { retry_after, .. }
            | Self::Storage { retry_after, .. } => Some(*retry_after),
            _ => None,
        }
    }

    /// The gRPC edge's answer, with RetryInfo where a retry can help.
    pub(super) fn to_grpc(&self) -> tonic::Status {
        let mut details = ErrorDetails::new();
        if let Some(wait) = self.retry_after() {
            details.set_retry_info(Some(wait));
        }
        tonic::Status::with_error_details(self.kind().grpc_code(), self.reason(), details)
    }

    /// The body of the HTTP edge's answer: a `google.rpc.Status`, which is what gRPC carries as the details of a
    /// status.
    pub(super) fn to_rpc_status(&self) -> Bytes {
        Bytes::copy_from_slice(self.to_grpc().details())
    }

    /// The same as OTLP/JSON.
    pub(super) fn to_rpc_status_json(&self) -> serde_json::Value {
        let mut status =
            serde_json::json!({ "code": i32::from(self.kind().grpc_code()), "message": self.reason() });
        if let Some(wait) = self.retry_after() {
            status["details"] = serde_json::json!([{
                "@type": "type.googleapis.com/google.rpc.RetryInfo",
                "retryDelay": format!("{}.{:03}s", wait.as_secs(), wait.subsec_millis()),
            }]);
        }
        status
    }
}
