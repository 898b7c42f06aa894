//! Genkit: every action a span, the model's with the provider's answer in its recorded output and no count beside it.

use crate::decode::convention::{Convention, Fact::*, Namespace, Role::*};

pub(super) const TABLE: Convention = Convention {
    name: "genkit",
    facts: &[
        (
            "genkit:metadata:subtype",
            Role(&[
                ("model", Call("chat")),
                ("embedder", Call("embeddings")),
                ("reranker", Call("rerank")),
                ("tool", NotCall),
                ("flow", NotCall),
                ("prompt", NotCall),
                ("retriever", NotCall),
                ("indexer", NotCall),
                ("evaluator", NotCall),
            ]),
        ),
        ("genkit:name", RequestModel),
        ("genkit:output", Answer),
        ("genkit:input", Content),
    ],
    prefixes: &[("genkit:metadata:", Namespace::Ai)],
};
