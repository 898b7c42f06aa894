//! Binds the two addresses, and says what to do where that fails.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket};

use super::stats::Protocol;

/// Connections the kernel holds for us while we are busy accepting others.
const BACKLOG: u32 = 1024;

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen for {name} on {addr}: {source}; {advice}", name = protocol.name())]
pub struct BindError {
    /// What was to be served there.
    pub protocol: Protocol,
    /// The address.
    pub addr: SocketAddr,
    advice: String,
    source: io::Error,
}

impl BindError {
    fn new(protocol: Protocol, addr: SocketAddr, source: io::Error) -> Self {
        let flag = match protocol {
            Protocol::Grpc => "--otlp-grpc-addr",
            Protocol::Http => "--otlp-http-addr",
        };
        let advice = match source.kind() {
            io::ErrorKind::AddrInUse => {
                format!(
                    "stop the program that listens there (another collector?), \
                     or choose another address with {flag} (port 0 takes a free one)"
                )
            }
            io::ErrorKind::AddrNotAvailable => {
                format!(
                    "it is not an address of this machine; choose one with {flag} (0.0.0.0 is all of them)"
                )
            }
            io::ErrorKind::PermissionDenied => {
                format!("ports below 1024 need privileges; choose another with {flag}")
            }
            _ => format!("choose another address with {flag}"),
        };
        Self { protocol, addr, advice, source }
    }
}

/// A bound address.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) protocol: Protocol,
    /// The address as bound, with its real port.
    pub(super) addr: SocketAddr,
    pub(super) socket: TcpListener,
}

impl Listener {
    pub(super) fn bind(protocol: Protocol, addr: SocketAddr) -> Result<Self, BindError> {
        let bind = || {
            let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
            // A restart must not wait for the old process's closed connections to be forgotten.
            socket.set_reuseaddr(true)?;
            socket.bind(addr)?;
            socket.listen(BACKLOG)
        };
        let socket = bind().map_err(|source| BindError::new(protocol, addr, source))?;
        let addr = socket.local_addr().map_err(|source| BindError::new(protocol, addr, source))?;
        Ok(Self { protocol, addr, socket })
    }
}
