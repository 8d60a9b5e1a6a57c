//! `PyFunctionObject`: a function.
//!
//! Source: `Include/funcobject.h`; `Include/cpython/funcobject.h` from 3.11.

use crate::layout::{Field, Member, Ptr, Row, Shape, Spot, Table, at};
use crate::version::{V2_7, v3};

/// Where things are in `PyFunctionObject`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FunctionObject {
    /// `sizeof`.
    pub size: u64,
    /// Its code.
    pub func_code: Field<Ptr>,
    /// The dict of its module.
    pub func_globals: Field<Ptr>,
    /// Its name.
    pub func_name: Field<Ptr>,
    /// Default values, a tuple or null.
    pub func_defaults: Field<Ptr>,
    /// Cells of outer variables, a tuple or null.
    pub func_closure: Field<Ptr>,
    /// Its docstring.
    pub func_doc: Field<Ptr>,
    /// Its attributes.
    pub func_dict: Field<Ptr>,
    /// The name of its module.
    pub func_module: Field<Ptr>,
    /// Its qualified name.
    pub func_qualname: Option<Field<Ptr>>,
    /// Default values of keyword-only arguments.
    pub func_kwdefaults: Option<Field<Ptr>>,
    /// Its annotations.
    pub func_annotations: Option<Field<Ptr>>,
}

/// Every layout of the struct, oldest first.
pub const FUNCTION_OBJECT: Table<FunctionObject> = Table(&[
    Row {
        since: V2_7,
        free_threaded: false,
        layout: FunctionObject {
            size: 88,
            func_code: at("func_code", 16),
            func_globals: at("func_globals", 24),
            func_name: at("func_name", 56),
            func_defaults: at("func_defaults", 32),
            func_closure: at("func_closure", 40),
            func_doc: at("func_doc", 48),
            func_dict: at("func_dict", 64),
            func_module: at("func_module", 80),
            func_qualname: None,
            func_kwdefaults: None,
            func_annotations: None,
        },
    },
    Row {
        since: v3(6),
        free_threaded: false,
        layout: FunctionObject {
            size: 112,
            func_code: at("func_code", 16),
            func_globals: at("func_globals", 24),
            func_name: at("func_name", 64),
            func_defaults: at("func_defaults", 32),
            func_closure: at("func_closure", 48),
            func_doc: at("func_doc", 56),
            func_dict: at("func_dict", 72),
            func_module: at("func_module", 88),
            func_qualname: Some(at("func_qualname", 104)),
            func_kwdefaults: Some(at("func_kwdefaults", 40)),
            func_annotations: Some(at("func_annotations", 96)),
        },
    },
    Row {
        since: v3(8),
        free_threaded: false,
        layout: FunctionObject {
            size: 120,
            func_code: at("func_code", 16),
            func_globals: at("func_globals", 24),
            func_name: at("func_name", 64),
            func_defaults: at("func_defaults", 32),
            func_closure: at("func_closure", 48),
            func_doc: at("func_doc", 56),
            func_dict: at("func_dict", 72),
            func_module: at("func_module", 88),
            func_qualname: Some(at("func_qualname", 104)),
            func_kwdefaults: Some(at("func_kwdefaults", 40)),
            func_annotations: Some(at("func_annotations", 96)),
        },
    },
    Row {
        since: v3(10),
        free_threaded: false,
        layout: FunctionObject {
            size: 128,
            func_code: at("func_code", 48),
            func_globals: at("func_globals", 16),
            func_name: at("func_name", 32),
            func_defaults: at("func_defaults", 56),
            func_closure: at("func_closure", 72),
            func_doc: at("func_doc", 80),
            func_dict: at("func_dict", 88),
            func_module: at("func_module", 104),
            func_qualname: Some(at("func_qualname", 40)),
            func_kwdefaults: Some(at("func_kwdefaults", 64)),
            func_annotations: Some(at("func_annotations", 112)),
        },
    },
    Row {
        since: v3(11),
        free_threaded: false,
        layout: FunctionObject {
            size: 136,
            func_code: at("func_code", 48),
            func_globals: at("func_globals", 16),
            func_name: at("func_name", 32),
            func_defaults: at("func_defaults", 56),
            func_closure: at("func_closure", 72),
            func_doc: at("func_doc", 80),
            func_dict: at("func_dict", 88),
            func_module: at("func_module", 104),
            func_qualname: Some(at("func_qualname", 40)),
            func_kwdefaults: Some(at("func_kwdefaults", 64)),
            func_annotations: Some(at("func_annotations", 112)),
        },
    },
    Row {
        since: v3(12),
        free_threaded: false,
        layout: FunctionObject {
            size: 144,
            func_code: at("func_code", 48),
            func_globals: at("func_globals", 16),
            func_name: at("func_name", 32),
            func_defaults: at("func_defaults", 56),
            func_closure: at("func_closure", 72),
            func_doc: at("func_doc", 80),
            func_dict: at("func_dict", 88),
            func_module: at("func_module", 104),
            func_qualname: Some(at("func_qualname", 40)),
            func_kwdefaults: Some(at("func_kwdefaults", 64)),
            func_annotations: Some(at("func_annotations", 112)),
        },
    },
    Row {
        since: v3(14),
        free_threaded: false,
        layout: FunctionObject {
            size: 152,
            func_code: at("func_code", 48),
            func_globals: at("func_globals", 16),
            func_name: at("func_name", 32),
            func_defaults: at("func_defaults", 56),
            func_closure: at("func_closure", 72),
            func_doc: at("func_doc", 80),
            func_dict: at("func_dict", 88),
            func_module: at("func_module", 104),
            func_qualname: Some(at("func_qualname", 40)),
            func_kwdefaults: Some(at("func_kwdefaults", 64)),
            func_annotations: Some(at("func_annotations", 112)),
        },
    },
    Row {
        since: v3(13),
        free_threaded: true,
        layout: FunctionObject {
            size: 160,
            func_code: at("func_code", 64),
            func_globals: at("func_globals", 32),
            func_name: at("func_name", 48),
            func_defaults: at("func_defaults", 72),
            func_closure: at("func_closure", 88),
            func_doc: at("func_doc", 96),
            func_dict: at("func_dict", 104),
            func_module: at("func_module", 120),
            func_qualname: Some(at("func_qualname", 56)),
            func_kwdefaults: Some(at("func_kwdefaults", 80)),
            func_annotations: Some(at("func_annotations", 128)),
        },
    },
    Row {
        since: v3(14),
        free_threaded: true,
        layout: FunctionObject {
            size: 168,
            func_code: at("func_code", 64),
            func_globals: at("func_globals", 32),
            func_name: at("func_name", 48),
            func_defaults: at("func_defaults", 72),
            func_closure: at("func_closure", 88),
            func_doc: at("func_doc", 96),
            func_dict: at("func_dict", 104),
            func_module: at("func_module", 120),
            func_qualname: Some(at("func_qualname", 56)),
            func_kwdefaults: Some(at("func_kwdefaults", 80)),
            func_annotations: Some(at("func_annotations", 128)),
        },
    },
]);

impl Shape for FunctionObject {
    const C_NAMES: &'static [&'static str] = &["PyFunctionObject"];

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "PyFunctionObject";
        self.func_code.visit_in(of, visit);
        self.func_globals.visit_in(of, visit);
        self.func_name.visit_in(of, visit);
        self.func_defaults.visit_in(of, visit);
        self.func_closure.visit_in(of, visit);
        self.func_doc.visit_in(of, visit);
        self.func_dict.visit_in(of, visit);
        self.func_module.visit_in(of, visit);
        self.func_qualname.visit_in(of, visit);
        self.func_kwdefaults.visit_in(of, visit);
        self.func_annotations.visit_in(of, visit);
    }
}
