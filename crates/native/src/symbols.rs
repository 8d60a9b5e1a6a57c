//! Which C function is at an address, and which line of which file?
//!
//! Names come from the symbol tables of the image and of its separate debug file, where one is
//! installed; lines and inlined functions from DWARF, where one of the two has it. An address that
//! no symbol covers has no name: the nearest one before it would be a guess.

use crate::{Image, Images};
use addr2line::Context;
use gimli::{EndianArcSlice, LittleEndian, SectionId};
use memwhy_model::Addr;
use rustc_hash::FxHashMap;
use std::cell::OnceCell;
use std::fmt;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

/// Inlined functions in one place; no compiler nests deeper.
const MOST_INLINED: usize = 64;

/// A place in C code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NativePlace {
    /// The function.
    pub function: Option<String>,
    /// The source file and the line in it.
    pub line: Option<(String, u32)>,
}

/// Names addresses; what an image says is read once.
pub struct Symbols<'a> {
    images: &'a Images,
    /// Below which separate debug files may be: the target's root, ours.
    roots: Vec<PathBuf>,
    /// By the start of the image.
    known: FxHashMap<Addr, Known>,
}

impl fmt::Debug for Symbols<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Symbols").field("images", &self.known.len()).finish_non_exhaustive()
    }
}

struct Known {
    separate: Option<Image>,
    functions: Vec<Function>,
    /// Read when a line is first asked for.
    lines: OnceCell<Option<Context<EndianArcSlice<LittleEndian>>>>,
}

struct Function {
    start: u64,
    end: u64,
    name: String,
}

impl<'a> Symbols<'a> {
    /// Nothing is read yet.
    #[must_use]
    pub fn new(images: &'a Images, roots: Vec<PathBuf>) -> Self {
        Self { images, roots, known: FxHashMap::default() }
    }

    /// The function that covers `at`, and how far into it `at` is.
    pub fn function(&mut self, at: Addr) -> Option<(&str, u64)> {
        let (image, known) = self.known(at)?;
        let vaddr = at.0.wrapping_sub(image.bias);
        let after = known.functions.partition_point(|function| function.start <= vaddr);
        let found = known.functions.get(after.checked_sub(1)?)?;
        (vaddr < found.end).then(|| (found.name.as_str(), vaddr - found.start))
    }

    /// The functions that `at` is in, the innermost first: those that were inlined there, then the
    /// one that has the code. Empty without DWARF.
    pub fn places(&mut self, at: Addr) -> Vec<NativePlace> {
        let Some((image, known)) = self.known(at) else { return Vec::new() };
        let vaddr = at.0.wrapping_sub(image.bias);
        let lines = known.lines.get_or_init(|| {
            let separate = known.separate.as_ref().and_then(dwarf);
            separate.or_else(|| dwarf(image))
        });
        let Some(lines) = lines else { return Vec::new() };
        let Ok(mut frames) = lines.find_frames(vaddr).skip_all_loads() else { return Vec::new() };
        let mut places = Vec::new();
        while let Ok(Some(frame)) = frames.next() {
            let function = frame.function.and_then(|f| Some(f.raw_name().ok()?.into_owned()));
            let line = frame.location.and_then(|at| Some((at.file?.to_owned(), at.line?)));
            places.push(NativePlace { function, line });
            if places.len() >= MOST_INLINED {
                break;
            }
        }
        places
    }

    fn known(&mut self, at: Addr) -> Option<(&'a Image, &mut Known)> {
        let image = self.images.containing(at)?;
        let roots = &self.roots;
        let known = self.known.entry(image.span.start).or_insert_with(|| {
            let separate = separate(image, roots);
            let mut named = image.functions();
            named.extend(separate.iter().flat_map(Image::functions));
            Known { functions: functions(named), separate, lines: OnceCell::new() }
        });
        Some((image, known))
    }
}

/// Sorts functions by address; of several names for one address the plainest stays.
fn functions(mut named: Vec<(u64, u64, String)>) -> Vec<Function> {
    let plainness = |name: &str| (name.len() - name.trim_start_matches('_').len(), name.len());
    named.retain(|(_, size, _)| *size > 0);
    named.sort_by(|a, b| (a.0, plainness(&a.2), &a.2).cmp(&(b.0, plainness(&b.2), &b.2)));
    named.dedup_by_key(|(start, ..)| *start);
    let function = |(start, size, name): (u64, u64, String)| Function {
        start,
        end: start.saturating_add(size),
        name,
    };
    named.into_iter().map(function).collect()
}

/// The file that describes `image` and has its build-id, where distributions put it.
fn separate(image: &Image, roots: &[PathBuf]) -> Option<Image> {
    let id = image.build_id()?;
    let (folder, rest) = id.split_at_checked(2)?;
    let path = format!("usr/lib/debug/.build-id/{folder}/{rest}.debug");
    let found = roots.iter().find_map(|root| File::open(root.join(&path)).ok())?;
    let found = image.described_by(found);
    (found.build_id()? == id).then_some(found)
}

fn dwarf(image: &Image) -> Option<Context<EndianArcSlice<LittleEndian>>> {
    image.section(".debug_info")?;
    let section = |id: SectionId| -> Result<_, gimli::Error> {
        let bytes = image.section_bytes(id.name()).unwrap_or_default();
        Ok(EndianArcSlice::new(Arc::from(bytes), LittleEndian))
    };
    Context::from_dwarf(gimli::Dwarf::load(section).ok()?).ok()
}
