//! How do rounded numbers still add up?

use memwhy_model::Bytes;

/// From this on MiB are printed without a digit after the point.
const WHOLE_FROM: Bytes = Bytes::mib(100);

/// A total in MiB and parts of it, rounded so that the printed parts add up to the printed total.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sum {
    /// As printed, without unit.
    pub(super) total: String,
    /// As printed, without unit, in the order given.
    pub(super) parts: Vec<String>,
}

/// Rounds every part down, then gives what is missing to those that lost most.
///
/// `parts` add up to `total` before rounding.
pub(super) fn rounded(total: Bytes, parts: &[Bytes]) -> Sum {
    // In steps of a MiB, or of a tenth of it.
    let steps: u128 = if total >= WHOLE_FROM { 1 } else { 10 };
    let mib: u128 = 1 << 20;
    let whole = (u128::from(total.0) * steps + mib / 2) / mib;
    let mut rounded: Vec<u128> =
        parts.iter().map(|part| u128::from(part.0) * steps / mib).collect();
    let mut by_loss: Vec<usize> = (0..parts.len()).collect();
    by_loss.sort_by_key(|&n| std::cmp::Reverse(u128::from(parts[n].0) * steps % mib));
    let missing = whole.saturating_sub(rounded.iter().sum());
    for n in by_loss.into_iter().take(usize::try_from(missing).unwrap_or(usize::MAX)) {
        rounded[n] += 1;
    }
    let print = |n: u128| {
        if steps == 1 { n.to_string() } else { format!("{}.{}", n / steps, n % steps) }
    };
    Sum { total: print(whole), parts: rounded.into_iter().map(print).collect() }
}

#[cfg(test)]
mod tests {
    use super::rounded;
    use memwhy_model::Bytes;

    #[test]
    fn printed_parts_add_up_to_the_printed_total() {
        for seed in 1..200u64 {
            let parts: Vec<Bytes> =
                (1..9).map(|n| Bytes((seed * n * 7_919_123) % (n * 9_000_000))).collect();
            let sum = rounded(parts.iter().copied().sum(), &parts);
            let tenths = |text: &str| -> u64 {
                match text.split_once('.') {
                    Some((mib, tenth)) => {
                        mib.parse::<u64>().expect("a number") * 10
                            + tenth.parse::<u64>().expect("a digit")
                    }
                    None => text.parse::<u64>().expect("a number") * 10,
                }
            };
            let parts: u64 = sum.parts.iter().map(|part| tenths(part)).sum();
            assert_eq!(parts, tenths(&sum.total), "{sum:?}");
        }
    }

    #[test]
    fn small_totals_have_a_digit_after_the_point() {
        let sum = rounded(Bytes::mib(21), &[Bytes::kib(12_800), Bytes::kib(8_704)]);
        assert_eq!((sum.total.as_str(), sum.parts), ("21.0", vec!["12.5".into(), "8.5".into()]));
    }
}
