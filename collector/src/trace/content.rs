//! Which attributes hold content: prompts, completions, documents, tool arguments and results, and headers with keys.
//!
//! Content is not stored with sampled spans unless the operator asks for it. Namespaces that exist for content, or that
//! mix it with facts under names nobody can list (`llm.<provider>.<field>`), are content as a whole but for the facts in
//! the table. What the table does not know is kept, unless a segment of its name says content.
//!
//! Errors are kept: `exception.*` and a span's status are what a trace is read for.

/// What becomes of an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Keep,
    Drop,
}

use Verdict::{Drop, Keep};

/// Whether an attribute of a span, a link, a resource or a scope is content.
pub(super) fn is_content(key: &str) -> bool {
    verdict(key).unwrap_or_else(|| by_words(key)) == Drop
}

/// Whether an attribute of an event is content. Events of the AI namespaces exist to carry messages, so there only
/// what is known to be harmless is kept.
pub(super) fn is_event_content(event: &str, key: &str) -> bool {
    let of_messages = ["gen_ai.", "llm.", "ai."].iter().any(|namespace| event.starts_with(namespace));
    verdict(key).unwrap_or_else(|| if of_messages { Drop } else { by_words(key) }) == Drop
}

/// The verdict of the longest row that is the key itself or a whole number of its leading segments.
fn verdict(key: &str) -> Option<Verdict> {
    let mut prefix = key;
    loop {
        if let Ok(row) = TABLE.binary_search_by(|(name, _)| (*name).cmp(prefix)) {
            return Some(TABLE[row].1);
        }
        prefix = &prefix[..prefix.rfind('.')?];
    }
}

fn by_words(key: &str) -> Verdict {
    if key.split('.').any(|segment| WORDS.contains(&segment)) { Drop } else { Keep }
}

/// Segments that say content in names of conventions that are not in the table.
const WORDS: &[&str] = &[
    "completion",
    "completions",
    "content",
    "contents",
    "input_messages",
    "messages",
    "output_messages",
    "prompt",
    "prompts",
    "system_instructions",
    "system_prompt",
    "transcript",
];

/// Names, whole or their leading segments, in order.
const TABLE: &[(&str, Verdict)] = &[
    // Vercel's AI SDK, and Sentry's older names.
    ("ai.documents", Drop),
    ("ai.embedding", Drop),
    ("ai.embeddings", Drop),
    ("ai.input_messages", Drop),
    ("ai.prompt", Drop),
    ("ai.prompt.format", Keep),
    ("ai.prompt.toolChoice", Keep),
    ("ai.ranking", Drop),
    ("ai.request.headers", Drop),
    ("ai.request.headers.user-agent", Keep),
    ("ai.response", Drop),
    ("ai.response.avgCompletionTokensPerSecond", Keep),
    ("ai.response.avgOutputTokensPerSecond", Keep),
    ("ai.response.finishReason", Keep),
    ("ai.response.id", Keep),
    ("ai.response.model", Keep),
    ("ai.response.msToFinish", Keep),
    ("ai.response.msToFirstChunk", Keep),
    ("ai.response.timestamp", Keep),
    ("ai.responses", Drop),
    ("ai.result", Drop),
    ("ai.schema", Drop),
    ("ai.texts", Drop),
    ("ai.toolCall", Drop),
    ("ai.toolCall.id", Keep),
    ("ai.toolCall.name", Keep),
    ("ai.tool_calls", Drop),
    ("ai.value", Drop),
    ("ai.values", Drop),
    // Pydantic AI: `all_messages*`, `events`, `final_result`, `model_request_parameters`, `tool_arguments`, `tool_response`.
    ("all_messages", Drop),
    ("all_messages_events", Drop),
    ("audio.url", Drop),
    // OpenInference's agents of CrewAI.
    ("crew_agents", Drop),
    ("crew_inputs", Drop),
    ("crew_tasks", Drop),
    ("embedding.embeddings", Drop),
    ("embedding.invocation_parameters", Drop),
    ("embedding.text", Drop),
    ("embedding.vector", Drop),
    ("error.message", Keep),
    ("events", Drop),
    ("exception", Keep),
    ("final_result", Drop),
    // Google's agents.
    ("gcp.vertex.agent", Drop),
    ("gcp.vertex.agent.event_id", Keep),
    ("gcp.vertex.agent.invocation_id", Keep),
    ("gcp.vertex.agent.session_id", Keep),
    // OpenTelemetry's GenAI conventions of every version, and what others put beside them.
    ("gen_ai.assistant.message", Drop),
    ("gen_ai.choice", Drop),
    ("gen_ai.completion", Drop),
    ("gen_ai.content", Drop),
    ("gen_ai.evaluation.explanation", Drop),
    ("gen_ai.event.content", Drop),
    ("gen_ai.input", Drop),
    ("gen_ai.memory", Drop),
    ("gen_ai.operation.name", Keep),
    ("gen_ai.output", Drop),
    ("gen_ai.output.type", Keep),
    ("gen_ai.prompt", Drop),
    ("gen_ai.provider.name", Keep),
    ("gen_ai.request.available_tools", Drop),
    ("gen_ai.request.instructions", Drop),
    ("gen_ai.request.messages", Drop),
    ("gen_ai.request.model", Keep),
    ("gen_ai.request.tools", Drop),
    ("gen_ai.response.finish_reasons", Keep),
    ("gen_ai.response.id", Keep),
    ("gen_ai.response.model", Keep),
    ("gen_ai.response.object", Drop),
    ("gen_ai.response.text", Drop),
    ("gen_ai.response.tool_calls", Drop),
    ("gen_ai.retrieval", Drop),
    ("gen_ai.system", Keep),
    ("gen_ai.system.message", Drop),
    ("gen_ai.system_instructions", Drop),
    ("gen_ai.task", Drop),
    ("gen_ai.task.id", Keep),
    ("gen_ai.task.kind", Keep),
    ("gen_ai.task.name", Keep),
    ("gen_ai.task.parent.id", Keep),
    ("gen_ai.task.status", Keep),
    ("gen_ai.tool", Drop),
    ("gen_ai.tool.call.id", Keep),
    ("gen_ai.tool.name", Keep),
    ("gen_ai.tool.type", Keep),
    ("gen_ai.usage", Keep),
    ("gen_ai.usage.raw", Keep),
    ("gen_ai.user.message", Drop),
    // Genkit: its actions, whole.
    ("genkit:init", Drop),
    ("genkit:input", Drop),
    ("genkit:metadata:context", Drop),
    ("genkit:output", Drop),
    ("image.url", Drop),
    // OpenInference.
    ("input", Drop),
    ("input.mime_type", Keep),
    ("langfuse.observation.input", Drop),
    ("langfuse.observation.output", Drop),
    ("langfuse.observation.prompt", Drop),
    ("langfuse.observation.prompt.name", Keep),
    ("langfuse.observation.prompt.version", Keep),
    ("langfuse.trace.input", Drop),
    ("langfuse.trace.output", Drop),
    ("langsmith.inputs", Drop),
    ("langsmith.outputs", Drop),
    // OpenInference, OpenLLMetry's older names, and LiteLLM's copies of whole requests and answers.
    ("llm", Drop),
    ("llm.cost", Keep),
    ("llm.finish_reason", Keep),
    ("llm.is_streaming", Keep),
    ("llm.model_name", Keep),
    ("llm.provider", Keep),
    ("llm.request.max_tokens", Keep),
    ("llm.request.model", Keep),
    ("llm.request.model_name", Keep),
    ("llm.request.type", Keep),
    ("llm.response.finish_reason", Keep),
    ("llm.response.id", Keep),
    ("llm.response.model", Keep),
    ("llm.response.model_name", Keep),
    ("llm.response.stop_reason", Keep),
    ("llm.system", Keep),
    ("llm.temperature", Keep),
    ("llm.token_count", Keep),
    ("llm.top_k", Keep),
    ("llm.top_p", Keep),
    ("llm.usage", Keep),
    ("llm.vendor", Keep),
    ("logfire", Drop),
    ("logfire.level_num", Keep),
    ("logfire.span_type", Keep),
    ("message_content", Drop),
    ("mlflow", Drop),
    ("mlflow.chat.tokenUsage", Keep),
    ("mlflow.experimentId", Keep),
    ("mlflow.llm", Keep),
    ("mlflow.message.format", Keep),
    ("mlflow.spanFunctionName", Keep),
    ("mlflow.spanType", Keep),
    ("mlflow.trace.session", Keep),
    ("mlflow.trace.tokenUsage", Keep),
    ("mlflow.trace.user", Keep),
    ("mlflow.traceRequestId", Keep),
    ("model_request_parameters", Drop),
    ("output", Drop),
    ("output.mime_type", Keep),
    ("pydantic_ai.all_messages", Drop),
    ("request_data", Drop),
    ("reranker", Drop),
    ("reranker.model_name", Keep),
    ("reranker.top_k", Keep),
    ("response_data", Drop),
    ("retrieval", Drop),
    ("tool.json_schema", Drop),
    ("tool.parameters", Drop),
    ("tool_arguments", Drop),
    ("tool_call", Drop),
    ("tool_call.function.name", Keep),
    ("tool_call.id", Keep),
    ("tool_response", Drop),
    ("traceloop.entity.input", Drop),
    ("traceloop.entity.output", Drop),
    ("traceloop.prompt", Drop),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_and_says_nothing_twice() {
        for pair in TABLE.windows(2) {
            assert!(pair[0].0 < pair[1].0, "{} before {}", pair[0].0, pair[1].0);
        }
        assert!(WORDS.is_sorted());
    }

    #[test]
    fn content_goes_and_facts_stay() {
        for content in [
            "gen_ai.input.messages",
            "gen_ai.prompt",
            "gen_ai.prompt.0.content",
            "gen_ai.completion.0.tool_calls.0.arguments",
            "gen_ai.tool.call.arguments",
            "gen_ai.system_instructions",
            "llm.input_messages.0.message.content",
            "llm.openai.messages",
            "llm.headers",
            "input.value",
            "output.value",
            "ai.prompt.messages",
            "ai.response.text",
            "ai.response.object",
            "ai.toolCall.args",
            "traceloop.entity.input",
            "mlflow.spanInputs",
            "langfuse.observation.input",
            "somebody.prompt",
            "app.messages.0.text",
        ] {
            assert!(is_content(content), "{content}");
        }
        for fact in [
            "gen_ai.usage.prompt_tokens",
            "gen_ai.usage.input_tokens",
            "gen_ai.response.finish_reasons",
            "gen_ai.output.type",
            "gen_ai.tool.name",
            "gen_ai.conversation.id",
            "llm.token_count.prompt",
            "llm.token_count.prompt_details.cache_read",
            "ai.response.model",
            "ai.telemetry.metadata.tenant.id",
            "ai.operationId",
            "exception.message",
            "service.name",
            "http.request.method",
            "metadata",
            "",
            ".",
        ] {
            assert!(!is_content(fact), "{fact}");
        }
    }

    #[test]
    fn events_that_carry_messages_keep_only_known_facts() {
        for (event, key, content) in [
            ("gen_ai.user.message", "content", true),
            ("gen_ai.user.message", "anything", true),
            ("gen_ai.user.message", "gen_ai.system", false),
            ("gen_ai.content.prompt", "gen_ai.prompt", true),
            ("gen_ai.client.inference.operation.details", "gen_ai.output.messages", true),
            ("exception", "exception.message", false),
            ("exception", "exception.stacktrace", false),
            ("retry", "attempt", false),
            ("retry", "prompt", true),
        ] {
            assert_eq!(is_event_content(event, key), content, "{event} {key}");
        }
    }
}
