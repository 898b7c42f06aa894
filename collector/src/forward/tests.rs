//! Forwards against our own receiving end: both wires, every compression, backends that refuse, wait, or are gone.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use domain::observation::KeyStamp;
use tokio::sync::oneshot;
use tokio::task::yield_now;

use super::{Compression, Forwards, Target, Wire};
use crate::keys::KeyStore;
use crate::receive::{self, Accepted, Encoding, Intake, Receive, Refusal, Signal};

/// A backend that answers as told, then well.
#[derive(Clone, Default)]
struct Backend {
    answers: Arc<Mutex<VecDeque<Refusal>>>,
    seen: Arc<Mutex<Vec<(Signal, Bytes)>>>,
}

impl Backend {
    fn take(&self, signal: Signal, body: Bytes) -> Result<Accepted, Refusal> {
        match self.answers.lock().unwrap().pop_front() {
            Some(refusal) => Err(refusal),
            None => {
                self.seen.lock().unwrap().push((signal, body));
                Ok(Accepted::default())
            }
        }
    }

    fn seen(&self) -> Vec<(Signal, Bytes)> {
        self.seen.lock().unwrap().clone()
    }
}

impl Intake for Backend {
    async fn accept(&self, body: Bytes, _: Encoding, _: KeyStamp) -> Result<Accepted, Refusal> {
        self.take(Signal::Traces, body)
    }

    fn passes(&self, _: Signal) -> bool {
        true
    }

    fn pass(&self, signal: Signal, body: Bytes, _: Encoding) -> Result<(), Refusal> {
        self.take(signal, body).map(drop)
    }
}

struct Server {
    grpc: SocketAddr,
    http: SocketAddr,
    _stop: oneshot::Sender<()>,
    _dir: tempfile::TempDir,
}

fn serve(backend: Backend) -> Server {
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    let dir = tempfile::tempdir().unwrap();
    let config = receive::Config { grpc_addr: loopback, http_addr: loopback, ..receive::Config::default() };
    let receive = Receive::bind(config, KeyStore::open(dir.path()).unwrap()).unwrap();
    let (grpc, http) = (receive.grpc_addr(), receive.http_addr());
    let (stop, stopped) = oneshot::channel::<()>();
    tokio::spawn(receive.run(backend, async {
        let _ = stopped.await;
    }));
    Server { grpc, http, _stop: stop, _dir: dir }
}

fn target(server: &Server, wire: Wire) -> Target {
    let address = if wire == Wire::Grpc { server.grpc } else { server.http };
    Target::new("backend", &format!("http://{address}"), wire).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_wire_and_compression_brings_every_signal() {
    let backend = Backend::default();
    let server = serve(backend.clone());
    let mut expected = Vec::new();
    for wire in [Wire::Grpc, Wire::Http] {
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            let target = Target { compression, ..target(&server, wire) };
            let (forwards, workers) = Forwards::start(vec![target]).unwrap();
            for signal in [Signal::Traces, Signal::Metrics, Signal::Logs] {
                assert!(forwards.wants(signal));
                let request = Bytes::from(vec![0; 100]);
                forwards.offer(signal, &request);
                expected.push((signal, request));
            }
            drop(forwards);
            workers.finish().await;
        }
    }
    assert_eq!(backend.seen(), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_backend_takes_later_is_sent_again_and_what_it_refuses_is_dropped() {
    for wire in [Wire::Grpc, Wire::Http] {
        let backend = Backend::default();
        let busy = || Refusal::Busy { reason: "busy".into(), retry_after: Duration::ZERO };
        backend.answers.lock().unwrap().extend([busy(), Refusal::Malformed("no".into()), busy()]);
        let server = serve(backend.clone());
        let (forwards, workers) = Forwards::start(vec![target(&server, wire)]).unwrap();
        (1..=3_u8).for_each(|n| forwards.offer(Signal::Traces, &Bytes::from(vec![n; 10])));
        let watched = forwards.clone();
        while watched.counts()[0].1.waiting_bytes > 0 {
            yield_now().await;
        }
        let (name, counts) = watched.counts().remove(0);
        assert_eq!(
            (name.as_str(), counts.offered, counts.sent, counts.dropped_refused),
            ("backend", 3, 2, 1)
        );
        assert_eq!(backend.seen().iter().map(|(_, body)| body[0]).collect::<Vec<_>>(), [2, 3]);
        drop((forwards, watched));
        workers.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_that_is_gone_fills_its_own_queue_and_costs_the_others_nothing() {
    let backend = Backend::default();
    let server = serve(backend.clone());
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let gone = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let gone = Target {
        name: "gone".into(),
        queue_bytes_max: 250,
        ..Target::new("gone", &gone, Wire::Grpc).unwrap()
    };
    let (forwards, _workers) = Forwards::start(vec![gone, target(&server, Wire::Http)]).unwrap();
    (0..5).for_each(|_| forwards.offer(Signal::Logs, &Bytes::from(vec![0; 100])));
    while forwards.counts()[1].1.sent < 5 {
        yield_now().await;
    }
    let gone = forwards.counts()[0].1;
    assert_eq!((gone.offered, gone.sent, gone.dropped_queue_full, gone.waiting_bytes), (5, 0, 3, 200));
}

#[test]
fn only_addresses_of_http_are_backends() {
    for bad in ["", "tempo:4317", "ftp://tempo", "http://", "http://tempo?x=1"] {
        assert!(Target::new("t", bad, Wire::Grpc).is_err(), "{bad}");
    }
}
