//! The answer to a request, written by the thread that runs the statement.
//!
//! Promises: a failure before the first megabyte has its own status and the engine's text; a failure after that ends
//! the body with the engine's exception block and cuts the connection, so that no client takes a part for the whole;
//! a client that reads slowly holds the engine back, and one that is gone is noticed.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use tokio::sync::{mpsc, oneshot};

use super::cancel::CancelGuard;
use super::connection::CutSwitch;
use super::encode::{Encoder, Encoding};
use crate::engine::{ErrorCode, Exception};

/// Bytes of an answer held back until it is clear that the statement does not fail at once.
const HELD_BYTES: usize = 1 << 20;

/// Pieces of an answer that may wait for the client.
const PIECES_IN_FLIGHT: usize = 4;

/// What the headers say of an answer.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub(crate) query_id: String,
    pub(crate) server_name: String,
    pub(crate) timezone: String,
    pub(crate) encoding: Encoding,
    /// The whole answer is to be made before any of it is sent.
    pub(crate) hold_all: bool,
    /// Bytes that may be held at once.
    pub(crate) held_bytes_max: usize,
}

/// Counts of a finished statement.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Summary {
    pub(crate) read_rows: u64,
    pub(crate) read_bytes: u64,
    pub(crate) written_rows: u64,
    pub(crate) written_bytes: u64,
    pub(crate) result_rows: u64,
    pub(crate) result_bytes: u64,
    pub(crate) elapsed_ns: u128,
}

/// The client no longer listens.
#[derive(Debug)]
pub(crate) struct Gone;

/// The writing end of an answer.
pub(crate) struct AnswerWriter {
    facts: Facts,
    start: Option<oneshot::Sender<Response<AnswerBody>>>,
    pieces: Option<mpsc::Sender<Piece>>,
    held: VecDeque<Bytes>,
    held_bytes: usize,
    encoder: Encoder,
    headers: HeaderMap,
    exception_tag: String,
}

enum Piece {
    Data(Bytes),
    /// The body ends here, but not as it should.
    Cut,
}

impl AnswerWriter {
    pub(crate) fn new(facts: Facts, start: oneshot::Sender<Response<AnswerBody>>) -> io::Result<Self> {
        let encoder = Encoder::new(facts.encoding)?;
        let exception_tag = exception_tag();
        let mut headers = HeaderMap::new();
        insert(&mut headers, "x-clickhouse-query-id", &facts.query_id);
        insert(&mut headers, "x-clickhouse-server-display-name", &facts.server_name);
        insert(&mut headers, "x-clickhouse-timezone", &facts.timezone);
        insert(&mut headers, "x-clickhouse-exception-tag", &exception_tag);
        let held = VecDeque::new();
        Ok(Self {
            facts,
            start: Some(start),
            pieces: None,
            held,
            held_bytes: 0,
            encoder,
            headers,
            exception_tag,
        })
    }

    /// Names the format of the rows.
    pub(crate) fn set_format(&mut self, format: &str, content_type: &str) {
        insert(&mut self.headers, "x-clickhouse-format", format);
        insert(&mut self.headers, CONTENT_TYPE.as_str(), content_type);
    }

    /// Adds bytes to the answer. Blocks while the client is behind.
    pub(crate) fn write(&mut self, raw: Bytes) -> Result<(), WriteError> {
        if raw.is_empty() {
            return Ok(());
        }
        let packed = self.encoder.push(raw).map_err(WriteError::Encode)?;
        if self.pieces.is_some() {
            return Ok(self.send(Piece::Data(packed))?);
        }
        self.held_bytes += packed.len();
        self.held.push_back(packed);
        if self.facts.hold_all {
            let held_bytes_max = self.facts.held_bytes_max;
            return if self.held_bytes <= held_bytes_max {
                Ok(())
            } else {
                Err(WriteError::TooLarge { held_bytes_max })
            };
        }
        if self.held_bytes > HELD_BYTES { Ok(self.begin()?) } else { Ok(()) }
    }

    /// Ends a complete answer.
    pub(crate) fn finish(mut self, summary: Summary) -> Result<(), WriteError> {
        let encoder = std::mem::replace(&mut self.encoder, Encoder::Identity);
        let tail = encoder.finish().map_err(WriteError::Encode)?;
        if self.pieces.is_some() {
            return if tail.is_empty() { Ok(()) } else { Ok(self.send(Piece::Data(tail))?) };
        }
        if !tail.is_empty() {
            self.held.push_back(tail);
        }
        insert(&mut self.headers, "x-clickhouse-summary", &summary.to_json());
        let body = AnswerBody::whole(self.held.drain(..).collect());
        Ok(self.respond(StatusCode::OK, body)?)
    }

    /// Ends an answer that failed: with a status of its own, or in the middle.
    pub(crate) fn fail(mut self, exception: &Exception) {
        // A client that is gone needs no answer.
        if self.pieces.is_none() {
            let text = format!("{exception}\n");
            let response = error_response(exception.code(), text, self.facts.encoding, Some(self.headers));
            if let Some(start) = self.start.take() {
                let _ = start.send(response);
            }
            return;
        }
        let _ = self.send_exception_block(exception);
    }

    /// The block real servers end a failed body with; newer clients look for it.
    fn send_exception_block(&mut self, exception: &Exception) -> Result<(), WriteError> {
        let (tag, text) = (&self.exception_tag, format!("{exception}\n"));
        let size = text.len();
        let block = format!("\r\n__exception__\r\n{tag}\r\n{text}{size} {tag}\r\n__exception__\r\n");
        let encoder = std::mem::replace(&mut self.encoder, Encoder::Identity);
        let mut encoder = encoder;
        let packed = encoder.push(block.into()).map_err(WriteError::Encode)?;
        self.send(Piece::Data(packed))?;
        let tail = encoder.finish().map_err(WriteError::Encode)?;
        self.send(Piece::Data(tail))?;
        Ok(self.send(Piece::Cut)?)
    }

    fn begin(&mut self) -> Result<(), Gone> {
        let (pieces, receiver) = mpsc::channel(PIECES_IN_FLIGHT);
        self.pieces = Some(pieces);
        insert(&mut self.headers, "x-clickhouse-summary", &Summary::default().to_json());
        self.respond(StatusCode::OK, AnswerBody::stream(receiver))?;
        while let Some(packed) = self.held.pop_front() {
            self.send(Piece::Data(packed))?;
        }
        Ok(())
    }

    fn respond(&mut self, status: StatusCode, body: AnswerBody) -> Result<(), Gone> {
        let mut response = Response::new(body);
        *response.status_mut() = status;
        if let Some(encoding) = self.facts.encoding.header() {
            insert(&mut self.headers, CONTENT_ENCODING.as_str(), encoding);
        }
        *response.headers_mut() = std::mem::take(&mut self.headers);
        self.start.take().ok_or(Gone)?.send(response).map_err(|_| Gone)
    }

    fn send(&mut self, piece: Piece) -> Result<(), Gone> {
        match &self.pieces {
            Some(pieces) => pieces.blocking_send(piece).map_err(|_| Gone),
            None => Err(Gone),
        }
    }
}

/// Why an answer could not be written.
#[derive(Debug)]
pub(crate) enum WriteError {
    Gone,
    Encode(io::Error),
    TooLarge { held_bytes_max: usize },
}

impl From<Gone> for WriteError {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

impl WriteError {
    /// What the client is told.
    pub(crate) fn exception(&self) -> Exception {
        match self {
            Self::Gone => Exception::new(ErrorCode::QueryWasCancelled, "The client went away"),
            Self::Encode(error) => {
                Exception::new(ErrorCode::CannotDecompress, format!("Cannot pack the answer: {error}"))
            }
            Self::TooLarge { held_bytes_max } => Exception::new(
                ErrorCode::TooManyRowsOrBytes,
                format!(
                    "The answer is larger than the {held_bytes_max} bytes that may be held in memory at once; leave out \
                     wait_end_of_query, or ask for fewer rows"
                ),
            ),
        }
    }
}

impl Summary {
    fn to_json(self) -> String {
        let text = |number: u64| number.to_string();
        serde_json::json!({
            "read_rows": text(self.read_rows),
            "read_bytes": text(self.read_bytes),
            "written_rows": text(self.written_rows),
            "written_bytes": text(self.written_bytes),
            "total_rows_to_read": "0",
            "result_rows": text(self.result_rows),
            "result_bytes": text(self.result_bytes),
            "elapsed_ns": self.elapsed_ns.to_string(),
        })
        .to_string()
    }
}

/// An error as a whole answer, as a server gives it.
pub(crate) fn error_response(
    code: u32,
    text: String,
    encoding: Encoding,
    headers: Option<HeaderMap>,
) -> Response<AnswerBody> {
    // Clients that asked for native blocks unpack errors too; HTTP encodings are stated in a header and left out.
    let body = match (encoding, Encoder::new(encoding)) {
        (Encoding::Blocks, Ok(mut encoder)) => encoder.push(text.into()).unwrap_or_default(),
        _ => text.into(),
    };
    let mut response = Response::new(AnswerBody::whole(VecDeque::from([body])));
    *response.status_mut() = status_of(code);
    let headers_out = response.headers_mut();
    *headers_out = headers.unwrap_or_default();
    insert(headers_out, CONTENT_TYPE.as_str(), "text/plain; charset=UTF-8");
    insert(headers_out, "x-clickhouse-exception-code", &code.to_string());
    response
}

/// The status a ClickHouse server answers an error with.
fn status_of(code: u32) -> StatusCode {
    match code {
        // Text, values and statements that cannot be read.
        6 | 8 | 15 | 25 | 26 | 27 | 36 | 37 | 38 | 41 | 44 | 53 | 62 | 72 | 117 | 123 | 167 | 168 | 223
        | 321 | 376 | 427 | 441 | 675 | 676 => StatusCode::BAD_REQUEST,
        // Names that do not exist.
        46 | 47 | 50 | 56 | 60 | 63 | 73 | 78 | 81 | 115 | 152 | 336 | 511 => StatusCode::NOT_FOUND,
        // Users and rights.
        192 | 193 | 497 | 512 | 516 => StatusCode::FORBIDDEN,
        194 => StatusCode::UNAUTHORIZED,
        48 => StatusCode::NOT_IMPLEMENTED,
        159 => StatusCode::REQUEST_TIMEOUT,
        229 => StatusCode::PAYLOAD_TOO_LARGE,
        // Too busy, or a file or thread was not to be had: worth another try.
        76 | 202 | 209 | 439 => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Sixteen letters that the data of the answer will not contain by chance.
fn exception_tag() -> String {
    std::iter::repeat_with(|| char::from(b'a' + rand::random_range(0..26_u8))).take(16).collect()
}

fn insert(headers: &mut HeaderMap, name: &str, value: &str) {
    // A value that cannot stand in a header (a query id with a line end) is left out, not an error.
    if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
        headers.insert(name, value);
    }
}

/// The reading end of an answer, as the HTTP connection wants it.
pub(crate) struct AnswerBody {
    source: Source,
    /// Cancels the statement when the connection drops the body before its end.
    guard: Option<CancelGuard>,
    cut: CutSwitch,
}

enum Source {
    Whole { pieces: VecDeque<Bytes>, bytes: u64 },
    Stream { pieces: mpsc::Receiver<Piece> },
    Ended,
}

impl AnswerBody {
    /// A body that is all there.
    pub(crate) fn whole(pieces: VecDeque<Bytes>) -> Self {
        let bytes = pieces.iter().map(|piece| piece.len() as u64).sum();
        Self { source: Source::Whole { pieces, bytes }, guard: None, cut: CutSwitch::default() }
    }

    fn stream(pieces: mpsc::Receiver<Piece>) -> Self {
        Self { source: Source::Stream { pieces }, guard: None, cut: CutSwitch::default() }
    }

    /// Ties the body to its statement and to the connection it is sent over.
    pub(crate) fn tied_to(mut self, guard: CancelGuard, cut: CutSwitch) -> Self {
        self.guard = Some(guard);
        self.cut = cut;
        self
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match &mut self.source {
            Source::Ended => Poll::Ready(None),
            Source::Whole { pieces, bytes } => match pieces.pop_front() {
                Some(piece) => {
                    *bytes -= piece.len() as u64;
                    Poll::Ready(Some(Ok(Frame::data(piece))))
                }
                None => Poll::Ready(None),
            },
            Source::Stream { pieces } => match pieces.poll_recv(context) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Some(Piece::Data(data))) => Poll::Ready(Some(Ok(Frame::data(data)))),
                Poll::Ready(Some(Piece::Cut)) => {
                    // Never ends: the connection cuts itself once it has flushed what came before.
                    self.cut.pull();
                    Poll::Pending
                }
                Poll::Ready(None) => {
                    self.source = Source::Ended;
                    Poll::Ready(None)
                }
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.source, Source::Ended) || matches!(&self.source, Source::Whole { bytes: 0, .. })
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Whole { bytes, .. } => SizeHint::with_exact(*bytes),
            _ => SizeHint::default(),
        }
    }
}
