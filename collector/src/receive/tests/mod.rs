//! Real servers on port 0, a fake intake, and real clients: the promises of receiving as a client sees them.

pub(super) mod fixture;
mod http_edge;
mod grpc_edge;
mod refusals;
mod limits;
mod slow_clients;
mod shutdown;
