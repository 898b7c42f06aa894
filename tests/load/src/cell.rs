//! What is varied: the protocol and the size of a request.

use std::fmt;
use std::str::FromStr;

/// How requests are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// OTLP/gRPC.
    Grpc,
    /// OTLP/HTTP with protobuf.
    Http,
}

/// One line of a table: a protocol and the spans of a request. Written `grpc/100`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    pub protocol: Protocol,
    pub batch: u32,
}

impl Cell {
    /// Cells of gRPC and HTTP for each size.
    pub fn grid(batches: &[u32]) -> Vec<Self> {
        let of = |protocol| batches.iter().map(move |batch| Self { protocol, batch: *batch });
        of(Protocol::Grpc).chain(of(Protocol::Http)).collect()
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Grpc => "gRPC",
            Self::Http => "HTTP",
        })
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} × {}", self.protocol, self.batch)
    }
}

impl FromStr for Cell {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once('/').and_then(|(protocol, batch)| {
            let protocol = match protocol {
                "grpc" => Protocol::Grpc,
                "http" => Protocol::Http,
                _ => return None,
            };
            let batch = batch.parse().ok().filter(|batch| (1..=10_000).contains(batch))?;
            Some(Self { protocol, batch })
        });
        parsed.ok_or_else(|| "expected grpc/SPANS or http/SPANS with 1 to 10000 spans".to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_a_protocol_and_a_number_of_spans() {
        assert_eq!("grpc/100".parse(), Ok(Cell { protocol: Protocol::Grpc, batch: 100 }));
        assert_eq!("http/1".parse(), Ok(Cell { protocol: Protocol::Http, batch: 1 }));
        for wrong in ["grpc", "grpc/", "grpc/0", "udp/1", "http/10001", "http/-1"] {
            assert!(wrong.parse::<Cell>().is_err(), "{wrong}");
        }
    }
}
