//! The balance of the ledger as metrics: drawn again and again while this server settles, by the function that `verify` uses.
//!
//! Drawing it reads the outcome of every observation, so the pause after it follows what it took: it costs the database at most
//! one part in a hundred of its time, and on a small ledger a glance a minute.

use std::time::Duration;

use billing::verify::Balance;
use schemas::Database;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::billing_arm::BillingHandles;

/// The least pause between two balances.
const PAUSE: Duration = Duration::from_secs(60);
/// The pause, in times of what the last balance took.
const PAUSE_TIMES: u32 = 100;
/// The pause before the first: a server that has just started catches up first.
const FIRST_PAUSE: Duration = Duration::from_secs(5);

/// A balance, and when it was drawn.
#[derive(Debug, Clone)]
pub struct Drawn {
    /// What it says.
    pub balance: Balance,
    /// When.
    pub at: Instant,
}

/// Draws balances until stopped.
pub async fn draw(
    database: Database,
    billing: BillingHandles,
    drawn: watch::Sender<Option<Drawn>>,
    stop: CancellationToken,
) {
    let mut pause = FIRST_PAUSE;
    loop {
        tokio::select! {
            () = sleep(pause) => {}
            () = stop.cancelled() => return,
        }
        pause = PAUSE;
        // One server of a ledger settles, and one balance is enough.
        if billing.settler.borrow().is_none() {
            continue;
        }
        let begun = Instant::now();
        match Balance::draw(&database).await {
            Ok(balance) => {
                pause = PAUSE.max(begun.elapsed() * PAUSE_TIMES);
                if balance.calls_off() > 0 {
                    tracing::error!(
                        off = balance.calls_off(),
                        standing = balance.standing(),
                        calls = balance.calls.1,
                        "the ledger does not balance with the spans seen; run `ledgerline verify`"
                    );
                }
                drawn.send_replace(Some(Drawn { balance, at: Instant::now() }));
            }
            // Shipping and settling say it louder.
            Err(error) => {
                tracing::debug!(error = %format!("{:#}", anyhow::Error::from(error)), "no balance now")
            }
        }
    }
}
