//! What does each sleeping thread wait for?

use super::parts::Part;
use super::world::Runner;
use super::{OwnLocks, Stated, Table};
use crate::locks::classes::Class;
use memwhy_model::{
    AbsentHolder, Addr, HolderKnown, LockFacts, LockHolder, LockKind, LockState, Wait, Waited,
    Wants,
};
use memwhy_native::locks::{Sleep, pthread_lock};
use memwhy_native::pthread::joined;
use memwhy_target::FileLock;

/// Looks at each thread; adds locks that are no objects as they are met.
pub(super) fn of(
    table: &mut Table<'_, '_>,
    own: &OwnLocks,
    runners: &[Runner],
) -> Vec<(u32, Wait)> {
    let mut waits = Vec::new();
    for runner in runners {
        let found = match runner.sleep {
            Some(Sleep::Futex { at, timed, certain }) => table
                .object_at(at)
                .or_else(|| table.no_object_at(at, certain, own))
                .map(|(lock, wants)| (lock, wants, timed)),
            Some(Sleep::File { .. }) => {
                runner.file_lock.as_ref().map(|file| (table.file(file), Wants::It, false))
            }
            None => None,
        };
        // 2.7 has no wait with a timeout: it looks again and again.
        let found = found.or_else(|| table.polled(runner).map(|(lock, wants)| (lock, wants, true)));
        if let Some((lock, wants, timed)) = found {
            // Who wants the GIL looks up now and then whether it must ask for it, and sleeps on.
            let gil = table.locks.get(lock as usize).is_some_and(|l| l.kind == LockKind::Gil);
            let timed = timed && !gil;
            let (waited, asleep_s) = (Waited::Lock(lock), runner.asleep_s);
            waits.push((runner.tid, Wait { waited, wants, timed, asleep_s }));
        }
    }
    waits
}

impl Table<'_, '_> {
    /// The lock of Python that who sleeps at `word` wants.
    fn object_at(&mut self, word: Addr) -> Option<(u32, Wants)> {
        if let Some(object) = self.words.get(&word).copied() {
            return self.meant(object);
        }
        let at = self.world.layouts.wait_entry?.parked_at(self.world.memory, word)?;
        if let Some(ident) = self.ends.get(&at).copied() {
            return Some((self.end_of(ident), Wants::It));
        }
        let object = self.words.get(&at).copied()?;
        self.meant(object)
    }

    /// What people call the thing that who sleeps at the lock `object` wants.
    fn meant(&mut self, object: Addr) -> Option<(u32, Wants)> {
        let (at, mut wants) = self.parts.meant(object);
        if let Some(whole) = self.parts.at(at)
            && whole.class == Class::Thread
        {
            let ident = whole.attributes.get(&["_ident", "_Thread__ident"]);
            let ident = self.world.number(ident).map(i64::cast_unsigned);
            return Some((self.end_of(ident?), Wants::It));
        }
        let place = self.by_object.get(&at).copied();
        let place = place.unwrap_or_else(|| self.add(LockKind::Lock, at, Stated::default()));
        if self.locks.get(place as usize)?.kind == LockKind::SimpleQueue {
            wants = Wants::AnItem;
        }
        Some((place, wants))
    }

    /// The end of the thread that `threading.get_ident()` calls so: held by the thread itself.
    fn end_of(&mut self, ident: u64) -> u32 {
        if let Some(place) = self.by_object.get(&Addr(ident)) {
            return *place;
        }
        let mut holder = self.recorded(ident);
        holder.saw = "it ends when it has done its work".into();
        self.push(LockFacts {
            addr: Addr(ident),
            kind: LockKind::ThreadEnd,
            state: LockState::Held,
            holders: vec![holder],
            ..LockFacts::default()
        })
    }

    /// The lock that is no object: the interpreter's own, or C code's.
    fn no_object_at(&mut self, word: Addr, certain: bool, own: &OwnLocks) -> Option<(u32, Wants)> {
        let thread = |ident| self.identities.ident(ident);
        let main = self.identities.main();
        if let Some(owner) = own.unnamed_import(self.world.memory, word, &thread, main) {
            let holder = self.recorded(owner);
            return Some((self.own_lock(LockKind::ImportLock, word, Some(holder)), Wants::It));
        }
        if let Some((at, holder)) = own.gil_at(self.world.memory, word) {
            let holder = holder.map(|tid| LockHolder {
                tid: Some(tid),
                how: HolderKnown::Recorded,
                saw: "the interpreter says so".into(),
                ..LockHolder::default()
            });
            return Some((self.own_lock(LockKind::Gil, at, holder), Wants::It));
        }
        if let Some((at, owner)) = own.import
            && at == word
        {
            let holder = owner.map(|ident| self.recorded(ident));
            return Some((self.own_lock(LockKind::ImportLock, at, holder), Wants::It));
        }
        let memory = self.world.memory;
        if let Some(inner) = joined(memory, word)
            && let Some(tid) = self.identities.inner(inner)
        {
            let holder = LockHolder {
                tid: Some(tid),
                recorded: Some(u64::from(inner)),
                how: HolderKnown::Recorded,
                absent: None,
                saw: "it ends when it has done its work".into(),
            };
            return Some((self.own_lock(LockKind::ThreadEnd, word, Some(holder)), Wants::It));
        }
        let exists = |inner| self.identities.inner(inner).is_some();
        if let Some(lock) = pthread_lock(memory, word, &exists) {
            let holder = lock.owner.map(|inner| {
                let tid = self.identities.inner(inner);
                LockHolder {
                    tid,
                    recorded: Some(u64::from(inner)),
                    how: HolderKnown::Recorded,
                    absent: tid.is_none().then_some(AbsentHolder::Missing),
                    saw: "the lock records it".into(),
                }
            });
            let kind = if lock.shared { LockKind::RwLock } else { LockKind::Mutex };
            return Some((self.own_lock(kind, lock.at, holder), Wants::It));
        }
        certain.then(|| (self.own_lock(LockKind::Futex, word, None), Wants::It))
    }

    /// A lock on a file.
    fn file(&mut self, file: &FileLock) -> u32 {
        let same = |lock: &LockFacts| lock.kind == LockKind::File && lock.addr == Addr(file.inode);
        if let Some(place) = self.locks.iter().position(same) {
            return u32::try_from(place).unwrap_or(u32::MAX);
        }
        let holder = |(pid, command): &(u32, String)| LockHolder {
            recorded: Some(u64::from(*pid)),
            how: HolderKnown::Recorded,
            absent: Some(AbsentHolder::OtherProcess { pid: *pid, command: command.clone() }),
            saw: "the kernel says so".into(),
            ..LockHolder::default()
        };
        self.locks.push(LockFacts {
            addr: Addr(file.inode),
            kind: LockKind::File,
            name: Some(file.path.clone()),
            state: LockState::Held,
            holders: file.holders.iter().map(holder).collect(),
            ..LockFacts::default()
        });
        u32::try_from(self.locks.len()).unwrap_or(u32::MAX).saturating_sub(1)
    }

    fn own_lock(&mut self, kind: LockKind, addr: Addr, holder: Option<LockHolder>) -> u32 {
        if let Some(place) = self.by_object.get(&addr) {
            return *place;
        }
        let held = holder.is_some() || matches!(kind, LockKind::Mutex | LockKind::RwLock);
        let state = if held { LockState::Held } else { LockState::Unknown };
        let holders = holder.into_iter().collect();
        self.push(LockFacts { addr, kind, state, holders, ..LockFacts::default() })
    }

    /// What the innermost call says that it waits for, where it looks again and again.
    fn polled(&mut self, runner: &Runner) -> Option<(u32, Wants)> {
        let call = runner.calls.first()?;
        if !call.is("threading.py", "wait") {
            return None;
        }
        let waiter = call.local("waiter")?;
        let (_, part) = self.parts.whole_of(waiter)?;
        (part == Part::Waiter).then(|| self.meant(waiter))?
    }
}
