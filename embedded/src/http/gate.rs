//! Keeps web pages out: a browser on this machine must not become a way into the database.
//!
//! Promises: a request is served only under a name this front is known by (a foreign `Host` is a page that points its
//! own name at this machine), and only for pages of its own origin (a foreign `Origin` is a page that posts blindly).
//! Programs send no `Origin` and use the address they were given, so neither check concerns them.

use std::net::IpAddr;

use http::HeaderMap;
use http::header::{HOST, ORIGIN};
use http::uri::Authority;

/// The names a front is known by.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    bound: IpAddr,
    extra: Vec<String>,
}

/// Why a request is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Foreign {
    #[error(
        "the Host header names no address of this server; add the name to the allowed hosts if it is one"
    )]
    Host,
    #[error("the Origin header names a foreign web page; requests of web pages are not served")]
    Origin,
}

impl Gate {
    pub(crate) fn new(bound: IpAddr, extra: Vec<String>) -> Self {
        Self { bound, extra }
    }

    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<(), Foreign> {
        let host = headers.get(HOST).and_then(|value| value.to_str().ok()).ok_or(Foreign::Host)?;
        let name = host.parse::<Authority>().map_err(|_| Foreign::Host)?;
        if !self.is_ours(name.host()) {
            return Err(Foreign::Host);
        }
        match headers.get(ORIGIN) {
            None => Ok(()),
            Some(origin) if is_same_origin(origin.as_bytes(), host) => Ok(()),
            Some(_) => Err(Foreign::Origin),
        }
    }

    fn is_ours(&self, host: &str) -> bool {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = bare.parse::<IpAddr>() {
            // A name can be pointed at an address, an address cannot; bound to all interfaces, any address is ours.
            return address.is_loopback() || address == self.bound || self.bound.is_unspecified();
        }
        bare.eq_ignore_ascii_case("localhost")
            || self.extra.iter().any(|extra| extra.eq_ignore_ascii_case(bare))
    }
}

fn is_same_origin(origin: &[u8], host: &str) -> bool {
    origin.strip_prefix(b"http://").is_some_and(|rest| rest.eq_ignore_ascii_case(host.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(host: Option<&str>, origin: Option<&str>) -> Result<(), Foreign> {
        let mut headers = HeaderMap::new();
        host.map(|host| headers.insert(HOST, host.parse().unwrap()));
        origin.map(|origin| headers.insert(ORIGIN, origin.parse().unwrap()));
        Gate::new("127.0.0.1".parse().unwrap(), vec!["host.docker.internal".to_owned()]).check(&headers)
    }

    #[test]
    fn only_names_of_this_machine_are_served() {
        for host in [
            "localhost:8123",
            "LOCALHOST",
            "127.0.0.1:8123",
            "127.0.0.2",
            "[::1]:9",
            "host.docker.internal:1",
        ] {
            assert_eq!(check(Some(host), None), Ok(()), "{host}");
        }
        for host in
            ["evil.example", "localhost.evil.example:8123", "192.0.2.1:8123", "127.0.0.1.evil.example", "a b"]
        {
            assert_eq!(check(Some(host), None), Err(Foreign::Host), "{host}");
        }
        assert_eq!(check(None, None), Err(Foreign::Host));
    }

    #[test]
    fn only_pages_of_the_same_origin_are_served() {
        assert_eq!(check(Some("localhost:8123"), Some("http://localhost:8123")), Ok(()));
        for origin in ["http://localhost:3000", "https://localhost:8123", "http://evil.example", "null"] {
            assert_eq!(check(Some("localhost:8123"), Some(origin)), Err(Foreign::Origin), "{origin}");
        }
    }
}
