//! Words and laws of Ledgerline: what a span, a call, a token, a price and a ledger entry are, and the pure
//! functions that turn evidence about AI calls into entries.
//!
//! Promises: synchronous, deterministic, no clock, no files, no network, no floats, no wire or table formats.
//! Time, ids and prices come in as arguments, so that every law here can be tested as a table or a property.
//!
//! Modules stand in the order data flows.

pub mod identity;
pub mod time;
pub mod usage;
pub mod naming;
pub mod attributes;
pub mod observation;
pub mod resolve;
pub mod money;
pub mod price;
pub mod rate;
pub mod ledger;
pub mod overrides;
pub mod plan;
pub mod budget;
pub mod invoice;
pub mod sample;

pub use attributes::{Attributes, AttributesMark};
pub use identity::{CallId, CollectorId, EntryId, Realm, SpanId, TraceId};
pub use money::{Amount, Cost, Currency, Rounding};
pub use observation::{Evidence, Link, Observation};
pub use price::{PriceBook, PriceId, PriceIndex, RateCard, UnitClass, Unpriced};
pub use rate::Rated;
pub use sample::{Expectation, Sample};
pub use time::{BillingPeriod, EventTime, ReceivedAt};
pub use usage::{TokenClass, Usage, UsageFault};
