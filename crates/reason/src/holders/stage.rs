//! How is a heap set up for a rule, in a few lines of a test?
//!
//! A program `app` in the file `app.py`, with what a test gives it: as memory would show it, names
//! and places in the source included.

use super::{Known, KnownHolders};
use crate::Ask;
use memwhy_model::{
    Addr, Case, Details, Flags, HeapBuilder, HeapGraph, Label, ObjectId, Owner, PreviewLength,
    Root, RootKind, SourcePlaces, ThreadFacts, TypeId, TypeRow,
};
use std::collections::HashMap;
use std::sync::Arc;

/// What an object takes of which nothing else is said.
const SMALL: u64 = 64;

/// A heap that is being set up.
#[derive(Debug, Default)]
pub(super) struct Stage {
    /// Closeups and threads are put here.
    pub(super) case: Case,
    types: Vec<TypeRow>,
    rows: Vec<Row>,
    words: HashMap<String, ObjectId>,
    members: Vec<(ObjectId, ObjectId)>,
    roots: Vec<Root>,
    places: Vec<(ObjectId, String, String, Option<u32>)>,
}

#[derive(Debug)]
struct Row {
    ty: TypeId,
    bytes: u64,
    to: Vec<ObjectId>,
    labels: Vec<Label>,
    text: Option<String>,
}

fn addr(n: usize) -> Addr {
    Addr(0x10_0000 + n as u64 * 64)
}

impl Stage {
    /// An object of a type, of so many KiB.
    pub(super) fn object(&mut self, ty: &str, kib: u64, to: &[ObjectId]) -> ObjectId {
        let known = self.types.iter().position(|row| row.name == ty);
        let ty = known.unwrap_or_else(|| {
            self.types.push(TypeRow { name: ty.into(), ..TypeRow::default() });
            self.types.len() - 1
        });
        let (ty, bytes) = (TypeId(u32::try_from(ty).unwrap()), (kib << 10).max(SMALL));
        self.rows.push(Row { ty, bytes, to: to.into(), labels: Vec::new(), text: None });
        ObjectId(u32::try_from(self.rows.len() - 1).unwrap())
    }

    /// Has an object refer to one more.
    pub(super) fn refer(&mut self, from: ObjectId, to: ObjectId) {
        self.rows[from.0 as usize].to.push(to);
    }

    /// So many objects of a type, each of so many KiB.
    pub(super) fn objects(&mut self, many: usize, ty: &str, kib: u64) -> Vec<ObjectId> {
        (0..many).map(|_| self.object(ty, kib, &[])).collect()
    }

    /// A string; the same one for the same text.
    pub(super) fn word(&mut self, text: &str) -> ObjectId {
        if let Some(known) = self.words.get(text) {
            return *known;
        }
        let word = self.object("builtins.str", 0, &[]);
        self.rows[word.0 as usize].text = Some(format!("'{text}'"));
        self.words.insert(text.into(), word);
        word
    }

    /// A dict with these keys and values.
    pub(super) fn dict(&mut self, entries: &[(ObjectId, ObjectId)]) -> ObjectId {
        let to: Vec<ObjectId> = entries.iter().flat_map(|(key, value)| [*key, *value]).collect();
        let dict = self.object("builtins.dict", 0, &to);
        let key = |key: &ObjectId| self.rows[key.0 as usize].text.clone().unwrap_or_default();
        let labels = entries.iter().flat_map(|(name, _)| [Label::IsKey, Label::Key(key(name))]);
        self.rows[dict.0 as usize].labels = labels.collect();
        dict
    }

    /// A dict with strings as keys.
    pub(super) fn attributes(&mut self, entries: &[(&str, ObjectId)]) -> ObjectId {
        let entries: Vec<_> =
            entries.iter().map(|(name, value)| (self.word(name), *value)).collect();
        self.dict(&entries)
    }

    /// Makes an object a variable of the module.
    pub(super) fn name(&mut self, name: &str, object: ObjectId) {
        let word = self.word(name);
        self.members.push((word, object));
    }

    /// A function of the module that begins at a line and uses some names.
    pub(super) fn function(&mut self, name: &str, line: u32, uses: &[&str]) -> ObjectId {
        let names: Vec<ObjectId> = uses.iter().map(|word| self.word(word)).collect();
        let names = self.object("builtins.tuple", 0, &names);
        let code = self.object("builtins.code", 0, &[names]);
        self.place(code, name, line);
        let function = self.object("builtins.function", 0, &[code]);
        self.name(name, function);
        function
    }

    /// A class, the first method of which begins at a line.
    pub(super) fn class(&mut self, name: &str, line: u32) -> ObjectId {
        let method = self.function("__init__", line, &[]);
        let members = self.attributes(&[("__init__", method)]);
        let class = self.object("builtins.type", 0, &[members]);
        let row = TypeRow { name: name.into(), addr: addr(class.0 as usize), ..TypeRow::default() };
        self.types.push(row);
        class
    }

    /// Says where in the source an object is.
    pub(super) fn place(&mut self, object: ObjectId, function: &str, line: u32) {
        self.places.push((object, "app.py".into(), function.into(), Some(line)));
    }

    /// Has something outside of the heap keep an object.
    pub(super) fn root(&mut self, kind: RootKind, name: &str, object: ObjectId) {
        self.roots.push(Root { kind, name: name.into(), object, file: None, line: None });
    }

    /// Threads of Python that are there.
    pub(super) fn threads(&mut self, many: u32) {
        let thread = |tid| ThreadFacts { tid, is_python: true, ..ThreadFacts::default() };
        self.case.threads.extend((1..=many).map(thread));
    }

    /// What a rule makes of it.
    pub(super) fn known(mut self, rule: &str) -> Option<Known> {
        let members = std::mem::take(&mut self.members);
        let members = self.dict(&members);
        let module = self.object("builtins.module", 0, &[members]);
        self.rows[module.0 as usize].labels = vec![Label::Field("__dict__".into())];
        let modules = self.attributes(&[("app", module)]);
        self.root(RootKind::Modules, "sys.modules", modules);
        let mut heap = HeapBuilder::default();
        for (n, row) in self.rows.iter().enumerate() {
            heap.push(addr(n), row.ty, row.bytes, Flags::TRACKED);
        }
        heap.seal_objects();
        for (n, row) in (0..).zip(&self.rows) {
            heap.set_size(ObjectId(n), row.bytes, row.bytes, 0);
            heap.push_references(row.to.iter().copied());
        }
        heap.roots(self.roots);
        let heap = heap.finish(self.types);
        let total = heap.ids().map(|id| heap.footprint(id)).sum();
        let mut case = self.case;
        case.heap = Some(heap);
        case.places = SourcePlaces::new(self.places);
        case.details = Some(Arc::new(Described(self.rows)));
        case.accounting = case.accounting.with(Owner::PythonObjects, total);
        let known = Ask::new(&case).get::<KnownHolders>();
        known.iter().find(|known| known.rule == rule).cloned()
    }
}

/// What the test said of each object.
#[derive(Debug)]
struct Described(Vec<Row>);

impl Details for Described {
    fn preview(&self, _: &HeapGraph, object: ObjectId, _: PreviewLength) -> Option<String> {
        self.0.get(object.0 as usize)?.text.clone()
    }

    fn labels(&self, _: &HeapGraph, object: ObjectId) -> Vec<Label> {
        self.0.get(object.0 as usize).map(|row| row.labels.clone()).unwrap_or_default()
    }
}
