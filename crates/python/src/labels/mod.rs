//! By what does one object refer to another: which key, index, attribute, variable?
//!
//! References are told apart by where they lead: an object names each of its words and what its
//! tables hold, in their order, and a reference has the first name of its target that no reference
//! before it had.

mod contents;
mod fields;

use crate::dict;
use crate::layout::{Layouts, TypeFlags};
use crate::object::{Object, may_be_address};
use crate::preview::preview;
use crate::text;
use crate::types::TypeInfo;
use memwhy_model::{Addr, Label};
use memwhy_target::{Memory, MemoryExt};
use rustc_hash::FxHashMap;
use std::collections::VecDeque;

/// A key is shown in about so many characters.
const KEY_BUDGET: usize = 120;
/// Of a buffer that is not an object's by its layout so much is searched for a reference.
const BUFFER: usize = 1 << 20;
/// Bytes of an object that are read at once.
const HEAD: usize = 1024;

/// A name before it is text: of most keys nobody wants to know it.
#[derive(Clone, Debug)]
enum Named {
    /// The value under this key.
    Key(Addr),
    /// A key.
    IsKey,
    /// An item of a sequence.
    Index(u64),
    /// An element of a set.
    Element,
    /// The attribute with this string for its name.
    Attribute(Addr),
    /// A variable of a frame.
    Local(String),
    /// A field that Python code knows.
    Field(&'static str),
    /// Another field with a name: that of a slot.
    Slot(String),
    /// A word.
    Word(u64),
}

/// Receives what an object refers to, and how.
type Each<'e> = &'e mut dyn FnMut(Addr, Named);

/// Reads names of references.
#[derive(Clone, Copy)]
pub(crate) struct Names<'a> {
    pub(crate) memory: &'a dyn Memory,
    pub(crate) layouts: &'a Layouts,
    pub(crate) types: &'a [TypeInfo],
    /// The place of each type in `types`.
    pub(crate) places: &'a FxHashMap<Addr, usize>,
}

impl Names<'_> {
    /// How the object at `addr` refers to each of `targets`.
    pub(crate) fn all(&self, addr: Addr, ty: &TypeInfo, targets: &[Addr]) -> Vec<Label> {
        let mut named: FxHashMap<Addr, VecDeque<Named>> = FxHashMap::default();
        for target in targets {
            named.entry(*target).or_default();
        }
        self.each(addr, ty, &mut |target, name| {
            if let Some(names) = named.get_mut(&target) {
                names.push_back(name);
            }
        });
        let label = |target: &Addr| {
            let name = named.get_mut(target).and_then(VecDeque::pop_front);
            name.map_or_else(|| self.in_a_buffer(addr, ty, *target), |name| self.label(&name))
        };
        targets.iter().map(label).collect()
    }

    /// How the object at `addr` refers to `target`, the reference of that target that `before`
    /// others come before.
    pub(crate) fn one(&self, addr: Addr, ty: &TypeInfo, target: Addr, before: usize) -> Label {
        let (mut left, mut found) = (before, None);
        self.each(addr, ty, &mut |to, name| {
            if to == target && found.is_none() {
                if left == 0 {
                    found = Some(name);
                } else {
                    left -= 1;
                }
            }
        });
        found.map_or_else(|| self.in_a_buffer(addr, ty, target), |name| self.label(&name))
    }

    /// The names of the variables that the function at `addr` captured, in the order of its cells.
    pub(crate) fn captured(&self, addr: Addr) -> Vec<String> {
        let (memory, fields) = (self.memory, &self.layouts.function_object);
        let parts = || {
            let code = fields.func_code.read(memory, addr).ok()??;
            let cells = fields.func_closure.read(memory, addr).ok()??;
            Some((code, memory.u64(self.layouts.var_object.ob_size.addr(cells)).ok()?))
        };
        let Some((code, cells)) = parts() else { return Vec::new() };
        // They are the last of the variables of its code.
        let names = contents::variables_of(self, code);
        let before = names.len().checked_sub(usize::try_from(cells).unwrap_or(usize::MAX));
        before.map_or_else(Vec::new, |before| names.into_iter().skip(before).collect())
    }

    /// Hands out every reference of an object with its name. What cannot be read is left out.
    fn each(&self, addr: Addr, ty: &TypeInfo, each: Each<'_>) {
        let mut buf = [0; HEAD];
        let wanted = usize::try_from(ty.basicsize).unwrap_or(HEAD).clamp(16, HEAD);
        let head = buf.get_mut(..wanted).unwrap_or_default();
        if self.memory.read(addr, head).is_err() {
            return;
        }
        let object = Object { memory: self.memory, layouts: self.layouts, ty, addr, head };
        let family = self.family(ty);
        contents::each(self, &object, family, each);
        fields::each(self, &object, family, each);
    }

    /// The name of the type that C defined the layout of: of `ty` or the nearest base.
    fn family<'t>(&'t self, ty: &'t TypeInfo) -> &'t str {
        let mut known = ty;
        for _ in 0..64 {
            if !known.has(TypeFlags::HEAPTYPE) || fields::is_known(&known.name) {
                return short(&known.name);
            }
            let base = self.layouts.type_object.tp_base.read(self.memory, known.addr);
            let base = base.ok().flatten().and_then(|base| self.places.get(&base));
            match base.and_then(|place| self.types.get(*place)) {
                Some(base) => known = base,
                None => break,
            }
        }
        short(&known.name)
    }

    fn label(&self, name: &Named) -> Label {
        match name {
            Named::Key(key) => Label::Key(self.key(*key)),
            Named::IsKey => Label::IsKey,
            Named::Index(index) => Label::Index(*index),
            Named::Element => Label::Element,
            Named::Attribute(name) => Label::Attribute(self.text(*name)),
            Named::Local(name) => Label::Local(name.clone()),
            Named::Field(name) => Label::Field((*name).to_owned()),
            Named::Slot(name) => Label::Attribute(name.clone()),
            Named::Word(offset) => Label::Word(u32::try_from(*offset).unwrap_or(u32::MAX)),
        }
    }

    /// A key as Python would print it; `…` where that cannot be told.
    fn key(&self, key: Addr) -> String {
        preview(self.memory, self.layouts, key, KEY_BUDGET).unwrap_or_else(|_| "…".to_owned())
    }

    fn text(&self, at: Addr) -> String {
        text::read(self.memory, self.layouts, at, 256).unwrap_or_else(|_| "…".to_owned())
    }

    /// The word that leads to the buffer with a reference that no word is itself.
    fn in_a_buffer(&self, addr: Addr, ty: &TypeInfo, target: Addr) -> Label {
        let words = self.memory.words(addr, ty.basicsize / 8, HEAD / 8).unwrap_or_default();
        let leads = |word: &u64| {
            let mut piece = [0; 4096];
            (0..BUFFER / piece.len()).find_map(|n| {
                let at = Addr(*word).at((n * piece.len()) as u64);
                if self.memory.read(at, &mut piece).is_err() {
                    return Some(false);
                }
                let (words, _) = piece.as_chunks::<8>();
                words.iter().any(|word| u64::from_le_bytes(*word) == target.0).then_some(true)
            })
        };
        let found = words
            .iter()
            .zip((0u32..).step_by(8))
            .skip(2)
            .find(|(word, _)| may_be_address(**word) && leads(word).unwrap_or(false));
        Label::Word(found.map_or(0, |(_, offset)| offset))
    }

    /// Keys and values of a dict.
    fn entries(&self, at: Addr) -> Vec<(Addr, Addr)> {
        dict::entries(self.memory, self.layouts, at, 1 << 30).unwrap_or_default()
    }
}

/// A type's name without its module.
fn short(name: &str) -> &str {
    name.strip_prefix("builtins.").unwrap_or(name)
}
