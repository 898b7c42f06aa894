//! One type a table. Infallible outward (`from_…`, `to_row`), fallible inward.

mod observation;
mod ledger;
mod progress;
mod quarantine;
mod invoice;
mod price_source;
mod retirement;
mod overriding;
mod trace;
mod voucher;

pub use invoice::{InvoiceLineRow, InvoiceRow, PeriodRow, PriceRow};
pub use ledger::{DecisionRow, LedgerRow, RowError, date_number, day_of, month_number, month_of};
pub use observation::{ObservationRow, RecordRow, day_number};
pub use overriding::{OverrideCallRow, OverrideRow, StandingReport};
pub use price_source::{PlanSourceRow, PriceBookRow, PriceImportRow, PriceSourceRow, RateSourceRow};
pub use progress::{BatchRow, CollectorRow, CursorRow};
pub use quarantine::QuarantineRow;
pub use retirement::{RetiredCreditRow, RetirementRow};
pub use trace::{SpanRow, TextMap};
pub use voucher::{NamedEntryRow, TipRow, VoucherRow};
