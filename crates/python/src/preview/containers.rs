//! Collections. Source: `Objects/listobject.c: list_repr`, `Objects/tupleobject.c: tuplerepr`,
//! `Objects/setobject.c: set_repr`, `Objects/dictobject.c: dict_repr`,
//! `Objects/odictobject.c: odict_repr`, `Modules/_collectionsmodule.c: deque_repr, defdict_repr`.

use super::subject::Subject;
use super::writer::Writer;
use super::{Family, Write};
use crate::layout::TypeFlags;
use crate::{dict, text};
use memwhy_model::Addr;
use memwhy_target::{Fault, MemoryExt};

pub(super) static FAMILY: Family = &[
    (&["list"], list as Write),
    (&["tuple"], tuple),
    (&["set", "frozenset"], set),
    (&["dict"], dict_),
    (&["frozendict"], frozen_dict),
    (&["collections.OrderedDict"], ordered_dict),
    (&["collections.defaultdict"], default_dict),
    (&["collections.deque"], deque),
    (&["mappingproxy", "dictproxy"], proxy),
];

/// Slots of a set that are read to find its first elements.
const MOST_SLOTS: u64 = 1 << 16;

fn length(writer: &Writer<'_>, addr: Addr) -> Result<u64, Fault> {
    let length = writer.layouts.var_object.ob_size.read(writer.memory, addr)?;
    u64::try_from(length).map_err(|_| Fault::too_long(addr))
}

/// As many of `count` pointers at `at` as are worth reading.
fn first(writer: &Writer<'_>, at: Addr, count: u64) -> Result<Vec<Addr>, Fault> {
    let wanted = count.min(writer.worth_reading() as u64);
    if wanted == 0 {
        return Ok(Vec::new());
    }
    Ok(writer.memory.words(at, wanted, 1 << 16)?.into_iter().map(Addr).collect())
}

fn list(writer: &mut Writer<'_>, subject: &Subject) -> Result<(), Fault> {
    let count = length(writer, subject.addr)?;
    let at = writer.layouts.list_object.ob_item.read(writer.memory, subject.addr)?;
    let items = first(writer, at.unwrap_or_default(), count)?;
    writer.items("[", "]", &items, count);
    Ok(())
}

fn tuple(writer: &mut Writer<'_>, subject: &Subject) -> Result<(), Fault> {
    let count = length(writer, subject.addr)?;
    let items = first(writer, writer.layouts.tuple_object.ob_item.addr(subject.addr), count)?;
    writer.items("(", if count == 1 { ",)" } else { ")" }, &items, count);
    Ok(())
}

fn set(writer: &mut Writer<'_>, subject: &Subject) -> Result<(), Fault> {
    let fields = writer.layouts.set_object;
    let (memory, addr) = (writer.memory, subject.addr);
    let used = u64::try_from(fields.used.read(memory, addr)?).map_err(|_| Fault::too_long(addr))?;
    let name = subject.short_name().to_owned();
    if used == 0 {
        let empty = if writer.layouts.wording.set_braces { "()" } else { "([])" };
        writer.text(&format!("{name}{empty}"));
        return Ok(());
    }
    let entry = writer.layouts.set_entry;
    let mask = u64::try_from(fields.mask.read(memory, addr)?).map_err(|_| Fault::too_long(addr))?;
    let slots = mask.saturating_add(1).min(MOST_SLOTS);
    let table = fields.table.read(memory, addr)?.ok_or(Fault::unmapped(addr))?;
    let wanted = writer.worth_reading();
    let mut items = Vec::new();
    for slot in 0..slots {
        if items.len() >= wanted {
            break;
        }
        let at = table.at(slot * entry.size);
        let Some(key) = entry.key.read(memory, at)? else { continue };
        if !is_removed(writer, key, entry.hash.read(memory, at)?) {
            items.push(key);
        }
    }
    let (open, close) = match (writer.layouts.wording.set_braces, name.as_str()) {
        (true, "set") => ("{".to_owned(), "}"),
        (true, name) => (format!("{name}({{"), "})"),
        (false, name) => (format!("{name}(["), "])"),
    };
    writer.items(&open, close, &items, used);
    Ok(())
}

/// Whether a key was removed here. The hash of nothing is -1; where that is not written (2.7), a
/// string stands in for the key. Source: `Objects/setobject.c: dummy`.
fn is_removed(writer: &Writer<'_>, key: Addr, hash: i64) -> bool {
    const DUMMY: &str = "<dummy key>";
    let named = || text::read(writer.memory, writer.layouts, key, DUMMY.len() + 1);
    hash == -1 || (!writer.layouts.wording.set_braces && named().is_ok_and(|text| text == DUMMY))
}

/// The first pairs of a dict, and how many it has.
pub(super) fn pairs(writer: &Writer<'_>, addr: Addr) -> Result<(Vec<(Addr, Addr)>, u64), Fault> {
    let used = writer.layouts.dict_object.ma_used.read(writer.memory, addr)?;
    let used = u64::try_from(used).map_err(|_| Fault::too_long(addr))?;
    if used == 0 {
        return Ok((Vec::new(), 0));
    }
    let wanted = writer.worth_reading();
    let pairs = dict::entries(writer.memory, writer.layouts, addr, wanted)?;
    Ok((pairs, used))
}

fn dict_(writer: &mut Writer<'_>, subject: &Subject) -> Result<(), Fault> {
    let (pairs, all) = pairs(writer, subject.addr)?;
    writer.pairs("{", "}", &pairs, all);
    Ok(())
}

fn frozen_dict(writer: &mut Writer<'_>, subject: &Subject) -> Result<(), Fault> {
    let (pairs, all) = pairs(writer, subject.addr)?;
    let name = subject.short_name().to_owned();
    if all == 0 {
        writer.text(&format!("{name}()"));
    } else {
        writer.pairs(&format!("{name}({{"), "})", &pairs, all);
    }
    Ok(())
}

/// In the order of its chain, which moves while the dict below keeps the order of insertion.
fn ordered_dict(writer: &mut Writer<'_>, subject: &Subject) -> Result<(), Fault> {
    let (memory, layouts) = (writer.memory, writer.layouts);
    let name = subject.short_name().to_owned();
    let (found, all) = pairs(writer, subject.addr)?;
    if all == 0 {
        writer.text(&format!("{name}()"));
        return Ok(());
    }
    let mut ordered = Vec::new();
    if let (Some(fields), Some(node)) = (layouts.ordered_dict, layouts.ordered_dict_node) {
        let mut at = fields.first.read(memory, subject.addr)?;
        for _ in 0..found.len() {
            let Some(here) = at else { break };
            let key = node.key.read(memory, here)?.ok_or(Fault::unmapped(here))?;
            // One that was moved to the front may not be among the first of the dict below.
            let Some(pair) = found.iter().find(|(known, _)| *known == key) else { break };
            ordered.push(*pair);
            at = node.next.read(memory, here)?;
        }
    }
    if layouts.wording.ordered_dict_pairs {
        writer.text(&format!("{name}(["));
        let mut written = 0;
        for (key, value) in &ordered {
            if written > 0 {
                writer.text(", ");
            }
            if writer.full() {
                break;
            }
            writer.items("(", ")", &[*key, *value], 2);
            written += 1;
        }
        if written < all {
            writer.leave_out();
        }
        writer.close("])");
    } else {
        writer.text(&format!("{name}("));
        writer.pairs("{", "})", &ordered, all);
    }
    Ok(())
}

fn default_dict(writer: &mut Writer<'_>, subject: &Subject) -> Result<(), Fault> {
    // `struct defdictobject`: the factory follows the dict, in every release.
    let at = subject.addr.at(writer.layouts.dict_object.size);
    let factory = writer.memory.ptr(at)?;
    let name = subject.short_name().to_owned();
    writer.text(&format!("{name}("));
    match factory {
        Some(factory) => writer.item(factory),
        None => writer.text("None"),
    }
    writer.text(", ");
    let (pairs, all) = pairs(writer, subject.addr)?;
    writer.pairs("{", "})", &pairs, all);
    Ok(())
}

fn deque(writer: &mut Writer<'_>, subject: &Subject) -> Result<(), Fault> {
    let (memory, layouts, addr) = (writer.memory, writer.layouts, subject.addr);
    let (Some(fields), Some(block)) = (layouts.deque, layouts.deque_block) else {
        return Err(Fault::unmapped(addr));
    };
    let count = match fields.len {
        Some(len) => len.read(memory, addr)?,
        None => layouts.var_object.ob_size.read(memory, addr)?,
    };
    let count = u64::try_from(count).map_err(|_| Fault::too_long(addr))?;
    let wanted = count.min(writer.worth_reading() as u64);
    let mut at = fields.leftblock.read(memory, addr)?;
    let mut index = u64::try_from(fields.leftindex.read(memory, addr)?).unwrap_or(0);
    let mut items = Vec::new();
    while (items.len() as u64) < wanted {
        if index >= block.slots {
            index = 0;
            at = at.map(|here| block.rightlink.read(memory, here)).transpose()?.flatten();
        }
        let here = at.ok_or(Fault::unmapped(addr))?;
        items.push(Addr(memory.u64(block.data.addr(here).at(index * 8))?));
        index += 1;
    }
    let name = subject.short_name().to_owned();
    let most = fields.maxlen.read(memory, addr)?;
    let close = if most < 0 { "])".to_owned() } else { format!("], maxlen={most})") };
    writer.items(&format!("{name}(["), &close, &items, count);
    Ok(())
}

/// `mappingproxyobject`: the mapping is all it has.
fn proxy(writer: &mut Writer<'_>, subject: &Subject) -> Result<(), Fault> {
    let mapping = writer.memory.ptr(subject.addr.at(writer.layouts.object.size))?;
    let name = subject.short_name().to_owned();
    writer.text(&format!("{}(", if name == "dictproxy" { "dict_proxy" } else { &name }));
    writer.object_or(mapping, "?");
    writer.close(")");
    Ok(())
}

/// A named tuple: a tuple whose class has `_fields`.
pub(super) fn named_tuple(writer: &mut Writer<'_>, subject: &Subject, fields: Addr) -> Option<()> {
    if subject.flags & TypeFlags::TUPLE_SUBCLASS == 0 {
        return None;
    }
    let layouts = writer.layouts;
    let count = length(writer, subject.addr).ok()?;
    if length(writer, fields).ok()? != count {
        return None;
    }
    let names = first(writer, layouts.tuple_object.ob_item.addr(fields), count).ok()?;
    let items = first(writer, layouts.tuple_object.ob_item.addr(subject.addr), count).ok()?;
    writer.text(&format!("{}(", subject.short_name()));
    let mut written = 0;
    for (name, item) in names.into_iter().zip(items) {
        if written > 0 {
            writer.text(", ");
        }
        if writer.full() {
            break;
        }
        writer.name(Some(name));
        writer.text("=");
        writer.item(item);
        written += 1;
    }
    if written < count {
        writer.leave_out();
    }
    writer.close(")");
    Some(())
}
