//! What do the releases count differently when they state the size of an object?
//!
//! Source: the `__sizeof__` methods, which `kinds` name one by one.

use super::{Row, Table};
use crate::version::{Build, V2_7, v3};

/// What differs between releases in what `__sizeof__` counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatedSizes {
    /// Bytes of one step of a compiled format of `struct`.
    pub format_code: u64,
    /// Iterators of `itertools` that count up count their counters.
    pub counters: bool,
    /// Bytes of a subclass are counted as if they were of the base.
    pub bytes_as_of_base: bool,
    /// The integer zero has a digit.
    pub zero_has_digit: bool,
}

const OLDEST: StatedSizes =
    StatedSizes { format_code: 24, counters: false, bytes_as_of_base: true, zero_has_digit: false };

const SINCE_3: StatedSizes =
    StatedSizes { format_code: 32, counters: true, bytes_as_of_base: false, ..OLDEST };

const SINCE_3_11: StatedSizes = StatedSizes { zero_has_digit: true, ..SINCE_3 };

const SIZES: Table<StatedSizes> = Table(&[
    Row { since: V2_7, free_threaded: false, layout: OLDEST },
    Row { since: v3(0), free_threaded: false, layout: SINCE_3 },
    Row { since: v3(11), free_threaded: false, layout: SINCE_3_11 },
    Row { since: v3(13), free_threaded: true, layout: SINCE_3_11 },
]);

pub(super) fn stated_sizes(build: Build) -> StatedSizes {
    SIZES.get(build).map_or(SINCE_3_11, |(layout, _)| layout)
}
