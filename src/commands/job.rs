//! Work that needs the ledger to itself: closing, issuing, repricing, reading anew, adjusting. Done by the one settler there is, between passes.
//!
//! A job travels as JSON to the server that runs on the data directory, and is done by the very same code where none runs
//! and this process opens the directory itself.

use std::time::Duration;

use anyhow::Context as _;
use billing::adjust::{self, Order};
use billing::invoice;
use billing::period::{self, CloseOptions};
use billing::settle::{Exclusive, Scope, Settler, reprice};
use domain::time::BillingPeriod;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::Context;
use super::redecode::{SpanChoice, Wanted};
use super::settle::{settler, with_settler};
use crate::admin_client::AdminClient;
use crate::billing_arm::{BillingHandles, now_nanos};
use crate::data_dir::DataDir;
use crate::progress;
use crate::running_server::RunningServer;

/// How long a job may take: a month of a hundred million entries is read several times over.
pub const TIMEOUT: Duration = Duration::from_secs(6 * 3600);

/// How long to wait for word of how far it is.
const LOOK_TIMEOUT: Duration = Duration::from_secs(5);

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "job", rename_all = "snake_case", deny_unknown_fields)]
pub enum Job {
    /// Close a month and freeze its invoices.
    Issue {
        /// `YYYY-MM`.
        month: String,
    },
    /// Close a month.
    Close {
        /// `YYYY-MM`.
        month: String,
        /// Do not wait for late usage.
        without_grace: bool,
        /// Close though the balance of all spans does not hold.
        unbalanced: bool,
    },
    /// Rate again what stands.
    Reprice {
        /// Also calls that have a price.
        priced: bool,
        /// `YYYY-MM`.
        month: Option<String>,
        /// Only this tenant's.
        tenant: Option<String>,
        /// Only to this provider.
        provider: Option<String>,
        /// Only of this model.
        model: Option<String>,
        /// Post it; else only say what would change.
        apply: bool,
    },
    /// Read kept spans anew.
    Redecode {
        /// Received then or later, nanoseconds since the epoch.
        from: Option<i64>,
        /// Received before.
        to: Option<i64>,
        /// Which.
        kind: SpanChoice,
        /// Append the readings and settle them; else only say what would change.
        apply: bool,
    },
    /// Send refused rows anew.
    Redrive,
    /// Carry out a correction that a person ordered.
    Adjust {
        /// What.
        order: Order,
        /// Post it; else only say what would change.
        apply: bool,
    },
}

/// Has a job done by the server on the data directory, or here. Answers what it came to.
pub async fn run(job: &Job, context: &Context) -> anyhow::Result<Value> {
    let data_dir = DataDir::new(&context.loaded.config.data_dir);
    match RunningServer::find(&data_dir)? {
        Some(server) => {
            let (client, job) = (AdminClient::new(&server), serde_json::to_value(job)?);
            let step = async || {
                let step = client.get("/jobs", LOOK_TIMEOUT).await.ok()?;
                serde_json::from_value(step).ok()
            };
            progress::shown(client.post("/jobs", Some(&job), TIMEOUT), step).await
        }
        None => {
            let job = job.clone();
            with_settler(context, async |handles| perform(handles, job, Instant::now() + TIMEOUT).await).await
        }
    }
}

/// Ships what the journal holds, then has the settler do a job between passes.
pub async fn perform(handles: &BillingHandles, job: Job, deadline: Instant) -> anyhow::Result<Value> {
    handles.ship.flush(deadline).await?;
    let settler = settler(handles, deadline).await?;
    let (reply, answer) = oneshot::channel();
    let collector = handles.ship.status().collector_id;
    settler.exclusive(Box::new(Posted { job, collector, handles: handles.clone(), deadline, reply })).await?;
    timeout_at(deadline, answer).await.context("the work takes longer than the time given")??
}

impl Job {
    /// `own_collector` is the one whose journal was just shipped.
    async fn done_by(
        self,
        settler: &mut Settler,
        own_collector: [u8; 16],
        (handles, deadline): (&BillingHandles, Instant),
    ) -> anyhow::Result<Value> {
        match self {
            Self::Close { month, without_grace, unbalanced } => {
                let options = CloseOptions { without_grace, unbalanced, own_collector };
                let closed =
                    period::close(settler, BillingPeriod::parse(&month)?, &options, now_nanos()).await?;
                Ok(json!({ "entries": closed.entries, "charge": closed.charge.to_string() }))
            }
            Self::Issue { month } => {
                let options = CloseOptions { own_collector, ..CloseOptions::default() };
                let issued =
                    invoice::issue(settler, BillingPeriod::parse(&month)?, &options, now_nanos()).await?;
                Ok(json!({ "invoices": issued.iter().map(invoice::Invoice::number).collect::<Vec<_>>() }))
            }
            Self::Reprice { priced, month, tenant, provider, model, apply } => {
                let month = month.as_deref().map(BillingPeriod::parse).transpose()?;
                settler.drain().await?;
                let repricing =
                    reprice(settler, &Scope { priced, month, tenant, provider, model }, apply).await?;
                Ok(super::reprice::answer(&repricing))
            }
            Self::Redecode { from, to, kind, apply } => {
                let wanted = Wanted { from, to, kind, apply };
                super::redecode::redecode(settler, &wanted, handles, deadline).await
            }
            Self::Redrive => super::quarantine::redrive(settler, handles, deadline).await,
            Self::Adjust { order, apply } => {
                settler.drain().await?;
                Ok(super::adjust::answer(&adjust::adjust(settler, &order, apply).await?))
            }
        }
    }
}

/// A job on its way to the settler, and where its answer goes.
#[derive(Debug)]
struct Posted {
    job: Job,
    collector: [u8; 16],
    handles: BillingHandles,
    deadline: Instant,
    reply: oneshot::Sender<anyhow::Result<Value>>,
}

impl Exclusive for Posted {
    fn run<'s>(
        self: Box<Self>,
        settler: &'s mut Settler,
    ) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send + 's>> {
        Box::pin(async move {
            let Self { job, collector, handles, deadline, reply } = *self;
            let done = job.done_by(settler, collector, (&handles, deadline)).await;
            if done.is_err() {
                // Only the database knows what was written before it failed.
                settler.forget();
            }
            // Who asked may have gone; what was done stands.
            let _ = reply.send(done);
        })
    }
}
