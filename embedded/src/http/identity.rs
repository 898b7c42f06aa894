//! Who asks: the owner with a password, or the read-only reader without one.
//!
//! Promises: one scheme a request, never a mix; a wrong password and an unknown user get the same answer; the reader
//! exists for peers of this machine only.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::request::Request;
use crate::credentials::{Credentials, OWNER};
use crate::engine::{ErrorCode, Exception};

/// The user whose requests only read.
pub(crate) const READER: &str = "reader";

/// The two users of the front.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Identity {
    /// May run any statement.
    Owner,
    /// May read the billing database, see `reader`.
    Reader,
}

/// Finds the user of a request.
pub(crate) fn identify(
    request: &Request,
    headers: &HeaderMap,
    owner: &Credentials,
    reader_allowed: bool,
) -> Result<Identity, Exception> {
    let given = given(request, headers)?;
    let (user, password) = match &given {
        Some((user, password)) => (user.as_str(), password.as_str()),
        None => ("", ""),
    };
    let known = match user {
        OWNER => owner.matches(password).then_some(Identity::Owner),
        "" | "default" | READER if password.is_empty() && reader_allowed => Some(Identity::Reader),
        _ => None,
    };
    known.ok_or_else(|| {
        let user = if user.is_empty() { "default" } else { user };
        let message = format!(
            "{user}: Authentication failed: password is incorrect, or there is no user with such name"
        );
        Exception::new(ErrorCode::AuthenticationFailed, message)
    })
}

fn given(request: &Request, headers: &HeaderMap) -> Result<Option<(String, String)>, Exception> {
    let header =
        |name: &str| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let own_headers = match (header("x-clickhouse-user"), header("x-clickhouse-key")) {
        (None, None) => None,
        (user, key) => Some((user.unwrap_or_default(), key.unwrap_or_default())),
    };
    let parameters = match (&request.user, &request.password) {
        (None, None) => None,
        (user, password) => Some((user.clone().unwrap_or_default(), password.clone().unwrap_or_default())),
    };
    let basic = match header(AUTHORIZATION.as_str()) {
        None => None,
        Some(value) => Some(basic(&value).ok_or_else(|| {
            Exception::new(
                ErrorCode::AuthenticationFailed,
                "Invalid authentication: the Authorization header must be of the scheme Basic",
            )
        })?),
    };
    let mut schemes = [own_headers, basic, parameters].into_iter().flatten();
    let first = schemes.next();
    if schemes.next().is_some() {
        let message = "Invalid authentication: credentials may be given in one way only";
        return Err(Exception::new(ErrorCode::AuthenticationFailed, message));
    }
    Ok(first)
}

fn basic(value: &str) -> Option<(String, String)> {
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(BASE64_STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (user, password) = decoded.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(headers: &[(&'static str, &str)], uri: &str, reader_allowed: bool) -> Result<Identity, u32> {
        let headers: HeaderMap =
            headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        let request = Request::read(&uri.parse().unwrap(), &headers).unwrap();
        identify(&request, &headers, &Credentials::from_password("secret"), reader_allowed)
            .map_err(|error| error.code())
    }

    #[test]
    fn the_owner_may_prove_it_in_any_one_way() {
        let basic = format!("Basic {}", BASE64_STANDARD.encode("ledgerline:secret"));
        assert_eq!(ask(&[("authorization", &basic)], "/", true), Ok(Identity::Owner));
        let own = [("x-clickhouse-user", "ledgerline"), ("x-clickhouse-key", "secret")];
        assert_eq!(ask(&own, "/", true), Ok(Identity::Owner));
        assert_eq!(ask(&[], "/?user=ledgerline&password=secret", true), Ok(Identity::Owner));
        assert_eq!(ask(&own, "/?user=ledgerline&password=secret", true), Err(516));
    }

    #[test]
    fn wrong_passwords_and_unknown_users_are_refused_alike() {
        for uri in
            ["/?user=ledgerline&password=wrong", "/?user=ledgerline", "/?user=other", "/?password=secret"]
        {
            assert_eq!(ask(&[], uri, true), Err(516), "{uri}");
        }
        for uri in ["/?user=default&password=x", "/?user=reader&password=x", "/?user=default&password=secret"]
        {
            assert_eq!(ask(&[], uri, true), Err(516), "{uri}");
        }
        assert_eq!(ask(&[("authorization", "Bearer secret")], "/", true), Err(516));
    }

    #[test]
    fn without_credentials_one_is_the_reader_where_that_is_allowed() {
        for uri in ["/", "/?user=default", "/?user=reader&password=", "/?user=default&password="] {
            assert_eq!(ask(&[], uri, true), Ok(Identity::Reader), "{uri}");
            assert_eq!(ask(&[], uri, false), Err(516), "{uri}");
        }
    }
}
