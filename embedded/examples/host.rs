//! Hosts the engine on a directory and serves ClickHouse's HTTP interface until its standard input ends.
//!
//! ```text
//! cargo run -p ledgerline-embedded --example host -- DIR [ADDRESS]
//! ```
//! Prints one line when ready: `ready url=URL owner=USER password_file=FILE`.

use std::error::Error;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use embedded::credentials::PASSWORD_FILE;
use embedded::{Credentials, Engine, EngineConfig, FrontConfig, HttpFront, OWNER};
use tokio::io::AsyncReadExt;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let data_dir = PathBuf::from(arguments.next().ok_or("usage: host DIR [ADDRESS]")?);
    let address: SocketAddr = arguments.next().as_deref().unwrap_or("127.0.0.1:0").parse()?;

    let credentials = Credentials::load_or_create(&data_dir)?;
    let engine = Arc::new(Engine::start(EngineConfig::new(data_dir.join("clickhouse")))?);
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let front = HttpFront::bind(address, Arc::clone(&engine), FrontConfig::new(credentials)).await?;
        let password_file = data_dir.join(PASSWORD_FILE);
        println!("ready url={} owner={OWNER} password_file={}", front.url(), password_file.display());
        std::io::stdout().flush()?;
        front.serve(standard_input_ends()).await;
        Ok::<_, Box<dyn Error>>(())
    })?;
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    engine.shutdown()?;
    Ok(())
}

/// Ends with the process that started this one, so that no test leaves an engine behind.
async fn standard_input_ends() {
    let mut input = tokio::io::stdin();
    let mut ignored = [0; 64];
    while matches!(input.read(&mut ignored).await, Ok(size) if size > 0) {}
}
