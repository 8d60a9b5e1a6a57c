//! With which words was the program started?
//!
//! `NT_PRPSINFO` keeps 80 bytes of the command line. All of it is on the stack, where the kernel put
//! it (`create_elf_tables` of `fs/binfmt_elf.c`): the count, pointers to the words, a zero, pointers
//! to the environment, a zero, the auxiliary vector. The vector is known from its note, so its place
//! can be found; what lies before it must fit, else the 80 bytes have to do.

use crate::memory::{Memory, MemoryExt as _};
use memwhy_model::{Addr, AddrRange};

/// Of a stack this much is searched, from its end: the kernel allows the words a quarter of the
/// limit, and few programs have as much.
const SEARCHED: u64 = 4 << 20;
/// Words of a command line, and of an environment.
const MOST_WORDS: usize = 1 << 16;
const LONGEST_WORD: usize = 1 << 17;

/// The words, if the stack tells them.
pub(crate) fn arguments(
    memory: &dyn Memory,
    stack: AddrRange,
    auxv: &[(u64, u64)],
) -> Option<Vec<String>> {
    let bytes: Vec<u8> =
        auxv.iter().take(3).flat_map(|(k, v)| [*k, *v]).flat_map(u64::to_le_bytes).collect();
    if bytes.len() < 48 {
        return None;
    }
    let from = stack.start.max(Addr(stack.end.0.saturating_sub(SEARCHED)));
    let mut held = vec![0; usize::try_from(stack.end.0 - from.0).ok()?];
    memory.read(from, &mut held).ok()?;
    // Words are aligned to 8 wherever the stack begins; the last match is the kernel's.
    let at = held.windows(bytes.len()).rposition(|window| window == bytes)?;
    let words = |at: usize| {
        let before = held.get(..at).unwrap_or_default().rchunks_exact(8);
        before.map(|word| word.try_into().map_or(0, u64::from_le_bytes))
    };
    let environment = pointers(words(at))?;
    let at = at.checked_sub((environment.len() + 1) * 8)?;
    let mut pointers = pointers_counted(words(at))?;
    pointers.reverse();
    let word = |pointer: &u64| memory.c_string(Addr(*pointer), LONGEST_WORD).ok();
    pointers.iter().map(word).collect()
}

/// The zero, then pointers up to the next zero.
fn pointers(mut words: impl Iterator<Item = u64>) -> Option<Vec<u64>> {
    (words.next()? == 0).then_some(())?;
    let found: Vec<u64> = words.take(MOST_WORDS).take_while(|word| *word != 0).collect();
    (found.len() < MOST_WORDS).then_some(found)
}

/// The zero, then pointers up to the word that is their count.
fn pointers_counted(mut words: impl Iterator<Item = u64>) -> Option<Vec<u64>> {
    (words.next()? == 0).then_some(())?;
    let mut found = Vec::new();
    for word in words.take(MOST_WORDS) {
        if word == found.len() as u64 {
            return Some(found);
        }
        found.push(word);
    }
    None
}
