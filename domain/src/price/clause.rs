//! Match clauses: which spellings of a model or a provider a row of the price book stands for.
//!
//! The operations and their meaning are those of the price data (equals, starts, ends, contains, a regular expression,
//! and, or). Matching is by lower-case text, takes linear time and cannot fail, so that neither an odd model name nor
//! an imported price file can slow settlement down.

use std::fmt;

use regex::Regex;

/// A rule that a lower-case text meets or not.
#[derive(Debug, Clone)]
pub enum Clause {
    /// Compares with a text; made by [`Clause::text`], which puts it in lower case.
    Text(TextOp, String),
    /// Searches for a pattern.
    Pattern(Pattern),
    /// Holds where all of these hold.
    All(Vec<Clause>),
    /// Holds where one of these holds.
    Any(Vec<Clause>),
}

/// How a clause compares with its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextOp {
    /// The whole text.
    Equals,
    /// Its beginning.
    StartsWith,
    /// Its end.
    EndsWith,
    /// Anywhere in it.
    Contains,
}

/// A regular expression, and the one that must not match where the source begins with a negative look-ahead.
#[derive(Debug, Clone)]
pub struct Pattern {
    source: String,
    wanted: Regex,
    unless: Option<Regex>,
}

/// A pattern that cannot be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error(
    "pattern {pattern:?} cannot be used; write it without look-around, or with one `^(?!…)` at its start"
)]
pub struct PatternError {
    pattern: String,
    #[source]
    cause: regex::Error,
}

impl Clause {
    /// A comparison with `text`, whatever its case.
    pub fn text(op: TextOp, text: &str) -> Self {
        Self::Text(op, text.to_lowercase())
    }

    /// A name and its dated snapshots: `gpt-4o`, `gpt-4o-2024-08-06`, `gpt-4o-20240806`. Not `gpt-4o-mini`.
    pub fn snapshots(name: &str) -> Self {
        let name = name.to_lowercase();
        let dated = format!(r"^{}-20\d\d-?\d\d-?\d\d$", regex::escape(&name));
        match Pattern::new(&dated) {
            Ok(pattern) => Self::Any(vec![Self::text(TextOp::Equals, &name), Self::Pattern(pattern)]),
            // A name too long for a pattern has no snapshots either.
            Err(_) => Self::text(TextOp::Equals, &name),
        }
    }

    /// Whether `name`, in lower case, meets the clause.
    pub fn matches(&self, name: &str) -> bool {
        self.matching(name).is_some()
    }

    /// The innermost clause that decides that `name`, in lower case, matches; `None` where it does not.
    pub fn matching(&self, name: &str) -> Option<&Self> {
        let holds = match self {
            Self::Text(TextOp::Equals, text) => name == text,
            Self::Text(TextOp::StartsWith, text) => name.starts_with(text.as_str()),
            Self::Text(TextOp::EndsWith, text) => name.ends_with(text.as_str()),
            Self::Text(TextOp::Contains, text) => name.contains(text.as_str()),
            Self::Pattern(pattern) => pattern.matches(name),
            Self::All(clauses) => clauses.iter().all(|clause| clause.matches(name)),
            Self::Any(clauses) => return clauses.iter().find_map(|clause| clause.matching(name)),
        };
        holds.then_some(self)
    }
}

impl Pattern {
    /// Compiles a pattern. The price data uses one construct that linear-time engines do not have, a negative
    /// look-ahead right after `^`: `^(?!A)B` matches where `^B` does and `^A` does not, so it becomes two patterns.
    pub fn new(source: &str) -> Result<Self, PatternError> {
        let compile = |pattern: &str| {
            Regex::new(pattern).map_err(|cause| PatternError { pattern: source.to_string(), cause })
        };
        let split = source.strip_prefix("^(?!").and_then(|rest| {
            let end = outside_groups(rest, b')')?;
            Some((&rest[..end], &rest[end + 1..]))
        });
        match split {
            // An alternative beside the look-ahead (`^(?!A)B|C`) would not be bound by it.
            Some((unless, wanted)) if outside_groups(wanted, b'|').is_none() => Ok(Self {
                source: source.to_string(),
                wanted: compile(&format!("^{wanted}"))?,
                unless: Some(compile(&format!("^(?:{unless})"))?),
            }),
            _ => Ok(Self { source: source.to_string(), wanted: compile(source)?, unless: None }),
        }
    }

    fn matches(&self, name: &str) -> bool {
        self.wanted.is_match(name) && !self.unless.as_ref().is_some_and(|unless| unless.is_match(name))
    }
}

/// Where `wanted` first stands in a pattern outside any group, class or escape.
fn outside_groups(pattern: &str, wanted: u8) -> Option<usize> {
    let (mut depth, mut escaped, mut in_class) = (0_u32, false, false);
    for (at, byte) in pattern.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'[' => in_class = true,
            b']' => in_class = false,
            _ if in_class => {}
            _ if depth == 0 && byte == wanted => return Some(at),
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

impl PartialEq for Clause {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

/// Writes the rule for people, one text for one rule: `equals "gpt-4o"`, `any of (…; …)`.
impl fmt::Display for Clause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, word: &str, clauses: &[Clause]| {
            write!(f, "{word} of (")?;
            for (at, clause) in clauses.iter().enumerate() {
                write!(f, "{}{clause}", if at == 0 { "" } else { "; " })?;
            }
            write!(f, ")")
        };
        match self {
            Self::Text(TextOp::Equals, text) => write!(f, "equals {text:?}"),
            Self::Text(TextOp::StartsWith, text) => write!(f, "starts with {text:?}"),
            Self::Text(TextOp::EndsWith, text) => write!(f, "ends with {text:?}"),
            Self::Text(TextOp::Contains, text) => write!(f, "contains {text:?}"),
            Self::Pattern(pattern) => write!(f, "matches {:?}", pattern.source),
            Self::All(clauses) => list(f, "all", clauses),
            Self::Any(clauses) => list(f, "any", clauses),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(source: &str) -> Clause {
        Clause::Pattern(Pattern::new(source).unwrap())
    }

    #[test]
    fn clauses_mean_what_they_say() {
        let text = Clause::text;
        for (clause, name, holds) in [
            (text(TextOp::Equals, "GPT-4o"), "gpt-4o", true),
            (text(TextOp::Equals, "gpt-4o"), "gpt-4o-mini", false),
            (text(TextOp::StartsWith, "gpt-4o"), "gpt-4o-mini", true),
            (text(TextOp::EndsWith, "-mini"), "gpt-4o-mini", true),
            (text(TextOp::Contains, "4o"), "gpt-4o-mini", true),
            (text(TextOp::Contains, ""), "", true),
            (Clause::Any(vec![]), "x", false),
            (Clause::All(vec![]), "x", true),
            (Clause::snapshots("GPT-4o"), "gpt-4o", true),
            (Clause::snapshots("gpt-4o"), "gpt-4o-2024-08-06", true),
            (Clause::snapshots("gpt-4o"), "gpt-4o-20240806", true),
            (Clause::snapshots("gpt-4o"), "gpt-4o-mini", false),
            (Clause::snapshots("gpt-4.1"), "gpt-401", false),
            (pattern(r"^o[134]"), "o4-mini", true),
            (pattern(r"^gpt-5-\d{4}$"), "gpt-5-2025", true),
            (pattern(r"^gpt-5-\d{4}$"), "gpt-5-202", false),
            (pattern(r"^(?!.*-tts(?:$|-))"), "gemini-2.5-flash", true),
            (pattern(r"^(?!.*-tts(?:$|-))"), "gemini-2.5-flash-tts", false),
            (pattern(r"^(?![^/]+/)(?:mistral|mixtral)"), "mixtral-8x7b", true),
            (pattern(r"^(?![^/]+/)(?:mistral|mixtral)"), "mistral/mixtral", false),
            (pattern(r"^(?![)]|\(|b)[a-z]"), "a", true),
            (pattern(r"^(?![)]|\(|b)[a-z]"), "b", false),
        ] {
            assert_eq!(clause.matches(name), holds, "{name} {clause}");
        }
    }

    #[test]
    fn the_clause_that_decided_is_named() {
        let clause =
            Clause::Any(vec![Clause::text(TextOp::Equals, "a"), Clause::text(TextOp::StartsWith, "b")]);
        assert_eq!(clause.matching("bc").unwrap().to_string(), r#"starts with "b""#);
    }

    #[test]
    fn look_around_elsewhere_is_refused() {
        for source in ["a(?=b)", "(?<!a)b", "^a(?!b)", "^(?!a", "^(?!a)b|c", "("] {
            assert!(Pattern::new(source).is_err(), "{source}");
        }
    }
}
