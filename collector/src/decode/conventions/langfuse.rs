//! The Langfuse SDK: `langfuse.*`, its values often JSON inside text.
//!
//! `usage_details` is one object with free keys: Langfuse's own (`input`, `output`, …) or the provider's, copied by
//! its wrappers. It is priced key by key, so cached tokens stand beside the input unless the keys are an API's that includes them.

use crate::decode::convention::{Convention, Fact::*, Meaning, Namespace, Role::*};

pub(super) const TABLE: Convention = Convention {
    name: "langfuse",
    facts: &[
        (
            "langfuse.observation.type",
            Role(&[
                ("generation", Call("chat")),
                ("embedding", Call("embeddings")),
                ("span", NotCall),
                ("agent", NotCall),
                ("tool", NotCall),
                ("chain", NotCall),
                ("retriever", NotCall),
                ("guardrail", NotCall),
                ("evaluator", NotCall),
                ("event", NotCall),
            ]),
        ),
        ("langfuse.observation.model.name", ResponseModel),
        ("langfuse.observation.usage_details", Usage(Meaning::Exclusive)),
        ("langfuse.observation.model.parameters", Request),
        ("langfuse.observation.completion_start_time", Streamed),
        ("langfuse.observation.level", Level),
        ("langfuse.observation.output", Answer),
        ("langfuse.observation.input", Content),
        ("langfuse.observation.status_message", Content),
        ("langfuse.trace.input", Content),
        ("langfuse.trace.output", Content),
        ("langfuse.observation.cost_details", Plain),
    ],
    prefixes: &[
        ("langfuse.observation.prompt", Namespace::Content),
        ("langfuse.observation.metadata", Namespace::Content),
        ("langfuse.", Namespace::Ai),
    ],
};
