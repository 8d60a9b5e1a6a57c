//! `PyGenObject`: a generator; coroutines begin alike.
//!
//! | since | what changed |
//! |-------|--------------|
//! | 2.7   | points at a frame object |
//! | 3.11  | contains the frame |
//! | 3.15  | the states have other numbers |
//!
//! Source: `Include/genobject.h`; `Include/internal/pycore_interpframe_structs.h` from 3.14.

use crate::layout::{Field, Inline, Member, Ptr, Row, Shape, Spot, Table, at};
use crate::version::{V2_7, v3};

/// Where things are in `PyGenObject`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generator {
    /// `sizeof`; from 3.11 on an embedded frame adds its slots.
    pub size: u64,
    /// Where its frame is.
    pub frame: GeneratorFrame,
    /// The state while running; less while suspended.
    pub executing: i8,
    /// From this state on there is no frame any more.
    pub finished_from: i8,
    /// Its code; from 3.12 on only in the frame.
    pub code: Option<Field<Ptr>>,
    /// Its name.
    pub name: Option<Field<Ptr>>,
    /// Its qualified name.
    pub qualname: Option<Field<Ptr>>,
}

/// Where its frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GeneratorFrame {
    /// A `_PyInterpreterFrame` in the generator.
    Inside {
        /// The frame.
        frame: Field<Inline>,
        /// What it does.
        state: Field<i8>,
    },
    /// A frame object, null once finished.
    Object(Field<Ptr>),
}

/// Every layout of the struct, oldest first.
pub const GENERATOR: Table<Generator> = Table(&[
    Row {
        since: V2_7,
        free_threaded: false,
        layout: Generator {
            size: 48,
            frame: GeneratorFrame::Object(at("gi_frame", 16)),
            executing: 0,
            finished_from: 1,
            code: Some(at("gi_code", 32)),
            name: None,
            qualname: None,
        },
    },
    Row {
        since: v3(6),
        free_threaded: false,
        layout: Generator {
            size: 64,
            frame: GeneratorFrame::Object(at("gi_frame", 16)),
            executing: 0,
            finished_from: 1,
            code: Some(at("gi_code", 32)),
            name: Some(at("gi_name", 48)),
            qualname: Some(at("gi_qualname", 56)),
        },
    },
    Row {
        since: v3(7),
        free_threaded: false,
        layout: Generator {
            size: 96,
            frame: GeneratorFrame::Object(at("gi_frame", 16)),
            executing: 0,
            finished_from: 1,
            code: Some(at("gi_code", 32)),
            name: Some(at("gi_name", 48)),
            qualname: Some(at("gi_qualname", 56)),
        },
    },
    Row {
        since: v3(10),
        free_threaded: false,
        layout: Generator {
            size: 88,
            frame: GeneratorFrame::Object(at("gi_frame", 16)),
            executing: 0,
            finished_from: 1,
            code: Some(at("gi_code", 24)),
            name: Some(at("gi_name", 40)),
            qualname: Some(at("gi_qualname", 48)),
        },
    },
    Row {
        since: v3(11),
        free_threaded: false,
        layout: Generator {
            size: 88,
            frame: GeneratorFrame::Inside {
                frame: at("gi_iframe", 80),
                state: at("gi_frame_state", 75),
            },
            executing: 0,
            finished_from: 1,
            code: Some(at("gi_code", 16)),
            name: Some(at("gi_name", 32)),
            qualname: Some(at("gi_qualname", 40)),
        },
    },
    Row {
        since: v3(12),
        free_threaded: false,
        layout: Generator {
            size: 80,
            frame: GeneratorFrame::Inside {
                frame: at("gi_iframe", 72),
                state: at("gi_frame_state", 67),
            },
            executing: 0,
            finished_from: 1,
            code: None,
            name: Some(at("gi_name", 24)),
            qualname: Some(at("gi_qualname", 32)),
        },
    },
    Row {
        since: v3(14),
        free_threaded: false,
        layout: Generator {
            size: 160,
            frame: GeneratorFrame::Inside {
                frame: at("gi_iframe", 72),
                state: at("gi_frame_state", 67),
            },
            executing: 0,
            finished_from: 1,
            code: None,
            name: Some(at("gi_name", 24)),
            qualname: Some(at("gi_qualname", 32)),
        },
    },
    Row {
        since: v3(15),
        free_threaded: false,
        layout: Generator {
            size: 160,
            frame: GeneratorFrame::Inside {
                frame: at("gi_iframe", 72),
                state: at("gi_frame_state", 67),
            },
            executing: 4,
            finished_from: 5,
            code: None,
            name: Some(at("gi_name", 24)),
            qualname: Some(at("gi_qualname", 32)),
        },
    },
    Row {
        since: v3(13),
        free_threaded: true,
        layout: Generator {
            size: 96,
            frame: GeneratorFrame::Inside {
                frame: at("gi_iframe", 88),
                state: at("gi_frame_state", 83),
            },
            executing: 0,
            finished_from: 1,
            code: None,
            name: Some(at("gi_name", 40)),
            qualname: Some(at("gi_qualname", 48)),
        },
    },
    Row {
        since: v3(14),
        free_threaded: true,
        layout: Generator {
            size: 176,
            frame: GeneratorFrame::Inside {
                frame: at("gi_iframe", 88),
                state: at("gi_frame_state", 83),
            },
            executing: 0,
            finished_from: 1,
            code: None,
            name: Some(at("gi_name", 40)),
            qualname: Some(at("gi_qualname", 48)),
        },
    },
    Row {
        since: v3(15),
        free_threaded: true,
        layout: Generator {
            size: 176,
            frame: GeneratorFrame::Inside {
                frame: at("gi_iframe", 88),
                state: at("gi_frame_state", 83),
            },
            executing: 4,
            finished_from: 5,
            code: None,
            name: Some(at("gi_name", 40)),
            qualname: Some(at("gi_qualname", 48)),
        },
    },
]);

impl Shape for Generator {
    const C_NAMES: &'static [&'static str] = &["PyGenObject"];

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "PyGenObject";
        match &mut self.frame {
            GeneratorFrame::Inside { frame, state } => {
                frame.visit_in(of, visit);
                state.visit_in(of, visit);
            }
            GeneratorFrame::Object(field) => field.visit_in(of, visit),
        }
        self.code.visit_in(of, visit);
        self.name.visit_in(of, visit);
        self.qualname.visit_in(of, visit);
    }
}
