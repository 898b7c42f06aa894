//! A span as it stands on the wire.

use domain::{SpanId, TraceId};

use super::value::Attributes;
use super::wire::{Fields, Repeated, Slice, WalkError, Wire};

/// Why one span of a well-framed request cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SpanFault {
    /// Its own bytes do not hold together.
    #[error(transparent)]
    Malformed(#[from] WalkError),
    /// Its trace id is not 16 bytes, or all zero.
    #[error("the trace id is not 16 bytes, or all zero")]
    TraceId,
    /// Its span id is not 8 bytes, or all zero.
    #[error("the span id is not 8 bytes, or all zero")]
    SpanId,
}

/// What role a span plays between processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanKind {
    /// Not said, or a value of a later version.
    Unspecified,
    /// Work within the process.
    Internal,
    /// Serves a request.
    Server,
    /// Makes a request.
    Client,
    /// Sends a message.
    Producer,
    /// Receives a message.
    Consumer,
}

/// How a span says it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusCode {
    /// Nothing was said.
    Unset,
    /// Explicitly well.
    Ok,
    /// Failed.
    Error,
}

/// One span: its own fields read, its attributes, events and links still bytes.
#[derive(Debug, Clone, Copy)]
pub struct SpanView<'a> {
    /// The trace it belongs to.
    pub trace_id: TraceId,
    /// Its id.
    pub span_id: SpanId,
    /// The span it was started under; `None` for a root, and for an id that is none.
    pub parent: Option<SpanId>,
    /// W3C trace state.
    pub trace_state: &'a str,
    /// Its name; empty where it is not UTF-8.
    pub name: &'a str,
    /// Its kind.
    pub kind: SpanKind,
    /// When it started, in nanoseconds since the Unix epoch.
    pub start_unix_nano: u64,
    /// When it ended, in nanoseconds since the Unix epoch.
    pub end_unix_nano: u64,
    /// How it ended.
    pub status: StatusCode,
    /// What its status says, often an error's text.
    pub status_message: &'a str,
    /// W3C trace flags, and whether the parent is remote.
    pub flags: u32,
    /// How many attributes the producer left out.
    pub dropped_attributes: u32,
    /// How many events the producer left out.
    pub dropped_events: u32,
    /// How many links the producer left out.
    pub dropped_links: u32,
    message: Slice<'a>,
    /// Where in the message the first attribute stands: most of a span lies before it.
    attributes_at: usize,
}

impl<'a> SpanView<'a> {
    pub(super) fn read(message: Slice<'a>) -> Result<Self, SpanFault> {
        let (mut trace, mut span, mut parent) = (&[][..], &[][..], &[][..]);
        let mut attributes_at = None;
        let (mut start, mut end, mut flags, mut kind) = (0, 0, 0, 0);
        let (mut name, mut trace_state, mut status) = (Slice::EMPTY, Slice::EMPTY, Slice::EMPTY);
        let mut dropped = [0; 3];
        let mut fields = Fields::of(message);
        loop {
            let position = fields.position();
            let Some(field) = fields.next()? else { break };
            match field {
                (9, Wire::Bytes(_)) => {
                    attributes_at.get_or_insert(position);
                }
                (1, Wire::Bytes(id)) => trace = id.bytes,
                (2, Wire::Bytes(id)) => span = id.bytes,
                (3, Wire::Bytes(text)) => trace_state = text,
                (4, Wire::Bytes(id)) => parent = id.bytes,
                (5, Wire::Bytes(text)) => name = text,
                (6, Wire::Varint(value)) => kind = value,
                (7, Wire::Fixed64(value)) => start = value,
                (8, Wire::Fixed64(value)) => end = value,
                (10, Wire::Varint(count)) => dropped[0] = count as u32,
                (12, Wire::Varint(count)) => dropped[1] = count as u32,
                (14, Wire::Varint(count)) => dropped[2] = count as u32,
                (15, Wire::Bytes(bytes)) => status = bytes,
                (16, Wire::Fixed32(value)) => flags = value,
                (11 | 13, Wire::Bytes(_)) | (17.., _) => {}
                _ => return Err(message.error("a span field of the wrong wire type").into()),
            }
        }
        let (status, status_message) = read_status(status)?;
        Ok(Self {
            trace_id: TraceId::from_slice(trace).ok_or(SpanFault::TraceId)?,
            span_id: SpanId::from_slice(span).ok_or(SpanFault::SpanId)?,
            parent: SpanId::from_slice(parent),
            trace_state: trace_state.text().unwrap_or_default(),
            name: name.text().unwrap_or_default(),
            kind: match kind {
                1 => SpanKind::Internal,
                2 => SpanKind::Server,
                3 => SpanKind::Client,
                4 => SpanKind::Producer,
                5 => SpanKind::Consumer,
                _ => SpanKind::Unspecified,
            },
            start_unix_nano: start,
            end_unix_nano: end,
            status,
            status_message,
            flags,
            dropped_attributes: dropped[0],
            dropped_events: dropped[1],
            dropped_links: dropped[2],
            message,
            attributes_at: attributes_at.unwrap_or(message.bytes.len()),
        })
    }

    /// Its attributes.
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes::of(Fields::from(self.message, self.attributes_at), 9, 0)
    }

    /// Its events.
    pub fn events(&self) -> impl Iterator<Item = Result<EventView<'a>, WalkError>> + use<'a> {
        Repeated::of(Fields::of(self.message), 11).map(|event| EventView::read(event?))
    }

    /// Its links to other spans.
    pub fn links(&self) -> impl Iterator<Item = Result<LinkView<'a>, WalkError>> + use<'a> {
        Repeated::of(Fields::of(self.message), 13).map(|link| LinkView::read(link?))
    }

    /// Its bytes, as a protobuf `Span`.
    pub fn bytes(&self) -> &'a [u8] {
        self.message.bytes
    }
}

fn read_status(message: Slice<'_>) -> Result<(StatusCode, &str), WalkError> {
    let (mut code, mut text) = (StatusCode::Unset, "");
    let mut fields = Fields::of(message);
    while let Some(field) = fields.next()? {
        match field {
            (2, Wire::Bytes(bytes)) => text = bytes.text().unwrap_or_default(),
            (3, Wire::Varint(value)) => {
                code = match value {
                    1 => StatusCode::Ok,
                    2 => StatusCode::Error,
                    _ => StatusCode::Unset,
                }
            }
            (2 | 3, _) => return Err(message.error("a status of the wrong wire type")),
            _ => {}
        }
    }
    Ok((code, text))
}

/// Something that happened during a span.
#[derive(Debug, Clone, Copy)]
pub struct EventView<'a> {
    /// When, in nanoseconds since the Unix epoch.
    pub time_unix_nano: u64,
    /// Its name; empty where it is not UTF-8.
    pub name: &'a str,
    message: Slice<'a>,
}

impl<'a> EventView<'a> {
    fn read(message: Slice<'a>) -> Result<Self, WalkError> {
        let mut event = Self { time_unix_nano: 0, name: "", message };
        let mut fields = Fields::of(message);
        while let Some(field) = fields.next()? {
            match field {
                (1, Wire::Fixed64(time)) => event.time_unix_nano = time,
                (2, Wire::Bytes(text)) => event.name = text.text().unwrap_or_default(),
                (1 | 2, _) => return Err(message.error("an event of the wrong wire type")),
                _ => {}
            }
        }
        Ok(event)
    }

    /// Its attributes.
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes::of(Fields::of(self.message), 3, 0)
    }
}

/// A pointer from a span to another.
#[derive(Debug, Clone, Copy)]
pub struct LinkView<'a> {
    /// The other span's trace; `None` where it is no id.
    pub trace_id: Option<TraceId>,
    /// The other span; `None` where it is no id.
    pub span_id: Option<SpanId>,
    /// The other span's W3C trace state.
    pub trace_state: &'a str,
    message: Slice<'a>,
}

impl<'a> LinkView<'a> {
    fn read(message: Slice<'a>) -> Result<Self, WalkError> {
        let mut link = Self { trace_id: None, span_id: None, trace_state: "", message };
        let mut fields = Fields::of(message);
        while let Some(field) = fields.next()? {
            match field {
                (1, Wire::Bytes(id)) => link.trace_id = TraceId::from_slice(id.bytes),
                (2, Wire::Bytes(id)) => link.span_id = SpanId::from_slice(id.bytes),
                (3, Wire::Bytes(text)) => link.trace_state = text.text().unwrap_or_default(),
                (1..=3, _) => return Err(message.error("a link of the wrong wire type")),
                _ => {}
            }
        }
        Ok(link)
    }

    /// Its attributes.
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes::of(Fields::of(self.message), 4, 0)
    }
}
