//! Which function of C runs which Python frames?
//!
//! From 3.11 on each of the interpreter's loops has something of its own on the C stack, and the
//! function whose frame that lies in is the loop. Before, each Python frame has a loop: they are
//! counted, from the end that is certain.

use crate::frames::Loop;
use memwhy_model::AddrRange;

/// One function of C on a stack, as far as it matters here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Call {
    /// Its frame.
    pub frame: AddrRange,
    /// Whether it has the name of the interpreter's loop.
    pub is_loop: bool,
}

/// For each of `calls`, how many Python frames it runs that those before it do not; all the
/// innermost first. `complete` says that the calls lead to where the thread began.
///
/// Frames whose loop is not among the calls go to the next loop outwards that is, so that the order
/// is kept; where there is none they are left over.
#[must_use]
pub fn runs(calls: &[Call], complete: bool, loops: &[Loop]) -> Vec<u32> {
    let mut runs = vec![0_u32; calls.len()];
    let mut add = |call: usize, frames: u32| {
        if let Some(run) = runs.get_mut(call) {
            *run = run.saturating_add(frames);
        }
    };
    if loops.iter().any(|one| one.on_stack.is_some()) {
        let (mut from, mut pending) = (0, 0_u32);
        for one in loops {
            pending = pending.saturating_add(one.frames);
            let holds = |call: &Call| one.on_stack.is_some_and(|at| call.frame.contains(at));
            let rest = calls.iter().enumerate().skip(from);
            if let Some((at, _)) = rest.into_iter().find(|(_, call)| holds(call)) {
                add(at, std::mem::take(&mut pending));
                from = at;
            }
        }
        return runs;
    }
    let named: Vec<usize> =
        calls.iter().enumerate().filter(|(_, call)| call.is_loop).map(|(at, _)| at).collect();
    // A function that has just been called has no Python frame yet, or none any more: it is the
    // innermost. So what is counted is counted from the outermost, if that is known.
    let surplus = if complete { named.len().checked_sub(loops.len()) } else { Some(0) };
    let Some(surplus) = surplus else { return runs };
    for (call, one) in named.iter().skip(surplus).zip(loops) {
        add(*call, one.frames);
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::{Call, runs};
    use crate::frames::Loop;
    use memwhy_model::{Addr, AddrRange};

    /// Functions with frames of 16 bytes from 0x1000 on; those named are the interpreter's loop.
    fn calls(loops: &[bool]) -> Vec<Call> {
        let frame = |n: usize| AddrRange::sized(Addr(0x1000 + 16 * n as u64), 16);
        loops
            .iter()
            .enumerate()
            .map(|(n, is_loop)| Call { frame: frame(n), is_loop: *is_loop })
            .collect()
    }

    const fn own(frames: u32) -> Loop {
        Loop { frames, on_stack: None }
    }

    const fn at(frames: u32, at: u64) -> Loop {
        Loop { frames, on_stack: Some(Addr(at)) }
    }

    #[test]
    fn each_frame_has_its_loop() {
        let stack = calls(&[false, true, false, true, true, false]);
        assert_eq!(runs(&stack, true, &[own(1); 3]), [0, 1, 0, 1, 1, 0]);
    }

    #[test]
    fn a_loop_that_has_just_begun_has_no_frame() {
        let stack = calls(&[true, false, true, true]);
        assert_eq!(runs(&stack, true, &[own(1); 2]), [0, 0, 1, 1]);
    }

    #[test]
    fn what_was_not_unwound_is_counted_from_the_innermost() {
        let stack = calls(&[false, true, true]);
        assert_eq!(runs(&stack, false, &[own(1); 5]), [0, 1, 1]);
    }

    #[test]
    fn more_frames_than_loops_are_not_guessed_at() {
        assert_eq!(runs(&calls(&[true, false]), true, &[own(1); 2]), [0, 0]);
    }

    #[test]
    fn what_lies_in_a_frame_belongs_to_it_whatever_its_name() {
        let stack = calls(&[false, false, true, false, false]);
        assert_eq!(runs(&stack, true, &[at(3, 0x1014), at(2, 0x1028)]), [0, 3, 2, 0, 0]);
    }

    #[test]
    fn frames_of_a_loop_that_is_not_there_keep_their_order() {
        let stack = calls(&[true, true]);
        assert_eq!(runs(&stack, true, &[at(3, 0x9000), at(2, 0x1010), own(1)]), [0, 5]);
    }
}
