//! What does `PYTHONMALLOC=debug` put before a block?
//!
//! The size, a letter for the domain (`r`aw, `m`em, `o`bject) and seven forbidden bytes; requests
//! that are too large for pymalloc get it twice, since the raw allocator below is wrapped too.
//! Source: `Objects/obmalloc.c`, `_PyMem_DebugRawAlloc`.

/// One prefix: the size, the letter, seven forbidden bytes.
const PREFIX: u64 = 16;
/// How far what was handed out may lie behind the start of its block.
pub(crate) const PREFIXES: [u64; 3] = [0, PREFIX, 2 * PREFIX];
/// `PYMEM_FORBIDDENBYTE`, seven times: since 3.8, and before.
const FORBIDDEN: [u64; 2] = [0xfd_fdfd_fdfd_fdfd, 0xfb_fbfb_fbfb_fbfb];

/// Strips prefixes: how many bytes they take, and the rest. `None` if the letter says that what
/// follows is no object.
pub(crate) fn strip(block: &[u8]) -> Option<(u64, &[u8])> {
    let (taken, letter, rest) = prefixes(block);
    (letter == b'o').then_some((taken, rest))
}

/// How many bytes the prefixes of a block take, whatever it is for.
pub(crate) fn prefix(block: &[u8]) -> u64 {
    prefixes(block).0
}

/// What the prefixes take, the letter of the innermost, and the rest.
fn prefixes(block: &[u8]) -> (u64, u8, &[u8]) {
    let (mut taken, mut rest) = (0, block);
    let mut innermost = b'o';
    while taken < 2 * PREFIX {
        let Some([_, mark]) = rest.as_chunks::<8>().0.first_chunk::<2>() else { break };
        let [letter, ..] = *mark;
        let marked = FORBIDDEN.contains(&(u64::from_le_bytes(*mark) >> 8));
        if !marked || !matches!(letter, b'o' | b'm' | b'r') {
            break;
        }
        innermost = letter;
        rest = rest.get(16..).unwrap_or_default();
        taken += PREFIX;
    }
    (taken, innermost, rest)
}

#[cfg(test)]
mod tests {
    use super::strip;

    fn block(letters: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for letter in letters {
            bytes.extend([0, 0, 0, 0, 0, 0, 0, 64, *letter]);
            bytes.extend([0xfd; 7]);
        }
        bytes.extend([7; 32]);
        bytes
    }

    #[test]
    fn large_requests_are_wrapped_twice_and_the_inner_letter_counts() {
        assert_eq!(strip(&block(b"")).map(|(taken, _)| taken), Some(0));
        assert_eq!(strip(&block(b"o")).map(|(taken, _)| taken), Some(16));
        assert_eq!(strip(&block(b"ro")).map(|(taken, rest)| (taken, rest[0])), Some((32, 7)));
        assert_eq!(strip(&block(b"rm")), None);
    }
}
