//! What a model costs, and by which rule: the answer to `prices show MODEL --at`.

use domain::price::{Context, Found, PriceBook};
use domain::time::EventTime;

/// One provider's price of a model at a time.
#[derive(Debug, Clone)]
pub struct Quote<'b> {
    /// The card, and the rule that led to it.
    pub found: Found<'b>,
    /// The rule in words.
    pub rule: String,
}

/// The prices of a model at a time: of the named provider, else of every provider that has one, in the book's order.
pub fn quotes<'b>(
    book: &'b PriceBook,
    provider: Option<&str>,
    model: &str,
    at: EventTime,
    context: &Context<'_>,
) -> Vec<Quote<'b>> {
    let find = |provider: &str| book.find(provider, model, at, context).ok();
    let found: Vec<Found<'b>> = match provider {
        Some(provider) => find(provider).into_iter().collect(),
        None => {
            let mut ids: Vec<&str> = Vec::new();
            for provider in book.providers() {
                // A provider may have a list in several layers.
                if !ids.contains(&provider.id.as_str()) {
                    ids.push(&provider.id);
                }
            }
            ids.into_iter().filter_map(find).collect()
        }
    };
    found.into_iter().map(|found| Quote { rule: found.rule.to_string(), found }).collect()
}
