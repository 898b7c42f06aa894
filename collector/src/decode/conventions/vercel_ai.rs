//! Vercel's AI SDK, versions 4 to 6 (`ai.*`); version 7 writes the GenAI names and `ai.*` only on request.
//!
//! Each request has two spans: `ai.generateText` states what the application asked for, summed over its steps, and
//! `ai.generateText.doGenerate` is one request to the model. Only the inner kind is a call.

use crate::decode::convention::{Convention, Count::*, Fact::*, Namespace};

pub(super) const TABLE: Convention = Convention {
    name: "vercel_ai",
    facts: &[
        ("ai.operationId", Operation),
        ("ai.model.provider", Provider),
        ("ai.model.id", RequestModel),
        ("ai.response.model", ResponseModel),
        ("ai.response.id", ResponseId),
        ("ai.response.msToFirstChunk", Streamed),
        ("ai.usage.inputTokens", Tokens(Input)),
        ("ai.usage.promptTokens", Tokens(Input)),
        ("ai.usage.tokens", Tokens(Input)),
        ("ai.usage.outputTokens", Tokens(Output)),
        ("ai.usage.completionTokens", Tokens(Output)),
        ("ai.usage.totalTokens", Tokens(Total)),
        ("ai.usage.inputTokenDetails.noCacheTokens", Tokens(InputUncached)),
        ("ai.usage.inputTokenDetails.cacheReadTokens", Tokens(CacheRead)),
        ("ai.usage.inputTokenDetails.cacheWriteTokens", Tokens(CacheWrite)),
        ("ai.usage.cachedInputTokens", Tokens(CacheRead)),
        ("ai.usage.outputTokenDetails.reasoningTokens", Tokens(Reasoning)),
        ("ai.usage.reasoningTokens", Tokens(Reasoning)),
        ("ai.usage.outputTokenDetails.textTokens", Plain),
        ("ai.response.providerMetadata", ProviderMetadata),
        ("gen_ai.usage.characters", Units("characters")),
        ("gen_ai.usage.seconds", Units("seconds")),
        ("gen_ai.usage.images", Units("images")),
        ("ai.response.finishReason", Plain),
        ("ai.response.timestamp", Plain),
        ("ai.value", Content),
        ("ai.values", Content),
        ("ai.documents", Content),
        ("ai.ranking", Content),
        ("ai.result.object", Content),
        ("ai.result.text", Content),
    ],
    prefixes: &[
        ("ai.prompt", Namespace::Content),
        ("ai.embedding", Namespace::Content),
        ("ai.toolCall.", Namespace::Content),
        ("ai.schema", Namespace::Content),
        ("ai.request.headers.", Namespace::Content),
        ("ai.response.", Namespace::Content),
        ("ai.result.", Namespace::Content),
        ("ai.", Namespace::Ai),
        ("operation.name", Namespace::Ai),
        ("resource.name", Namespace::Ai),
    ],
};
