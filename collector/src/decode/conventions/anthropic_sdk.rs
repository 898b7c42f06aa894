//! What the Anthropic SDK says of its own calls, beside the GenAI names: the tier, and the lifetimes of cache writes.

use crate::decode::convention::{Convention, Count::*, Fact::*, Namespace};

pub(super) const TABLE: Convention = Convention {
    name: "anthropic_sdk",
    facts: &[
        ("anthropic.response.service_tier", ResponseTier),
        ("anthropic.usage.cache_creation.ephemeral_5m_input_tokens", Tokens(CacheWrite5m)),
        ("anthropic.usage.cache_creation.ephemeral_1h_input_tokens", Tokens(CacheWrite1h)),
        ("anthropic.usage.server_tool_use.web_search_requests", Units("web_searches")),
        ("anthropic.request.id", Plain),
    ],
    prefixes: &[("anthropic.", Namespace::Ai)],
};
