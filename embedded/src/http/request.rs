//! What a request asks for besides its statement: parameters of the URL and of form parts, and headers.
//!
//! Promises: every parameter is either one of the interface's own, a query parameter (`param_x`), or a setting for
//! the engine; none is dropped in silence except those listed in `WITHOUT_EFFECT`.

use http::{HeaderMap, Uri};

use crate::engine::{ErrorCode, Exception};
use crate::ffi::Parameters;

/// A request's parameters.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    /// The part of the statement that stands in the URL, or all of it.
    pub(crate) query: String,
    pub(crate) database: Option<String>,
    pub(crate) default_format: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) session: Option<SessionRequest>,
    pub(crate) query_id: Option<String>,
    /// Answer in checksummed native blocks.
    pub(crate) compress: bool,
    /// The body comes in checksummed native blocks.
    pub(crate) decompress: bool,
    /// Whether `Accept-Encoding` is honoured.
    pub(crate) http_compression: bool,
    /// Answer only once the statement is done, so that the status tells how it ended.
    pub(crate) wait_end_of_query: bool,
    /// The revision of the native protocol the client reads; 0 for the plain `Native` format.
    pub(crate) client_revision: u64,
    pub(crate) parameters: Parameters,
    /// Settings for the engine, in the order given; a later one wins.
    pub(crate) settings: Vec<(String, String)>,
}

/// The session a request belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SessionRequest {
    pub(crate) id: String,
    pub(crate) timeout_s: u64,
    /// The session must exist already.
    pub(crate) check: bool,
    /// The session ends with this request.
    pub(crate) close: bool,
}

/// Seconds a session lives without a request.
const SESSION_TIMEOUT_S: u64 = 60;
const SESSION_TIMEOUT_S_MAX: u64 = 3600;

/// Parameters that steer a server's HTTP handler and have nothing to steer here: buffering is the front's own, no
/// progress is sent in headers, there are no quotas, and an exception is never written as a document of the format.
const WITHOUT_EFFECT: &[&str] = &[
    "add_http_cors_header",
    "buffer_size",
    "cancel_http_readonly_queries_on_client_close",
    "http_headers_progress_interval_ms",
    "http_native_compression_disable_checksumming_on_decompress",
    "http_response_buffer_size",
    "http_response_headers",
    "http_write_exception_in_output_format",
    "http_zlib_compression_level",
    "quota_key",
    "send_progress_in_http_headers",
    "stacktrace",
];

impl Request {
    /// Reads the URL's parameters and the `X-ClickHouse-*` headers.
    pub(crate) fn read(uri: &Uri, headers: &HeaderMap) -> Result<Self, Exception> {
        let mut request = Self { http_compression: true, ..Self::default() };
        let mut session = SessionParts::default();
        for (name, value) in url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
            request.take(&name, value.into_owned(), &mut session)?;
        }
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        request.database = request.database.or_else(|| header("x-clickhouse-database"));
        request.default_format = request.default_format.or_else(|| header("x-clickhouse-format"));
        request.session = session.into_request()?;
        Ok(request)
    }

    /// Takes one field of a multipart form; these are statement text, query parameters and settings, not sessions.
    pub(crate) fn take_field(&mut self, name: &str, value: String) -> Result<(), Exception> {
        self.take(name, value, &mut SessionParts::default())
    }

    fn take(&mut self, name: &str, value: String, session: &mut SessionParts) -> Result<(), Exception> {
        match name {
            "query" => self.query = value,
            "database" => self.database = Some(value).filter(|name| !name.is_empty()),
            "default_format" => self.default_format = Some(value).filter(|name| !name.is_empty()),
            "user" => self.user = Some(value),
            "password" => self.password = Some(value),
            "session_id" => session.id = Some(value).filter(|id| !id.is_empty()),
            "session_timeout" => session.timeout = Some(value),
            "session_check" => session.check = is_on(&value),
            "close_session" => session.close = is_on(&value),
            "query_id" => self.query_id = Some(value).filter(|id| !id.is_empty()),
            "compress" => self.compress = is_on(&value),
            "decompress" => self.decompress = is_on(&value),
            "enable_http_compression" => self.http_compression = is_on(&value),
            "wait_end_of_query" | "http_wait_end_of_query" => self.wait_end_of_query = is_on(&value),
            "client_protocol_version" => self.client_revision = value.parse().unwrap_or(0),
            "role" => {
                return Err(Exception::new(
                    ErrorCode::UnknownRole,
                    format!("There is no role `{value}` here"),
                ));
            }
            _ if WITHOUT_EFFECT.contains(&name) => {}
            _ => match name.strip_prefix("param_") {
                Some(parameter) => self.parameters.push((parameter.to_owned(), value)),
                None => self.settings.push((name.to_owned(), value)),
            },
        }
        Ok(())
    }
}

#[derive(Default)]
struct SessionParts {
    id: Option<String>,
    timeout: Option<String>,
    check: bool,
    close: bool,
}

impl SessionParts {
    fn into_request(self) -> Result<Option<SessionRequest>, Exception> {
        let Some(id) = self.id else { return Ok(None) };
        let timeout_s = match self.timeout {
            None => SESSION_TIMEOUT_S,
            Some(text) => match text.parse() {
                Ok(seconds) if seconds <= SESSION_TIMEOUT_S_MAX => seconds,
                _ => {
                    let message = format!(
                        "Invalid session timeout: '{text}'; it is a whole number of seconds up to {SESSION_TIMEOUT_S_MAX}"
                    );
                    return Err(Exception::new(ErrorCode::InvalidSessionTimeout, message));
                }
            },
        };
        Ok(Some(SessionRequest { id, timeout_s, check: self.check, close: self.close }))
    }
}

fn is_on(value: &str) -> bool {
    value == "1" || value.eq_ignore_ascii_case("true")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(uri: &str) -> Result<Request, Exception> {
        Request::read(&uri.parse().unwrap(), &HeaderMap::new())
    }

    #[test]
    fn parameters_are_sorted_into_query_parameters_and_settings() {
        let uri =
            "/?query=SELECT+%7Bx%3AString%7D&param_x=a%26b&max_threads=2&database=d&compress=1&buffer_size=9";
        let request = read(uri).unwrap();
        assert_eq!(request.query, "SELECT {x:String}");
        assert_eq!(request.parameters, [("x".to_owned(), "a&b".to_owned())]);
        assert_eq!(request.settings, [("max_threads".to_owned(), "2".to_owned())]);
        assert_eq!(request.database.as_deref(), Some("d"));
        assert!(request.compress && !request.decompress && request.http_compression);
    }

    #[test]
    fn a_session_timeout_must_be_a_bounded_number() {
        let session = read("/?session_id=s&session_timeout=5&session_check=1").unwrap().session.unwrap();
        assert_eq!(session, SessionRequest { id: "s".to_owned(), timeout_s: 5, check: true, close: false });
        assert_eq!(read("/?session_id=s&session_timeout=x").unwrap_err().code(), 374);
        assert_eq!(read("/?session_id=s&session_timeout=3601").unwrap_err().code(), 374);
        assert!(read("/?session_timeout=x").unwrap().session.is_none());
    }

    #[test]
    fn headers_name_database_and_format_where_the_url_does_not() {
        let mut headers = HeaderMap::new();
        headers.insert("x-clickhouse-database", "h".parse().unwrap());
        headers.insert("x-clickhouse-format", "JSON".parse().unwrap());
        let request = Request::read(&"/?database=u".parse().unwrap(), &headers).unwrap();
        assert_eq!(request.database.as_deref(), Some("u"));
        assert_eq!(request.default_format.as_deref(), Some("JSON"));
    }
}
