//! Decompression in small steps: each writes only into room that was made for it, so a bomb costs what was leased.

use flate2::{Decompress, FlushDecompress, Status};
use zstd::stream::raw::{self, DParameter, InBuffer, Operation, OutBuffer};

/// A content coding of OTLP request bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Identity,
    Gzip,
    Zstd,
    Deflate,
}

impl Coding {
    /// What `accept-encoding` and `grpc-accept-encoding` say.
    pub(super) const ACCEPTED: &'static str = "gzip, zstd, deflate, identity";

    /// Reads the value of `content-encoding` or `grpc-encoding`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let is = |name: &str| text.trim().eq_ignore_ascii_case(name);
        if is("") || is("identity") {
            Some(Self::Identity)
        } else if is("gzip") || is("x-gzip") {
            Some(Self::Gzip)
        } else if is("zstd") {
            Some(Self::Zstd)
        } else if is("deflate") {
            Some(Self::Deflate)
        } else {
            None
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Deflate => "deflate",
        }
    }
}

/// The largest window of a zstd frame, log 2: 8 MiB, what RFC 8878 asks every decoder to take and every level below
/// `--ultra` stays under. The decoder allocates it outside of what a request leases.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// gzip's largest window, log 2.
const GZIP_WINDOW_LOG: u8 = 15;

/// Data that its coding does not allow.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum InflateError {
    #[error("the {coding} data is corrupt: {fault}")]
    Corrupt { coding: &'static str, fault: String },
    #[error("the {coding} data ends early: it was truncated on its way")]
    Truncated { coding: &'static str },
}

/// A decompressor of one body.
pub(super) struct Inflate {
    coding: Coding,
    state: State,
    /// Whether the input so far ends where a stream (gzip member, zstd frame) ends.
    at_end: bool,
}

enum State {
    Flate(Box<Decompress>),
    Zstd(raw::Decoder<'static>),
}

impl Inflate {
    /// A decompressor; `None` for identity, which needs none.
    pub(super) fn new(coding: Coding) -> Result<Option<Self>, InflateError> {
        let state = match coding {
            Coding::Identity => return Ok(None),
            Coding::Gzip => State::Flate(Box::new(Decompress::new_gzip(GZIP_WINDOW_LOG))),
            Coding::Deflate => State::Flate(Box::new(Decompress::new(true))),
            Coding::Zstd => {
                let mut decoder = raw::Decoder::new().map_err(|error| corrupt(coding, &error))?;
                decoder
                    .set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX))
                    .map_err(|error| corrupt(coding, &error))?;
                State::Zstd(decoder)
            }
        };
        Ok(Some(Self { coding, state, at_end: false }))
    }

    /// Decompresses into the spare capacity of `output`, which it never grows. Returns how much of `input` it took.
    ///
    /// When it took everything and left spare capacity, it holds nothing back.
    pub(super) fn step(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<usize, InflateError> {
        match &mut self.state {
            State::Flate(decompress) => {
                if self.at_end {
                    if input.is_empty() {
                        return Ok(0);
                    }
                    if self.coding == Coding::Deflate {
                        return Err(InflateError::Corrupt {
                            coding: self.coding.name(),
                            fault: "data follows its end".into(),
                        });
                    }
                    // RFC 1952 allows several members after each other.
                    **decompress = Decompress::new_gzip(GZIP_WINDOW_LOG);
                    self.at_end = false;
                }
                let before = decompress.total_in();
                let status = decompress
                    .decompress_vec(input, output, FlushDecompress::None)
                    .map_err(|error| corrupt(self.coding, &error))?;
                self.at_end = status == Status::StreamEnd;
                Ok(usize::try_from(decompress.total_in() - before)
                    .expect("a step takes no more than its input"))
            }
            State::Zstd(decoder) => {
                let written = output.len();
                let mut source = InBuffer::around(input);
                let mut target = OutBuffer::around_pos(output, written);
                let hint =
                    decoder.run(&mut source, &mut target).map_err(|error| corrupt(Coding::Zstd, &error))?;
                // With nothing to do the hint speaks of a next frame, not of the one that ended.
                if source.pos() > 0 || target.pos() > written {
                    self.at_end = hint == 0;
                }
                Ok(source.pos())
            }
        }
    }

    /// Whether the data is complete.
    pub(super) fn finish(self) -> Result<(), InflateError> {
        if self.at_end { Ok(()) } else { Err(InflateError::Truncated { coding: self.coding.name() }) }
    }
}

fn corrupt(coding: Coding, fault: &dyn std::error::Error) -> InflateError {
    InflateError::Corrupt { coding: coding.name(), fault: fault.to_string() }
}
