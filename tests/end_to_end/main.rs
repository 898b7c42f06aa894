//! The whole system from outside: the real binary, the real engine, recorded and made spans over real connections.
//!
//! Nothing here sleeps: a test waits for the `ready` line, for an answer, or for a process to end.

mod server;
#[path = "../wire/mod.rs"]
mod wire;
mod settlers;
mod spans;
mod money_spans;
mod prices;
mod months;
mod month_totals;
mod plans;
mod invoices;
mod currencies;
mod misread;
mod redecode;
mod redecode_faults;
mod closing;
mod adjustments;
mod reconcile;
mod corpus;
mod metamorphic;
mod crash;
mod half_known;
mod replay;
mod proxy;
mod lying;
mod poison;
mod restore;
mod retention;
mod rollup;
mod upgrades;
mod collectors;
mod late;
mod vouchers;
mod vouchers_broken_off;
mod clocks;
mod rulings;
mod estimates;
mod answers;
mod exporters;
mod console;
mod dashboards;
mod forwarding;
mod isolation;
mod sampling;
mod budgets;
// The seeded draws that generated traces are made with.
#[path = "../../domain/tests/generated/random.rs"]
mod random;
