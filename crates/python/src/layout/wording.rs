//! How do the releases print objects differently?
//!
//! Source: the `tp_repr` functions, which `preview` names one by one.

use super::{Row, Table};
use crate::version::{Build, V2_7, v3};

/// What differs between releases in what `repr()` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a change that some release made")]
pub struct Wording {
    /// Large integers end in `L`.
    pub long_suffix: bool,
    /// Text begins with `u`, and only ASCII is printed as it is.
    pub unicode_prefix: bool,
    /// Bytes begin with `b`.
    pub bytes_prefix: bool,
    /// What a static type is called: `class`, or `type`.
    pub static_type: &'static str,
    /// Sets are written in braces.
    pub set_braces: bool,
    /// An exception with one argument has a comma behind it.
    pub one_argument_comma: bool,
    /// Frames say where in their code they are.
    pub frames_say_where: bool,
    /// Time differences name their parts.
    pub differences_name_parts: bool,
    /// Times say which of two equal ones they are.
    pub times_have_fold: bool,
    /// Static and class methods say what they wrap.
    pub wrappers_say_what: bool,
    /// In a `bytearray` every `'` is escaped, whatever the quotes around.
    pub apostrophes_escaped: bool,
    /// An `OrderedDict` is written as a list of pairs.
    pub ordered_dict_pairs: bool,
}

const OLDEST: Wording = Wording {
    long_suffix: true,
    unicode_prefix: true,
    bytes_prefix: false,
    static_type: "type",
    set_braces: false,
    one_argument_comma: true,
    frames_say_where: false,
    differences_name_parts: false,
    times_have_fold: false,
    wrappers_say_what: false,
    apostrophes_escaped: true,
    ordered_dict_pairs: true,
};

const SINCE_3: Wording = Wording {
    long_suffix: false,
    unicode_prefix: false,
    bytes_prefix: true,
    static_type: "class",
    set_braces: true,
    times_have_fold: true,
    ..OLDEST
};

const SINCE_3_7: Wording = Wording {
    one_argument_comma: false,
    frames_say_where: true,
    differences_name_parts: true,
    ..SINCE_3
};

const SINCE_3_10: Wording = Wording { wrappers_say_what: true, ..SINCE_3_7 };

const SINCE_3_12: Wording = Wording { ordered_dict_pairs: false, ..SINCE_3_10 };

const SINCE_3_15: Wording = Wording { apostrophes_escaped: false, ..SINCE_3_12 };

const WORDINGS: Table<Wording> = Table(&[
    Row { since: V2_7, free_threaded: false, layout: OLDEST },
    Row { since: v3(0), free_threaded: false, layout: SINCE_3 },
    Row { since: v3(7), free_threaded: false, layout: SINCE_3_7 },
    Row { since: v3(10), free_threaded: false, layout: SINCE_3_10 },
    Row { since: v3(12), free_threaded: false, layout: SINCE_3_12 },
    Row { since: v3(15), free_threaded: false, layout: SINCE_3_15 },
    Row { since: v3(13), free_threaded: true, layout: SINCE_3_12 },
    Row { since: v3(15), free_threaded: true, layout: SINCE_3_15 },
]);

pub(super) fn wording(build: Build) -> Wording {
    WORDINGS.get(build).map_or(SINCE_3_15, |(layout, _)| layout)
}
