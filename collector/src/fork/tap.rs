//! The border to the trace arm, as the stem sees it.

use bytes::Bytes;
use domain::observation::KeyStamp;

use crate::trace::TraceTapHandle;

/// Takes copies of acknowledged requests. Whatever an implementation does with one, it must return at once, must not
/// panic, and must bound what it keeps: the request's answer is waiting behind it.
pub trait TraceTap: Clone + Send + Sync + 'static {
    /// Offers an acknowledged request, as the protobuf bytes of an `ExportTraceServiceRequest`.
    fn offer(&self, body: &Bytes, key: &KeyStamp);
}

/// No trace arm.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoTrace;

impl TraceTap for NoTrace {
    fn offer(&self, _body: &Bytes, _key: &KeyStamp) {}
}

impl TraceTap for TraceTapHandle {
    fn offer(&self, body: &Bytes, key: &KeyStamp) {
        Self::offer(self, body, key);
    }
}
