//! `PyModuleObject`: a module.
//!
//! Source: `Objects/moduleobject.c`; `Include/internal/pycore_moduleobject.h` from 3.11.

use crate::layout::{Field, Member, Ptr, Row, Shape, Spot, Table, at};
use crate::version::{V2_7, v3};

/// Where things are in `PyModuleObject`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Module {
    /// `sizeof`.
    pub size: u64,
    /// Its dict.
    pub md_dict: Field<Ptr>,
    /// The C definition, of C modules.
    pub md_def: Option<Field<Ptr>>,
    /// What the C code keeps.
    pub md_state: Option<Field<Ptr>>,
    /// Its name.
    pub md_name: Option<Field<Ptr>>,
    /// How large `md_state` is; before 3.15 `m_size` of the definition says so.
    pub md_state_size: Option<Field<i64>>,
}

/// Every layout of the struct, oldest first.
pub const MODULE: Table<Module> = Table(&[
    Row {
        since: V2_7,
        free_threaded: false,
        layout: Module {
            size: 24,
            md_dict: at("md_dict", 16),
            md_def: None,
            md_state: None,
            md_name: None,
            md_state_size: None,
        },
    },
    Row {
        since: v3(6),
        free_threaded: false,
        layout: Module {
            size: 56,
            md_dict: at("md_dict", 16),
            md_def: Some(at("md_def", 24)),
            md_state: Some(at("md_state", 32)),
            md_name: Some(at("md_name", 48)),
            md_state_size: None,
        },
    },
    Row {
        since: v3(15),
        free_threaded: false,
        layout: Module {
            size: 104,
            md_dict: at("md_dict", 16),
            md_def: None,
            md_state: Some(at("md_state", 24)),
            md_name: Some(at("md_name", 40)),
            md_state_size: Some(at("md_state_size", 56)),
        },
    },
    Row {
        since: v3(13),
        free_threaded: true,
        layout: Module {
            size: 80,
            md_dict: at("md_dict", 32),
            md_def: Some(at("md_def", 40)),
            md_state: Some(at("md_state", 48)),
            md_name: Some(at("md_name", 64)),
            md_state_size: None,
        },
    },
    Row {
        since: v3(15),
        free_threaded: true,
        layout: Module {
            size: 120,
            md_dict: at("md_dict", 32),
            md_def: None,
            md_state: Some(at("md_state", 40)),
            md_name: Some(at("md_name", 56)),
            md_state_size: Some(at("md_state_size", 72)),
        },
    },
]);

impl Shape for Module {
    const C_NAMES: &'static [&'static str] = &["PyModuleObject"];

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "PyModuleObject";
        self.md_dict.visit_in(of, visit);
        self.md_def.visit_in(of, visit);
        self.md_state.visit_in(of, visit);
        self.md_name.visit_in(of, visit);
        self.md_state_size.visit_in(of, visit);
    }
}
