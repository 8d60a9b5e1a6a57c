//! Which Python objects are there, how big are they, and what do they refer to?
//!
//! Columns, not structs: a heap of ten million objects must fit. An object is its [`ObjectId`],
//! and address order is id order, so that an address becomes an id by binary search.

mod builder;
mod csr;

pub use builder::HeapBuilder;
pub use csr::Csr;

use crate::{Addr, Bytes};
use serde::{Deserialize, Serialize};

/// An object, by its place in address order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectId(pub u32);

/// A type, by its place in [`HeapGraph::types`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TypeId(pub u32);

/// Facts about one object, as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Flags(pub u16);

impl Flags {
    /// The garbage collector has it on a list.
    pub const TRACKED: Self = Self(1);
    /// Its reference count never reaches zero by design.
    pub const IMMORTAL: Self = Self(2);
    /// It lies in the data of a loaded image, not on a heap.
    pub const STATIC: Self = Self(4);
    /// Something of it could not be read: sizes and references are a lower bound.
    pub const PARTLY_READ: Self = Self(8);
    /// Nothing leads to it but objects that are such themselves: an unreachable cycle, or what one
    /// holds. Their reference counts are all accounted for, so the collector could free it.
    pub const GARBAGE: Self = Self(16);
    /// Nothing leads to it, yet a reference count keeps it alive: its own, which is higher than the
    /// references to it that are anywhere in memory, or that of an object which leads to it.
    pub const ORPHAN: Self = Self(32);
    /// It does not keep what it refers to: the dict of interned strings.
    pub const WEAK: Self = Self(64);
    /// Its generation is known; the next two bits are its number.
    const IN_GENERATION: Self = Self(128);
    const GENERATION_SHIFT: u32 = 8;
    /// It is a text that the table of interned strings has.
    pub const INTERNED: Self = Self(1 << 10);
    /// The number of what `gc.freeze` has put aside.
    pub const FROZEN: u8 = 3;

    /// The generation of the collector that it is in: 0 is the youngest, [`Self::FROZEN`] for what
    /// is in none any more. `None` where that is not known.
    #[must_use]
    pub fn generation(self) -> Option<u8> {
        let number = (self.0 >> Self::GENERATION_SHIFT) & 3;
        u8::try_from(number).ok().filter(|_| self.has(Self::IN_GENERATION))
    }

    /// The same facts, and that it is in this generation.
    #[must_use]
    pub const fn in_generation(self, number: u8) -> Self {
        let number = ((number & 3) as u16) << Self::GENERATION_SHIFT;
        Self(self.0 & !(3 << Self::GENERATION_SHIFT) | Self::IN_GENERATION.0 | number)
    }

    /// Whether all of `other` is set.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What runs when an object of a type dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finalizer {
    /// `tp_finalize` (from 3.4 on): the collector runs it and frees a cycle all the same.
    Finalize,
    /// `tp_del`, and `__del__` of 2.7: the collector frees no cycle with such an object in it.
    Del,
}

/// What is known of a type, once for all its objects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypeRow {
    /// Where the type object is.
    pub addr: Addr,
    /// Module and name, `builtins.dict`, as far as the type tells.
    pub name: String,
    /// Number of its objects (subtypes have rows of their own).
    pub count: u64,
    /// Their shallow sizes added up, as `sys.getsizeof` would state them.
    pub bytes: Bytes,
    /// What they take in memory: blocks and chunks, with the buffers they hold directly.
    pub footprint: Bytes,
    /// What runs when one of them dies.
    pub finalizer: Option<Finalizer>,
    /// Whether the collector looks through its objects (`Py_TPFLAGS_HAVE_GC`). If not, and they
    /// refer to others, no cycle through them is ever found.
    pub collected: bool,
    /// The file of the loaded image whose C code defines it; nothing for classes of Python.
    pub library: Option<String>,
}

/// Something outside the heap that keeps an object alive, or a name by which people know one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {
    /// What keeps it.
    pub kind: RootKind,
    /// How a person would write it: `sys.modules['app.cache'].LAST`.
    pub name: String,
    /// The object.
    pub object: ObjectId,
    /// The source file where the name lives, if one is known.
    pub file: Option<String>,
    /// The line there, 1-based, if one is known.
    pub line: Option<u32>,
}

/// What keeps an object from outside, the better known first.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum RootKind {
    /// Nothing by itself: a member of a module or a class. The dict that has it is kept by a root
    /// of another kind; the name is what a person would look for.
    #[default]
    Name,
    /// `sys.modules`.
    Modules,
    /// A variable, or a value being worked on, of a running call of Python code.
    Frame,
    /// The state of a thread: the exception being handled, the context, hooks.
    Thread,
    /// The state of an interpreter: `sys`, builtins, codecs, hooks, callbacks at exit.
    Interpreter,
    /// A variable of C code, in the data of an image.
    CGlobal,
    /// A word on a thread's C stack or in its registers that is the object's address.
    NativeStack,
    /// A word in memory of malloc's that belongs to no object and is the object's address.
    NativeMemory,
}

impl RootKind {
    /// Whether it keeps an object by itself.
    #[must_use]
    pub const fn keeps(self) -> bool {
        !matches!(self, Self::Name)
    }

    /// Whether it is surely meant: a word of C memory may also be left over, or a number.
    #[must_use]
    pub const fn certain(self) -> bool {
        match self {
            Self::Name | Self::Modules | Self::Frame | Self::Thread | Self::Interpreter => true,
            Self::CGlobal | Self::NativeStack | Self::NativeMemory => false,
        }
    }

    /// The word used in JSON and in snapshots.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Modules => "modules",
            Self::Frame => "frame",
            Self::Thread => "thread",
            Self::Interpreter => "interpreter",
            Self::CGlobal => "c-global",
            Self::NativeStack => "native-stack",
            Self::NativeMemory => "native-memory",
        }
    }
}
/// In the column of reference counts: immortal, or not known.
const NOT_COUNTED: u32 = u32::MAX;

/// All objects of one process at one moment.
#[derive(Clone, Debug, Default)]
pub struct HeapGraph {
    addr: Vec<Addr>,
    size: Vec<u32>,
    footprint: Vec<u32>,
    /// Reference counts, [`NOT_COUNTED`] where there is none.
    counts: Vec<u32>,
    ty: Vec<TypeId>,
    flags: Vec<Flags>,
    /// Sizes of 4 GiB and more, which the columns cannot hold.
    big: std::collections::BTreeMap<ObjectId, (Bytes, Bytes)>,
    out: Csr,
    types: Vec<TypeRow>,
    roots: Vec<Root>,
    complete: bool,
}

impl HeapGraph {
    /// Number of objects.
    #[must_use]
    pub fn len(&self) -> usize {
        self.addr.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.addr.is_empty()
    }

    /// Whether every place where objects can be was read.
    #[must_use]
    pub const fn complete(&self) -> bool {
        self.complete
    }

    /// Every object, in address order.
    pub fn ids(&self) -> impl Iterator<Item = ObjectId> + use<> {
        (0..u32::try_from(self.addr.len()).unwrap_or(u32::MAX)).map(ObjectId)
    }

    /// Where the object is: its `id()` in Python.
    #[must_use]
    pub fn addr(&self, id: ObjectId) -> Addr {
        self.addr.get(id.0 as usize).copied().unwrap_or_default()
    }

    /// The object at exactly `addr`.
    #[must_use]
    pub fn find(&self, addr: Addr) -> Option<ObjectId> {
        let index = self.addr.binary_search(&addr).ok()?;
        u32::try_from(index).ok().map(ObjectId)
    }

    /// The shallow size: what `sys.getsizeof` states.
    #[must_use]
    pub fn size(&self, id: ObjectId) -> Bytes {
        match self.size.get(id.0 as usize) {
            Some(&u32::MAX) => self.big.get(&id).map_or(Bytes(0), |big| big.0),
            Some(&size) => Bytes(u64::from(size)),
            None => Bytes(0),
        }
    }

    /// What the object takes in memory: its block or chunk, with the buffers it holds directly.
    #[must_use]
    pub fn footprint(&self, id: ObjectId) -> Bytes {
        match self.footprint.get(id.0 as usize) {
            Some(&u32::MAX) => self.big.get(&id).map_or(Bytes(0), |big| big.1),
            Some(&size) => Bytes(u64::from(size)),
            None => Bytes(0),
        }
    }

    /// The type of an object.
    #[must_use]
    pub fn type_of(&self, id: ObjectId) -> TypeId {
        self.ty.get(id.0 as usize).copied().unwrap_or(TypeId(0))
    }

    /// Facts about one object.
    #[must_use]
    pub fn flags(&self, id: ObjectId) -> Flags {
        self.flags.get(id.0 as usize).copied().unwrap_or_default()
    }

    /// Says which generation of the collector an object is in.
    pub fn set_generation(&mut self, id: ObjectId, number: u8) {
        if let Some(flags) = self.flags.get_mut(id.0 as usize) {
            *flags = flags.in_generation(number);
        }
    }

    /// How often the object is referred to, by its own count; `None` where it is immortal or its
    /// count cannot be told. What is more than 32 bits hold stays at their end.
    #[must_use]
    pub fn reference_count(&self, id: ObjectId) -> Option<u32> {
        self.counts.get(id.0 as usize).copied().filter(|count| *count != NOT_COUNTED)
    }

    /// What the object refers to, in slot order; a dict gives key, value, key, value.
    #[must_use]
    pub fn references(&self, id: ObjectId) -> &[ObjectId] {
        self.out.row(id)
    }

    /// Where the references of an object are, when those of all objects are counted in id order.
    #[must_use]
    pub fn reference_range(&self, id: ObjectId) -> std::ops::Range<usize> {
        self.out.range(id)
    }

    /// Number of references.
    #[must_use]
    pub fn edge_count(&self) -> usize {
        self.out.len()
    }

    /// Every type that has objects or is itself one.
    #[must_use]
    pub fn types(&self) -> &[TypeRow] {
        &self.types
    }

    /// The row of a type.
    #[must_use]
    pub fn type_row(&self, id: TypeId) -> Option<&TypeRow> {
        self.types.get(id.0 as usize)
    }

    /// What keeps objects alive from outside.
    #[must_use]
    pub fn roots(&self) -> &[Root] {
        &self.roots
    }

    /// The shallow sizes of all objects.
    #[must_use]
    pub fn total(&self) -> Bytes {
        self.types.iter().map(|ty| ty.bytes).sum()
    }
}
