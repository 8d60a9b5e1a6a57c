//! Where does debug information place the members of a struct?

use gimli::{AttributeValue, DebuggingInformationEntry, EndianSlice, LittleEndian, UnitOffset};
use memwhy_python::layout::dump::DumpedStruct;
use object::{Object, ObjectSection};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

type Slice<'a> = EndianSlice<'a, LittleEndian>;
type Entry<'a> = DebuggingInformationEntry<Slice<'a>>;

/// Embedded structs are followed so deep.
const DEPTH: usize = 8;

/// The structs among `names` (first name, all names) that the file defines, with those members of
/// `wanted` that they have.
pub(crate) fn structs(
    file: &[u8],
    names: &[(&str, Vec<&str>)],
    wanted: &BTreeMap<&str, BTreeSet<&str>>,
) -> Result<BTreeMap<String, DumpedStruct>, String> {
    let file = object::File::parse(file).map_err(|e| e.to_string())?;
    let load = |id: gimli::SectionId| -> Result<Cow<'_, [u8]>, gimli::Error> {
        let section = file.section_by_name(id.name());
        let data = section.and_then(|section| section.uncompressed_data().ok());
        Ok(data.unwrap_or_default())
    };
    let sections = gimli::DwarfSections::load(load).map_err(|e| e.to_string())?;
    let dwarf = sections.borrow(|section| EndianSlice::new(section, LittleEndian));
    search(&dwarf, names, wanted).map_err(|e| e.to_string())
}

fn search(
    dwarf: &gimli::Dwarf<Slice<'_>>,
    names: &[(&str, Vec<&str>)],
    wanted: &BTreeMap<&str, BTreeSet<&str>>,
) -> Result<BTreeMap<String, DumpedStruct>, gimli::Error> {
    let mut found = BTreeMap::new();
    let mut units = dwarf.units();
    while let Some(header) = units.next()? {
        let info = Info { dwarf, unit: dwarf.unit(header)? };
        let mut tree = info.unit.entries_tree(None)?;
        let mut children = tree.root()?.children();
        while let Some(child) = children.next()? {
            let entry = child.entry();
            let Some(name) = info.name(entry)? else { continue };
            let known = names.iter().find(|(_, all)| all.contains(&name.as_str()));
            let Some((first, _)) = known else { continue };
            if found.contains_key(*first) {
                continue;
            }
            let Some(place) = info.definition(entry.offset())? else { continue };
            let definition = info.unit.entry(place)?;
            let Some(size) = definition.attr_value(gimli::DW_AT_byte_size) else { continue };
            let mut dumped =
                DumpedStruct { size: size.udata_value().unwrap_or(0), ..DumpedStruct::default() };
            for member in wanted.get(first).into_iter().flatten() {
                if let Some(at) = info.member(place, member, 0, DEPTH)? {
                    dumped.members.insert((*member).to_owned(), at);
                }
            }
            found.insert((*first).to_owned(), dumped);
        }
    }
    Ok(found)
}

struct Info<'d, 'a> {
    dwarf: &'d gimli::Dwarf<Slice<'a>>,
    unit: gimli::Unit<Slice<'a>>,
}

impl<'a> Info<'_, 'a> {
    fn name(&self, entry: &Entry<'a>) -> Result<Option<String>, gimli::Error> {
        let Some(value) = entry.attr_value(gimli::DW_AT_name) else { return Ok(None) };
        let text = self.dwarf.attr_string(&self.unit, value)?;
        Ok(Some(text.to_string_lossy().into_owned()))
    }

    /// Follows typedefs and qualifiers to a struct or union that is defined here.
    fn definition(&self, mut at: UnitOffset) -> Result<Option<UnitOffset>, gimli::Error> {
        for _ in 0..DEPTH {
            let entry = self.unit.entry(at)?;
            match entry.tag() {
                gimli::DW_TAG_structure_type | gimli::DW_TAG_union_type => {
                    let declared = entry.attr_value(gimli::DW_AT_declaration).is_some();
                    return Ok((!declared).then_some(at));
                }
                gimli::DW_TAG_typedef
                | gimli::DW_TAG_const_type
                | gimli::DW_TAG_volatile_type
                | gimli::DW_TAG_atomic_type => {}
                _ => return Ok(None),
            }
            match entry.attr_value(gimli::DW_AT_type) {
                Some(AttributeValue::UnitRef(next)) => at = next,
                _ => return Ok(None),
            }
        }
        Ok(None)
    }

    /// Where the member `path` (`a.b` is inside the embedded `a`) is in the struct at `place`.
    #[expect(clippy::type_complexity, reason = "offset, and bits of a bit-field")]
    fn member(
        &self,
        place: UnitOffset,
        path: &str,
        base: u64,
        depth: usize,
    ) -> Result<Option<(u64, Option<(u8, u8)>)>, gimli::Error> {
        if depth == 0 {
            return Ok(None);
        }
        let (first, rest) = path.split_once('.').map_or((path, None), |(a, b)| (a, Some(b)));
        let mut tree = self.unit.entries_tree(Some(place))?;
        let mut children = tree.root()?.children();
        while let Some(child) = children.next()? {
            let entry = child.entry();
            if entry.tag() != gimli::DW_TAG_member {
                continue;
            }
            let number = |at| entry.attr_value(at).and_then(|value| value.udata_value());
            let here = base + number(gimli::DW_AT_data_member_location).unwrap_or(0);
            let inner = match entry.attr_value(gimli::DW_AT_type) {
                Some(AttributeValue::UnitRef(of)) => self.definition(of)?,
                _ => None,
            };
            let name = self.name(entry)?;
            let found = match (name.as_deref(), rest, inner) {
                (None, _, Some(inner)) => self.member(inner, path, here, depth - 1)?,
                (Some(name), Some(rest), Some(inner)) if name == first => {
                    self.member(inner, rest, here, depth - 1)?
                }
                (Some(name), None, _) if name == first => {
                    let bits = number(gimli::DW_AT_bit_size).and_then(|width| {
                        let bit = number(gimli::DW_AT_data_bit_offset)?;
                        Some((bit / 8, u8::try_from(bit % 8).ok()?, u8::try_from(width).ok()?))
                    });
                    Some(match bits {
                        Some((byte, shift, width)) => (base + byte, Some((shift, width))),
                        None => (here, None),
                    })
                }
                _ => None,
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }
}
