//! Which addresses are types, and what does each say about its objects?
//!
//! Nothing is enumerated: an address that something calls its type is checked the first time it is
//! met. A type is what has a type for its type, up to `type`, which is its own; the fields checked
//! on the way have not moved since 2.7.

use crate::kinds::{self, Kind};
use crate::layout::{Layouts, TypeFlags};
use crate::object::may_be_address;
use crate::{dict, text};
use memwhy_model::{Addr, TypeId};
use memwhy_target::{Memory, MemoryExt};
use rustc_hash::FxHashMap;

/// Metatypes of metatypes of … : nobody has more levels.
const MOST_LEVELS: u32 = 8;
/// Instances are no larger than this without items.
const LARGEST_BASIC: u64 = 1 << 20;
/// A base chain is no longer than this.
const MOST_BASES: usize = 256;

/// What a type says about its objects.
#[derive(Clone, Debug)]
pub struct TypeInfo {
    /// Where it is.
    pub addr: Addr,
    /// `module.qualname`.
    pub name: String,
    /// `tp_basicsize`.
    pub basicsize: u64,
    /// `tp_itemsize`.
    pub itemsize: u64,
    /// `tp_flags`.
    pub flags: u64,
    /// How many bytes of a block lie before an object.
    pub pre: u64,
    /// The fewest bytes that an object takes.
    pub least: u64,
    /// `tp_dictoffset`, 0 for none, negative from the end.
    pub dict_offset: i64,
    /// `tp_weaklistoffset`, 0 for none.
    pub weaklist_offset: i64,
    /// How many attributes its instances share the keys of, and have room for.
    pub shared_values: u64,
    /// How its objects are read.
    pub kind: &'static dyn Kind,
}

impl TypeInfo {
    /// Whether all of `flag` is set.
    #[must_use]
    pub const fn has(&self, flag: u64) -> bool {
        self.flags & flag == flag
    }
}

/// The types met so far.
pub struct Types<'m> {
    memory: &'m dyn Memory,
    layouts: &'m Layouts,
    /// The address of `type`.
    root: Addr,
    known: FxHashMap<u64, Option<TypeId>>,
    infos: Vec<TypeInfo>,
    /// Words lately found to be no type: blocks are full of the same few.
    refused: Vec<u64>,
}

/// Words remembered as no type.
const REFUSED: usize = 4096;

impl<'m> Types<'m> {
    /// Begins with `type` at `root`.
    #[must_use]
    pub fn new(memory: &'m dyn Memory, layouts: &'m Layouts, root: Addr) -> Self {
        Self {
            memory,
            layouts,
            root,
            known: FxHashMap::default(),
            infos: Vec::new(),
            refused: vec![0; REFUSED],
        }
    }

    /// The type at `addr`, if there is one.
    pub fn at(&mut self, addr: Addr) -> Option<TypeId> {
        if let Some(known) = self.known.get(&addr.0) {
            return *known;
        }
        // Most words are no types and most of those differ: only what looks like one is
        // remembered for good, or the memory would grow with the heap.
        let hash = usize::try_from((addr.0 >> 3) % REFUSED as u64).unwrap_or(0);
        let slot = self.refused.get(hash).copied();
        if !may_be_address(addr.0) || slot == Some(addr.0) {
            return None;
        }
        if !self.is_type(addr, MOST_LEVELS) {
            if let Some(slot) = self.refused.get_mut(hash) {
                *slot = addr.0;
            }
            return None;
        }
        let id = self.check(addr).and_then(|info| {
            let id = TypeId(u32::try_from(self.infos.len()).ok()?);
            self.infos.push(info);
            Some(id)
        });
        self.known.insert(addr.0, id);
        id
    }

    /// The address of `type`.
    #[must_use]
    pub const fn root(&self) -> Addr {
        self.root
    }

    /// The type at `addr`, if it was met already.
    #[must_use]
    pub fn met(&self, addr: Addr) -> Option<TypeId> {
        self.known.get(&addr.0).copied().flatten()
    }

    /// What a type says about its objects.
    #[must_use]
    pub fn info(&self, id: TypeId) -> Option<&TypeInfo> {
        self.infos.get(id.0 as usize)
    }

    /// Every type met, by id.
    #[must_use]
    pub fn infos(&self) -> &[TypeInfo] {
        &self.infos
    }

    fn check(&self, addr: Addr) -> Option<TypeInfo> {
        let fields = &self.layouts.type_object;
        let bytes = self.memory.bytes(addr, fields.size, 4096).ok()?;
        let basicsize = u64::try_from(fields.tp_basicsize.from(&bytes)?).ok()?;
        // Negative in `tuple`-like types of 2.7 with items before the object: nobody uses that.
        let itemsize = u64::try_from(fields.tp_itemsize.from(&bytes)?).ok()?;
        let flags = fields.tp_flags.from(&bytes)?;
        let name = fields.tp_name.from(&bytes)?;
        let sane = basicsize >= self.layouts.object.size
            && basicsize <= LARGEST_BASIC
            && itemsize <= LARGEST_BASIC;
        if !sane {
            return None;
        }
        let name = self.memory.c_string(name?, 512).ok().filter(|name| plausible_name(name))?;
        let kind = self.kind_of(addr, &name, flags);
        let mut info = TypeInfo {
            addr,
            name: String::new(),
            basicsize,
            itemsize,
            flags,
            pre: self.layouts.pre_header.size(flags),
            least: basicsize,
            dict_offset: fields.tp_dictoffset.from(&bytes)?,
            weaklist_offset: fields.tp_weaklistoffset.from(&bytes)?,
            shared_values: self.shared_values(addr, flags),
            kind,
        };
        info.least = kind.least(self.layouts, &info);
        info.name = full_name(self.memory, self.layouts, addr, &name, flags);
        Some(info)
    }

    /// Whether the chain of types from `addr` ends at `type`, over metatypes only.
    fn is_type(&self, addr: Addr, levels: u32) -> bool {
        if addr == self.root {
            return true;
        }
        let Ok(Some(meta)) = self.layouts.object.ob_type.read(self.memory, addr) else {
            return false;
        };
        if meta == self.root {
            return true;
        }
        if levels == 0 || !meta.is_aligned(8) {
            return false;
        }
        if let Some(known) = self.known.get(&meta.0) {
            return known
                .and_then(|id| self.info(id))
                .is_some_and(|info| info.has(TypeFlags::TYPE_SUBCLASS));
        }
        let flags = self.layouts.type_object.tp_flags.read(self.memory, meta);
        flags.is_ok_and(|flags| flags & TypeFlags::TYPE_SUBCLASS != 0)
            && self.is_type(meta, levels - 1)
    }

    /// The kind of the nearest base that has one: a subclass begins as its base does.
    fn kind_of(&self, addr: Addr, name: &str, flags: u64) -> &'static dyn Kind {
        let fields = &self.layouts.type_object;
        let by_flags = kinds::by_flags(flags);
        let (mut at, mut name, mut flags) = (addr, name.to_owned(), flags);
        for _ in 0..MOST_BASES {
            let made_by_class = flags & TypeFlags::HEAPTYPE != 0 && !name.contains('.');
            if !made_by_class
                && let Some(kind) = kinds::by_name(&name)
                && agrees(kind, by_flags)
            {
                return kind;
            }
            let Ok(Some(base)) = fields.tp_base.read(self.memory, at) else { break };
            let (Ok(Some(its_name)), Ok(its_flags)) =
                (fields.tp_name.read(self.memory, base), fields.tp_flags.read(self.memory, base))
            else {
                break;
            };
            let Ok(its_name) = self.memory.c_string(its_name, 512) else { break };
            (at, name, flags) = (base, its_name, its_flags);
        }
        by_flags.unwrap_or(kinds::ANY)
    }

    /// The room in the keys that instances share (`shared_keys_usable_size`).
    fn shared_values(&self, addr: Addr, flags: u64) -> u64 {
        let keys = || {
            let cached = self.layouts.heap_type.ht_cached_keys?;
            let keys = cached.read(self.memory, addr).ok()??;
            dict::keys_of(self.memory, self.layouts, keys).ok()?
        };
        if flags & TypeFlags::HEAPTYPE == 0 { 0 } else { keys().map_or(0, |keys| keys.room()) }
    }
}

/// `module.qualname` of the type at `addr` that C calls `name`: from its own dict for those that a
/// `class` statement made.
pub(crate) fn full_name(
    memory: &dyn Memory,
    layouts: &Layouts,
    addr: Addr,
    name: &str,
    flags: u64,
) -> String {
    let said = |addr| text::read(memory, layouts, addr, 512).ok();
    if flags & TypeFlags::HEAPTYPE != 0 {
        let qualname = layouts
            .heap_type
            .ht_qualname
            .and_then(|field| field.read(memory, addr).ok().flatten())
            .and_then(said);
        let own = layouts.type_object.tp_dict.read(memory, addr).ok().flatten();
        let module = own.and_then(|own| dict::get(memory, layouts, own, "__module__").ok()?);
        let last = || name.rsplit('.').next().unwrap_or(name).to_owned();
        if let Some(module) = module.and_then(said) {
            return format!("{module}.{}", qualname.unwrap_or_else(last));
        }
    }
    if name.contains('.') { name.to_owned() } else { format!("builtins.{name}") }
}

/// Whether what `tp_flags` tell is no other kind: `str` is another one in 2.7 than in 3.x.
fn agrees(kind: &dyn Kind, by_flags: Option<&dyn Kind>) -> bool {
    kind.flag().is_none() || by_flags.is_none_or(|told| told.flag() == kind.flag())
}

/// Names come from C source or from Python source: no control characters, not empty.
fn plausible_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_control() || c == char::REPLACEMENT_CHARACTER)
}
