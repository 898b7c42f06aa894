//! Values that say where ClickHouse is and as whom to speak to it.

use std::fmt;

use toml::Value;
use url::Url;

use super::setting::Setting;

/// The address of an HTTP interface, without credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpUrl(String);

/// The name of a database or a cluster. Goes into DDL as it stands, so only letters, digits and underscores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(String);

/// A password. Shown by nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl HttpUrl {
    /// The URL, without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether both lead to the same port of the same machine.
    pub fn is_same_place(&self, other: &str) -> bool {
        let place = |text: &str| {
            let url = Url::parse(text).ok()?;
            let host = match url.host()? {
                url::Host::Ipv4(address) if address.is_loopback() => "localhost".to_owned(),
                url::Host::Ipv6(address) if address.is_loopback() => "localhost".to_owned(),
                host => host.to_string(),
            };
            let path = url.path().trim_end_matches('/').to_owned();
            Some((url.scheme().to_owned(), host, url.port_or_known_default(), path))
        };
        place(&self.0).is_some_and(|this| place(other) == Some(this))
    }
}

impl Setting for HttpUrl {
    const EXPECTED: &'static str =
        "a URL such as http://127.0.0.1:8123, without user and password (they have keys of their own)";

    fn read(value: &Value) -> Option<Self> {
        let text = value.as_str()?.trim();
        let url = Url::parse(text).ok()?;
        let plain = url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        let http = matches!(url.scheme(), "http" | "https") && url.has_host();
        (plain && http).then(|| Self(text.trim_end_matches('/').to_owned()))
    }

    fn write(&self) -> Option<Value> {
        Some(Value::String(self.0.clone()))
    }

    /// A refused URL may be refused for the password in it, or in its query.
    fn shown(value: &Value) -> String {
        let Some(text) = value.as_str() else { return value.to_string() };
        let start = text.find("://").map_or(0, |at| at + 3);
        let end = text.find('?').unwrap_or(text.len());
        let masked = match text[start..].rfind('@') {
            Some(at) => format!("{}…@{}", &text[..start], text.get(start + at + 1..end).unwrap_or_default()),
            None if end < text.len() => format!("{}?…", &text[..end]),
            None => text.to_owned(),
        };
        Value::String(masked).to_string()
    }
}

impl Name {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Setting for Name {
    const EXPECTED: &'static str = "a name of letters, digits and underscores that starts with no digit";

    fn read(value: &Value) -> Option<Self> {
        let text = value.as_str()?;
        let starts = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        (starts && plain).then(|| Self(text.to_owned()))
    }

    fn write(&self) -> Option<Value> {
        Some(Value::String(self.0.clone()))
    }
}

impl Secret {
    /// The password in clear, for the client that presents it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Setting for Secret {
    const EXPECTED: &'static str = "a text";
    const SECRET: bool = true;

    fn read(value: &Value) -> Option<Self> {
        value.as_str().map(|text| Self(text.to_owned()))
    }

    /// What is written may be shown, so it says only whether there is a password.
    fn write(&self) -> Option<Value> {
        Some(Value::String(if self.0.is_empty() { "" } else { "…" }.to_owned()))
    }

    fn shown(_: &Value) -> String {
        "…".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::setting::read_text;

    #[test]
    fn a_url_holds_no_credentials_and_a_refused_one_does_not_show_them() {
        assert_eq!(read_text::<HttpUrl>("http://db:8123/").unwrap().as_str(), "http://db:8123");
        for bad in [
            "http://me:hunter2@db:8123",
            "http://db:8123?password=hunter2",
            "ftp://me:hunter2@db",
            "me:hunter2@db",
        ] {
            assert!(read_text::<HttpUrl>(bad).is_err(), "{bad}");
            let shown = HttpUrl::shown(&Value::String(bad.to_owned()));
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }

    #[test]
    fn names_of_one_loopback_port_are_the_same_place() {
        let url = read_text::<HttpUrl>("http://localhost:8123").unwrap();
        assert!(url.is_same_place("http://127.0.0.1:8123/") && url.is_same_place("http://[::1]:8123"));
        assert!(!url.is_same_place("http://127.0.0.1:8124") && !url.is_same_place("https://localhost:8123"));
        assert!(!url.is_same_place("nonsense"));
    }

    #[test]
    fn a_name_can_stand_in_ddl() {
        assert!(read_text::<Name>("ledgerline_2").is_ok());
        for bad in ["", "2x", "a-b", "a'b", "a b", "ä"] {
            assert!(read_text::<Name>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_secret_is_shown_by_nothing() {
        let secret = read_text::<Secret>("hunter2").unwrap();
        let shown =
            [format!("{secret:?}"), secret.write().unwrap().to_string(), Secret::shown(&Value::Integer(7))];
        assert!(shown.iter().all(|text| !text.contains("hunter2") && !text.contains('7')), "{shown:?}");
        assert_eq!(secret.reveal(), "hunter2");
    }
}
