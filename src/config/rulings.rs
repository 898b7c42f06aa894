//! Rulings: a list of tables, the one setting that is more than a value.

use collector::decode::Ruling;
use toml::{Table, Value};

use super::setting::Setting;

/// Longer names are no names: they are shown as the reason of every call that they rule out.
const NAME_CHARS_MAX: usize = 64;

impl Setting for Vec<Ruling> {
    const EXPECTED: &'static str = "a list of tables, each of a name, an attribute and its values, such as \
        [{ name = \"gateway cache\", attribute = \"gateway.cache_hit\", values = [true] }] (in a variable: the same as text)";

    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Array(rulings) => rulings.iter().map(ruling).collect(),
            Value::String(text) if text.is_empty() => Some(Vec::new()),
            Value::String(text) => {
                match toml::from_str::<Table>(&format!("list = {text}")).ok()?.get("list")? {
                    list @ Value::Array(_) => Self::read(list),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    fn write(&self) -> Option<Value> {
        let texts = |texts: &[String]| Value::Array(texts.iter().cloned().map(Value::String).collect());
        let table = |ruling: &Ruling| {
            Value::Table(Table::from_iter([
                ("name".to_owned(), Value::String(ruling.name.clone())),
                ("attribute".to_owned(), Value::String(ruling.attribute.clone())),
                ("values".to_owned(), texts(&ruling.values)),
            ]))
        };
        Some(Value::Array(self.iter().map(table).collect()))
    }
}

fn ruling(value: &Value) -> Option<Ruling> {
    let table = value.as_table().filter(|table| table.len() == 3)?;
    let text = |key| table.get(key)?.as_str().filter(|text: &&str| !text.trim().is_empty());
    let (name, attribute) = (text("name")?, text("attribute")?);
    let plain = name.chars().count() <= NAME_CHARS_MAX && !name.contains(char::is_control);
    let values: Vec<String> = table.get("values")?.as_array()?.iter().map(said).collect::<Option<_>>()?;
    let good = plain && !attribute.contains(char::is_whitespace) && !values.is_empty();
    good.then(|| Ruling { name: name.to_owned(), attribute: attribute.to_owned(), values })
}

/// What an attribute says, as text.
fn said(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Boolean(truth) => Some(truth.to_string()),
        Value::Integer(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Vec<Ruling>> {
        Vec::<Ruling>::read(&Value::String(text.to_owned()))
    }

    #[test]
    fn a_variable_says_what_the_file_does_and_both_read_back() {
        let file: Table = toml::from_str(
            "[[not_billable]]\nname = \"gateway cache\"\nattribute = \"cache.hit\"\nvalues = [true, \"HIT\", 1]\n",
        )
        .unwrap();
        let rulings = Vec::<Ruling>::read(&file["not_billable"]).unwrap();
        assert_eq!(rulings[0].values, ["true", "HIT", "1"]);
        let variable =
            r#"[{ name = "gateway cache", attribute = "cache.hit", values = ["true", "HIT", "1"] }]"#;
        assert_eq!(read(variable).unwrap(), rulings);
        assert_eq!(Vec::<Ruling>::read(&rulings.write().unwrap()).unwrap(), rulings);
        assert_eq!(read(&rulings.write().unwrap().to_string()).unwrap(), rulings, "as it is printed");
    }

    #[test]
    fn a_ruling_that_says_too_little_or_something_else_is_refused() {
        for text in [
            "true",
            "[true]",
            r#"[{ name = "n", attribute = "a" }]"#,
            r#"[{ name = "n", attribute = "a", values = [] }]"#,
            r#"[{ name = "n", attribute = "a", values = [1.5] }]"#,
            r#"[{ name = "", attribute = "a", values = ["x"] }]"#,
            r#"[{ name = "n", attribute = "a b", values = ["x"] }]"#,
            r#"[{ name = "n", attribute = "a", values = ["x"], vlaues = ["y"] }]"#,
            "[]\nother = 1\n[",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(read("").unwrap(), []);
    }
}
