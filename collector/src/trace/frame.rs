//! Kept spans as an export request, for backends that they are forwarded to: what they say, without content, with our mark.

use bytes::Bytes;

use super::hold::Source;
use super::policy::Policy;
use super::row::Mark;
use crate::otlp::rewrite::{self, put_bytes};
use crate::otlp::{SpanView, WalkError};

/// A request that grows.
#[derive(Debug)]
pub(super) struct Frame {
    request: Vec<u8>,
    policy: Policy,
}

impl Frame {
    /// Beyond this it is sent: some thousand spans, and far below what backends take.
    pub(super) const BYTES_MAX: usize = 1 << 20;

    pub(super) fn new(policy: Policy) -> Self {
        Self { request: Vec::new(), policy }
    }

    /// Adds a span, as a group of its own.
    pub(super) fn push(
        &mut self,
        span: &SpanView<'_>,
        source: &Source,
        mark: &Mark<'_>,
    ) -> Result<(), WalkError> {
        let span = rewrite::span(span.bytes(), &mark.kept.trace_state, &self.policy, mark.attributes())?;
        let mut spans = Vec::with_capacity(span.len() + source.scope.len() + 32);
        put_bytes(&mut spans, 1, &rewrite::scope(&source.scope, &self.policy)?);
        put_bytes(&mut spans, 2, &span);
        put_bytes(&mut spans, 3, source.scope_schema.as_bytes());
        let mut group = Vec::with_capacity(spans.len() + source.resource.len() + 32);
        put_bytes(&mut group, 1, &rewrite::resource(&source.resource, &self.policy)?);
        put_bytes(&mut group, 2, &spans);
        put_bytes(&mut group, 3, source.resource_schema.as_bytes());
        put_bytes(&mut self.request, 1, &group);
        Ok(())
    }

    /// Whether it should be sent before more is added.
    pub(super) fn is_full(&self) -> bool {
        self.request.len() >= Self::BYTES_MAX
    }

    /// Hands it over, where it is not empty, and begins anew.
    pub(super) fn take(&mut self) -> Option<Bytes> {
        (!self.request.is_empty()).then(|| std::mem::take(&mut self.request).into())
    }
}
