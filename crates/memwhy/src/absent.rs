//! What became of a thread that a lock says has it, and that is not there?
//!
//! A fork leaves locks behind as they were, and of the threads only the one that forked. The kernel
//! remembers of a process that it was forked and has not started another program since; the parent,
//! where it lives and may be read, still has the thread at the same address.

use memwhy_model::{AbsentHolder, Addr, Case, LockKind};
use memwhy_native::pthread::thread_at;
use memwhy_target::live::pages;
use memwhy_target::{MemoryExt, Process, View};

/// Looks for the missing holders of the locks in `case`, which `process` was captured as.
pub(crate) fn look_for(process: &Process, case: &mut Case) {
    let missing = |absent: &Option<AbsentHolder>| *absent == Some(AbsentHolder::Missing);
    let holders = case.locks.iter().flat_map(|lock| &lock.holders);
    if !holders.clone().any(|holder| missing(&holder.absent)) {
        return;
    }
    let Some(forked) = process.forked() else { return };
    let parent = process.parent().filter(|parent| *parent > 1).and_then(|p| Process::open(p).ok());
    let view = parent.clone().filter(|_| forked).and_then(look_at);
    for lock in &mut case.locks {
        let (at, kind, in_c) = (lock.addr, lock.kind, lock.type_name == "_thread.RLock");
        for holder in lock.holders.iter_mut().filter(|holder| missing(&holder.absent)) {
            let recorded = holder.recorded.unwrap_or(0);
            let there = view
                .as_ref()
                .zip(parent.as_ref())
                .and_then(|(view, parent)| in_parent(view, parent, kind, (at, in_c), recorded));
            holder.absent = Some(match there {
                Some(there) => there,
                None if forked => {
                    AbsentHolder::LeftByFork { parent: parent.as_ref().map(|parent| parent.pid) }
                }
                None => AbsentHolder::Ended,
            });
        }
    }
}

fn look_at(parent: Process) -> Option<View> {
    let maps = parent.maps().ok()?;
    let pages = pages::present(&parent, &maps).ok()?;
    Some(View::live(parent, maps, pages))
}

/// The thread of the parent that has the number which the lock records.
fn in_parent(
    view: &View,
    parent: &Process,
    kind: LockKind,
    (lock, in_c): (Addr, bool),
    recorded: u64,
) -> Option<AbsentHolder> {
    // Locks of C record the number of a thread, those of Python where its descriptor is.
    let of_c = matches!(kind, LockKind::Mutex | LockKind::RwLock);
    let inner = if of_c {
        u32::try_from(recorded).ok()?
    } else {
        thread_at(view, Addr(recorded)).filter(|tid| *tid > 0)?
    };
    let threads = parent.threads(std::time::Duration::ZERO);
    let thread = threads.into_iter().find(|thread| thread.inner_tid == inner)?;
    // The word that names the owner is one of these in every release.
    let owners = [16, 24, 32].map(|offset| view.u64(lock.at(offset)).unwrap_or(recorded));
    let free_there = if of_c {
        view.u32(lock).ok().map(|word| word == 0)
    } else {
        in_c.then(|| !owners.contains(&recorded))
    };
    let (pid, tid, name) = (parent.pid, thread.tid, thread.comm);
    Some(AbsentHolder::InParent { pid, tid, name, free_there })
}
