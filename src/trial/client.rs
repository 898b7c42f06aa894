//! A client that sends calls without pause, over gRPC and HTTP, to whichever collector is there. It writes down what it was
//! answered, and behaves as clients do: some try again, some give up, some hang up early, some send twice.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::time::{sleep, timeout};

use super::books::{Books, count};
use super::dice::Dice;
use super::fleet::Fleet;
use super::traffic::{Report, Traffic};

/// Between two requests of a client: what is sent must also be settled within the trial.
const PAUSE: Duration = Duration::from_millis(40);
/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
const CALLS_A_REQUEST: u64 = 5;
const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// What a client heard of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heard {
    Acknowledged,
    Refused,
    Nothing,
}

/// A client.
pub struct Client {
    traffic: Traffic,
    books: Arc<Books>,
    fleet: Arc<Fleet>,
    dice: Dice,
    http: HttpClient<HttpConnector, Full<Bytes>>,
    grpc: HttpClient<HttpConnector, Full<Bytes>>,
}

impl Client {
    /// A client of a fleet.
    pub fn new(traffic: Traffic, books: Arc<Books>, fleet: Arc<Fleet>, dice: Dice) -> Self {
        let http = HttpClient::builder(TokioExecutor::new()).build_http();
        let grpc = HttpClient::builder(TokioExecutor::new()).http2_only(true).build_http();
        Self { traffic, books, fleet, dice, http, grpc }
    }

    /// Sends until the fleet is stopped.
    pub async fn run(mut self) {
        while !self.fleet.stopped() {
            let calls = self.books.begin(1 + self.dice.below(CALLS_A_REQUEST));
            for report in self.traffic.reports(calls) {
                self.send(&report).await;
            }
            sleep(PAUSE).await;
        }
    }

    /// Sends one request, once or until it is acknowledged, and perhaps once more after that.
    async fn send(&mut self, report: &Report) {
        let attempts = 1 + self.dice.below(4);
        for _ in 0..attempts {
            match self.attempt(report).await {
                Heard::Acknowledged => {
                    count(&self.books.requests.acknowledged);
                    self.books.acknowledge(&report.calls);
                    if self.dice.once_in(6) {
                        count(&self.books.requests.repeated);
                        self.attempt(report).await;
                    }
                    return;
                }
                Heard::Refused => count(&self.books.requests.refused),
                Heard::Nothing => count(&self.books.requests.unanswered),
            }
            if self.fleet.stopped() {
                return;
            }
            sleep(PAUSE).await;
        }
    }

    async fn attempt(&mut self, report: &Report) -> Heard {
        let Some(server) = self.fleet.any(self.dice.throw()) else { return Heard::Nothing };
        let sent = match self.dice.below(4) {
            0 => self.over_http(&server.otlp_http, "application/json", report.json()),
            1 => self.over_http(&server.otlp_http, "application/x-protobuf", report.protobuf()),
            _ => self.over_grpc(&server.otlp_grpc, &report.protobuf()),
        };
        // A client that hangs up does not learn whether it was acknowledged.
        if self.dice.once_in(20) {
            count(&self.books.requests.hung_up);
            let soon = Duration::from_micros(self.dice.below(3_000));
            return timeout(soon, sent).await.unwrap_or(Heard::Nothing);
        }
        timeout(PATIENCE, sent).await.unwrap_or(Heard::Nothing)
    }

    fn over_http(
        &self,
        address: &str,
        content_type: &str,
        body: Vec<u8>,
    ) -> std::pin::Pin<Box<dyn Future<Output = Heard> + Send>> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("http://{address}/v1/traces"))
            .header("content-type", content_type)
            .body(Full::new(Bytes::from(body)))
            .expect("an address and fixed headers make a request");
        let answer = self.http.request(request);
        Box::pin(async move {
            let Ok(answer) = answer.await else { return Heard::Nothing };
            let status = answer.status();
            // Only a whole answer is one.
            match answer.into_body().collect().await {
                Ok(_) if status == StatusCode::OK => Heard::Acknowledged,
                Ok(_) => Heard::Refused,
                Err(_) => Heard::Nothing,
            }
        })
    }

    fn over_grpc(
        &self,
        address: &str,
        message: &[u8],
    ) -> std::pin::Pin<Box<dyn Future<Output = Heard> + Send>> {
        let mut body = vec![0];
        body.extend((message.len() as u32).to_be_bytes());
        body.extend(message);
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("http://{address}{EXPORT}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Full::new(Bytes::from(body)))
            .expect("an address and fixed headers make a request");
        let answer = self.grpc.request(request);
        Box::pin(async move {
            let Ok(answer) = answer.await else { return Heard::Nothing };
            let (head, body) = answer.into_parts();
            let Ok(body) = body.collect().await else { return Heard::Nothing };
            // A refusal may have nothing but headers.
            let trailers = body.trailers().unwrap_or(&head.headers);
            match trailers.get("grpc-status").map(|status| status.as_bytes()) {
                Some(b"0") => Heard::Acknowledged,
                Some(_) => Heard::Refused,
                None => Heard::Nothing,
            }
        })
    }
}
