//! Few figures of many.

use hdrhistogram::Histogram;

/// Of some runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub lowest: f64,
    pub median: f64,
    pub highest: f64,
}

/// The spread of a figure; not a number where there are no runs.
pub fn over<T>(runs: &[T], figure: impl Fn(&T) -> f64) -> Spread {
    let mut figures: Vec<f64> = runs.iter().map(figure).collect();
    figures.sort_by(f64::total_cmp);
    let at = |index: usize| figures.get(index).copied().unwrap_or(f64::NAN);
    let (low, high) = (at(figures.len().saturating_sub(1) / 2), at(figures.len() / 2));
    Spread { lowest: at(0), median: f64::midpoint(low, high), highest: at(figures.len().saturating_sub(1)) }
}

/// A quantile of latencies in microseconds, as milliseconds.
pub fn milliseconds(latency_us: &Histogram<u64>, quantile: f64) -> f64 {
    latency_us.value_at_quantile(quantile) as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle_of_odd_and_even_counts() {
        let spread = |figures: &[f64]| over(figures, |figure| *figure);
        assert_eq!(spread(&[3.0, 1.0, 2.0]), Spread { lowest: 1.0, median: 2.0, highest: 3.0 });
        assert_eq!(spread(&[4.0, 1.0, 2.0, 3.0]), Spread { lowest: 1.0, median: 2.5, highest: 4.0 });
        assert_eq!(spread(&[5.0]), Spread { lowest: 5.0, median: 5.0, highest: 5.0 });
    }
}
