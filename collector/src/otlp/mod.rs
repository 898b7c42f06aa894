//! The OTLP trace wire format, read in place: an `ExportTraceServiceRequest` walked from its bytes, without a tree.
//!
//! ```text
//! ExportRequest ─▶ ResourceSpans ─▶ ScopeSpans ─▶ RawSpan ─read─▶ SpanView ─▶ Attribute ─view─▶ ValueView
//! ```
//!
//! Promises: every view borrows from the body and is a few words long; no byte is read that nobody asks for; fields
//! are found in any order, as protobuf allows; no input makes it panic, recurse without bound, or allocate.
//!
//! Two kinds of damage are told apart. Where the *outer framing* is broken (the request, its resources, its scopes, or
//! the length of a span) nothing that follows can be trusted, and the whole request is a [`WalkError`]. Where one
//! *span* is unusable, it is a [`SpanFault`] of its own and the rest of the request stands.
//!
//! [`json`] turns an OTLP/JSON body into the same protobuf bytes, so that everything behind it knows one form.
//!
//! What the attributes mean is for [`crate::decode`].

mod wire;
mod value;
mod span;
mod request;
pub mod json;
pub mod rewrite;

pub use request::{ExportRequest, RawSpan, ResourceSpans, ResourceView, ScopeSpans, ScopeView};
pub use span::{EventView, LinkView, SpanFault, SpanKind, SpanView, StatusCode};
pub use value::{AnyValue, ArrayView, Attribute, Attributes, DEPTH_MAX, RawAttribute, ValueView};
pub use wire::WalkError;

#[cfg(test)]
mod agrees_with_prost;
