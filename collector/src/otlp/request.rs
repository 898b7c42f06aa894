//! The outer levels of an export request: resources, scopes, and the spans in them.
//!
//! A resource may be written after its spans, and a scope after its own: each level is first skimmed for what
//! describes it (lengths are jumped over, not read into), then walked. Where a resource or scope is written twice, the last stands.

use super::span::{SpanFault, SpanView};
use super::value::Attributes;
use super::wire::{Fields, Repeated, Slice, WalkError, Wire};

/// The body of an `ExportTraceServiceRequest` (or of a `TracesData`, which has the same form).
#[derive(Debug, Clone, Copy)]
pub struct ExportRequest<'a> {
    message: Slice<'a>,
}

impl<'a> ExportRequest<'a> {
    /// A request in a body. Nothing is read yet.
    pub fn new(body: &'a [u8]) -> Self {
        Self { message: Slice::body(body) }
    }

    /// What each resource (a process, usually) sent.
    pub fn resource_spans(&self) -> impl Iterator<Item = Result<ResourceSpans<'a>, WalkError>> + use<'a> {
        Repeated::of(Fields::of(self.message), 1).map(|group| ResourceSpans::read(group?))
    }
}

/// The spans of one resource.
#[derive(Debug, Clone, Copy)]
pub struct ResourceSpans<'a> {
    /// The resource.
    pub resource: ResourceView<'a>,
    /// The URL of the schema of the resource's attributes, empty where not stated.
    pub schema_url: &'a str,
    message: Slice<'a>,
}

impl<'a> ResourceSpans<'a> {
    fn read(message: Slice<'a>) -> Result<Self, WalkError> {
        let (resource, schema_url) = skim(message, "a resource group of the wrong wire type")?;
        Ok(Self { resource: ResourceView { message: resource }, schema_url, message })
    }

    /// What each instrumentation of the resource sent.
    pub fn scope_spans(&self) -> impl Iterator<Item = Result<ScopeSpans<'a>, WalkError>> + use<'a> {
        Repeated::of(Fields::of(self.message), 2).map(|group| ScopeSpans::read(group?))
    }
}

/// What sent the spans: a process, a host, a service.
#[derive(Debug, Clone, Copy)]
pub struct ResourceView<'a> {
    message: Slice<'a>,
}

impl<'a> ResourceView<'a> {
    /// A resource of its own bytes, such as [`Self::bytes`] gave.
    pub fn of(bytes: &'a [u8]) -> Self {
        Self { message: Slice::body(bytes) }
    }

    /// Its attributes.
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes::of(Fields::of(self.message), 1, 0)
    }

    /// Its bytes, as a protobuf `Resource`.
    pub fn bytes(&self) -> &'a [u8] {
        self.message.bytes
    }
}

/// The spans of one instrumentation scope.
#[derive(Debug, Clone, Copy)]
pub struct ScopeSpans<'a> {
    /// The scope.
    pub scope: ScopeView<'a>,
    /// The URL of the schema of the spans' attributes, empty where not stated.
    pub schema_url: &'a str,
    message: Slice<'a>,
}

impl<'a> ScopeSpans<'a> {
    fn read(message: Slice<'a>) -> Result<Self, WalkError> {
        let (scope, schema_url) = skim(message, "a scope group of the wrong wire type")?;
        Ok(Self { scope: ScopeView::read(scope)?, schema_url, message })
    }

    /// The spans, each still bytes: a span that cannot be read does not end the walk.
    pub fn spans(&self) -> impl Iterator<Item = Result<RawSpan<'a>, WalkError>> + use<'a> {
        Repeated::of(Fields::of(self.message), 2).map(|span| Ok(RawSpan { message: span? }))
    }
}

/// The instrumentation that made the spans.
#[derive(Debug, Clone, Copy)]
pub struct ScopeView<'a> {
    /// Its name, empty where not stated.
    pub name: &'a str,
    /// Its version, empty where not stated.
    pub version: &'a str,
    message: Slice<'a>,
}

impl<'a> ScopeView<'a> {
    /// A scope of its own bytes, such as [`Self::bytes`] gave.
    pub fn of(bytes: &'a [u8]) -> Result<Self, WalkError> {
        Self::read(Slice::body(bytes))
    }

    /// Its bytes, as a protobuf `InstrumentationScope`.
    pub fn bytes(&self) -> &'a [u8] {
        self.message.bytes
    }

    fn read(message: Slice<'a>) -> Result<Self, WalkError> {
        let mut scope = Self { name: "", version: "", message };
        let mut fields = Fields::of(message);
        while let Some(field) = fields.next()? {
            match field {
                (1, Wire::Bytes(text)) => scope.name = text.text().unwrap_or_default(),
                (2, Wire::Bytes(text)) => scope.version = text.text().unwrap_or_default(),
                (1 | 2, _) => return Err(message.error("a scope of the wrong wire type")),
                _ => {}
            }
        }
        Ok(scope)
    }

    /// Its attributes.
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes::of(Fields::of(self.message), 3, 0)
    }
}

/// A span whose length is known and nothing else.
#[derive(Debug, Clone, Copy)]
pub struct RawSpan<'a> {
    message: Slice<'a>,
}

impl<'a> RawSpan<'a> {
    /// A span of its own bytes, such as [`Self::bytes`] gave.
    pub fn of(bytes: &'a [u8]) -> Self {
        Self { message: Slice::body(bytes) }
    }

    /// Reads the span's own fields.
    pub fn read(self) -> Result<SpanView<'a>, SpanFault> {
        SpanView::read(self.message)
    }

    /// Its bytes, as a protobuf `Span`.
    pub fn bytes(&self) -> &'a [u8] {
        self.message.bytes
    }
}

/// Finds what describes a group (field 1) and its schema URL (field 3), which both levels number alike.
fn skim<'a>(group: Slice<'a>, wrong: &'static str) -> Result<(Slice<'a>, &'a str), WalkError> {
    let (mut described, mut schema_url) = (Slice::EMPTY, "");
    let mut fields = Fields::of(group);
    while let Some(field) = fields.next()? {
        match field {
            (1, Wire::Bytes(bytes)) => described = bytes,
            (3, Wire::Bytes(text)) => schema_url = text.text().unwrap_or_default(),
            (1..=3, Wire::Varint(_) | Wire::Fixed32(_) | Wire::Fixed64(_)) => return Err(group.error(wrong)),
            _ => {}
        }
    }
    Ok((described, schema_url))
}
