//! `PyBaseExceptionObject`: the first part of every exception.
//!
//! Source: `Include/pyerrors.h`; `Include/cpython/pyerrors.h` from 3.8.

use crate::layout::{Field, Member, Ptr, Row, Shape, Spot, Table, at};
use crate::version::{V2_7, v3};

/// Where things are in `PyBaseExceptionObject`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BaseException {
    /// `sizeof`.
    pub size: u64,
    /// Its attributes.
    pub dict: Field<Ptr>,
    /// Its arguments, a tuple.
    pub args: Field<Ptr>,
    /// 2.7: its message.
    pub message: Option<Field<Ptr>>,
    /// `__notes__`, unused.
    pub notes: Option<Field<Ptr>>,
    /// Its traceback.
    pub traceback: Option<Field<Ptr>>,
    /// `__context__`.
    pub context: Option<Field<Ptr>>,
    /// `__cause__`.
    pub cause: Option<Field<Ptr>>,
}

/// Every layout of the struct, oldest first.
pub const BASE_EXCEPTION: Table<BaseException> = Table(&[
    Row {
        since: V2_7,
        free_threaded: false,
        layout: BaseException {
            size: 40,
            dict: at("dict", 16),
            args: at("args", 24),
            message: Some(at("message", 32)),
            notes: None,
            traceback: None,
            context: None,
            cause: None,
        },
    },
    Row {
        since: v3(6),
        free_threaded: false,
        layout: BaseException {
            size: 64,
            dict: at("dict", 16),
            args: at("args", 24),
            message: None,
            notes: None,
            traceback: Some(at("traceback", 32)),
            context: Some(at("context", 40)),
            cause: Some(at("cause", 48)),
        },
    },
    Row {
        since: v3(11),
        free_threaded: false,
        layout: BaseException {
            size: 72,
            dict: at("dict", 16),
            args: at("args", 24),
            message: None,
            notes: Some(at("notes", 32)),
            traceback: Some(at("traceback", 40)),
            context: Some(at("context", 48)),
            cause: Some(at("cause", 56)),
        },
    },
    Row {
        since: v3(13),
        free_threaded: true,
        layout: BaseException {
            size: 88,
            dict: at("dict", 32),
            args: at("args", 40),
            message: None,
            notes: Some(at("notes", 48)),
            traceback: Some(at("traceback", 56)),
            context: Some(at("context", 64)),
            cause: Some(at("cause", 72)),
        },
    },
]);

impl Shape for BaseException {
    const C_NAMES: &'static [&'static str] = &["PyBaseExceptionObject"];

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "PyBaseExceptionObject";
        self.dict.visit_in(of, visit);
        self.args.visit_in(of, visit);
        self.message.visit_in(of, visit);
        self.notes.visit_in(of, visit);
        self.traceback.visit_in(of, visit);
        self.context.visit_in(of, visit);
        self.cause.visit_in(of, visit);
    }
}
