//! An error in the engine's words: the same numbers, names and texts as a ClickHouse server.

use std::fmt;

/// An error of the engine, or one of the front in the engine's form: `Code: N. DB::Exception: … (NAME)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exception {
    code: u32,
    text: String,
}

impl Exception {
    /// An error raised outside the engine, in its form.
    pub(crate) fn new(code: ErrorCode, message: impl fmt::Display) -> Self {
        let (code, name) = (code.number(), code.name());
        Self { code, text: format!("Code: {code}. DB::Exception: {message}. ({name})") }
    }

    /// An error text from the engine; the number is in the text alone.
    pub(crate) fn from_engine(text: String) -> Self {
        let digits = text.strip_prefix("Code: ").and_then(|rest| rest.split('.').next());
        let code = digits.and_then(|digits| digits.trim().parse().ok()).unwrap_or(UNKNOWN_EXCEPTION);
        Self { code, text }
    }

    /// The engine failed without a word.
    pub(crate) fn engine_said_nothing() -> Self {
        Self {
            code: UNKNOWN_EXCEPTION,
            text: format!(
                "Code: {UNKNOWN_EXCEPTION}. DB::Exception: the engine refused without a reason. (UNKNOWN_EXCEPTION)"
            ),
        }
    }

    /// ClickHouse's number of the error.
    pub fn code(&self) -> u32 {
        self.code
    }

    /// The whole text, number and name included.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Adds a sentence that says what to do.
    pub(crate) fn with_hint(mut self, hint: &str) -> Self {
        self.text = format!("{} {hint}", self.text.trim_end());
        self
    }
}

impl fmt::Display for Exception {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.text.trim_end())
    }
}

impl std::error::Error for Exception {}

const UNKNOWN_EXCEPTION: u32 = 1002;

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $number:literal, $name:literal;)*) => {
        /// The ClickHouse errors this crate raises itself.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum ErrorCode { $($(#[$doc])* $variant),* }

        impl ErrorCode {
            pub(crate) fn number(self) -> u32 {
                match self { $(Self::$variant => $number),* }
            }

            fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }
        }
    };
}

codes! {
    CannotReadAllData = 33, "CANNOT_READ_ALL_DATA";
    BadArguments = 36, "BAD_ARGUMENTS";
    ChecksumDoesNotMatch = 40, "CHECKSUM_DOESNT_MATCH";
    NotImplemented = 48, "NOT_IMPLEMENTED";
    SyntaxError = 62, "SYNTAX_ERROR";
    UnknownSetting = 115, "UNKNOWN_SETTING";
    Readonly = 164, "READONLY";
    TooManySimultaneousQueries = 202, "TOO_MANY_SIMULTANEOUS_QUERIES";
    QueryIsTooLarge = 229, "QUERY_IS_TOO_LARGE";
    Aborted = 236, "ABORTED";
    CannotDecompress = 271, "CANNOT_DECOMPRESS";
    SessionNotFound = 372, "SESSION_NOT_FOUND";
    SessionIsLocked = 373, "SESSION_IS_LOCKED";
    InvalidSessionTimeout = 374, "INVALID_SESSION_TIMEOUT";
    QueryWasCancelled = 394, "QUERY_WAS_CANCELLED";
    TooManyRowsOrBytes = 396, "TOO_MANY_ROWS_OR_BYTES";
    AccessDenied = 497, "ACCESS_DENIED";
    UnknownRole = 511, "UNKNOWN_ROLE";
    AuthenticationFailed = 516, "AUTHENTICATION_FAILED";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_read_from_the_engines_text() {
        let text = "Code: 60. DB::Exception: Table x does not exist. (UNKNOWN_TABLE)";
        assert_eq!(Exception::from_engine(text.to_owned()).code(), 60);
        assert_eq!(Exception::from_engine("something else".to_owned()).code(), UNKNOWN_EXCEPTION);
    }

    #[test]
    fn own_errors_look_like_the_engines() {
        let error = Exception::new(ErrorCode::Readonly, "nothing may be written here");
        assert_eq!(error.to_string(), "Code: 164. DB::Exception: nothing may be written here. (READONLY)");
    }
}
