//! Is anybody inside of malloc at this moment?
//!
//! Every arena begins with its lock (`mutex` of `struct malloc_state`, malloc/malloc.c): 0 where
//! nobody has it, in every release from 2.17 on.

use super::find::{self, ring};
use super::layout::ArenaLayout;
use crate::Image;
use memwhy_model::Addr;
use memwhy_target::{Memory, MemoryExt, View};

/// Where the locks of the arenas are to be found.
#[derive(Clone, Copy, Debug)]
pub struct ArenaLocks {
    main: Addr,
    layout: ArenaLayout,
}

impl ArenaLocks {
    /// Finds main arena; `None` where malloc's state is not to be found.
    #[must_use]
    pub fn find(view: &View, libc: &Image) -> Option<Self> {
        let found = find::find(view, libc)?;
        Some(Self { main: found.main_arena, layout: found.layout })
    }

    /// The arenas whose lock somebody has, as `memory` is now. One that cannot be read counts too:
    /// nothing is known of it.
    #[must_use]
    pub fn held(&self, memory: &dyn Memory) -> Vec<Addr> {
        let arenas = ring(memory, self.main, &self.layout).unwrap_or_else(|| vec![self.main]);
        let is_held = |arena: &Addr| memory.array::<4>(*arena) != Ok([0; 4]);
        arenas.into_iter().filter(is_held).collect()
    }
}
