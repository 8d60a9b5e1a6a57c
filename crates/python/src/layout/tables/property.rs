//! `propertyobject`: a property.
//!
//! Source: `Objects/descrobject.c`.

use crate::layout::{Field, Member, Ptr, Row, Shape, Spot, Table, at};
use crate::version::{V2_7, v3};

/// Where things are in `propertyobject`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Property {
    /// `sizeof`.
    pub size: u64,
    /// The getter.
    pub get: Field<Ptr>,
    /// The setter.
    pub set: Field<Ptr>,
    /// The deleter.
    pub del: Field<Ptr>,
    /// Its docstring.
    pub doc: Field<Ptr>,
    /// Its name.
    pub name: Option<Field<Ptr>>,
}

/// Every layout of the struct, oldest first.
pub const PROPERTY: Table<Property> = Table(&[
    Row {
        since: V2_7,
        free_threaded: false,
        layout: Property {
            size: 56,
            get: at("prop_get", 16),
            set: at("prop_set", 24),
            del: at("prop_del", 32),
            doc: at("prop_doc", 40),
            name: None,
        },
    },
    Row {
        since: v3(10),
        free_threaded: false,
        layout: Property {
            size: 64,
            get: at("prop_get", 16),
            set: at("prop_set", 24),
            del: at("prop_del", 32),
            doc: at("prop_doc", 40),
            name: Some(at("prop_name", 48)),
        },
    },
    Row {
        since: v3(13),
        free_threaded: true,
        layout: Property {
            size: 80,
            get: at("prop_get", 32),
            set: at("prop_set", 40),
            del: at("prop_del", 48),
            doc: at("prop_doc", 56),
            name: Some(at("prop_name", 64)),
        },
    },
]);

impl Shape for Property {
    const C_NAMES: &'static [&'static str] = &["propertyobject"];

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "propertyobject";
        self.get.visit_in(of, visit);
        self.set.visit_in(of, visit);
        self.del.visit_in(of, visit);
        self.doc.visit_in(of, visit);
        self.name.visit_in(of, visit);
    }
}
