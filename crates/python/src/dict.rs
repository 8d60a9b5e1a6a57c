//! Which keys and values does a dict have?
//!
//! Source: `Objects/dictobject.c`; since 3.6 a dict is a table of keys, which instances of one
//! class share, and either entries with values in it or an array of values beside it.

use crate::layout::Layouts;
use crate::layout::tables::dict_keys::{Capacity, Encoding};
use crate::layout::tables::dict_object::DictStorage;
use crate::layout::tables::dict_values::ValuesHeader;
use crate::text;
use memwhy_model::Addr;
use memwhy_target::{Fault, MAX_READ, Memory, MemoryExt};

/// Entries read at once.
const PIECE: u64 = 4096;

/// The header of a table of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keys {
    /// How many dicts use it.
    pub refcnt: i64,
    /// Bytes in all: header, index, entries.
    pub size: u64,
    /// Entries in use, deleted ones included.
    pub used: u64,
    /// Entries that may still be added.
    pub usable: u64,
    /// Bytes of one entry.
    entry: u64,
    /// Where the first entry is.
    entries: Addr,
    /// Where in an entry the key is; the value follows it.
    key: u64,
}

impl Keys {
    /// How many values an instance that shares the table has room for.
    #[must_use]
    pub const fn room(&self) -> u64 {
        self.used.saturating_add(self.usable)
    }
}

/// Reads the header of the table of keys at `addr`; `None` where dicts have no such thing (2.7).
///
/// # Errors
/// As [`Memory::read`], and for sizes that cannot be.
pub fn keys_of(memory: &dyn Memory, layouts: &Layouts, addr: Addr) -> Result<Option<Keys>, Fault> {
    let Some(fields) = layouts.dict_keys else { return Ok(None) };
    if addr.0 == 0 {
        return Ok(None);
    }
    let absurd = Fault::too_long(addr);
    let head = memory.bytes(addr, fields.size, 64)?;
    let number = |value: Option<i64>| value.and_then(|v| u64::try_from(v).ok()).ok_or(absurd);
    let slots = match fields.capacity {
        Capacity::Slots(field) => number(field.from(&head))?,
        Capacity::Log2(field) => {
            let log2 = field.from(&head).ok_or(absurd)?;
            1u64.checked_shl(u32::from(log2)).filter(|_| log2 < 40).ok_or(absurd)?
        }
    };
    if slots > 1 << 40 {
        return Err(absurd);
    }
    let (index, general) = match fields.encoding {
        Encoding::Stated { log2_index_bytes, kind } => {
            let log2 = log2_index_bytes.from(&head).ok_or(absurd)?;
            let bytes = 1u64.checked_shl(u32::from(log2)).filter(|_| log2 < 44).ok_or(absurd)?;
            (bytes, kind.from(&head).ok_or(absurd)? == 0)
        }
        // DK_IXSIZE: as narrow as the number of slots allows.
        Encoding::Implied => {
            let width = match slots {
                0..=0xff => 1,
                0x100..=0xffff => 2,
                0x1_0000..=0xffff_ffff => 4,
                _ => 8,
            };
            (slots * width, true)
        }
    };
    let (entry, key) = match layouts.dict_unicode_entry {
        Some(short) if !general => (short.size, short.key.offset),
        _ => (layouts.dict_entry.size, layouts.dict_entry.key.offset),
    };
    // USABLE_FRACTION, the same since 3.6.
    let capacity = slots * 2 / 3;
    let used = number(fields.nentries.from(&head))?;
    if used > capacity {
        return Err(absurd);
    }
    Ok(Some(Keys {
        refcnt: fields.refcnt.from(&head).ok_or(absurd)?,
        size: fields.size + index + capacity * entry,
        used,
        usable: number(fields.usable.from(&head)).unwrap_or(0),
        entry,
        entries: addr.at(fields.size).at(index),
        key,
    }))
}

/// The keys and values of the dict at `dict`, at most `limit` pairs.
///
/// # Errors
/// As [`Memory::read`], and for a table that cannot be.
pub fn entries(
    memory: &dyn Memory,
    layouts: &Layouts,
    dict: Addr,
    limit: usize,
) -> Result<Vec<(Addr, Addr)>, Fault> {
    let mut found = Vec::new();
    match layouts.dict_object.storage {
        DictStorage::Keys { ma_keys, ma_values } => {
            let Some(table) = ma_keys.read(memory, dict)? else { return Ok(found) };
            let Some(keys) = keys_of(memory, layouts, table)? else { return Ok(found) };
            let values = ma_values.read(memory, dict)?;
            let values = values.map(|at| match layouts.dict_values {
                Some(fields) => fields.values.addr(at),
                None => at,
            });
            pairs(memory, layouts, &keys, values, limit, &mut found)?;
        }
        DictStorage::Table { ma_mask, ma_table, .. } => {
            let Some(table) = ma_table.read(memory, dict)? else { return Ok(found) };
            let mask = u64::try_from(ma_mask.read(memory, dict)?).ok();
            let slots = mask.and_then(|mask| mask.checked_add(1)).filter(|n| n.is_power_of_two());
            let slots = slots.ok_or(Fault::too_long(table))?;
            let entry = &layouts.dict_entry;
            let (size, key, value) = (entry.size, entry.key.offset, entry.value.offset);
            table_pairs(memory, table, slots, (size, key, value), limit, &mut found)?;
        }
    }
    Ok(found)
}

/// The value of a string key.
///
/// # Errors
/// As [`entries`].
pub fn get(
    memory: &dyn Memory,
    layouts: &Layouts,
    dict: Addr,
    name: &str,
) -> Result<Option<Addr>, Fault> {
    let wanted = |(key, value): (Addr, Addr)| {
        let text = text::read(memory, layouts, key, name.len() + 1).ok()?;
        (text == name).then_some(value)
    };
    Ok(entries(memory, layouts, dict, 1 << 20)?.into_iter().find_map(wanted))
}

/// The pairs of a table of keys: values from `values` if they are kept apart.
pub(crate) fn pairs(
    memory: &dyn Memory,
    layouts: &Layouts,
    keys: &Keys,
    values: Option<Addr>,
    limit: usize,
    found: &mut Vec<(Addr, Addr)>,
) -> Result<(), Fault> {
    if let Some(values) = values {
        let names = memory.bytes(keys.entries, keys.used * keys.entry, MAX_READ)?;
        let objects = memory.words(values, keys.used, MAX_READ)?;
        let entry = usize::try_from(keys.entry).unwrap_or(16).max(1);
        let pair = |index: usize| {
            let name = word(names.get(index * entry..)?, keys.key).filter(|key| *key != 0)?;
            let object = objects.get(index).filter(|object| **object != 0)?;
            Some((Addr(name), Addr(*object)))
        };
        let all = 0..objects.len();
        match insertion_order(memory, layouts, values)? {
            Some(order) => {
                found.extend(order.into_iter().map(usize::from).filter_map(pair).take(limit));
            }
            None => found.extend(all.filter_map(pair).take(limit)),
        }
        return Ok(());
    }
    let shape = (keys.entry, keys.key, keys.key + 8);
    table_pairs(memory, keys.entries, keys.used, shape, limit, found)
}

/// In which order the values at `values` were set: that of the keys is that of the first instance.
/// `None` where both are the same.
///
/// Source: `Objects/dictobject.c: get_insertion_order_array`, since 3.11.
fn insertion_order(
    memory: &dyn Memory,
    layouts: &Layouts,
    values: Addr,
) -> Result<Option<Vec<u8>>, Fault> {
    let Some(fields) = layouts.dict_values else { return Ok(None) };
    let mut order = match fields.header {
        ValuesHeader::Front { capacity, size, .. } => {
            let header = values.before(fields.values.offset);
            let room = u64::from(capacity.read(memory, header)?);
            let count = u64::from(size.read(memory, header)?);
            return memory.bytes(values.at(room * 8), count, 256).map(Some);
        }
        ValuesHeader::Behind => {
            let count = u64::from(memory.u8(values.before(2))?);
            memory.bytes(values.before(2 + count), count, 256)?
        }
    };
    order.reverse();
    Ok(Some(order))
}

/// Entries of (size, where the key is, where the value is), empty ones left out.
fn table_pairs(
    memory: &dyn Memory,
    table: Addr,
    count: u64,
    (size, key, value): (u64, u64, u64),
    limit: usize,
    found: &mut Vec<(Addr, Addr)>,
) -> Result<(), Fault> {
    let mut first = 0;
    while first < count && found.len() < limit {
        let piece = PIECE.min(count - first);
        let bytes = memory.bytes(table.at(first * size), piece * size, MAX_READ)?;
        for entry in bytes.chunks_exact(usize::try_from(size).unwrap_or(24).max(1)) {
            if let (Some(key), Some(value)) = (word(entry, key), word(entry, value))
                && key != 0
                && value != 0
                && found.len() < limit
            {
                found.push((Addr(key), Addr(value)));
            }
        }
        first += piece;
    }
    Ok(())
}

fn word(entry: &[u8], at: u64) -> Option<u64> {
    let bytes = entry.get(usize::try_from(at).ok()?..)?;
    bytes.first_chunk::<8>().map(|word| u64::from_le_bytes(*word))
}
