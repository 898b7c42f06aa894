//! Sessions of the owner: an engine connection kept between requests, with its temporary tables and settings.
//!
//! Promises: one request at a time a session; a session nobody uses ends after its timeout; their number is bounded.
//! The reader has none: nothing a reader may do leaves a trace a later request could see.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::request::SessionRequest;
use crate::engine::{Connection, ErrorCode, Exception};

/// All sessions of a front.
#[derive(Clone, Default)]
pub(crate) struct Sessions {
    by_id: Arc<Mutex<HashMap<String, Session>>>,
}

/// Sessions that may exist at once; each holds an engine connection.
const SESSIONS_MAX: usize = 1024;

struct Session {
    /// Absent while a request holds the connection.
    idle: Option<Idle>,
}

struct Idle {
    connection: Connection,
    until: Instant,
}

/// The right to use a session for one request. Given back when dropped, unless its connection is not returned.
pub(crate) struct Lease {
    sessions: Sessions,
    request: SessionRequest,
    connection: Option<Connection>,
}

impl Sessions {
    /// Takes the session of a request out of the map, or makes it with `open`.
    pub(crate) fn lease(
        &self,
        request: SessionRequest,
        open: impl FnOnce() -> Result<Connection, Exception>,
    ) -> Result<Lease, Exception> {
        self.expire(Instant::now());
        let mut by_id = self.map();
        let is_full = by_id.len() >= SESSIONS_MAX;
        let connection = match by_id.get_mut(&request.id) {
            Some(session) => match session.idle.take() {
                Some(idle) => idle.connection,
                None => {
                    let message = "Session is locked by a concurrent client";
                    return Err(Exception::new(ErrorCode::SessionIsLocked, message));
                }
            },
            None if request.check => {
                let message = format!("Session {} not found", request.id);
                return Err(Exception::new(ErrorCode::SessionNotFound, message));
            }
            None if is_full => {
                let message = format!("Too many sessions, at most {SESSIONS_MAX} may be open");
                return Err(Exception::new(ErrorCode::TooManySimultaneousQueries, message));
            }
            None => {
                let connection = open()?;
                by_id.insert(request.id.clone(), Session { idle: None });
                connection
            }
        };
        Ok(Lease { sessions: self.clone(), request, connection: Some(connection) })
    }

    /// Ends the sessions whose time is up.
    pub(crate) fn expire(&self, now: Instant) {
        self.map().retain(|_, session| session.idle.as_ref().is_none_or(|idle| idle.until > now));
    }

    /// Ends all sessions that are not in use.
    pub(crate) fn clear(&self) {
        self.map().retain(|_, session| session.idle.is_none());
    }

    fn map(&self) -> MutexGuard<'_, HashMap<String, Session>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    pub(crate) fn connection(&mut self) -> &mut Connection {
        self.connection.as_mut().expect("given back only in drop")
    }

    /// Ends the session with this request, because its state is no longer known.
    pub(crate) fn forget(&mut self) {
        self.request.close = true;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut by_id = self.sessions.map();
        let connection = self.connection.take();
        match connection {
            Some(connection) if !self.request.close => {
                let until = Instant::now() + Duration::from_secs(self.request.timeout_s);
                by_id.insert(self.request.id.clone(), Session { idle: Some(Idle { connection, until }) });
            }
            _ => {
                by_id.remove(&self.request.id);
            }
        }
    }
}
