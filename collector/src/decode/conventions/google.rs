//! Google's own: the names the GenAI SDKs and the Agent Development Kit write beside OpenTelemetry's.

use crate::decode::convention::{Convention, Count::*, Fact::*, Namespace};

pub(super) const TABLE: Convention = Convention {
    name: "google",
    facts: &[
        ("gen_ai.usage.thoughts_tokens", Tokens(Reasoning)),
        ("gen_ai.usage.thoughts_token_count", Tokens(Reasoning)),
        ("gen_ai.usage.cached_content_tokens", Tokens(CacheRead)),
        ("gen_ai.usage.experimental.reasoning_tokens", Tokens(Reasoning)),
        ("gen_ai.usage.experimental.reasoning_tokens_limit", Plain),
        ("gen_ai.usage.tool_use_prompt_tokens", Plain),
    ],
    prefixes: &[("gcp.vertex.agent.", Namespace::Content), ("gcp.gen_ai.", Namespace::Ai)],
};
