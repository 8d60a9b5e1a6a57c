//! What CPython keeps of dead objects, for those to come: lists, each with a limit.
//!
//! | since | where, and what changed |
//! |-------|--------------|
//! | 2.7   | static variables of the C files: no table but [`STATICS_2_7`] and its like |
//! | 3.10  | members of an interpreter, see [`super::interpreter_state`] |
//! | 3.13  | a struct of an interpreter's; without GIL of a thread's |
//! | 3.14  | each is a head and a count, linked by the first word of what is free |
//!
//! Source: `Include/internal/pycore_freelist.h`, 3.13; `pycore_freelist_state.h` and
//! `pycore_interp_structs.h` from 3.14. Limits: `PyDict_MAXFREELIST` and its like.

use crate::layout::{Field, Inline, Member, Row, Shape, Spot, Table, at};
use crate::version::v3;

/// More kinds no release has.
const MOST_KINDS: usize = 24;

/// The lists of one release.
pub type Lists = [Option<Kept>; MOST_KINDS];

/// Where things are in `_Py_freelists`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FreeLists {
    /// `sizeof`.
    pub size: u64,
    /// Every list.
    pub lists: Lists,
}

/// One list, or those of one kind for several lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// What is free: places for these.
    pub of: &'static str,
    /// How many a list takes.
    pub most: u64,
    /// Where the first is.
    pub head: Field<Inline>,
    /// Where it is said how many there are.
    pub count: Field<Inline>,
    /// What head and count are.
    pub form: Form,
    /// Where in one that is free the next is.
    pub link: Link,
}

/// What head and count of a list are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// An array of addresses; an `int`.
    Slots,
    /// An address; an `int`.
    Chain,
    /// [`LENGTHS`] addresses, as many `int`s.
    Chains,
    /// The same, but the first is that of the one empty tuple, which is alive.
    ChainsFromOne,
    /// An address; a `Py_ssize_t`.
    Pair,
    /// [`LENGTHS`] pairs of both.
    Pairs,
}

/// `PyTuple_MAXSAVESIZE`: tuples of so many lengths are kept.
pub const LENGTHS: u64 = 20;

/// Where in one that is free the address of the next is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// The first word.
    First,
    /// Where its type was.
    Type,
    /// Where the first item was.
    Item,
    /// The frame before: `f_back`.
    Back,
    /// The second word after what every object has: `im_self`, `m_self`.
    Own,
    /// The third: `ctx_weakreflist`.
    Third,
}

/// A list in static variables: the C file, the variable with the head, that with the count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamedList {
    /// The C file.
    pub file: &'static str,
    /// The list; its fields are the names of the variables.
    pub kept: Kept,
}

const fn kept(
    of: &'static str,
    most: u64,
    form: Form,
    link: Link,
    head: &'static str,
    count: &'static str,
) -> Kept {
    Kept { of, most, head: at(head, 0), count: at(count, 0), form, link }
}

const fn named(
    file: &'static str,
    of: &'static str,
    most: u64,
    form: Form,
    link: Link,
) -> NamedList {
    NamedList { file, kept: kept(of, most, form, link, "free_list", "numfree") }
}

const fn named_so(
    file: &'static str,
    of: &'static str,
    most: u64,
    form: Form,
    link: Link,
    [head, count]: [&'static str; 2],
) -> NamedList {
    NamedList { file, kept: kept(of, most, form, link, head, count) }
}

const TUPLES: NamedList = named("tupleobject.c", "tuple", 2000, Form::ChainsFromOne, Link::Item);
const LISTS: NamedList = named("listobject.c", "list", 80, Form::Slots, Link::First);
const DICTS: NamedList = named("dictobject.c", "dict", 80, Form::Slots, Link::First);
const FRAMES: NamedList = named("frameobject.c", "frame", 200, Form::Chain, Link::Back);
const BUILTINS: NamedList = named("methodobject.c", "builtin method", 256, Form::Chain, Link::Own);
const METHODS: NamedList = named("classobject.c", "method", 256, Form::Chain, Link::Own);
const FLOATS: NamedList = named("floatobject.c", "float", 100, Form::Chain, Link::Type);
const KEYS: NamedList = named_so(
    "dictobject.c",
    "keys of a dict",
    80,
    Form::Slots,
    Link::First,
    ["keys_free_list", "numfreekeys"],
);
const YIELDED: NamedList = named_so(
    "genobject.c",
    "value of an async generator",
    80,
    Form::Slots,
    Link::First,
    ["ag_value_freelist", "ag_value_freelist_free"],
);
const SENT: NamedList = named_so(
    "genobject.c",
    "send to an async generator",
    80,
    Form::Slots,
    Link::First,
    ["ag_asend_freelist", "ag_asend_freelist_free"],
);
const CONTEXTS: NamedList = named_so(
    "context.c",
    "context",
    255,
    Form::Chain,
    Link::Third,
    ["ctx_freelist", "ctx_freelist_len"],
);

/// 2.7; for its numbers see [`crate::layout::NumberBlocks`].
pub const STATICS_2_7: &[NamedList] = &[
    TUPLES,
    LISTS,
    DICTS,
    named("setobject.c", "set", 80, Form::Slots, Link::First),
    FRAMES,
    BUILTINS,
    METHODS,
    named("unicodeobject.c", "unicode", 1024, Form::Chain, Link::First),
];

/// 3.6.
pub const STATICS_3_6: &[NamedList] =
    &[TUPLES, LISTS, DICTS, KEYS, FRAMES, BUILTINS, METHODS, FLOATS, YIELDED, SENT];

/// 3.7 and 3.8.
pub const STATICS_3_7: &[NamedList] =
    &[TUPLES, LISTS, DICTS, KEYS, FRAMES, BUILTINS, METHODS, FLOATS, YIELDED, SENT, CONTEXTS];

/// 3.9: methods are kept no more.
pub const STATICS_3_9: &[NamedList] =
    &[TUPLES, LISTS, DICTS, KEYS, FRAMES, FLOATS, YIELDED, SENT, CONTEXTS];

#[expect(clippy::indexing_slicing, reason = "the compiler runs it: too many do not compile")]
const fn listed<const N: usize>(kinds: [Kept; N]) -> Lists {
    let mut lists = [None; MOST_KINDS];
    let mut index = 0;
    while index < N {
        lists[index] = Some(kinds[index]);
        index += 1;
    }
    lists
}

/// Members of an interpreter, 3.10.
pub const MEMBERS_3_10: Lists = listed([
    Kept {
        of: "float",
        most: 100,
        head: at("float_state.free_list", 9784),
        count: at("float_state.numfree", 9776),
        form: Form::Chain,
        link: Link::Type,
    },
    Kept {
        of: "tuple",
        most: 2000,
        head: at("tuple.free_list", 9800),
        count: at("tuple.numfree", 9960),
        form: Form::ChainsFromOne,
        link: Link::Item,
    },
    Kept {
        of: "list",
        most: 80,
        head: at("list.free_list", 10_040),
        count: at("list.numfree", 10_680),
        form: Form::Slots,
        link: Link::First,
    },
    Kept {
        of: "frame",
        most: 200,
        head: at("frame.free_list", 11_984),
        count: at("frame.numfree", 11_992),
        form: Form::Chain,
        link: Link::Back,
    },
    Kept {
        of: "dict",
        most: 80,
        head: at("dict_state.free_list", 10_688),
        count: at("dict_state.numfree", 11_328),
        form: Form::Slots,
        link: Link::First,
    },
    Kept {
        of: "keys of a dict",
        most: 80,
        head: at("dict_state.keys_free_list", 11_336),
        count: at("dict_state.keys_numfree", 11_976),
        form: Form::Slots,
        link: Link::First,
    },
    Kept {
        of: "value of an async generator",
        most: 80,
        head: at("async_gen.value_freelist", 12_000),
        count: at("async_gen.value_numfree", 12_640),
        form: Form::Slots,
        link: Link::First,
    },
    Kept {
        of: "send to an async generator",
        most: 80,
        head: at("async_gen.asend_freelist", 12_648),
        count: at("async_gen.asend_numfree", 13_288),
        form: Form::Slots,
        link: Link::First,
    },
    Kept {
        of: "context",
        most: 255,
        head: at("context.freelist", 13_296),
        count: at("context.numfree", 13_304),
        form: Form::Chain,
        link: Link::Third,
    },
]);

/// Members of an interpreter, 3.11.
pub const MEMBERS_3_11: Lists = listed([
    Kept {
        of: "float",
        most: 100,
        head: at("float_state.free_list", 3616),
        count: at("float_state.numfree", 3608),
        form: Form::Chain,
        link: Link::Type,
    },
    Kept {
        of: "tuple",
        most: 2000,
        head: at("tuple.free_list", 3632),
        count: at("tuple.numfree", 3792),
        form: Form::Chains,
        link: Link::Item,
    },
    Kept {
        of: "list",
        most: 80,
        head: at("list.free_list", 3872),
        count: at("list.numfree", 4512),
        form: Form::Slots,
        link: Link::First,
    },
    Kept {
        of: "dict",
        most: 80,
        head: at("dict_state.free_list", 4520),
        count: at("dict_state.numfree", 5160),
        form: Form::Slots,
        link: Link::First,
    },
    Kept {
        of: "keys of a dict",
        most: 80,
        head: at("dict_state.keys_free_list", 5168),
        count: at("dict_state.keys_numfree", 5808),
        form: Form::Slots,
        link: Link::First,
    },
    Kept {
        of: "value of an async generator",
        most: 80,
        head: at("async_gen.value_freelist", 5816),
        count: at("async_gen.value_numfree", 6456),
        form: Form::Slots,
        link: Link::First,
    },
    Kept {
        of: "send to an async generator",
        most: 80,
        head: at("async_gen.asend_freelist", 6464),
        count: at("async_gen.asend_numfree", 7104),
        form: Form::Slots,
        link: Link::First,
    },
    Kept {
        of: "context",
        most: 255,
        head: at("context.freelist", 7112),
        count: at("context.numfree", 7120),
        form: Form::Chain,
        link: Link::Third,
    },
]);

/// Members of an interpreter, 3.12.
pub const MEMBERS_3_12: Lists = listed([
    Kept {
        of: "float",
        most: 100,
        head: at("float_state.free_list", 267_416),
        count: at("float_state.numfree", 267_408),
        form: Form::Chain,
        link: Link::Type,
    },
    Kept {
        of: "tuple",
        most: 2000,
        head: at("tuple.free_list", 269_832),
        count: at("tuple.numfree", 269_992),
        form: Form::Chains,
        link: Link::Item,
    },
    Kept {
        of: "list",
        most: 80,
        head: at("list.free_list", 270_072),
        count: at("list.numfree", 270_712),
        form: Form::Slots,
        link: Link::First,
    },
    Kept {
        of: "dict",
        most: 80,
        head: at("dict_state.free_list", 270_736),
        count: at("dict_state.numfree", 272_016),
        form: Form::Slots,
        link: Link::First,
    },
    Kept {
        of: "keys of a dict",
        most: 80,
        head: at("dict_state.keys_free_list", 271_376),
        count: at("dict_state.keys_numfree", 272_020),
        form: Form::Slots,
        link: Link::First,
    },
    Kept {
        of: "value of an async generator",
        most: 80,
        head: at("async_gen.value_freelist", 272_088),
        count: at("async_gen.value_numfree", 272_728),
        form: Form::Slots,
        link: Link::First,
    },
    Kept {
        of: "send to an async generator",
        most: 80,
        head: at("async_gen.asend_freelist", 272_736),
        count: at("async_gen.asend_numfree", 273_376),
        form: Form::Slots,
        link: Link::First,
    },
    Kept {
        of: "context",
        most: 255,
        head: at("context.freelist", 273_384),
        count: at("context.numfree", 273_392),
        form: Form::Chain,
        link: Link::Third,
    },
]);

const LISTS_3_13: Lists = listed([
    Kept {
        of: "float",
        most: 100,
        head: at("floats.items", 8),
        count: at("floats.numfree", 0),
        form: Form::Chain,
        link: Link::Type,
    },
    Kept {
        of: "tuple",
        most: 2000,
        head: at("tuples.items", 16),
        count: at("tuples.numfree", 176),
        form: Form::Chains,
        link: Link::Item,
    },
    Kept {
        of: "list",
        most: 80,
        head: at("lists.items", 256),
        count: at("lists.numfree", 896),
        form: Form::Slots,
        link: Link::First,
    },
    Kept {
        of: "dict",
        most: 80,
        head: at("dicts.items", 904),
        count: at("dicts.numfree", 1544),
        form: Form::Slots,
        link: Link::First,
    },
    Kept {
        of: "keys of a dict",
        most: 80,
        head: at("dictkeys.items", 1552),
        count: at("dictkeys.numfree", 2192),
        form: Form::Slots,
        link: Link::First,
    },
    Kept {
        of: "context",
        most: 255,
        head: at("contexts.items", 2208),
        count: at("contexts.numfree", 2216),
        form: Form::Chain,
        link: Link::Third,
    },
    Kept {
        of: "value of an async generator",
        most: 80,
        head: at("async_gens.items", 2224),
        count: at("async_gens.numfree", 2864),
        form: Form::Slots,
        link: Link::First,
    },
    Kept {
        of: "send to an async generator",
        most: 80,
        head: at("async_gen_asends.items", 2872),
        count: at("async_gen_asends.numfree", 3512),
        form: Form::Slots,
        link: Link::First,
    },
    Kept {
        of: "chunk of the collector's stack",
        most: 4,
        head: at("object_stacks.items", 3520),
        count: at("object_stacks.numfree", 3528),
        form: Form::Chain,
        link: Link::First,
    },
]);

const LISTS_3_14: Lists = listed([
    Kept {
        of: "float",
        most: 100,
        head: at("floats.freelist", 0),
        count: at("floats.size", 8),
        form: Form::Pair,
        link: Link::First,
    },
    Kept {
        of: "int",
        most: 100,
        head: at("ints.freelist", 16),
        count: at("ints.size", 24),
        form: Form::Pair,
        link: Link::First,
    },
    Kept {
        of: "tuple",
        most: 2000,
        head: at("tuples", 32),
        count: at("tuples", 32),
        form: Form::Pairs,
        link: Link::First,
    },
    Kept {
        of: "list",
        most: 80,
        head: at("lists.freelist", 352),
        count: at("lists.size", 360),
        form: Form::Pair,
        link: Link::First,
    },
    Kept {
        of: "list iterator",
        most: 10,
        head: at("list_iters.freelist", 368),
        count: at("list_iters.size", 376),
        form: Form::Pair,
        link: Link::First,
    },
    Kept {
        of: "tuple iterator",
        most: 10,
        head: at("tuple_iters.freelist", 384),
        count: at("tuple_iters.size", 392),
        form: Form::Pair,
        link: Link::First,
    },
    Kept {
        of: "dict",
        most: 80,
        head: at("dicts.freelist", 400),
        count: at("dicts.size", 408),
        form: Form::Pair,
        link: Link::First,
    },
    Kept {
        of: "keys of a dict",
        most: 80,
        head: at("dictkeys.freelist", 416),
        count: at("dictkeys.size", 424),
        form: Form::Pair,
        link: Link::First,
    },
    Kept {
        of: "slice",
        most: 1,
        head: at("slices.freelist", 432),
        count: at("slices.size", 440),
        form: Form::Pair,
        link: Link::First,
    },
    Kept {
        of: "range",
        most: 6,
        head: at("ranges.freelist", 448),
        count: at("ranges.size", 456),
        form: Form::Pair,
        link: Link::First,
    },
    Kept {
        of: "range iterator",
        most: 6,
        head: at("range_iters.freelist", 464),
        count: at("range_iters.size", 472),
        form: Form::Pair,
        link: Link::First,
    },
    Kept {
        of: "context",
        most: 255,
        head: at("contexts.freelist", 480),
        count: at("contexts.size", 488),
        form: Form::Pair,
        link: Link::First,
    },
    Kept {
        of: "value of an async generator",
        most: 80,
        head: at("async_gens.freelist", 496),
        count: at("async_gens.size", 504),
        form: Form::Pair,
        link: Link::First,
    },
    Kept {
        of: "send to an async generator",
        most: 80,
        head: at("async_gen_asends.freelist", 512),
        count: at("async_gen_asends.size", 520),
        form: Form::Pair,
        link: Link::First,
    },
    Kept {
        of: "iterator of a future",
        most: 255,
        head: at("futureiters.freelist", 528),
        count: at("futureiters.size", 536),
        form: Form::Pair,
        link: Link::First,
    },
    Kept {
        of: "chunk of the collector's stack",
        most: 4,
        head: at("object_stack_chunks.freelist", 544),
        count: at("object_stack_chunks.size", 552),
        form: Form::Pair,
        link: Link::First,
    },
    Kept {
        of: "writer of text",
        most: 1,
        head: at("unicode_writers.freelist", 560),
        count: at("unicode_writers.size", 568),
        form: Form::Pair,
        link: Link::First,
    },
    Kept {
        of: "builtin function",
        most: 16,
        head: at("pycfunctionobject.freelist", 576),
        count: at("pycfunctionobject.size", 584),
        form: Form::Pair,
        link: Link::First,
    },
    Kept {
        of: "builtin method",
        most: 16,
        head: at("pycmethodobject.freelist", 592),
        count: at("pycmethodobject.size", 600),
        form: Form::Pair,
        link: Link::First,
    },
    Kept {
        of: "method",
        most: 20,
        head: at("pymethodobjects.freelist", 608),
        count: at("pymethodobjects.size", 616),
        form: Form::Pair,
        link: Link::First,
    },
]);

const LISTS_3_15: Lists = listed([
    Kept {
        of: "float",
        most: 100,
        head: at("floats.freelist", 0),
        count: at("floats.size", 8),
        form: Form::Pair,
        link: Link::First,
    },
    Kept {
        of: "complex",
        most: 100,
        head: at("complexes.freelist", 16),
        count: at("complexes.size", 24),
        form: Form::Pair,
        link: Link::First,
    },
    Kept {
        of: "int",
        most: 100,
        head: at("ints.freelist", 32),
        count: at("ints.size", 40),
        form: Form::Pair,
        link: Link::First,
    },
    Kept {
        of: "tuple",
        most: 2000,
        head: at("tuples", 48),
        count: at("tuples", 48),
        form: Form::Pairs,
        link: Link::First,
    },
    Kept {
        of: "list",
        most: 80,
        head: at("lists.freelist", 368),
        count: at("lists.size", 376),
        form: Form::Pair,
        link: Link::First,
    },
    Kept {
        of: "list iterator",
        most: 10,
        head: at("list_iters.freelist", 384),
        count: at("list_iters.size", 392),
        form: Form::Pair,
        link: Link::First,
    },
    Kept {
        of: "tuple iterator",
        most: 10,
        head: at("tuple_iters.freelist", 400),
        count: at("tuple_iters.size", 408),
        form: Form::Pair,
        link: Link::First,
    },
    Kept {
        of: "dict",
        most: 80,
        head: at("dicts.freelist", 416),
        count: at("dicts.size", 424),
        form: Form::Pair,
        link: Link::First,
    },
    Kept {
        of: "keys of a dict",
        most: 80,
        head: at("dictkeys.freelist", 432),
        count: at("dictkeys.size", 440),
        form: Form::Pair,
        link: Link::First,
    },
    Kept {
        of: "slice",
        most: 1,
        head: at("slices.freelist", 448),
        count: at("slices.size", 456),
        form: Form::Pair,
        link: Link::First,
    },
    Kept {
        of: "range",
        most: 6,
        head: at("ranges.freelist", 464),
        count: at("ranges.size", 472),
        form: Form::Pair,
        link: Link::First,
    },
    Kept {
        of: "range iterator",
        most: 6,
        head: at("range_iters.freelist", 480),
        count: at("range_iters.size", 488),
        form: Form::Pair,
        link: Link::First,
    },
    Kept {
        of: "context",
        most: 255,
        head: at("contexts.freelist", 496),
        count: at("contexts.size", 504),
        form: Form::Pair,
        link: Link::First,
    },
    Kept {
        of: "value of an async generator",
        most: 80,
        head: at("async_gens.freelist", 512),
        count: at("async_gens.size", 520),
        form: Form::Pair,
        link: Link::First,
    },
    Kept {
        of: "send to an async generator",
        most: 80,
        head: at("async_gen_asends.freelist", 528),
        count: at("async_gen_asends.size", 536),
        form: Form::Pair,
        link: Link::First,
    },
    Kept {
        of: "iterator of a future",
        most: 255,
        head: at("futureiters.freelist", 544),
        count: at("futureiters.size", 552),
        form: Form::Pair,
        link: Link::First,
    },
    Kept {
        of: "chunk of the collector's stack",
        most: 4,
        head: at("object_stack_chunks.freelist", 560),
        count: at("object_stack_chunks.size", 568),
        form: Form::Pair,
        link: Link::First,
    },
    Kept {
        of: "writer of text",
        most: 1,
        head: at("unicode_writers.freelist", 576),
        count: at("unicode_writers.size", 584),
        form: Form::Pair,
        link: Link::First,
    },
    Kept {
        of: "writer of bytes",
        most: 1,
        head: at("bytes_writers.freelist", 592),
        count: at("bytes_writers.size", 600),
        form: Form::Pair,
        link: Link::First,
    },
    Kept {
        of: "builtin function",
        most: 16,
        head: at("pycfunctionobject.freelist", 608),
        count: at("pycfunctionobject.size", 616),
        form: Form::Pair,
        link: Link::First,
    },
    Kept {
        of: "builtin method",
        most: 16,
        head: at("pycmethodobject.freelist", 624),
        count: at("pycmethodobject.size", 632),
        form: Form::Pair,
        link: Link::First,
    },
    Kept {
        of: "method",
        most: 20,
        head: at("pymethodobjects.freelist", 640),
        count: at("pymethodobjects.size", 648),
        form: Form::Pair,
        link: Link::First,
    },
]);

/// Every layout of the struct, oldest first.
pub const FREE_LISTS: Table<FreeLists> = Table(&[
    Row {
        since: v3(13),
        free_threaded: false,
        layout: FreeLists { size: 3536, lists: LISTS_3_13 },
    },
    Row { since: v3(14), free_threaded: false, layout: FreeLists { size: 624, lists: LISTS_3_14 } },
    Row { since: v3(15), free_threaded: false, layout: FreeLists { size: 656, lists: LISTS_3_15 } },
    Row { since: v3(13), free_threaded: true, layout: FreeLists { size: 3536, lists: LISTS_3_13 } },
    Row { since: v3(14), free_threaded: true, layout: FreeLists { size: 624, lists: LISTS_3_14 } },
    Row { since: v3(15), free_threaded: true, layout: FreeLists { size: 656, lists: LISTS_3_15 } },
]);

impl Member for Kept {
    fn visit_in(&mut self, of: &'static str, visit: &mut dyn FnMut(Spot<'_>)) {
        self.head.visit_in(of, visit);
        self.count.visit_in(of, visit);
    }
}

impl Member for Lists {
    fn visit_in(&mut self, of: &'static str, visit: &mut dyn FnMut(Spot<'_>)) {
        for list in self {
            list.visit_in(of, visit);
        }
    }
}

impl Shape for FreeLists {
    const C_NAMES: &'static [&'static str] = &["_Py_freelists", "_Py_object_freelists"];

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        self.lists.visit_in("_Py_freelists", visit);
    }
}
