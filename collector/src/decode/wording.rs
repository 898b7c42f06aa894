//! What a name says by its words where no table knows it: libraries spell the same few facts in ever new ways.
//!
//! Weaker than any table: a count or an operation read here gives way to one whose name is known. What the words leave open
//! stays unknown, and its span `unrecognised`.

use super::convention::{Count, Role};

/// The count that a number under a name of an AI namespace states, if its words say so.
pub(super) fn count_of(name: &str) -> Option<Count> {
    // Sums over several calls, shares of a whole by kind of content, and what is no token.
    const OTHERS: [&str; 20] = [
        "aggregat",
        "cumulative",
        "session",
        "conversation",
        "thread",
        "step",
        "text",
        "image",
        "video",
        "tool",
        "prediction",
        "accepted",
        "rejected",
        "character",
        "context",
        "window",
        "saved",
        "second",
        "diff",
        "message",
    ];
    let name = name.to_ascii_lowercase();
    let has = |word: &str| name.contains(word);
    if OTHERS.iter().any(|word| has(word)) {
        return None;
    }
    let (prompt, answer) =
        (has("input") || has("prompt"), has("output") || has("completion") || has("candidates"));
    if has("cache") {
        let written = has("write") || has("written") || has("creat");
        return match (written, has("1h"), has("5m")) {
            (true, true, _) => Some(Count::CacheWrite1h),
            (true, _, true) => Some(Count::CacheWrite5m),
            (true, false, false) => Some(Count::CacheWrite),
            (false, ..) => (!answer).then_some(Count::CacheRead),
        };
    }
    if has("reasoning") || has("thought") || has("thinking") {
        return (!prompt).then_some(Count::Reasoning);
    }
    match (prompt, answer) {
        (true, false) if has("audio") => Some(Count::AudioInput),
        (false, true) if has("audio") => Some(Count::AudioOutput),
        (true, false) => Some(Count::Input),
        (false, true) => Some(Count::Output),
        (false, false) if has("total") => Some(Count::Total),
        _ => None,
    }
}

/// What an operation is, by its words: `openai.responses.create`, `embed`, `run_agent`.
pub(super) fn role_of(operation: &str) -> Option<Role> {
    const AROUND: [&str; 15] = [
        "agent",
        "tool",
        "workflow",
        "task",
        "chain",
        "plan",
        "memory",
        "retriev",
        "guardrail",
        "handoff",
        "function",
        "evaluat",
        "session",
        "count",
        "parse",
    ];
    const ASKING: [&str; 7] =
        ["chat", "completion", "response", "message", "generate", "generation", "converse"];
    // The first that fits: `speech_to_text` before `speech`.
    const OF_MEDIA: [(&str, &str); 7] = [
        ("speech_to_text", "transcription"),
        ("transcri", "transcription"),
        ("translat", "transcription"),
        ("speech", "speech"),
        ("audio", "speech"),
        ("image", "image_generation"),
        ("video", "video_generation"),
    ];
    // What is kept at a provider, or done there later: no model answers these.
    const MANAGING: [&str; 3] = ["file", "batch", "upload"];
    let operation = operation.to_ascii_lowercase();
    let has = |word: &&str| operation.contains(*word);
    if AROUND.iter().any(&has) {
        Some(Role::NotCall)
    } else if operation.contains("embed") {
        Some(Role::Call("embeddings"))
    } else if operation.contains("rerank") {
        Some(Role::Call("rerank"))
    } else if let Some((_, of)) = OF_MEDIA.iter().find(|(word, _)| operation.contains(word)) {
        Some(Role::Call(of))
    } else if ASKING.iter().any(&has) {
        Some(Role::Call("chat"))
    } else {
        MANAGING.iter().any(has).then_some(Role::NotCall)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_by_their_words() {
        for (name, count) in [
            ("gen_ai.usage.cached_tokens", Some(Count::CacheRead)),
            ("gen_ai.usage.input_tokens.cached", Some(Count::CacheRead)),
            ("gen_ai.usage.prompt_tokens_details.cached_tokens", Some(Count::CacheRead)),
            ("llm.usage.cacheCreationInputTokens", Some(Count::CacheWrite)),
            ("gen_ai.usage.cache_creation.ephemeral_1h_input_tokens", Some(Count::CacheWrite1h)),
            ("gen_ai.usage.output_tokens.reasoning", Some(Count::Reasoning)),
            ("gen_ai.usage.thoughts_token_count", Some(Count::Reasoning)),
            ("llm.tokens.prompt", Some(Count::Input)),
            ("llm.tokens.completion", Some(Count::Output)),
            ("gen_ai.usage.output_audio_tokens", Some(Count::AudioOutput)),
            ("llm.tokens.total", Some(Count::Total)),
            ("gen_ai.usage.of_tomorrow", None),
            ("gen_ai.usage.text.input_tokens", None),
            ("gen_ai.aggregated_usage.input_tokens", None),
            ("gen_ai.usage.completion_tokens_details.accepted_prediction_tokens", None),
        ] {
            assert_eq!(count_of(name), count, "{name}");
        }
    }

    #[test]
    fn operations_are_read_by_their_words() {
        for (operation, role) in [
            ("openai.responses.create", Some(Role::Call("chat"))),
            ("messages.create", Some(Role::Call("chat"))),
            ("embed", Some(Role::Call("embeddings"))),
            ("run_agent", Some(Role::NotCall)),
            ("tool.message", Some(Role::NotCall)),
            ("image", Some(Role::Call("image_generation"))),
            ("speech_to_text", Some(Role::Call("transcription"))),
            ("audio.speech.create", Some(Role::Call("speech"))),
            ("batch_embed", Some(Role::Call("embeddings"))),
            ("batch.generate", Some(Role::Call("chat"))),
            ("batch", Some(Role::NotCall)),
            ("file", Some(Role::NotCall)),
            ("ask", None),
        ] {
            assert_eq!(role_of(operation), role, "{operation}");
        }
    }
}
