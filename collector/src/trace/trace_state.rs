//! The `ot` member of W3C trace state: a trace's explicit randomness and the threshold it was sampled with so far.
//!
//! `ot=rv:6e6d1a75832a2f;th:c8` says: the random number is `6e6d1a75832a2f`, and every trace whose number is below
//! `c8000000000000` was left out. Values that do not follow the rules count as not stated.

use super::sample::Threshold;

/// Hexadecimal digits of 56 bits.
const DIGITS: usize = 14;

/// What a trace state says of sampling.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct OtelMember {
    /// `rv`: 56 random bits that stand in for those of the trace id.
    pub(super) randomness: Option<u64>,
    /// `th`: the threshold of the samplers before us.
    pub(super) threshold: Option<Threshold>,
}

impl OtelMember {
    /// Reads the member; both fields are `None` where there is none.
    pub(super) fn read(trace_state: &str) -> Self {
        let mut member = Self::default();
        for (key, value) in members(trace_state).filter_map(otel_value).flat_map(fields) {
            match key {
                "rv" if value.len() == DIGITS => member.randomness = hex(value),
                "th" => {
                    member.threshold =
                        hex(value).map(|bits| Threshold::from_bits(bits << (4 * (DIGITS - value.len()))))
                }
                _ => {}
            }
        }
        member
    }
}

/// The trace state with the threshold that now holds. As W3C asks of a member that changed, ours comes first; what else
/// it says, and the members of others, stay.
pub(super) fn with_threshold(trace_state: &str, threshold: Threshold) -> String {
    let mut state = format!("ot=th:{}", threshold_text(threshold));
    for (key, value) in
        members(trace_state).filter_map(otel_value).flat_map(fields).filter(|(key, _)| *key != "th")
    {
        state.extend([";", key, ":", value]);
    }
    for member in members(trace_state).filter(|member| otel_value(member).is_none()) {
        state.extend([",", member]);
    }
    state
}

/// Fourteen digits without the zeros at the end; `0` for none.
fn threshold_text(threshold: Threshold) -> String {
    let digits = format!("{:0DIGITS$x}", threshold.bits());
    match digits.trim_end_matches('0') {
        "" => "0".into(),
        short => short.into(),
    }
}

fn members(trace_state: &str) -> impl Iterator<Item = &str> {
    trace_state.split(',').map(str::trim).filter(|member| !member.is_empty())
}

fn otel_value(member: &str) -> Option<&str> {
    member.strip_prefix("ot=")
}

fn fields(value: &str) -> impl Iterator<Item = (&str, &str)> {
    value.split(';').filter_map(|field| field.split_once(':'))
}

/// One to fourteen hexadecimal digits.
fn hex(text: &str) -> Option<u64> {
    let digits =
        !text.is_empty() && text.len() <= DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    digits.then(|| u64::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_member_is_read_by_its_rules() {
        let none = (None, None);
        for (state, (rv, th)) in [
            ("", none),
            ("ot=th:8", (None, Some(0x80_0000_0000_0000))),
            ("ot=th:0", (None, Some(0))),
            ("ot=rv:6e6d1a75832a2f;th:c8", (Some(0x6e_6d1a_7583_2a2f), Some(0xc8_0000_0000_0000))),
            ("congo=t61, ot=th:ffffffffffffff ,rojo=00f0", (None, Some(0xff_ffff_ffff_ffff))),
            ("ot=extra:x;rv:00000000000001", (Some(1), None)),
            ("ot=rv:1;th:", none),
            ("ot=rv:0000000000000g;th:+1", none),
            ("ot=th:123456789abcdef", none),
            ("ot=rv:6e6d1a75832a2f0", none),
            ("ot", none),
            ("not=th:8", none),
        ] {
            let expected = OtelMember { randomness: rv, threshold: th.map(Threshold::from_bits) };
            assert_eq!(OtelMember::read(state), expected, "{state}");
        }
    }

    #[test]
    fn a_new_threshold_leaves_the_rest_of_the_state() {
        for (state, bits, expected) in [
            ("", 0xe6_6666_6666_6666, "ot=th:e6666666666666"),
            ("", 0, "ot=th:0"),
            ("ot=th:4", 0x80_0000_0000_0000, "ot=th:8"),
            (
                "congo=t61,ot=rv:6e6d1a75832a2f;th:4;p:8,rojo=1",
                0xc0_0000_0000_0000,
                "ot=th:c;rv:6e6d1a75832a2f;p:8,congo=t61,rojo=1",
            ),
        ] {
            let state = with_threshold(state, Threshold::from_bits(bits));
            assert_eq!(state, expected);
            assert_eq!(OtelMember::read(&state).threshold, Some(Threshold::from_bits(bits)));
        }
    }
}
