//! Everything that reads bytes of others, fed with bytes that nobody meant: requests, records, journals, price and plan files.
//!
//! A target takes samples of the real thing, mutated by a seed. It must not panic, and must keep what it promises of what it
//! reads. Each execution has a seed of its own; one that fails prints it.
//!
//! ```text
//! cargo test --test fuzz                                        some seconds
//! FUZZ_SECONDS=3600 cargo test --test fuzz -- --nocapture       an hour a target, and a seed of the day
//! FUZZ_SEED=N FUZZ_EXECUTIONS=1 cargo test --test fuzz TARGET   one execution again
//! ```

mod mutate;
mod targets;
