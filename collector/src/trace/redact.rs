//! Secrets and personal data in what is kept, replaced by what they were: `[redacted:email]`.
//!
//! Secrets are looked for in every text, since they stand in error messages and headers as well; personal data in content
//! alone, since elsewhere it is what people find a trace by (`user.id`). Patterns are of forms that are known and hardly
//! mean anything else; what a text says in words of its own no pattern finds.

use std::borrow::Cow;

use regex::{Captures, Regex, RegexSet};

/// Forms of keys and tokens, with what they are called. The prefixes are those that their issuers document.
const SECRETS: &[(&str, &str)] = &[
    ("api-key", r"\bsk-(?:ant-|proj-|or-)?[A-Za-z0-9_-]{20,}"),
    ("stripe-key", r"\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,}"),
    ("aws-key", r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    ("google-key", r"\bAIza[A-Za-z0-9_-]{35}"),
    ("github-token", r"\bgh[pousr]_[A-Za-z0-9]{36,}|\bgithub_pat_[A-Za-z0-9_]{40,}"),
    ("slack-token", r"\bxox[abeprs]-[A-Za-z0-9-]{10,}"),
    ("jwt", r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+"),
    ("bearer", r"(?i)\bbearer\s+[A-Za-z0-9._~+/-]{16,}=*"),
    ("private-key", r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)"),
];

/// Forms of personal data.
const PERSONAL: &[(&str, &str)] = &[
    ("email", r"\b[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}\b"),
    ("iban", r"\b[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?\b"),
    ("us-ssn", r"\b[0-9]{3}-[0-9]{2}-[0-9]{4}\b"),
    ("card", r"\b(?:[0-9][ -]?){12,18}[0-9]\b"),
    ("phone", r"\+[1-9](?:[ ().-]{0,2}[0-9]){7,14}\b"),
];

/// Why the patterns of an operator's own are not used.
#[derive(Debug, thiserror::Error)]
#[error("trace.redact_patterns: {pattern:?} is no pattern")]
pub struct PatternFault {
    pattern: String,
    #[source]
    source: regex::Error,
}

/// Replaces what it knows. Compiled once.
#[derive(Debug, Clone)]
pub struct Redactor {
    /// Secrets and the operator's own, then personal data.
    patterns: Vec<(String, Regex)>,
    /// All patterns as one, to pass by what none finds.
    any: RegexSet,
    /// How many of the patterns are for every text.
    for_all: usize,
}

impl Redactor {
    /// With the known forms, if `known`, and patterns of the operator's own.
    ///
    /// # Errors
    /// When one of these is no regular expression.
    pub fn new(known: bool, own: &[String]) -> Result<Self, PatternFault> {
        let builtin = |table: &'static [(&'static str, &'static str)]| {
            table
                .iter()
                .filter(move |_| known)
                .map(|(name, pattern)| ((*name).to_string(), (*pattern).to_string()))
        };
        let own = own.iter().map(|pattern| ("own".to_string(), pattern.clone()));
        let mut all: Vec<(String, String)> = builtin(SECRETS).chain(own).collect();
        let for_all = all.len();
        all.extend(builtin(PERSONAL));
        let refuse = |pattern: &str| {
            let pattern = pattern.to_string();
            move |source| PatternFault { pattern, source }
        };
        let any = RegexSet::new(all.iter().map(|(_, pattern)| pattern)).map_err(refuse("all together"))?;
        let compile = |(name, pattern): (String, String)| {
            Regex::new(&pattern).map(|regex| (name, regex)).map_err(refuse(&pattern))
        };
        let patterns = all.into_iter().map(compile).collect::<Result<_, _>>()?;
        Ok(Self { patterns, any, for_all })
    }

    /// A text without what is to be hidden.
    pub(super) fn redact<'t>(&self, text: &'t str, is_content: bool) -> Cow<'t, str> {
        let found = self.any.matches(text);
        let used = if is_content { self.patterns.len() } else { self.for_all };
        let mut text = Cow::Borrowed(text);
        for at in found.into_iter().filter(|at| *at < used) {
            let (name, regex) = &self.patterns[at];
            let replace = |captures: &Captures<'_>| match name.as_str() {
                "card" if !is_card_number(&captures[0]) => captures[0].to_string(),
                _ => format!("[redacted:{name}]"),
            };
            if let Cow::Owned(replaced) = regex.replace_all(&text, replace) {
                text = Cow::Owned(replaced);
            }
        }
        text
    }
}

/// Whether the digits end with their check digit (Luhn), as card numbers do and one in ten of other numbers.
fn is_card_number(text: &str) -> bool {
    let digits = text.bytes().rev().filter(u8::is_ascii_digit).map(|digit| u32::from(digit - b'0'));
    let sum: u32 = digits
        .enumerate()
        .map(|(at, digit)| match (at % 2, digit * 2) {
            (0, _) => digit,
            (_, double) => double / 10 + double % 10,
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_forms_go_and_what_only_looks_alike_stays() {
        let redactor = Redactor::new(true, &[r"\bACME-[0-9]{6}\b".to_string()]).unwrap();
        // Put together here, so that no scanner takes them for leaked ones.
        let key = format!("sk-{}", "a1B2".repeat(8));
        let aws = format!("AKIA{}", "Z".repeat(16));
        for (text, in_content, elsewhere) in [
            (format!("use {key} now"), "use [redacted:api-key] now", Some("use [redacted:api-key] now")),
            (aws, "[redacted:aws-key]", Some("[redacted:aws-key]")),
            ("ticket ACME-123456".into(), "ticket [redacted:own]", Some("ticket [redacted:own]")),
            ("write to jo.doe@mail.example.com!".into(), "write to [redacted:email]!", None),
            ("card 4111 1111 1111 1111.".into(), "card [redacted:card].", None),
            ("order 4111 1111 1111 1112.".into(), "order 4111 1111 1111 1112.", None),
            ("call +44 20 7946 0958 today".into(), "call [redacted:phone] today", None),
            ("DE89 3704 0044 0532 0130 00".into(), "[redacted:iban]", None),
            ("123-45-6789".into(), "[redacted:us-ssn]", None),
            ("chatcmpl-9f3a, 2026-11-21, 1.0.0, a@b".into(), "chatcmpl-9f3a, 2026-11-21, 1.0.0, a@b", None),
        ] {
            assert_eq!(redactor.redact(&text, true), in_content, "{text}");
            assert_eq!(redactor.redact(&text, false), elsewhere.unwrap_or(&text), "{text}");
        }
    }

    #[test]
    fn nothing_is_known_where_nothing_is_asked_for() {
        let text = "jo.doe@mail.example.com";
        assert_eq!(Redactor::new(false, &[]).unwrap().redact(text, true), text);
        assert!(Redactor::new(true, &["(".to_string()]).is_err());
    }
}
