//! `PyInterpreterState`: an interpreter.
//!
//! From 3.13 on `_Py_DebugOffsets` says where most of it is.
//! 3.14.0 to 3.14.4 had a shorter collector: computed from 3.14.7, not seen.
//!
//! Source: `Include/pystate.h`; `Include/internal/pycore_interp.h` from 3.8, `pycore_interp_structs.h`
//! from 3.14.

use super::free_lists::{
    Lists, MEMBERS_3_10, MEMBERS_3_11, MEMBERS_3_12, NamedList, STATICS_2_7, STATICS_3_6,
    STATICS_3_7, STATICS_3_9,
};
use crate::layout::{Field, Inline, Member, Ptr, Row, Shape, Spot, Table, at};
use crate::version::{V2_7, v3, v3p};

/// Where things are in `_is`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterpreterState {
    /// `sizeof`.
    pub size: u64,
    /// The next interpreter.
    pub next: Field<Ptr>,
    /// 0 for the main one.
    pub id: Option<Field<i64>>,
    /// The newest thread.
    pub threads_head: Field<Ptr>,
    /// `sys.modules`.
    pub modules: Field<Ptr>,
    /// The dict of `sys`.
    pub sysdict: Field<Ptr>,
    /// The dict of builtins.
    pub builtins: Field<Ptr>,
    /// The collector.
    pub gc: Option<Field<Inline>>,
    /// The GIL.
    pub gil: Option<Field<Ptr>>,
    /// Where the state of pymalloc is.
    pub pymalloc: Obmalloc,
    /// Dead objects kept for reuse.
    pub freelists: FreeListsAt,
    /// What types answered last when they were asked for attributes.
    pub type_cache: Option<Field<Inline>>,
}

/// Where the lists of dead objects are that are kept for reuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "a build has one, and it is not copied about")]
pub enum FreeListsAt {
    /// In static variables.
    Statics(&'static [NamedList]),
    /// In the interpreter, one by one.
    Members(Lists),
    /// In the interpreter: a [`super::free_lists::FreeLists`].
    Inside(Field<Inline>),
    /// In the state of each thread.
    OfThreads,
}

/// Where the state of pymalloc is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obmalloc {
    /// Behind a pointer: an [`super::obmalloc_state::ObmallocState`]; null without pymalloc.
    Pointer(Field<Ptr>),
    /// In the interpreter: an [`super::obmalloc_state::ObmallocState`].
    Inside(Field<Inline>),
    /// In static variables `arenas` and `maxarenas`.
    Statics,
}

/// Every layout of the struct, oldest first.
pub const INTERPRETER_STATE: Table<InterpreterState> = Table(&[
    Row {
        since: V2_7,
        free_threaded: false,
        layout: InterpreterState {
            size: 80,
            next: at("next", 0),
            id: None,
            threads_head: at("tstate_head", 8),
            modules: at("modules", 16),
            sysdict: at("sysdict", 24),
            builtins: at("builtins", 32),
            gc: None,
            gil: None,
            pymalloc: Obmalloc::Statics,
            freelists: FreeListsAt::Statics(STATICS_2_7),
            type_cache: None,
        },
    },
    Row {
        since: v3(6),
        free_threaded: false,
        layout: InterpreterState {
            size: 120,
            next: at("next", 0),
            id: None,
            threads_head: at("tstate_head", 8),
            modules: at("modules", 16),
            sysdict: at("sysdict", 32),
            builtins: at("builtins", 40),
            gc: None,
            gil: None,
            pymalloc: Obmalloc::Statics,
            freelists: FreeListsAt::Statics(STATICS_3_6),
            type_cache: None,
        },
    },
    Row {
        since: v3(7),
        free_threaded: false,
        layout: InterpreterState {
            size: 2568,
            next: at("next", 0),
            id: Some(at("id", 16)),
            threads_head: at("tstate_head", 8),
            modules: at("modules", 40),
            sysdict: at("sysdict", 56),
            builtins: at("builtins", 64),
            gc: None,
            gil: None,
            pymalloc: Obmalloc::Statics,
            freelists: FreeListsAt::Statics(STATICS_3_7),
            type_cache: None,
        },
    },
    Row {
        since: v3(8),
        free_threaded: false,
        layout: InterpreterState {
            size: 2720,
            next: at("next", 0),
            id: Some(at("id", 16)),
            threads_head: at("tstate_head", 8),
            modules: at("modules", 56),
            sysdict: at("sysdict", 72),
            builtins: at("builtins", 80),
            gc: None,
            gil: None,
            pymalloc: Obmalloc::Statics,
            freelists: FreeListsAt::Statics(STATICS_3_7),
            type_cache: None,
        },
    },
    Row {
        since: v3(9),
        free_threaded: false,
        layout: InterpreterState {
            size: 5656,
            next: at("next", 0),
            id: Some(at("id", 24)),
            threads_head: at("tstate_head", 8),
            modules: at("modules", 856),
            sysdict: at("sysdict", 872),
            builtins: at("builtins", 880),
            gc: Some(at("gc", 616)),
            gil: None,
            pymalloc: Obmalloc::Statics,
            freelists: FreeListsAt::Statics(STATICS_3_9),
            type_cache: None,
        },
    },
    Row {
        since: v3(10),
        free_threaded: false,
        layout: InterpreterState {
            size: 113_528,
            next: at("next", 0),
            id: Some(at("id", 24)),
            threads_head: at("tstate_head", 8),
            modules: at("modules", 856),
            sysdict: at("sysdict", 872),
            builtins: at("builtins", 880),
            gc: Some(at("gc", 616)),
            gil: None,
            pymalloc: Obmalloc::Statics,
            freelists: FreeListsAt::Members(MEMBERS_3_10),
            type_cache: Some(at("type_cache", 15_216)),
        },
    },
    Row {
        since: v3(11),
        free_threaded: false,
        layout: InterpreterState {
            size: 107_752,
            next: at("next", 0),
            id: Some(at("id", 48)),
            threads_head: at("threads.head", 16),
            modules: at("modules", 888),
            sysdict: at("sysdict", 904),
            builtins: at("builtins", 912),
            gc: Some(at("gc", 648)),
            gil: None,
            pymalloc: Obmalloc::Statics,
            freelists: FreeListsAt::Members(MEMBERS_3_11),
            type_cache: Some(at("type_cache", 9056)),
        },
    },
    Row {
        since: v3(12),
        free_threaded: false,
        layout: InterpreterState {
            size: 383_552,
            next: at("next", 0),
            id: Some(at("id", 8)),
            threads_head: at("threads.head", 72),
            modules: at("imports.modules", 944),
            sysdict: at("sysdict", 352),
            builtins: at("builtins", 360),
            gc: Some(at("gc", 112)),
            gil: Some(at("ceval.gil", 384)),
            pymalloc: Obmalloc::Inside(at("obmalloc", 3960)),
            freelists: FreeListsAt::Members(MEMBERS_3_12),
            type_cache: Some(at("types.type_cache", 275_392)),
        },
    },
    Row {
        since: v3(13),
        free_threaded: false,
        layout: InterpreterState {
            size: 194_968,
            next: at("next", 7264),
            id: Some(at("id", 7272)),
            threads_head: at("threads.head", 7344),
            modules: at("imports.modules", 7656),
            sysdict: at("sysdict", 7640),
            builtins: at("builtins", 7648),
            gc: Some(at("gc", 7400)),
            gil: Some(at("ceval.gil", 16)),
            pymalloc: Obmalloc::Pointer(at("obmalloc", 10_800)),
            freelists: FreeListsAt::Inside(at("object_state.freelists", 10_952)),
            type_cache: Some(at("types.type_cache", 84_656)),
        },
    },
    Row {
        since: v3p(13, 5),
        free_threaded: false,
        layout: InterpreterState {
            size: 194_976,
            next: at("next", 7264),
            id: Some(at("id", 7272)),
            threads_head: at("threads.head", 7344),
            modules: at("imports.modules", 7656),
            sysdict: at("sysdict", 7640),
            builtins: at("builtins", 7648),
            gc: Some(at("gc", 7400)),
            gil: Some(at("ceval.gil", 16)),
            pymalloc: Obmalloc::Pointer(at("obmalloc", 10_800)),
            freelists: FreeListsAt::Inside(at("object_state.freelists", 10_952)),
            type_cache: Some(at("types.type_cache", 84_656)),
        },
    },
    Row {
        since: v3p(13, 18),
        free_threaded: false,
        layout: InterpreterState {
            size: 194_984,
            next: at("next", 7264),
            id: Some(at("id", 7272)),
            threads_head: at("threads.head", 7344),
            modules: at("imports.modules", 7656),
            sysdict: at("sysdict", 7640),
            builtins: at("builtins", 7648),
            gc: Some(at("gc", 7400)),
            gil: Some(at("ceval.gil", 16)),
            pymalloc: Obmalloc::Pointer(at("obmalloc", 10_800)),
            freelists: FreeListsAt::Inside(at("object_state.freelists", 10_952)),
            type_cache: Some(at("types.type_cache", 84_656)),
        },
    },
    Row {
        since: v3(14),
        free_threaded: false,
        layout: InterpreterState {
            size: 225_840,
            next: at("next", 7272),
            id: Some(at("id", 7280)),
            threads_head: at("threads.head", 7344),
            modules: at("imports.modules", 7664),
            sysdict: at("sysdict", 7648),
            builtins: at("builtins", 7656),
            gc: Some(at("gc", 7408)),
            gil: Some(at("ceval.gil", 16)),
            pymalloc: Obmalloc::Pointer(at("obmalloc", 10_880)),
            freelists: FreeListsAt::Inside(at("object_state.freelists", 11_096)),
            type_cache: Some(at("types.type_cache", 81_904)),
        },
    },
    Row {
        since: v3p(14, 5),
        free_threaded: false,
        layout: InterpreterState {
            size: 225_864,
            next: at("next", 7272),
            id: Some(at("id", 7280)),
            threads_head: at("threads.head", 7344),
            modules: at("imports.modules", 7688),
            sysdict: at("sysdict", 7672),
            builtins: at("builtins", 7680),
            gc: Some(at("gc", 7408)),
            gil: Some(at("ceval.gil", 16)),
            pymalloc: Obmalloc::Pointer(at("obmalloc", 10_904)),
            freelists: FreeListsAt::Inside(at("object_state.freelists", 11_120)),
            type_cache: Some(at("types.type_cache", 81_928)),
        },
    },
    Row {
        since: v3(15),
        free_threaded: false,
        layout: InterpreterState {
            size: 226_240,
            next: at("next", 7264),
            id: Some(at("id", 7272)),
            threads_head: at("threads.head", 7336),
            modules: at("imports.modules", 7592),
            sysdict: at("sysdict", 7576),
            builtins: at("builtins", 7584),
            gc: Some(at("gc", 7400)),
            gil: Some(at("ceval.gil", 16)),
            pymalloc: Obmalloc::Pointer(at("obmalloc", 10_880)),
            freelists: FreeListsAt::Inside(at("object_state.freelists", 11_096)),
            type_cache: Some(at("types.type_cache", 81_952)),
        },
    },
    Row {
        since: v3(13),
        free_threaded: true,
        layout: InterpreterState {
            size: 215_616,
            next: at("next", 7264),
            id: Some(at("id", 7272)),
            threads_head: at("threads.head", 7344),
            modules: at("imports.modules", 7664),
            sysdict: at("sysdict", 7648),
            builtins: at("builtins", 7656),
            gc: Some(at("gc", 7400)),
            gil: Some(at("ceval.gil", 16)),
            pymalloc: Obmalloc::Pointer(at("obmalloc", 17_432)),
            freelists: FreeListsAt::OfThreads,
            type_cache: Some(at("types.type_cache", 87_744)),
        },
    },
    Row {
        since: v3(14),
        free_threaded: true,
        layout: InterpreterState {
            size: 246_720,
            next: at("next", 7272),
            id: Some(at("id", 7280)),
            threads_head: at("threads.head", 7344),
            modules: at("imports.modules", 7712),
            sysdict: at("sysdict", 7696),
            builtins: at("builtins", 7704),
            gc: Some(at("gc", 7408)),
            gil: Some(at("ceval.gil", 16)),
            pymalloc: Obmalloc::Pointer(at("obmalloc", 17_656)),
            freelists: FreeListsAt::OfThreads,
            type_cache: Some(at("types.type_cache", 88_048)),
        },
    },
    Row {
        since: v3p(14, 10),
        free_threaded: true,
        layout: InterpreterState {
            size: 249_976,
            next: at("next", 7272),
            id: Some(at("id", 7280)),
            threads_head: at("threads.head", 7344),
            modules: at("imports.modules", 7712),
            sysdict: at("sysdict", 7696),
            builtins: at("builtins", 7704),
            gc: Some(at("gc", 7408)),
            gil: Some(at("ceval.gil", 16)),
            pymalloc: Obmalloc::Pointer(at("obmalloc", 17_328)),
            freelists: FreeListsAt::OfThreads,
            type_cache: Some(at("types.type_cache", 87_720)),
        },
    },
    Row {
        since: v3(15),
        free_threaded: true,
        layout: InterpreterState {
            size: 250_328,
            next: at("next", 7264),
            id: Some(at("id", 7272)),
            threads_head: at("threads.head", 7336),
            modules: at("imports.modules", 7592),
            sysdict: at("sysdict", 7576),
            builtins: at("builtins", 7584),
            gc: Some(at("gc", 7400)),
            gil: Some(at("ceval.gil", 16)),
            pymalloc: Obmalloc::Pointer(at("obmalloc", 17_280)),
            freelists: FreeListsAt::OfThreads,
            type_cache: Some(at("types.type_cache", 87_688)),
        },
    },
]);

impl Shape for InterpreterState {
    const C_NAMES: &'static [&'static str] = &["_is", "PyInterpreterState"];

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "_is";
        self.next.visit_in(of, visit);
        self.id.visit_in(of, visit);
        self.threads_head.visit_in(of, visit);
        self.modules.visit_in(of, visit);
        self.sysdict.visit_in(of, visit);
        self.builtins.visit_in(of, visit);
        self.gc.visit_in(of, visit);
        self.gil.visit_in(of, visit);
        match &mut self.pymalloc {
            Obmalloc::Pointer(field) => field.visit_in(of, visit),
            Obmalloc::Inside(field) => field.visit_in(of, visit),
            Obmalloc::Statics => {}
        }
        match &mut self.freelists {
            FreeListsAt::Inside(field) => field.visit_in(of, visit),
            FreeListsAt::Members(lists) => lists.visit_in(of, visit),
            FreeListsAt::Statics(_) | FreeListsAt::OfThreads => {}
        }
        self.type_cache.visit_in(of, visit);
    }
}
