//! Where in the process are the three pieces of code that a chain of returns is made of?

use memwhy_model::{Addr, AddrRange};
use memwhy_target::{MAX_READ, Memory, MemoryExt, View};

/// Pieces of the target's own code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gadgets {
    /// `pop rdi; ret`.
    pub(crate) pop_rdi: Addr,
    /// `ret`.
    pub(crate) ret: Addr,
    /// `mov rax, 15; syscall`: `__restore_rt` of the C library.
    pub(crate) restore: Addr,
}

/// `mov $15, %rax; syscall`, as glibc and musl have it.
const RESTORE: &[u8] = &[0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05];
const POP_RDI: &[u8] = &[0x5f, 0xc3];
/// Bytes read at once.
const PIECE: u64 = 1 << 20;

impl Gadgets {
    /// Searches the executable mappings, those of the C library first.
    pub(crate) fn find(view: &View) -> Option<Self> {
        let mut code: Vec<_> =
            view.maps().0.iter().filter(|m| m.executable() && m.facts.file).collect();
        code.sort_by_key(|mapping| {
            let name = mapping.facts.name.rsplit('/').next().unwrap_or_default();
            !(name.starts_with("libc.so")
                || name.starts_with("libc-")
                || name.starts_with("ld-musl"))
        });
        let search = |wanted: &[u8]| code.iter().find_map(|m| find(view, m.range(), wanted));
        let pop_rdi = search(POP_RDI)?;
        Some(Self { pop_rdi, ret: pop_rdi.at(1), restore: search(RESTORE)? })
    }
}

/// The first place in `range` with these bytes.
fn find(memory: &dyn Memory, range: AddrRange, wanted: &[u8]) -> Option<Addr> {
    let mut at = range.start;
    while at < range.end {
        let len = PIECE.min(range.end.0.saturating_sub(at.0));
        let bytes = memory.bytes(at, len, MAX_READ).ok()?;
        if let Some(index) = bytes.windows(wanted.len()).position(|window| window == wanted) {
            return Some(at.at(index as u64));
        }
        // What straddles two pieces is seen in the second.
        let step = len.saturating_sub(wanted.len() as u64 - 1);
        if len < PIECE || step == 0 {
            return None;
        }
        at = at.checked_add(step)?;
    }
    None
}
