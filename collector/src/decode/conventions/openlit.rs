//! OpenLIT: the GenAI names, and details under names of its own.

use crate::decode::convention::{Convention, Count::*, Fact::*, Namespace};

pub(super) const TABLE: Convention = Convention {
    name: "openlit",
    facts: &[
        ("gen_ai.request.is_stream", Streaming),
        ("gen_ai.client.token.usage", Tokens(Total)),
        ("gen_ai.usage.prompt_tokens_details.cache_read", Tokens(CacheRead)),
        ("gen_ai.usage.prompt_tokens_details.cache_write", Tokens(CacheWrite)),
        ("gen_ai.usage.prompt_tokens_details.audio", Tokens(AudioInput)),
        ("gen_ai.usage.completion_tokens_details.reasoning", Tokens(Reasoning)),
        ("gen_ai.usage.completion_tokens_details.audio", Tokens(AudioOutput)),
        ("gen_ai.usage.cost", Plain),
    ],
    prefixes: &[("gen_ai.content.", Namespace::Content)],
};
