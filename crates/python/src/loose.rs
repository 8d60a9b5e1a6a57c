//! Which objects lie where no allocator divides the memory: in the variables of images?
//!
//! There is no block to begin at, so any word that is the address of a type may mark one.

use crate::alive::{alive, may_be_static};
use crate::heap::Finder;
use crate::layout::TypeFlags;
use crate::object::Object;
use memwhy_model::{Addr, AddrRange, Flags};
use memwhy_target::{MAX_READ, Mapping, MemoryExt};

impl Finder<'_> {
    /// Meets the types that images define, so that their static instances are recognised.
    pub(crate) fn static_types(&mut self, data: &[AddrRange]) {
        let root = self.types.root();
        for range in data {
            let Ok(words) = self.memory.words(range.start, range.len() / 8, 8 << 20) else {
                continue;
            };
            let offset = self.layouts.object.ob_type.offset;
            for (word, at) in words.iter().zip((0u64..).step_by(8)) {
                if *word == root.0 {
                    let _ = self.types.at(range.start.at(at).before(offset));
                }
            }
        }
    }

    /// Searches a range for objects, word by word: a known type marks one.
    pub(crate) fn words(&mut self, range: AddrRange, flags: Flags) {
        /// Bytes read at once.
        const PIECE: u64 = 1 << 20;
        let mut free_from = range.start;
        let mut at = range.start;
        while at < range.end {
            let piece = AddrRange::new(at, Addr(at.at(PIECE).0.min(range.end.0)));
            at = piece.end;
            let Ok(words) = self.memory.words(piece.start, piece.len() / 8, MAX_READ / 8) else {
                self.heap.incomplete();
                continue;
            };
            for (word, offset) in words.iter().zip((0u64..).step_by(8)) {
                if let Some(end) = self.word(*word, piece.start.at(offset), range, free_from, flags)
                {
                    free_from = end;
                }
            }
        }
    }

    /// Takes the object whose type is the `word` at `at`, if there is one that begins at or after
    /// `free_from` and ends in `range`; returns where its fields end.
    fn word(
        &mut self,
        word: u64,
        at: Addr,
        range: AddrRange,
        free_from: Addr,
        flags: Flags,
    ) -> Option<Addr> {
        let id = self.types.met(Addr(word))?;
        let info = self.types.info(id)?;
        let object = at.0.checked_sub(self.layouts.object.ob_type.offset).map(Addr)?;
        let extent = AddrRange::sized(object, info.least);
        // Objects do not lie in each other; the words of one that was found are its own.
        let fits = object >= free_from && range.covers(extent);
        if !fits {
            return None;
        }
        let head = self.memory.array::<32>(object).ok()?;
        // Tables of pointers, of linkers and of compilers, are full of an address followed by that
        // of a type; where addresses are small they look like counts.
        if self.begins_with_address(&head, 0)
            && !(flags.has(Flags::STATIC) && self.may_count_high(&head))
        {
            return None;
        }
        let alive = alive(&self.layouts.object.refcount, &head)?;
        if flags.has(Flags::STATIC) && !may_be_static(self.layouts, info, alive) {
            return None;
        }
        // What C code defines lies in its image as a whole, text and all.
        let view = Object {
            memory: self.memory,
            layouts: self.layouts,
            ty: info,
            addr: object,
            head: &head,
        };
        let size = info.kind.shallow(&view).ok()?;
        // Types state (in 2.7) what one made at run time would take.
        let size = if info.has(TypeFlags::TYPE_SUBCLASS) { info.least } else { size };
        if flags.has(Flags::STATIC) && size > range.end.0 - object.0 {
            return None;
        }
        self.heap.push(object, id, 0, alive.and(flags));
        if flags.has(Flags::STATIC) {
            self.statics.push(extent);
        }
        Some(extent.end.align_down(8))
    }

    /// Whether a word that is an address may be the count of a static object all the same: 3.11
    /// begins that of what it froze at 999,999,999 (`_PyObject_IMMORTAL_REFCNT`), and below 4 GiB
    /// is where `brk` puts the heap of an executable that is not position-independent.
    fn may_count_high(&self, object: &[u8]) -> bool {
        let Some(word) = self.layouts.object.refcount.word(object).map(Addr) else { return false };
        let in_heap = self.memory.maps().find(word).is_some_and(Mapping::anonymous)
            && !self.data.iter().any(|data| data.contains(word));
        let ty = self.memory.ptr(word.at(self.layouts.object.ob_type.offset));
        in_heap && !ty.is_ok_and(|ty| ty.is_some_and(|ty| self.types.met(ty).is_some()))
    }
}
