//! Putting names and values into statements of our own.

/// A name that stays one name whatever is in it.
pub(crate) fn quote_name(name: &str) -> String {
    quoted(name, '`')
}

/// A string that stays one string whatever is in it.
pub(crate) fn quote_text(text: &str) -> String {
    quoted(text, '\'')
}

fn quoted(text: &str, quote: char) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    for character in text.chars() {
        if character == quote || character == '\\' {
            out.push('\\');
        }
        out.push(character);
    }
    out.push(quote);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_its_quotes() {
        assert_eq!(quote_text(r"a'b\"), r"'a\'b\\'");
        assert_eq!(quote_name("a`b"), r"`a\`b`");
    }
}
