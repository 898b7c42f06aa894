//! OpenLLMetry (Traceloop): the GenAI names of today, and its own of before.

use crate::decode::convention::{Convention, Count::*, Fact::*, Namespace, Role::*};

pub(super) const TABLE: Convention = Convention {
    name: "openllmetry",
    facts: &[
        (
            "llm.request.type",
            Role(&[
                ("chat", Call("chat")),
                ("completion", Call("text_completion")),
                ("embedding", Call("embeddings")),
                ("rerank", Call("rerank")),
                ("acompletion", Call("chat")),
                ("aembedding", Call("embeddings")),
                ("unknown", NotCall),
            ]),
        ),
        (
            "gen_ai.request.type",
            Role(&[
                ("chat", Call("chat")),
                ("completion", Call("text_completion")),
                ("embedding", Call("embeddings")),
                ("rerank", Call("rerank")),
            ]),
        ),
        // Decorated functions. Frameworks set an operation beside it where the span is a call after all.
        (
            "traceloop.span.kind",
            Role(&[
                ("workflow", NotCall),
                ("task", NotCall),
                ("agent", NotCall),
                ("tool", NotCall),
                ("unknown", NotCall),
            ]),
        ),
        ("gen_ai.is_streaming", Streaming),
        ("llm.is_streaming", Streaming),
        ("gen_ai.usage.reasoning_tokens", Tokens(Reasoning)),
        ("gen_ai.usage.cache_read_input_tokens", Tokens(CacheRead)),
        ("gen_ai.usage.cache_creation_input_tokens", Tokens(CacheWrite)),
        ("llm.usage.prompt_tokens", Tokens(Input)),
        ("llm.usage.completion_tokens", Tokens(Output)),
        ("llm.usage.total_tokens", Tokens(Total)),
        ("llm.usage.reasoning_tokens", Tokens(Reasoning)),
        ("llm.usage.cache_read_input_tokens", Tokens(CacheRead)),
        ("llm.usage.cache_creation_input_tokens", Tokens(CacheWrite)),
        ("llm.request.model", RequestModel),
        ("llm.response.model", ResponseModel),
        ("llm.vendor", Provider),
        ("traceloop.entity.input", Content),
        ("traceloop.entity.output", Content),
    ],
    prefixes: &[
        ("traceloop.prompt.", Namespace::Content),
        // Filled by LangChain, not by the user.
        ("traceloop.association.properties.ls_", Namespace::Ai),
        ("traceloop.association.properties.lc_", Namespace::Ai),
        ("traceloop.", Namespace::Ai),
    ],
};
