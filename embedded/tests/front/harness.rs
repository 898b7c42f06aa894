//! The shared engine, and a front for each test.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use embedded::{Credentials, Engine, EngineConfig, FrontConfig, HttpFront, OWNER};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub const PASSWORD: &str = "the owner's password";

/// The engine of this test process.
pub fn engine() -> Arc<Engine> {
    static ENGINE: OnceLock<(Arc<Engine>, TempDir)> = OnceLock::new();
    let (engine, _) = ENGINE.get_or_init(|| {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let engine = Engine::start(EngineConfig::new(dir.path())).expect("the engine starts");
        engine.query("CREATE DATABASE ledgerline ENGINE = Atomic", "Null").expect("the billing database");
        (Arc::new(engine), dir)
    });
    Arc::clone(engine)
}

/// A front of a test, and a database named after it.
pub struct Front {
    pub address: SocketAddr,
    pub database: String,
    client: Client,
    stop: Option<oneshot::Sender<()>>,
    served: Option<JoinHandle<()>>,
}

impl Front {
    pub async fn start(database: &str) -> Self {
        Self::with(database, |_| {}).await
    }

    pub async fn with(database: &str, change: impl FnOnce(&mut FrontConfig)) -> Self {
        let engine = engine();
        engine.query(&format!("CREATE DATABASE `{database}` ENGINE = Atomic"), "Null").expect("a database");
        let mut config = FrontConfig::new(Credentials::from_password(PASSWORD));
        change(&mut config);
        let address = "127.0.0.1:0".parse().unwrap();
        let front = HttpFront::bind(address, engine, config).await.expect("the front listens");
        let address = front.local_addr();
        let (stop, stopped) = oneshot::channel::<()>();
        let served = tokio::spawn(front.serve(async {
            let _ = stopped.await;
        }));
        let client = Client::builder().build().expect("an HTTP client");
        Self { address, database: database.to_owned(), client, stop: Some(stop), served: Some(served) }
    }

    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// A request of the owner, in the test's database.
    pub fn owner(&self) -> RequestBuilder {
        self.anyone()
            .header("x-clickhouse-user", OWNER)
            .header("x-clickhouse-key", PASSWORD)
            .query(&[("database", &self.database)])
    }

    /// A request without credentials.
    pub fn anyone(&self) -> RequestBuilder {
        self.client.post(self.url())
    }

    pub fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("http://{}{path}", self.address))
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Runs a statement of the owner that must succeed.
    pub async fn run(&self, sql: &str) -> String {
        Answer::of(self.owner().body(sql.to_owned())).await.ok()
    }

    /// The answer to a statement of the owner.
    pub async fn ask(&self, sql: &str) -> Answer {
        Answer::of(self.owner().body(sql.to_owned())).await
    }

    /// The answer to a statement of the reader.
    pub async fn read(&self, sql: &str) -> Answer {
        Answer::of(self.anyone().body(sql.to_owned())).await
    }

    /// The official client, as the owner.
    pub fn crate_client(&self) -> clickhouse::Client {
        clickhouse::Client::default()
            .with_url(self.url())
            .with_user(OWNER)
            .with_password(PASSWORD)
            .with_database(&self.database)
    }

    pub async fn stop(mut self) {
        let _ = self.stop.take().unwrap().send(());
        self.served.take().unwrap().await.expect("the front ends");
    }
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub async fn of(request: RequestBuilder) -> Self {
        Self::read(request.send().await.expect("an answer")).await
    }

    pub async fn read(response: Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.bytes().await.expect("a whole body").to_vec();
        Self { status, headers, body }
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name} in {self:?}")).to_str().unwrap()
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    /// The body of a success.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.status, StatusCode::OK, "{}", String::from_utf8_lossy(&self.body));
        String::from_utf8(self.body).expect("text")
    }

    /// The number of a failure, which header and text must agree on.
    #[track_caller]
    pub fn code(&self) -> u32 {
        assert_ne!(self.status, StatusCode::OK, "{}", String::from_utf8_lossy(&self.body));
        let code = self.header("x-clickhouse-exception-code").parse().unwrap();
        assert!(self.text().starts_with(&format!("Code: {code}. DB::Exception: ")), "{}", self.text());
        code
    }
}
