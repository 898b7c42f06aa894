//! Strands Agents: the GenAI names of old and new side by side, and cached tokens under names of its own.

use crate::decode::convention::{Convention, Count::*, Fact::*, Namespace};

pub(super) const TABLE: Convention = Convention {
    name: "strands",
    facts: &[
        ("gen_ai.usage.cache_write_input_tokens", Tokens(CacheWrite)),
        ("gen_ai.event.start_time", Plain),
        ("gen_ai.event.end_time", Plain),
        ("event_loop.cycle_id", Plain),
    ],
    prefixes: &[("system_prompt", Namespace::Content)],
};
