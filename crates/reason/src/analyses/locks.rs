//! Which threads wait for each other, so that none of them ever goes on?
//!
//! A thread that waits goes on when what it waits for is given back. So whoever does not wait, or
//! gives up after some time, or waits for a signal that anybody may send, can go on; and whoever
//! waits for somebody who can go on, can. The others cannot: they are stuck, and why is a circle of
//! them, a holder that is not there, or a lock that nobody is left to give back.

use crate::{Analysis, Ask};
use memwhy_model::{
    AbsentHolder, Case, HolderKnown, LockFacts, LockHolder, LockKind, LockState, ThreadFacts, Wait,
};
use std::collections::{BTreeMap, BTreeSet};

/// See the [module](self).
#[derive(Debug)]
pub struct Locks;

/// Who cannot go on, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standstill {
    /// Each reason.
    pub knots: Vec<Knot>,
    /// Threads that cannot go on.
    pub stuck: BTreeSet<u32>,
}

/// Why some threads cannot go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Knot {
    /// What kind of reason.
    pub kind: KnotKind,
    /// Which thread waits for which lock; of a circle, the lock is held by the next thread.
    pub steps: Vec<Step>,
    /// Threads that wait for those, and for those who wait for those.
    pub behind: Vec<u32>,
    /// How the holders are known: the weakest counts.
    pub known: HolderKnown,
}

/// What kind of reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KnotKind {
    /// A circle of threads.
    Circle,
    /// A thread waits for what it has itself.
    Itself,
    /// The holder is no thread of this process any more, or never was.
    Absent,
    /// No holder is known, and no thread is left that could give it back.
    Nobody,
}

impl KnotKind {
    /// The word used in JSON.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::Circle => "circle",
            Self::Itself => "itself",
            Self::Absent => "absent-holder",
            Self::Nobody => "nobody-left",
        }
    }
}

/// One thread and what it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Step {
    /// The thread.
    pub tid: u32,
    /// The lock, by its place in `Case::locks`.
    pub lock: u32,
}

impl Analysis for Locks {
    type Answer = Standstill;
    const NAME: &'static str = "locks";

    fn compute(ask: &Ask<'_>) -> Standstill {
        of(ask.case())
    }
}

/// A wait for a lock that was found.
#[derive(Clone, Copy, Debug)]
pub struct Waiting<'c> {
    /// The lock.
    pub lock: &'c LockFacts,
    /// Its place in `Case::locks`.
    pub place: u32,
    /// What is wanted of it, and for how long.
    pub wait: &'c Wait,
}

/// The lock that a thread waits for.
#[must_use]
pub fn waited<'c>(case: &'c Case, thread: &'c ThreadFacts) -> Option<Waiting<'c>> {
    let wait = thread.waits.as_ref()?;
    let place = wait.lock()?;
    Some(Waiting { lock: case.locks.get(place as usize)?, place, wait })
}

fn of(case: &Case) -> Standstill {
    let waits: BTreeMap<u32, Waiting<'_>> = case
        .threads
        .iter()
        .filter_map(|thread| waited(case, thread).map(|found| (thread.tid, found)))
        .collect();
    let mut stuck: BTreeSet<u32> = waits
        .iter()
        .filter(|(_, waiting)| !waiting.wait.timed && holders_decide(waiting.lock))
        .map(|(tid, _)| *tid)
        .collect();
    // Whoever waits for one who can go on, can: until nothing changes.
    loop {
        let freed: Vec<u32> = stuck
            .iter()
            .filter(|tid| {
                waits.get(tid).is_none_or(|waiting| {
                    waiting.lock.holders.iter().any(|holder| can_go_on(holder, &stuck))
                })
            })
            .copied()
            .collect();
        if freed.is_empty() {
            break;
        }
        for tid in freed {
            stuck.remove(&tid);
        }
    }
    let mut knots = knots(&waits, &stuck);
    knots.extend(nobody(case, &waits, &mut stuck));
    put_behind(&mut knots, &waits, &stuck);
    Standstill { knots, stuck }
}

/// Whether who holds a lock is all that keeps a thread from it.
fn holders_decide(lock: &LockFacts) -> bool {
    // Whoever has a place may give it back, also those that were not seen to take it.
    let several = matches!(lock.kind, LockKind::Semaphore | LockKind::ProcessLock);
    let all_known = if several {
        lock.limit.is_some_and(|limit| lock.holders.len() as u64 >= limit)
    } else {
        !lock.holders.is_empty()
    };
    lock.kind.is_given_back() && lock.state != LockState::Free && all_known
}

fn can_go_on(holder: &LockHolder, stuck: &BTreeSet<u32>) -> bool {
    match (&holder.absent, holder.tid) {
        (Some(AbsentHolder::OtherProcess { .. }), _) | (None, None) => true,
        (Some(_), _) => false,
        (None, Some(tid)) => !stuck.contains(&tid),
    }
}

/// The circles, and the holders that are not there.
fn knots(waits: &BTreeMap<u32, Waiting<'_>>, stuck: &BTreeSet<u32>) -> Vec<Knot> {
    let mut knots: Vec<Knot> = Vec::new();
    let mut done: BTreeSet<u32> = BTreeSet::new();
    for start in stuck {
        let (mut path, mut at): (Vec<Step>, u32) = (Vec::new(), *start);
        while let Some(Waiting { lock, place, .. }) = waits.get(&at).copied() {
            if let Some(begin) = path.iter().position(|step| step.tid == at) {
                let steps = path.split_off(begin);
                let known = weakest(&steps, waits);
                let kind = if steps.len() == 1 { KnotKind::Itself } else { KnotKind::Circle };
                done.extend(steps.iter().map(|step| step.tid));
                knots.push(Knot { kind, steps, behind: Vec::new(), known });
                break;
            }
            if done.contains(&at) {
                break;
            }
            path.push(Step { tid: at, lock: place });
            let Some(holder) = lock.holders.first() else { break };
            if let Some(tid) = holder.tid {
                at = tid;
                continue;
            }
            let steps = path.split_off(path.len().saturating_sub(1));
            done.insert(at);
            // Several may wait for the same lock: that is one reason.
            let same = knots.iter_mut().find(|knot| {
                knot.kind == KnotKind::Absent
                    && knot.steps.first().map(|step| step.lock) == Some(place)
            });
            let (kind, known) = (KnotKind::Absent, holder.how);
            match same {
                Some(knot) => knot.steps.extend(steps),
                None => knots.push(Knot { kind, steps, behind: Vec::new(), known }),
            }
            break;
        }
        done.extend(path.iter().map(|step| step.tid));
    }
    for knot in &mut knots {
        // A circle begins where it is told the same way each time.
        let first = knot.steps.iter().enumerate().min_by_key(|(_, step)| step.tid);
        let first = first.map_or(0, |(place, _)| place);
        if knot.kind == KnotKind::Circle {
            knot.steps.rotate_left(first);
        }
    }
    knots
}

fn weakest(steps: &[Step], waits: &BTreeMap<u32, Waiting<'_>>) -> HolderKnown {
    let holders = steps.iter().filter_map(|step| waits.get(&step.tid)?.lock.holders.first());
    holders.map(|holder| holder.how).min().unwrap_or_default()
}

/// A lock without a known holder, where every thread waits for good: nobody could give it back.
fn nobody(case: &Case, waits: &BTreeMap<u32, Waiting<'_>>, stuck: &mut BTreeSet<u32>) -> Vec<Knot> {
    let for_good = |thread: &ThreadFacts| {
        stuck.contains(&thread.tid)
            || waits.get(&thread.tid).is_some_and(|Waiting { lock, wait, .. }| {
                let plain = lock.kind == LockKind::Lock && lock.holders.is_empty();
                !wait.timed && plain && lock.state == LockState::Held
            })
    };
    if case.threads.is_empty() || !case.threads.iter().all(for_good) {
        return Vec::new();
    }
    let mut by_lock: BTreeMap<u32, Vec<Step>> = BTreeMap::new();
    for (tid, Waiting { place, .. }) in waits.iter().filter(|(tid, _)| !stuck.contains(tid)) {
        let step = Step { tid: *tid, lock: *place };
        by_lock.entry(*place).or_default().push(step);
    }
    let knot = |steps: Vec<Step>| Knot {
        kind: KnotKind::Nobody,
        steps,
        behind: Vec::new(),
        known: HolderKnown::Calls,
    };
    stuck.extend(by_lock.values().flatten().map(|step| step.tid));
    by_lock.into_values().map(knot).collect()
}

/// Gives the other stuck threads to the reason that they wait for.
fn put_behind(knots: &mut [Knot], waits: &BTreeMap<u32, Waiting<'_>>, stuck: &BTreeSet<u32>) {
    let mut of: BTreeMap<u32, usize> = BTreeMap::new();
    for (place, knot) in knots.iter().enumerate() {
        of.extend(knot.steps.iter().map(|step| (step.tid, place)));
    }
    for tid in stuck {
        let (mut at, mut way) = (*tid, BTreeSet::new());
        while !of.contains_key(&at) && way.insert(at) {
            let next = waits.get(&at).and_then(|waiting| waiting.lock.holders.first()?.tid);
            let Some(next) = next else { break };
            at = next;
        }
        if let Some(place) = of.get(&at).copied()
            && !way.is_empty()
            && let Some(knot) = knots.get_mut(place)
        {
            knot.behind.push(*tid);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{KnotKind, Locks, Standstill, Step};
    use crate::Ask;
    use memwhy_model::{
        AbsentHolder, Case, HolderKnown, LockFacts, LockHolder, LockKind, LockState, ThreadFacts,
        Wait, Waited,
    };

    fn lock(kind: LockKind, holders: &[u32]) -> LockFacts {
        let holder = |tid: &u32| LockHolder {
            tid: Some(*tid),
            how: HolderKnown::WithBlock,
            ..LockHolder::default()
        };
        let holders = holders.iter().map(holder).collect();
        LockFacts { kind, state: LockState::Held, holders, ..LockFacts::default() }
    }

    fn thread(tid: u32, lock: Option<u32>) -> ThreadFacts {
        let waits = lock.map(|lock| Wait { waited: Waited::Lock(lock), ..Wait::default() });
        ThreadFacts { tid, waits, ..ThreadFacts::default() }
    }

    fn judge(locks: Vec<LockFacts>, threads: Vec<ThreadFacts>) -> Standstill {
        let case = Case { locks, threads, ..Case::default() };
        (*Ask::new(&case).get::<Locks>()).clone()
    }

    #[test]
    fn threads_in_a_circle_are_stuck_and_so_is_who_waits_for_them() {
        let locks = vec![lock(LockKind::Lock, &[2]), lock(LockKind::RLock, &[1])];
        let threads =
            vec![thread(1, Some(0)), thread(2, Some(1)), thread(3, Some(0)), thread(4, None)];
        let found = judge(locks, threads);
        assert_eq!(found.stuck, [1, 2, 3].into());
        let [knot] = &found.knots[..] else { panic!("{found:?}") };
        assert_eq!((knot.kind, &knot.behind[..]), (KnotKind::Circle, &[3][..]));
        assert_eq!(knot.steps, [Step { tid: 1, lock: 0 }, Step { tid: 2, lock: 1 }]);
        assert_eq!(knot.known, HolderKnown::WithBlock);
    }

    #[test]
    fn who_gives_up_after_some_time_is_not_stuck_nor_is_who_waits_for_it() {
        let locks = vec![lock(LockKind::Lock, &[2]), lock(LockKind::Lock, &[1])];
        let mut threads = vec![thread(1, Some(0)), thread(2, Some(1))];
        threads[0].waits = Some(Wait { timed: true, ..Wait::default() });
        assert_eq!(judge(locks, threads), Standstill::default());
    }

    #[test]
    fn waiting_for_a_signal_is_no_deadlock() {
        for kind in [LockKind::Queue, LockKind::Event, LockKind::Condition, LockKind::Future] {
            let locks = vec![lock(kind, &[])];
            let threads = vec![thread(1, Some(0)), thread(2, Some(0))];
            assert_eq!(judge(locks, threads), Standstill::default());
        }
    }

    #[test]
    fn a_semaphore_is_free_again_when_one_of_its_holders_goes_on() {
        let mut slots = lock(LockKind::Semaphore, &[1, 2]);
        slots.limit = Some(2);
        let locks = vec![slots, lock(LockKind::Lock, &[3])];
        let threads = |second| vec![thread(1, Some(1)), thread(2, second), thread(3, Some(0))];
        assert_eq!(judge(locks.clone(), threads(None)), Standstill::default());
        assert_eq!(judge(locks, threads(Some(1))).stuck, [1, 2, 3].into());
    }

    #[test]
    fn a_holder_that_is_not_there_gives_nothing_back_but_another_process_may() {
        let mut orphan = lock(LockKind::RLock, &[]);
        let absent = |absent| LockHolder { absent: Some(absent), ..LockHolder::default() };
        orphan.holders = vec![absent(AbsentHolder::Ended)];
        let threads = vec![thread(1, Some(0)), thread(2, None)];
        let found = judge(vec![orphan.clone()], threads.clone());
        assert_eq!(
            found.knots.iter().map(|knot| knot.kind).collect::<Vec<_>>(),
            [KnotKind::Absent]
        );
        let elsewhere = AbsentHolder::OtherProcess { pid: 7, command: String::new() };
        orphan.holders = vec![absent(elsewhere)];
        assert_eq!(judge(vec![orphan], threads), Standstill::default());
    }

    #[test]
    fn what_has_no_known_holder_is_lost_only_when_nobody_is_left() {
        let alone = judge(vec![lock(LockKind::Lock, &[])], vec![thread(1, Some(0))]);
        assert_eq!(alone.knots.iter().map(|k| k.kind).collect::<Vec<_>>(), [KnotKind::Nobody]);
        let threads = vec![thread(1, Some(0)), thread(2, None)];
        assert_eq!(judge(vec![lock(LockKind::Lock, &[])], threads), Standstill::default());
    }

    #[test]
    fn a_thread_may_wait_for_itself() {
        let found = judge(vec![lock(LockKind::Lock, &[1])], vec![thread(1, Some(0))]);
        assert_eq!(
            found.knots.iter().map(|knot| knot.kind).collect::<Vec<_>>(),
            [KnotKind::Itself]
        );
    }
}
