//! The layout of a column in the `Native` format, read from the name of its type.

/// How the values of a column are laid out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Layout {
    /// So many bytes a row.
    Fixed(usize),
    /// A length and bytes a row.
    Text,
    /// A byte a row that says which are null, then all values.
    Nullable(Box<Self>),
    /// The end of each row's elements, then all elements.
    Array(Box<Self>),
    /// One column after the other.
    Tuple(Vec<Self>),
    /// A version; then a dictionary of keys and a number for each row.
    LowCardinality(Box<Self>),
}

impl Layout {
    /// `None` for a type whose layout is not known here.
    pub(super) fn of(type_name: &str) -> Option<Self> {
        let (name, arguments) = match type_name.split_once('(') {
            Some((name, rest)) => (name, rest.strip_suffix(')')?),
            None => (type_name, ""),
        };
        let fixed = |size| Some(Self::Fixed(size));
        let boxed = |text| Self::of(text).map(Box::new);
        match name {
            "UInt8" | "Int8" | "Bool" | "Enum8" | "Nothing" => fixed(1),
            "UInt16" | "Int16" | "Enum16" | "Date" | "BFloat16" => fixed(2),
            "UInt32" | "Int32" | "Float32" | "Date32" | "DateTime" | "IPv4" | "Time" => fixed(4),
            "UInt64" | "Int64" | "Float64" | "DateTime64" | "Time64" => fixed(8),
            "UInt128" | "Int128" | "UUID" | "IPv6" => fixed(16),
            "UInt256" | "Int256" => fixed(32),
            "FixedString" => fixed(arguments.trim().parse().ok()?),
            "Decimal" => fixed(decimal_size(split(arguments).first()?.parse().ok()?)),
            "String" => Some(Self::Text),
            "Nullable" => Some(Self::Nullable(boxed(arguments)?)),
            "Array" => Some(Self::Array(boxed(arguments)?)),
            "LowCardinality" => {
                // A nullable dictionary holds plain keys; one of them stands for null.
                let keys = arguments.strip_prefix("Nullable(").and_then(|inner| inner.strip_suffix(')'));
                Some(Self::LowCardinality(boxed(keys.unwrap_or(arguments))?))
            }
            "Tuple" if arguments.is_empty() => fixed(1),
            "Tuple" => Some(Self::Tuple(elements(arguments)?)),
            "Map" => Some(Self::Array(Box::new(Self::Tuple(elements(arguments)?)))),
            "Nested" => Some(Self::Array(Box::new(Self::Tuple(elements(arguments)?)))),
            "SimpleAggregateFunction" => Self::of(split(arguments).get(1)?),
            "Point" => Some(Self::Tuple(vec![Self::Fixed(8), Self::Fixed(8)])),
            "Ring" | "LineString" => Some(Self::Array(boxed("Point")?)),
            "Polygon" | "MultiLineString" => Some(Self::Array(boxed("Ring")?)),
            "MultiPolygon" => Some(Self::Array(boxed("Polygon")?)),
            _ if name.starts_with("Interval") => fixed(8),
            _ => None,
        }
    }
}

/// Bytes of a decimal with so many digits.
fn decimal_size(digits: u32) -> usize {
    match digits {
        0..=9 => 4,
        10..=18 => 8,
        19..=38 => 16,
        _ => 32,
    }
}

/// The layouts of `T1, name T2, …`.
fn elements(arguments: &str) -> Option<Vec<Layout>> {
    split(arguments)
        .into_iter()
        .map(|element| Layout::of(element).or_else(|| Layout::of(without_name(element)?)))
        .collect()
}

/// The type in `name Type`, where the name may be quoted.
fn without_name(element: &str) -> Option<&str> {
    let mut quoted = false;
    let mut escaped = false;
    for (at, character) in element.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '`' => quoted = !quoted,
            ' ' if !quoted => return Some(element[at + 1..].trim_start()),
            _ => {}
        }
    }
    None
}

/// Splits at the commas that stand outside brackets and quotes.
fn split(arguments: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut start, mut quote, mut escaped) = (0_usize, 0, None, false);
    for (at, character) in arguments.char_indices() {
        match (quote, character) {
            _ if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), _) => quote = Some(open).filter(|open| *open != character),
            (None, '\'' | '`') => quote = Some(character),
            (None, '(') => depth += 1,
            (None, ')') => depth = depth.saturating_sub(1),
            (None, ',') if depth == 0 => {
                parts.push(arguments[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(arguments[start..].trim());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_follow_the_type() {
        let fixed = Layout::Fixed;
        let boxed = |layout| Box::new(layout);
        let table = [
            ("UInt64", fixed(8)),
            ("DateTime64(9, 'UTC')", fixed(8)),
            ("Decimal(38, 12)", fixed(16)),
            ("Decimal(9, 2)", fixed(4)),
            ("Enum8('a,)' = 1, 'b' = 2)", fixed(1)),
            ("FixedString(20)", fixed(20)),
            ("Nullable(String)", Layout::Nullable(boxed(Layout::Text))),
            ("LowCardinality(Nullable(String))", Layout::LowCardinality(boxed(Layout::Text))),
            ("Tuple(a UInt8, `b (` String)", Layout::Tuple(vec![fixed(1), Layout::Text])),
            ("Tuple(UInt8, Tuple(x Int16))", Layout::Tuple(vec![fixed(1), Layout::Tuple(vec![fixed(2)])])),
            (
                "Map(LowCardinality(String), UInt64)",
                Layout::Array(boxed(Layout::Tuple(vec![
                    Layout::LowCardinality(boxed(Layout::Text)),
                    fixed(8),
                ]))),
            ),
            ("SimpleAggregateFunction(sum, UInt64)", fixed(8)),
            ("IntervalSecond", fixed(8)),
        ];
        for (name, expected) in table {
            assert_eq!(Layout::of(name), Some(expected), "{name}");
        }
    }

    #[test]
    fn unknown_layouts_are_not_guessed() {
        for name in
            ["AggregateFunction(sum, UInt64)", "JSON", "Dynamic", "Variant(UInt8, String)", "Array(JSON)", ""]
        {
            assert_eq!(Layout::of(name), None, "{name}");
        }
    }
}
