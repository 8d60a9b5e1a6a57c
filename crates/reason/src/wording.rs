//! How are amounts said inside a sentence?
//!
//! A number has a unit and a share, everywhere the same way.

use memwhy_model::{Bytes, Case, Content, ContentGroup, ContentKind, HolderKind, Holding};

/// `398 MiB (77%)`.
#[must_use]
pub fn amount(part: Bytes, whole: Bytes) -> String {
    format!("{part} ({})", percent(part.share_of(whole)))
}

/// `398 MiB of 515 MiB RSS (77%)`.
#[must_use]
pub fn of_all(part: Bytes, case: &Case) -> String {
    let all = case.rss();
    format!("{part} of {all} {} ({})", case.about.measure(), percent(part.share_of(all)))
}

/// `77%`, `0.4%`, `<0.1%`, `0%`: what is not nothing is not rounded to nothing.
#[must_use]
pub fn percent(share: f64) -> String {
    let share = share * 100.0;
    if share > 0.0 && share < 0.05 {
        return "<0.1%".into();
    }
    if share > 0.0 && share < 0.95 { format!("{share:.1}%") } else { format!("{share:.0}%") }
}

/// `1 thread`, `3 threads`.
#[must_use]
pub fn count(n: u64, noun: &str) -> String {
    let s = if n == 1 { "" } else { "s" };
    format!("{} {noun}{s}", digits(n))
}

/// `1,204,331`.
#[must_use]
pub fn digits(n: u64) -> String {
    let plain = n.to_string();
    let mut out = String::with_capacity(plain.len() * 4 / 3);
    for (at, digit) in plain.chars().enumerate() {
        if at > 0 && (plain.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// The name of a type as a person says it: `dict`, not `builtins.dict`.
#[must_use]
pub fn short_type(name: &str) -> &str {
    name.strip_prefix("builtins.").unwrap_or(name)
}

/// Who keeps memory of C: `lxml.etree._Document`, `libssl.so.3`, `nobody`.
#[must_use]
pub fn holder_name(holding: &Holding) -> String {
    let names = |many: &str| match holding.names.as_slice() {
        [] => many.to_owned(),
        names => names.iter().map(|name| short_type(name)).collect::<Vec<_>>().join(" or "),
    };
    match holding.kind {
        HolderKind::Type => names("several types"),
        HolderKind::Library => names("several libraries"),
        HolderKind::Threads => "stacks and thread-local storage".into(),
        HolderKind::Memory => "other anonymous memory".into(),
        HolderKind::Interpreter => "the interpreter".into(),
        HolderKind::Nobody => "nobody".into(),
    }
}

/// What chunks begin with, as a sentence about them goes on.
#[must_use]
pub fn content_name(content: &Content) -> String {
    let library = content.library.as_deref().unwrap_or("a library");
    match (content.kind, &content.symbol, &content.text) {
        (ContentKind::Table, Some(symbol), _) => format!("begin with {symbol} of {library}"),
        (ContentKind::Table, None, _) => format!("begin with an address in {library}"),
        (ContentKind::Text, _, Some(text)) => format!("begin with the text {text:?}"),
        (ContentKind::Text, _, None) => "begin with text".into(),
        (ContentKind::Zeroes, ..) => "begin with zeroes".into(),
        (ContentKind::Library, ..) => format!("have an address in {library}"),
        (ContentKind::Chunks, ..) => "begin with addresses of other chunks".into(),
        (ContentKind::Numbers, ..) => "begin with numbers".into(),
    }
}

/// `4,112 B`, `1,040 to 1,136 B`.
#[must_use]
pub fn size_range((least, most): (u64, u64)) -> String {
    if least == most {
        format!("{} B", digits(least))
    } else {
        format!("{} to {} B", digits(least), digits(most))
    }
}

/// The sizes of the chunks of a group.
#[must_use]
pub fn sizes_name(group: &ContentGroup) -> String {
    size_range(group.sizes)
}

/// The one of `known` that somebody may have meant who wrote `name`: the same last part, or the
/// same letters.
#[must_use]
pub fn similar<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let last = |name: &str| name.rsplit('.').next().unwrap_or(name).to_lowercase();
    let wanted = last(name);
    known.filter(|other| last(other) == wanted).min_by_key(|other| other.len())
}

#[cfg(test)]
mod tests {
    use super::{amount, count, digits, percent};
    use memwhy_model::Bytes;

    #[test]
    fn an_amount_has_a_unit_and_a_share() {
        assert_eq!(amount(Bytes::mib(398), Bytes::mib(515)), "398 MiB (77%)");
        assert_eq!(amount(Bytes::mib(1), Bytes::mib(0)), "1.0 MiB (0%)");
    }

    #[test]
    fn small_shares_are_not_rounded_to_nothing() {
        let said = [0.0, 0.0001, 0.004, 0.0099, 0.5].map(percent);
        assert_eq!(said, ["0%", "<0.1%", "0.4%", "1%", "50%"]);
    }

    #[test]
    fn large_counts_are_grouped() {
        assert_eq!([0, 999, 1_000, 1_204_331].map(digits), ["0", "999", "1,000", "1,204,331"]);
        assert_eq!([count(1, "arena"), count(15, "arena")], ["1 arena", "15 arenas"]);
    }
}
