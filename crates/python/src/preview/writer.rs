//! How does a preview stay short?

use super::subject::Subject;
use super::{instances, strings};
use crate::layout::{Layouts, Ptr};
use crate::text;
use memwhy_model::Addr;
use memwhy_target::{Fault, Memory};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// Stands for what was left out.
pub(super) const LEFT_OUT: char = '…';
/// Stands for an object that cannot be read.
const UNREADABLE: &str = "<?>";
/// Objects within objects are written so deep.
const DEPTH: usize = 6;
/// One of several objects gets at least so many characters.
const FEWEST: usize = 20;
/// Names are cut here.
const LONGEST_NAME: usize = 200;
/// So many reads, or pages if they are long, are enough for a preview.
const MOST_READS: u64 = 20_000;

/// Memory that refuses after so many reads.
pub(super) struct Metered<'a> {
    memory: &'a dyn Memory,
    left: AtomicU64,
}

impl<'a> Metered<'a> {
    pub(super) fn new(memory: &'a dyn Memory) -> Self {
        Self { memory, left: AtomicU64::new(MOST_READS) }
    }
}

impl Memory for Metered<'_> {
    fn read(&self, addr: Addr, buf: &mut [u8]) -> Result<(), Fault> {
        let cost = 1 + buf.len() as u64 / 4096;
        let left = self.left.load(Ordering::Relaxed);
        self.left.store(left.saturating_sub(cost), Ordering::Relaxed);
        if left < cost {
            return Err(Fault::too_long(addr));
        }
        self.memory.read(addr, buf)
    }
}

/// The preview so far.
pub(super) struct Writer<'a> {
    /// The target.
    pub memory: &'a dyn Memory,
    /// Where things are.
    pub layouts: &'a Layouts,
    out: String,
    /// Characters that may still be written on this level.
    left: usize,
    /// Whether something was cut off on this level, and the sign for it written.
    cut: bool,
    /// The objects that are being written, the outermost first.
    within: Vec<Addr>,
}

impl fmt::Debug for Writer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("out", &self.out).finish_non_exhaustive()
    }
}

impl<'a> Writer<'a> {
    pub(super) fn new(memory: &'a dyn Memory, layouts: &'a Layouts, budget: usize) -> Self {
        let within = Vec::new();
        Self { memory, layouts, out: String::new(), left: budget, cut: false, within }
    }

    /// Writes the outermost object.
    ///
    /// # Errors
    /// If there is none.
    pub(super) fn top(&mut self, addr: Addr) -> Result<(), Fault> {
        let subject = Subject::of(self.memory, self.layouts, addr)?;
        self.write(&subject)
    }

    /// The text, with control characters replaced: some names are written as they are.
    pub(super) fn finish(self) -> String {
        let shown = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
        self.out.chars().map(shown).collect()
    }

    /// Whether nothing more can be written on this level.
    pub(super) const fn full(&self) -> bool {
        self.left == 0
    }

    /// Characters that may still be written on this level.
    pub(super) const fn left(&self) -> usize {
        self.left
    }

    /// Writes as much of `text` as there is room for.
    pub(super) fn text(&mut self, text: &str) {
        for c in text.chars() {
            if self.left == 0 {
                self.leave_out();
                return;
            }
            self.out.push(c);
            self.left -= 1;
        }
    }

    /// Says that something is left out here; once is enough.
    pub(super) fn leave_out(&mut self) {
        if !self.cut {
            self.cut = true;
            if !self.out.ends_with(LEFT_OUT) {
                self.out.push(LEFT_OUT);
            }
        }
    }

    /// Writes what ends something, whether there is room or not.
    pub(super) fn close(&mut self, text: &str) {
        self.out.push_str(text);
        self.left = self.left.saturating_sub(text.chars().count());
    }

    /// Writes an object inside of the present one. One that cannot be read costs the others
    /// nothing.
    pub(super) fn object(&mut self, addr: Addr) {
        if self.full() {
            self.leave_out();
            return;
        }
        if self.within.contains(&addr) || self.within.len() >= DEPTH {
            self.out.push(LEFT_OUT);
            self.left -= 1;
            return;
        }
        let before = (self.out.len(), self.left);
        let found = Subject::of(self.memory, self.layouts, addr);
        if found.and_then(|subject| self.write(&subject)).is_err() {
            self.out.truncate(before.0);
            self.left = before.1;
            self.text(UNREADABLE);
        }
    }

    /// Writes one object of several: it may take half of the room.
    pub(super) fn item(&mut self, addr: Addr) {
        let share = (self.left / 2).max(FEWEST).min(self.left);
        self.within_share(share, |writer| writer.object(addr));
    }

    /// As [`Writer::object`], `text` if there is none.
    pub(super) fn object_or(&mut self, addr: Ptr, text: &str) {
        match addr {
            Some(addr) => self.object(addr),
            None => self.text(text),
        }
    }

    /// Lets `write` use so many characters of the room.
    pub(super) fn within_share(&mut self, share: usize, write: impl FnOnce(&mut Self)) {
        let (kept, cut) = (self.left.saturating_sub(share), self.cut);
        self.left = self.left.min(share);
        self.cut = false;
        write(self);
        self.left += kept;
        self.cut = cut;
    }

    fn write(&mut self, subject: &Subject) -> Result<(), Fault> {
        self.within.push(subject.addr);
        let result = match subject.write {
            _ if instances::speaks_for_itself(self, subject) => Ok(()),
            Some(write) if subject.has_own_repr => {
                self.text("<");
                self.text(&subject.type_name(self.memory, self.layouts));
                self.text(" ");
                let result = write(self, subject);
                self.close(">");
                result
            }
            Some(write) => write(self, subject),
            None => {
                instances::instance(self, subject);
                Ok(())
            }
        };
        self.within.pop();
        result
    }

    /// How many items are worth reading: each takes three characters at least.
    pub(super) const fn worth_reading(&self) -> usize {
        self.left / 3 + 1
    }

    /// Writes `items` between `open` and `close`; there are more if `all` says so.
    pub(super) fn items(&mut self, open: &str, close: &str, items: &[Addr], all: u64) {
        self.text(open);
        let mut written = 0;
        for item in items {
            if written > 0 {
                self.text(", ");
            }
            if self.full() {
                break;
            }
            if all == 1 {
                self.object(*item);
            } else {
                self.item(*item);
            }
            written += 1;
        }
        self.end(close, written, items.len() as u64, all);
    }

    /// Writes keys and values between `open` and `close`; there are more if `all` says so.
    pub(super) fn pairs(&mut self, open: &str, close: &str, pairs: &[(Addr, Addr)], all: u64) {
        self.text(open);
        let mut written = 0;
        for (key, value) in pairs {
            if written > 0 {
                self.text(", ");
            }
            if self.full() {
                break;
            }
            self.item(*key);
            self.text(": ");
            self.item(*value);
            written += 1;
        }
        self.end(close, written, pairs.len() as u64, all);
    }

    /// Ends a list of which so many were written, read, and are there.
    fn end(&mut self, close: &str, written: u64, read: u64, all: u64) {
        if written < all {
            if written == read && written > 0 {
                self.text(", ");
            }
            self.leave_out();
        }
        self.close(close);
    }

    /// Writes the text of the `str` at `addr` without quotes.
    pub(super) fn name(&mut self, addr: Ptr) {
        let read = |addr| text::read(self.memory, self.layouts, addr, LONGEST_NAME).ok();
        let name = addr.and_then(read);
        self.text(name.as_deref().unwrap_or("?"));
    }

    /// Writes `text` as Python would write the literal.
    pub(super) fn quoted(&mut self, text: &str) {
        let units: Vec<u32> = text.chars().map(u32::from).collect();
        strings::literal(self, &units, true);
    }

    /// Writes ` at 0x7f…`.
    pub(super) fn at(&mut self, addr: Addr) {
        self.text(&format!(" at {addr}"));
    }
}
