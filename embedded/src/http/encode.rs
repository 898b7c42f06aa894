//! Packing an answer the way the client asked for.

use std::io::{self, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use http::HeaderMap;
use http::header::ACCEPT_ENCODING;
use lz4_flex::frame::FrameEncoder;

use super::blocks::write_blocks;

/// A packing of the whole answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Identity,
    /// Native blocks, `compress=1`; not an HTTP encoding.
    Blocks,
    Gzip,
    Deflate,
    Zstd,
    Lz4,
}

impl Encoding {
    /// The encoding for a client: native blocks when asked for, else the first of `Accept-Encoding` that is known.
    pub(crate) fn choose(native_blocks: bool, http_compression: bool, headers: &HeaderMap) -> Self {
        if native_blocks {
            return Self::Blocks;
        }
        let accepted = headers.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !http_compression {
            return Self::Identity;
        }
        accepted.split(',').find_map(Self::named).unwrap_or(Self::Identity)
    }

    fn named(item: &str) -> Option<Self> {
        let mut parts = item.split(';').map(str::trim);
        let name = parts.next()?;
        if parts.any(|parameter| {
            matches!(parameter.replace(' ', "").as_str(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000")
        }) {
            return None;
        }
        match name.to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => Some(Self::Gzip),
            "deflate" => Some(Self::Deflate),
            "zstd" => Some(Self::Zstd),
            "lz4" => Some(Self::Lz4),
            _ => None,
        }
    }

    /// The value of `Content-Encoding`.
    pub(crate) fn header(self) -> Option<&'static str> {
        match self {
            Self::Identity | Self::Blocks => None,
            Self::Gzip => Some("gzip"),
            Self::Deflate => Some("deflate"),
            Self::Zstd => Some("zstd"),
            Self::Lz4 => Some("lz4"),
        }
    }
}

/// Packs bytes as they come; every piece can be unpacked as soon as it is sent.
pub(crate) enum Encoder {
    Identity,
    Blocks,
    Gzip(GzEncoder<Vec<u8>>),
    Deflate(ZlibEncoder<Vec<u8>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
    Lz4(Box<FrameEncoder<Vec<u8>>>),
}

impl Encoder {
    pub(crate) fn new(encoding: Encoding) -> io::Result<Self> {
        Ok(match encoding {
            Encoding::Identity => Self::Identity,
            Encoding::Blocks => Self::Blocks,
            Encoding::Gzip => Self::Gzip(GzEncoder::new(Vec::new(), Compression::fast())),
            Encoding::Deflate => Self::Deflate(ZlibEncoder::new(Vec::new(), Compression::fast())),
            Encoding::Zstd => Self::Zstd(zstd::stream::write::Encoder::new(Vec::new(), 1)?),
            Encoding::Lz4 => Self::Lz4(Box::new(FrameEncoder::new(Vec::new()))),
        })
    }

    /// Packs one piece.
    pub(crate) fn push(&mut self, raw: Bytes) -> io::Result<Bytes> {
        match self {
            Self::Identity => Ok(raw),
            Self::Blocks => {
                let mut blocks = Vec::new();
                write_blocks(&raw, &mut blocks);
                Ok(blocks.into())
            }
            Self::Gzip(writer) => through(writer, &raw, GzEncoder::get_mut),
            Self::Deflate(writer) => through(writer, &raw, ZlibEncoder::get_mut),
            Self::Zstd(writer) => through(writer, &raw, zstd::stream::write::Encoder::get_mut),
            Self::Lz4(writer) => through(writer.as_mut(), &raw, FrameEncoder::get_mut),
        }
    }

    /// What ends the packed answer.
    pub(crate) fn finish(self) -> io::Result<Bytes> {
        Ok(match self {
            Self::Identity | Self::Blocks => Bytes::new(),
            Self::Gzip(writer) => writer.finish()?.into(),
            Self::Deflate(writer) => writer.finish()?.into(),
            Self::Zstd(writer) => writer.finish()?.into(),
            Self::Lz4(writer) => writer.finish().map_err(io::Error::other)?.into(),
        })
    }
}

fn through<W: Write>(writer: &mut W, raw: &[u8], packed: fn(&mut W) -> &mut Vec<u8>) -> io::Result<Bytes> {
    writer.write_all(raw)?;
    writer.flush()?;
    Ok(std::mem::take(packed(writer)).into())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn choose(accepted: &str) -> Encoding {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, accepted.parse().unwrap());
        Encoding::choose(false, true, &headers)
    }

    #[test]
    fn the_first_known_encoding_is_taken() {
        assert_eq!(choose("br, zstd;q=0.5, gzip"), Encoding::Zstd);
        assert_eq!(choose("gzip;q=0, lz4"), Encoding::Lz4);
        assert_eq!(choose("identity"), Encoding::Identity);
        assert_eq!(choose(""), Encoding::Identity);
    }

    #[test]
    fn pieces_unpack_to_what_was_pushed() {
        for encoding in [Encoding::Gzip, Encoding::Deflate, Encoding::Zstd, Encoding::Lz4, Encoding::Blocks] {
            let mut encoder = Encoder::new(encoding).unwrap();
            let mut packed = Vec::new();
            for piece in ["one ", "two ", "three"] {
                packed.extend(encoder.push(Bytes::from(piece)).unwrap());
            }
            packed.extend(encoder.finish().unwrap());
            let packed = packed.as_slice();
            let mut reader: Box<dyn Read> = match encoding {
                Encoding::Gzip => Box::new(flate2::read::GzDecoder::new(packed)),
                Encoding::Deflate => Box::new(flate2::read::ZlibDecoder::new(packed)),
                Encoding::Zstd => Box::new(zstd::stream::read::Decoder::new(packed).unwrap()),
                Encoding::Lz4 => Box::new(lz4_flex::frame::FrameDecoder::new(packed)),
                _ => Box::new(super::super::blocks::BlockReader::new(packed)),
            };
            let mut text = String::new();
            reader.read_to_string(&mut text).unwrap();
            assert_eq!(text, "one two three", "{encoding:?}");
        }
    }
}
