//! Closing the month of a trial, with a kill between any two of its steps.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use domain::time::BillingPeriod;
use sabotage::{POINTS_COMPILED_IN, Point};
use serde_json::json;

use super::fleet::{Fleet, KillAt, Process, Started};
use super::killer::is_in_close;
use crate::admin_client::AdminClient;

const CLOSE_PATIENCE: Duration = Duration::from_secs(60);

/// Closes a month by the settler, which dies at every point on the way. Returns the settler's last process, and the points
/// it died at.
///
/// # Errors
/// When the month does not close in the end.
pub async fn close(
    fleet: &Fleet,
    mut settler: Process,
    month: BillingPeriod,
) -> anyhow::Result<(Process, Vec<Point>)> {
    let at = fleet.settler();
    let mut died_at = Vec::new();
    for &point in Point::ALL.iter().filter(|point| POINTS_COMPILED_IN && is_in_close(**point)) {
        settler.stop().await?;
        settler = serve(fleet, at, Some(KillAt { point, time: 1 })).await?;
        if dies_closing(fleet, &mut settler, month).await? {
            died_at.push(point);
            settler = serve(fleet, at, None).await?;
        }
    }
    ensure!(
        !dies_closing(fleet, &mut settler, month).await?,
        "the settler ended by itself while closing the month"
    );
    Ok((settler, died_at))
}

/// Asks for the month to be closed until it is, or until the settler died over it. It is refused while the last word of
/// a collector is older than its last batch.
async fn dies_closing(fleet: &Fleet, settler: &mut Process, month: BillingPeriod) -> anyhow::Result<bool> {
    let begun = Instant::now();
    loop {
        let asked = ask(fleet, month).await;
        let Err(error) = asked else { return Ok(false) };
        // Whoever dies does so before its connection is gone.
        let deadline = Instant::now() + Duration::from_millis(200);
        if settler.ended_by(deadline, || false).await?.is_some() {
            return Ok(true);
        }
        if begun.elapsed() > CLOSE_PATIENCE {
            return Err(error.context("the month does not close"));
        }
    }
}

async fn ask(fleet: &Fleet, month: BillingPeriod) -> anyhow::Result<()> {
    let server = fleet.server(fleet.settler()).context("the settler does not answer")?;
    let job = json!({"job": "close", "month": month.to_string(), "without_grace": true, "unbalanced": false});
    AdminClient::new(&server).post("/jobs", Some(&job), CLOSE_PATIENCE).await?;
    Ok(())
}

/// Starts a collector that must get ready.
pub async fn serve(fleet: &Fleet, at: usize, kill_at: Option<KillAt>) -> anyhow::Result<Process> {
    match fleet.start(at, kill_at).await? {
        Started::Ready(process) => Ok(process),
        Started::Killed => bail!("collector {} was killed at its start", at + 1),
    }
}
