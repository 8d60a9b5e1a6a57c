//! `PyThreadState`: a thread that runs Python code.
//!
//! | since | what changed |
//! |-------|--------------|
//! | 2.7   | the innermost frame is a frame object |
//! | 3.11  | it is behind a `_PyCFrame` |
//! | 3.13  | it is a `_PyInterpreterFrame` |
//!
//! Source: `Include/pystate.h`; `Include/cpython/pystate.h` from 3.8.

use crate::layout::{Field, Inline, Member, Ptr, Row, Shape, Spot, Table, at};
use crate::version::{V2_7, v3, v3p};

/// Where things are in `_ts`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadState {
    /// `sizeof`.
    pub size: u64,
    /// The thread state before it.
    pub prev: Option<Field<Ptr>>,
    /// The thread state after it.
    pub next: Field<Ptr>,
    /// Its interpreter.
    pub interp: Field<Ptr>,
    /// Its `pthread_t`.
    pub thread_id: Field<u64>,
    /// Its number in the kernel.
    pub native_thread_id: Option<Field<u64>>,
    /// How to get to the innermost frame.
    pub frame: CurrentFrame,
    /// What C code keeps for the thread.
    pub dict: Field<Ptr>,
    /// The stack of handled exceptions.
    pub exc_info: Option<Field<Ptr>>,
    /// The exception being raised.
    pub current_exception: Option<Field<Ptr>>,
    /// The current context.
    pub context: Option<Field<Ptr>>,
    /// Where its frames are.
    pub datastack_chunk: Option<Field<Ptr>>,
    /// 1 while it has the GIL.
    pub holds_gil: Option<Field<i32>>,
    /// Dead objects kept for reuse, without GIL: a [`super::free_lists::FreeLists`].
    pub freelists: Option<Field<Inline>>,
}

/// How to get to the innermost frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CurrentFrame {
    /// A pointer to a `_PyInterpreterFrame`.
    Current(Field<Ptr>),
    /// A pointer to a `_PyCFrame`, which has a pointer to a `_PyInterpreterFrame`.
    Cframe {
        /// The `_PyCFrame`.
        cframe: Field<Ptr>,
        /// The frame, in that struct.
        current_frame: Field<Ptr>,
        /// The `_PyCFrame` of the interpreter's loop around it.
        previous: Field<Ptr>,
    },
    /// A pointer to a frame object.
    Object(Field<Ptr>),
}

/// Every layout of the struct, oldest first.
pub const THREAD_STATE: Table<ThreadState> = Table(&[
    Row {
        since: V2_7,
        free_threaded: false,
        layout: ThreadState {
            size: 168,
            prev: None,
            next: at("next", 0),
            interp: at("interp", 8),
            thread_id: at("thread_id", 144),
            native_thread_id: None,
            frame: CurrentFrame::Object(at("frame", 16)),
            dict: at("dict", 120),
            exc_info: None,
            current_exception: None,
            context: None,
            datastack_chunk: None,
            holds_gil: None,
            freelists: None,
        },
    },
    Row {
        since: v3(6),
        free_threaded: false,
        layout: ThreadState {
            size: 2272,
            prev: Some(at("prev", 0)),
            next: at("next", 8),
            interp: at("interp", 16),
            thread_id: at("thread_id", 152),
            native_thread_id: None,
            frame: CurrentFrame::Object(at("frame", 24)),
            dict: at("dict", 128),
            exc_info: None,
            current_exception: None,
            context: None,
            datastack_chunk: None,
            holds_gil: None,
            freelists: None,
        },
    },
    Row {
        since: v3(7),
        free_threaded: false,
        layout: ThreadState {
            size: 280,
            prev: Some(at("prev", 0)),
            next: at("next", 8),
            interp: at("interp", 16),
            thread_id: at("thread_id", 176),
            native_thread_id: None,
            frame: CurrentFrame::Object(at("frame", 24)),
            dict: at("dict", 152),
            exc_info: Some(at("exc_info", 144)),
            current_exception: None,
            context: Some(at("context", 256)),
            datastack_chunk: None,
            holds_gil: None,
            freelists: None,
        },
    },
    Row {
        since: v3(8),
        free_threaded: false,
        layout: ThreadState {
            size: 264,
            prev: Some(at("prev", 0)),
            next: at("next", 8),
            interp: at("interp", 16),
            thread_id: at("thread_id", 176),
            native_thread_id: None,
            frame: CurrentFrame::Object(at("frame", 24)),
            dict: at("dict", 152),
            exc_info: Some(at("exc_info", 144)),
            current_exception: None,
            context: Some(at("context", 240)),
            datastack_chunk: None,
            holds_gil: None,
            freelists: None,
        },
    },
    Row {
        since: v3(10),
        free_threaded: false,
        layout: ThreadState {
            size: 280,
            prev: Some(at("prev", 0)),
            next: at("next", 8),
            interp: at("interp", 16),
            thread_id: at("thread_id", 176),
            native_thread_id: None,
            frame: CurrentFrame::Object(at("frame", 24)),
            dict: at("dict", 152),
            exc_info: Some(at("exc_info", 144)),
            current_exception: None,
            context: Some(at("context", 240)),
            datastack_chunk: None,
            holds_gil: None,
            freelists: None,
        },
    },
    Row {
        since: v3(11),
        free_threaded: false,
        layout: ThreadState {
            size: 360,
            prev: Some(at("prev", 0)),
            next: at("next", 8),
            interp: at("interp", 16),
            thread_id: at("thread_id", 152),
            native_thread_id: Some(at("native_thread_id", 160)),
            frame: CurrentFrame::Cframe {
                cframe: at("cframe", 56),
                current_frame: at("current_frame", 8),
                previous: at("previous", 16),
            },
            dict: at("dict", 128),
            exc_info: Some(at("exc_info", 120)),
            current_exception: None,
            context: Some(at("context", 224)),
            datastack_chunk: Some(at("datastack_chunk", 296)),
            holds_gil: None,
            freelists: None,
        },
    },
    Row {
        since: v3(12),
        free_threaded: false,
        layout: ThreadState {
            size: 288,
            prev: Some(at("prev", 0)),
            next: at("next", 8),
            interp: at("interp", 16),
            thread_id: at("thread_id", 136),
            native_thread_id: Some(at("native_thread_id", 144)),
            frame: CurrentFrame::Cframe {
                cframe: at("cframe", 56),
                current_frame: at("current_frame", 0),
                previous: at("previous", 8),
            },
            dict: at("dict", 112),
            exc_info: Some(at("exc_info", 104)),
            current_exception: Some(at("current_exception", 96)),
            context: Some(at("context", 208)),
            datastack_chunk: Some(at("datastack_chunk", 232)),
            holds_gil: None,
            freelists: None,
        },
    },
    Row {
        since: v3(13),
        free_threaded: false,
        layout: ThreadState {
            size: 304,
            prev: Some(at("prev", 0)),
            next: at("next", 8),
            interp: at("interp", 16),
            thread_id: at("thread_id", 152),
            native_thread_id: Some(at("native_thread_id", 160)),
            frame: CurrentFrame::Current(at("current_frame", 72)),
            dict: at("dict", 128),
            exc_info: Some(at("exc_info", 120)),
            current_exception: Some(at("current_exception", 112)),
            context: Some(at("context", 208)),
            datastack_chunk: Some(at("datastack_chunk", 232)),
            holds_gil: None,
            freelists: None,
        },
    },
    Row {
        since: v3p(13, 18),
        free_threaded: false,
        layout: ThreadState {
            size: 312,
            prev: Some(at("prev", 0)),
            next: at("next", 8),
            interp: at("interp", 16),
            thread_id: at("thread_id", 152),
            native_thread_id: Some(at("native_thread_id", 160)),
            frame: CurrentFrame::Current(at("current_frame", 72)),
            dict: at("dict", 128),
            exc_info: Some(at("exc_info", 120)),
            current_exception: Some(at("current_exception", 112)),
            context: Some(at("context", 208)),
            datastack_chunk: Some(at("datastack_chunk", 232)),
            holds_gil: None,
            freelists: None,
        },
    },
    Row {
        since: v3(14),
        free_threaded: false,
        layout: ThreadState {
            size: 832,
            prev: Some(at("prev", 0)),
            next: at("next", 8),
            interp: at("interp", 16),
            thread_id: at("thread_id", 152),
            native_thread_id: Some(at("native_thread_id", 160)),
            frame: CurrentFrame::Current(at("current_frame", 72)),
            dict: at("dict", 128),
            exc_info: Some(at("exc_info", 120)),
            current_exception: Some(at("current_exception", 112)),
            context: Some(at("context", 208)),
            datastack_chunk: Some(at("datastack_chunk", 232)),
            holds_gil: Some(at("holds_gil", 36)),
            freelists: None,
        },
    },
    Row {
        since: v3(15),
        free_threaded: false,
        layout: ThreadState {
            size: 888,
            prev: Some(at("prev", 0)),
            next: at("next", 8),
            interp: at("interp", 16),
            thread_id: at("thread_id", 176),
            native_thread_id: Some(at("native_thread_id", 184)),
            frame: CurrentFrame::Current(at("current_frame", 72)),
            dict: at("dict", 152),
            exc_info: Some(at("exc_info", 144)),
            current_exception: Some(at("current_exception", 136)),
            context: Some(at("context", 232)),
            datastack_chunk: Some(at("datastack_chunk", 256)),
            holds_gil: Some(at("holds_gil", 36)),
            freelists: None,
        },
    },
    Row {
        since: v3(13),
        free_threaded: true,
        layout: ThreadState {
            size: 304,
            prev: Some(at("prev", 0)),
            next: at("next", 8),
            interp: at("interp", 16),
            thread_id: at("thread_id", 152),
            native_thread_id: Some(at("native_thread_id", 160)),
            frame: CurrentFrame::Current(at("current_frame", 72)),
            dict: at("dict", 128),
            exc_info: Some(at("exc_info", 120)),
            current_exception: Some(at("current_exception", 112)),
            context: Some(at("context", 208)),
            datastack_chunk: Some(at("datastack_chunk", 232)),
            holds_gil: None,
            freelists: Some(at("freelists", 14_240)),
        },
    },
    Row {
        since: v3(14),
        free_threaded: true,
        layout: ThreadState {
            size: 832,
            prev: Some(at("prev", 0)),
            next: at("next", 8),
            interp: at("interp", 16),
            thread_id: at("thread_id", 152),
            native_thread_id: Some(at("native_thread_id", 160)),
            frame: CurrentFrame::Current(at("current_frame", 72)),
            dict: at("dict", 128),
            exc_info: Some(at("exc_info", 120)),
            current_exception: Some(at("current_exception", 112)),
            context: Some(at("context", 208)),
            datastack_chunk: Some(at("datastack_chunk", 232)),
            holds_gil: Some(at("holds_gil", 36)),
            freelists: Some(at("freelists", 14_832)),
        },
    },
    Row {
        since: v3p(14, 10),
        free_threaded: true,
        layout: ThreadState {
            size: 832,
            prev: Some(at("prev", 0)),
            next: at("next", 8),
            interp: at("interp", 16),
            thread_id: at("thread_id", 152),
            native_thread_id: Some(at("native_thread_id", 160)),
            frame: CurrentFrame::Current(at("current_frame", 72)),
            dict: at("dict", 128),
            exc_info: Some(at("exc_info", 120)),
            current_exception: Some(at("current_exception", 112)),
            context: Some(at("context", 208)),
            datastack_chunk: Some(at("datastack_chunk", 232)),
            holds_gil: Some(at("holds_gil", 36)),
            freelists: Some(at("freelists", 18_440)),
        },
    },
    Row {
        since: v3(15),
        free_threaded: true,
        layout: ThreadState {
            size: 888,
            prev: Some(at("prev", 0)),
            next: at("next", 8),
            interp: at("interp", 16),
            thread_id: at("thread_id", 176),
            native_thread_id: Some(at("native_thread_id", 184)),
            frame: CurrentFrame::Current(at("current_frame", 72)),
            dict: at("dict", 152),
            exc_info: Some(at("exc_info", 144)),
            current_exception: Some(at("current_exception", 136)),
            context: Some(at("context", 232)),
            datastack_chunk: Some(at("datastack_chunk", 256)),
            holds_gil: Some(at("holds_gil", 36)),
            freelists: Some(at("freelists", 18_608)),
        },
    },
]);

impl Shape for ThreadState {
    const C_NAMES: &'static [&'static str] = &["_ts", "PyThreadState"];

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "_ts";
        self.prev.visit_in(of, visit);
        self.next.visit_in(of, visit);
        self.interp.visit_in(of, visit);
        self.thread_id.visit_in(of, visit);
        self.native_thread_id.visit_in(of, visit);
        match &mut self.frame {
            CurrentFrame::Current(field) | CurrentFrame::Object(field) => field.visit_in(of, visit),
            CurrentFrame::Cframe { cframe, current_frame, previous } => {
                cframe.visit_in(of, visit);
                current_frame.visit_in("_PyCFrame", visit);
                previous.visit_in("_PyCFrame", visit);
            }
        }
        self.dict.visit_in(of, visit);
        self.exc_info.visit_in(of, visit);
        self.current_exception.visit_in(of, visit);
        self.context.visit_in(of, visit);
        self.datastack_chunk.visit_in(of, visit);
        self.holds_gil.visit_in(of, visit);
        self.freelists.visit_in("_PyThreadStateImpl", visit);
    }
}
