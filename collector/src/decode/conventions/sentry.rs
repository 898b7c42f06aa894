//! Sentry's AI monitoring: the GenAI names with the kind of token behind the whole.

use crate::decode::convention::{Convention, Count::*, Fact::*};

pub(super) const TABLE: Convention = Convention {
    name: "sentry",
    facts: &[
        ("gen_ai.usage.input_tokens.cached", Tokens(CacheRead)),
        ("gen_ai.usage.input_tokens.cache_write", Tokens(CacheWrite)),
        ("gen_ai.usage.output_tokens.reasoning", Tokens(Reasoning)),
        ("gen_ai.response.streaming", Streaming),
        ("gen_ai.response.text", Content),
        ("gen_ai.response.tool_calls", Content),
        ("gen_ai.request.messages", Content),
        ("gen_ai.request.available_tools", Content),
    ],
    prefixes: &[],
};
