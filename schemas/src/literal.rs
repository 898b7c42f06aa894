//! Ids as SQL literals. Only hexadecimal digits ever get into a statement this way.

/// `unhex('…'), unhex('…')`: a list for `IN (…)` over a `FixedString` column.
pub(crate) fn unhex_list<const N: usize>(ids: impl IntoIterator<Item = [u8; N]>) -> String {
    let mut list = String::new();
    for id in ids {
        if !list.is_empty() {
            list.push(',');
        }
        list.push_str(&unhex(id));
    }
    list
}

/// `unhex('…')`.
pub(crate) fn unhex<const N: usize>(id: [u8; N]) -> String {
    let mut text = String::with_capacity(2 * N + 9);
    text.push_str("unhex('");
    for byte in id {
        text.push_str(&format!("{byte:02x}"));
    }
    text.push_str("')");
    text
}

/// `1,2,3`: a list for `IN (…)` over an integer column.
pub(crate) fn number_list(numbers: impl IntoIterator<Item = u64>) -> String {
    numbers.into_iter().map(|number| number.to_string()).collect::<Vec<_>>().join(",")
}
