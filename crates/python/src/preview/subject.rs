//! What kind of object is to be written?

use super::{Write, writer_of};
use crate::layout::{Layouts, TypeFlags};
use crate::{dict, types};
use memwhy_model::Addr;
use memwhy_target::{Fault, Memory, MemoryExt};

/// A chain of bases is no longer.
const MOST_BASES: usize = 64;
/// Metatypes of metatypes of … : nobody has more levels.
const MOST_LEVELS: usize = 8;
/// Names are cut here.
const LONGEST_NAME: usize = 200;

/// An object, and what its type says.
#[derive(Debug)]
pub(super) struct Subject {
    /// Where it is.
    pub addr: Addr,
    /// Its type.
    pub ty: Addr,
    /// `tp_name` of its type.
    pub c_name: String,
    /// `tp_flags` of its type.
    pub flags: u64,
    /// Who writes it.
    pub write: Option<Write>,
    /// Whether its class, or one that it inherits from, has a `__repr__` in Python: what is
    /// written is then the value behind it.
    pub has_own_repr: bool,
}

impl Subject {
    /// Looks at the object at `addr`.
    ///
    /// # Errors
    /// As [`Memory::read`], and if its type is none.
    pub(super) fn of(memory: &dyn Memory, layouts: &Layouts, addr: Addr) -> Result<Self, Fault> {
        let fault = Fault::unmapped(addr);
        let ty = layouts.object.ob_type.read(memory, addr)?.ok_or(fault)?;
        if !is_type(memory, layouts, ty)? {
            return Err(fault);
        }
        let fields = &layouts.type_object;
        let flags = fields.tp_flags.read(memory, ty)?;
        let c_name = c_name(memory, layouts, ty)?;
        let mut subject =
            Self { addr, ty, c_name: c_name.clone(), flags, write: None, has_own_repr: false };
        let (mut at, mut name, mut base_flags) = (ty, c_name, flags);
        for _ in 0..MOST_BASES {
            let made_by_class = base_flags & TypeFlags::HEAPTYPE != 0 && !name.contains('.');
            if !made_by_class && let Some(write) = writer_of(&name) {
                subject.write = Some(write);
                break;
            }
            let Some(base) = fields.tp_base.read(memory, at)? else { break };
            (at, base_flags) = (base, fields.tp_flags.read(memory, base)?);
            name = self::c_name(memory, layouts, base)?;
        }
        if at != ty {
            subject.has_own_repr = overridden(memory, layouts, ty, at);
        }
        Ok(subject)
    }

    /// `module.qualname` of its type, without `builtins`.
    pub(super) fn type_name(&self, memory: &dyn Memory, layouts: &Layouts) -> String {
        type_name(memory, layouts, self.ty)
    }

    /// The last part of `tp_name`, which C code prints.
    pub(super) fn short_name(&self) -> &str {
        self.c_name.rsplit('.').next().unwrap_or(&self.c_name)
    }
}

/// `module.qualname` of the type at `ty`, without `builtins`; `?` if it cannot be read.
pub(super) fn type_name(memory: &dyn Memory, layouts: &Layouts, ty: Addr) -> String {
    let read = || {
        let flags = layouts.type_object.tp_flags.read(memory, ty).ok()?;
        let name = c_name(memory, layouts, ty).ok()?;
        Some(types::full_name(memory, layouts, ty, &name, flags))
    };
    let name = read().unwrap_or_else(|| "?".to_owned());
    let plain = name.strip_prefix("builtins.").or(name.strip_prefix("__builtin__."));
    plain.map(str::to_owned).unwrap_or(name)
}

/// `tp_name` of the type at `ty`.
pub(super) fn c_name(memory: &dyn Memory, layouts: &Layouts, ty: Addr) -> Result<String, Fault> {
    let name = layouts.type_object.tp_name.read(memory, ty)?.ok_or(Fault::unmapped(ty))?;
    memory.c_string(name, LONGEST_NAME)
}

/// `tp_name` of the type of the object at `addr`.
pub(super) fn c_name_of(
    memory: &dyn Memory,
    layouts: &Layouts,
    addr: Addr,
) -> Result<String, Fault> {
    let ty = layouts.object.ob_type.read(memory, addr)?.ok_or(Fault::unmapped(addr))?;
    c_name(memory, layouts, ty)
}

/// Whether the chain of types from `ty` ends in one that is its own type.
fn is_type(memory: &dyn Memory, layouts: &Layouts, mut ty: Addr) -> Result<bool, Fault> {
    for _ in 0..MOST_LEVELS {
        let Some(meta) = layouts.object.ob_type.read(memory, ty)? else { return Ok(false) };
        if meta == ty {
            return Ok(true);
        }
        ty = meta;
    }
    Ok(false)
}

/// Whether a class before `base` in the order of resolution has a `__repr__` of its own.
fn overridden(memory: &dyn Memory, layouts: &Layouts, ty: Addr, base: Addr) -> bool {
    class_attribute(memory, layouts, ty, Some(base), "__repr__").is_some()
}

/// The attribute `name` of the classes made at run time in the order of resolution of `ty`, as far
/// as `until`.
pub(super) fn class_attribute(
    memory: &dyn Memory,
    layouts: &Layouts,
    ty: Addr,
    until: Option<Addr>,
    name: &str,
) -> Option<Addr> {
    let fields = &layouts.type_object;
    let order = fields.tp_mro.read(memory, ty).ok()??;
    let count = layouts.var_object.ob_size.read(memory, order).ok()?;
    let items = layouts.tuple_object.ob_item.addr(order);
    let classes = memory.words(items, u64::try_from(count).ok()?, MOST_BASES).ok()?;
    for class in classes.into_iter().map(Addr) {
        if Some(class) == until {
            return None;
        }
        if fields.tp_flags.read(memory, class).ok()? & TypeFlags::HEAPTYPE == 0 {
            continue;
        }
        let Some(own) = fields.tp_dict.read(memory, class).ok().flatten() else { continue };
        if let Ok(Some(value)) = dict::get(memory, layouts, own, name) {
            return Some(value);
        }
    }
    None
}
