//! The body of a request as a plain reader for the thread that runs the statement.
//!
//! Promises: bounded memory (a few chunks in flight, the client waits while the engine is behind); a body that ends
//! early, is too large or is damaged is an error at the reader, never a short read taken for the end.

use std::io::{self, Cursor, Read};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::mpsc;

use super::blocks::BlockReader;
use super::request::Request;
use super::values::SecondStatement;
use crate::engine::{ErrorCode, Exception};

/// Chunks of a body that may wait for the engine.
const CHUNKS_IN_FLIGHT: usize = 4;

/// How much of an unwanted body is read on, and for how long.
const DRAINED_BYTES_MAX: usize = 64 << 20;
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// A piece of a body on its way to the reader. The channel closing without `End` means that the client is gone.
enum Piece {
    Data(Bytes),
    End,
    TooLarge { bytes_max: u64 },
}

/// The sending half: moves what the client sends into the channel.
pub(crate) struct BodyPump<'body> {
    incoming: &'body mut Incoming,
    pieces: mpsc::Sender<Piece>,
    bytes_max: u64,
}

/// The reading half.
pub(crate) struct BodyReader {
    pieces: mpsc::Receiver<Piece>,
    current: Bytes,
    ended: bool,
}

/// A body of at most `bytes_max` bytes as sent.
pub(crate) fn pipe(incoming: &mut Incoming, bytes_max: u64) -> (BodyPump<'_>, BodyReader) {
    let (pieces, received) = mpsc::channel(CHUNKS_IN_FLIGHT);
    let reader = BodyReader { pieces: received, current: Bytes::new(), ended: false };
    (BodyPump { incoming, pieces, bytes_max }, reader)
}

impl BodyPump<'_> {
    /// Runs until the body has ended, failed, or is no longer wanted.
    pub(crate) async fn run(self) {
        let mut bytes = 0_u64;
        loop {
            let piece = match self.incoming.frame().await {
                None => Piece::End,
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => Piece::Data(data),
                    // Trailers carry nothing here.
                    Err(_) => continue,
                },
                // The reader sees the channel close without an end.
                Some(Err(_)) => return,
            };
            let (piece, last) = match piece {
                Piece::Data(data) => {
                    bytes += data.len() as u64;
                    let too_large = bytes > self.bytes_max;
                    let piece = if too_large {
                        Piece::TooLarge { bytes_max: self.bytes_max }
                    } else {
                        Piece::Data(data)
                    };
                    (piece, too_large)
                }
                end => (end, true),
            };
            if self.pieces.send(piece).await.is_err() || last {
                return;
            }
        }
    }
}

impl Read for BodyReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() && !self.ended {
            match self.pieces.blocking_recv() {
                Some(Piece::Data(data)) => self.current = data,
                Some(Piece::End) => self.ended = true,
                Some(Piece::TooLarge { bytes_max }) => return Err(io::Error::other(TooLarge { bytes_max })),
                None => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the client went away")),
            }
        }
        let size = buffer.len().min(self.current.len());
        self.current.copy_to_slice(&mut buffer[..size]);
        Ok(size)
    }
}

/// The body is larger than the front takes.
#[derive(Debug, thiserror::Error)]
#[error("the request body is larger than {bytes_max} bytes")]
pub(crate) struct TooLarge {
    pub(crate) bytes_max: u64,
}

/// A reader of the statement and its data, whatever it was packed in.
pub(crate) type Decoded = Box<dyn Read + Send>;

/// A body and how it is packed.
pub(crate) enum Body {
    /// No body, or one that was read already.
    Empty,
    Packed {
        body: BodyReader,
        packing: Packing,
        native_blocks: bool,
    },
}

/// How a body is packed as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    Plain,
    Gzip,
    Deflate,
    Zstd,
    Lz4,
}

impl Packing {
    /// Reads `Content-Encoding`.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Exception> {
        let name =
            headers.get(CONTENT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default().trim();
        match name.to_ascii_lowercase().as_str() {
            "" | "identity" => Ok(Self::Plain),
            "gzip" | "x-gzip" => Ok(Self::Gzip),
            "deflate" => Ok(Self::Deflate),
            "zstd" => Ok(Self::Zstd),
            "lz4" => Ok(Self::Lz4),
            other => {
                let known = "gzip, deflate, zstd, lz4 and identity are understood";
                let message = format!("Unknown Content-Encoding '{other}'; {known}");
                Err(Exception::new(ErrorCode::NotImplemented, message))
            }
        }
    }
}

impl Body {
    /// Undoes the packing of the whole, then native blocks. Some decoders read at once, so this blocks.
    pub(crate) fn open(self) -> Result<Decoded, Exception> {
        let (body, packing, native_blocks) = match self {
            Self::Empty => return Ok(in_memory(Vec::new())),
            Self::Packed { body, packing, native_blocks } => (body, packing, native_blocks),
        };
        let plain: Decoded = match packing {
            Packing::Plain => Box::new(body),
            Packing::Gzip => Box::new(flate2::read::MultiGzDecoder::new(body)),
            Packing::Deflate => Box::new(flate2::read::ZlibDecoder::new(body)),
            Packing::Lz4 => Box::new(lz4_flex::frame::FrameDecoder::new(body)),
            Packing::Zstd => {
                Box::new(zstd::stream::read::Decoder::new(body).map_err(|error| exception(&error))?)
            }
        };
        Ok(if native_blocks { Box::new(BlockReader::new(plain)) } else { plain })
    }
}

/// A body that is already here.
pub(crate) fn in_memory(bytes: Vec<u8>) -> Decoded {
    Box::new(Cursor::new(bytes))
}

/// What the client is told when its body cannot be read.
pub(crate) fn exception(error: &io::Error) -> Exception {
    if let Some(too_large) = error.get_ref().and_then(|inner| inner.downcast_ref::<TooLarge>()) {
        return Exception::new(ErrorCode::QueryIsTooLarge, too_large);
    }
    if let Some(second) = error.get_ref().and_then(|inner| inner.downcast_ref::<SecondStatement>()) {
        return Exception::new(ErrorCode::SyntaxError, second);
    }
    match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            Exception::new(ErrorCode::CannotReadAllData, format!("The request body ended early: {error}"))
        }
        _ if error.to_string().contains("checksum") => Exception::new(ErrorCode::ChecksumDoesNotMatch, error),
        _ => Exception::new(ErrorCode::CannotDecompress, format!("The request body cannot be read: {error}")),
    }
}

/// Reads on what nobody wants any more, within bounds: a client that is still sending reads its answer only afterwards.
pub(crate) async fn drain(mut incoming: Incoming) {
    let read_on = async {
        let mut bytes = 0;
        while let Some(Ok(frame)) = incoming.frame().await {
            bytes += frame.data_ref().map_or(0, Bytes::len);
            if bytes > DRAINED_BYTES_MAX {
                return;
            }
        }
    };
    // Whatever is left when the time is up is cut off with the connection.
    let _ = tokio::time::timeout(DRAIN_TIMEOUT, read_on).await;
}

/// Reads a multipart form into the request: the statement and its parameters, as some clients send them.
pub(crate) async fn read_form(
    incoming: &mut Incoming,
    boundary: String,
    bytes_max: usize,
    request: &mut Request,
) -> Result<(), Exception> {
    let constraints =
        multer::Constraints::new().size_limit(multer::SizeLimit::new().whole_stream(bytes_max as u64));
    let stream = http_body_util::BodyDataStream::new(incoming);
    let mut form = multer::Multipart::with_constraints(stream, boundary, constraints);
    let unreadable = |error: multer::Error| match error {
        multer::Error::StreamSizeExceeded { limit } => {
            Exception::new(ErrorCode::QueryIsTooLarge, TooLarge { bytes_max: limit })
        }
        error => {
            Exception::new(ErrorCode::BadArguments, format!("The multipart form cannot be read: {error}"))
        }
    };
    while let Some(field) = form.next_field().await.map_err(unreadable)? {
        let name = field.name().unwrap_or_default().to_owned();
        if field.file_name().is_some() {
            let message =
                format!("External tables are not available here (part '{name}'); use a temporary table");
            return Err(Exception::new(ErrorCode::NotImplemented, message));
        }
        let value = field.text().await.map_err(unreadable)?;
        request.take_field(&name, value)?;
    }
    Ok(())
}
