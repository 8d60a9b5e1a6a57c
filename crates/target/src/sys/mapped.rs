//! What if a file becomes shorter while it is mapped?
//!
//! For a page that the file no longer has, and for one that its disk cannot read, the kernel sends
//! `SIGBUS`, which would end us. Here the signal marks the mapping as lost from that page on and puts
//! zeroes in its place; whoever copies bytes out asks [`Mapped::sound`] afterwards whether they were
//! the file's. Of mappings that are not ours the signal means what it meant before.

use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Files that are mapped at once, at most: a signal handler can search an array, not a list.
const MOST: usize = 64;
const PAGE: usize = 4096;

/// The place of one mapping, as the signal handler knows it. `start` is 0 where it is free.
struct Watched {
    start: AtomicUsize,
    len: AtomicUsize,
    /// The first byte that was lost.
    lost: AtomicUsize,
}

static WATCHED: [Watched; MOST] = [const {
    Watched {
        start: AtomicUsize::new(0),
        len: AtomicUsize::new(0),
        lost: AtomicUsize::new(usize::MAX),
    }
}; MOST];

/// What the signal meant before.
static BEFORE: OnceLock<libc::sigaction> = OnceLock::new();

/// A file as memory, read only.
#[derive(Debug)]
pub struct Mapped(Option<(memmap2::Mmap, usize)>);

impl Mapped {
    /// Maps all of `file`; an empty one is empty memory.
    ///
    /// # Errors
    /// For what cannot be mapped: pipes, folders.
    pub fn of(file: &File) -> io::Result<Self> {
        if file.metadata()?.len() == 0 {
            return Ok(Self(None));
        }
        listen()?;
        // SAFETY: the mapping is read only and private. Somebody who changes the file meanwhile
        // changes bytes that are copied out and checked like any others of a target; for one who
        // shortens it see above.
        let map = unsafe { memmap2::MmapOptions::new().map_copy_read_only(file)? };
        let place = WATCHED.iter().position(|watched| {
            let free = watched.start.compare_exchange(
                0,
                map.as_ptr() as usize,
                Ordering::SeqCst,
                Ordering::SeqCst,
            );
            free.is_ok()
        });
        let place = place.ok_or_else(|| io::Error::other("too many files are mapped"))?;
        let mapped = Self(Some((map, place)));
        if let Some((watched, len)) = mapped.watched() {
            watched.lost.store(usize::MAX, Ordering::SeqCst);
            watched.len.store(len, Ordering::SeqCst);
        }
        Ok(mapped)
    }

    /// The bytes. Those from [`Mapped::sound`] on are not the file's.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |(map, _)| map)
    }

    /// How many bytes, from the first on, are known to have been the file's in all reads so far.
    #[must_use]
    pub fn sound(&self) -> usize {
        self.watched().map_or(0, |(watched, len)| watched.lost.load(Ordering::SeqCst).min(len))
    }

    fn watched(&self) -> Option<(&'static Watched, usize)> {
        let (map, place) = self.0.as_ref()?;
        Some((WATCHED.get(*place)?, map.len()))
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        if let Some((watched, _)) = self.watched() {
            watched.len.store(0, Ordering::SeqCst);
            watched.start.store(0, Ordering::SeqCst);
        }
    }
}

/// From now on the signal is ours.
fn listen() -> io::Result<()> {
    static DONE: OnceLock<bool> = OnceLock::new();
    let done = DONE.get_or_init(|| {
        let mut before = MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: the struct has the call's size, and all zeroes is a valid value of it.
        let before = unsafe {
            if libc::sigaction(libc::SIGBUS, ptr::null(), before.as_mut_ptr()) != 0 {
                return false;
            }
            before.assume_init()
        };
        BEFORE.get_or_init(|| before);
        let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) = lost;
        // SAFETY: all zeroes is a valid value; the handler lives for ever and does only what a
        // signal handler may: atomics and system calls.
        unsafe {
            let mut ours = MaybeUninit::<libc::sigaction>::zeroed().assume_init();
            ours.sa_sigaction = handler as libc::sighandler_t;
            ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            libc::sigaction(libc::SIGBUS, &raw const ours, ptr::null_mut()) == 0
        }
    });
    if *done { Ok(()) } else { Err(io::Error::other("SIGBUS cannot be watched")) }
}

/// A page is not there: if it is one of ours, zeroes take its place and those of all behind it.
extern "C" fn lost(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid one, and for SIGBUS it has an address.
    let at = unsafe { (*info).si_addr() } as usize;
    for watched in &WATCHED {
        let (start, len) =
            (watched.start.load(Ordering::SeqCst), watched.len.load(Ordering::SeqCst));
        let inside = at.checked_sub(start).filter(|inside| start != 0 && *inside < len);
        let Some(page) = inside.map(|inside| inside & !(PAGE - 1)) else { continue };
        // Before the zeroes are there: who sees them then sees this too.
        watched.lost.fetch_min(page, Ordering::SeqCst);
        let flags = libc::MAP_FIXED | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        let place = (start + page) as *mut libc::c_void;
        // SAFETY: the pages are those of a mapping that we own until it is dropped, which whoever
        // reads it, and so came here, prevents; it stays readable.
        let put = unsafe { libc::mmap(place, len - page, libc::PROT_READ, flags, -1, 0) };
        if put != libc::MAP_FAILED {
            return;
        }
    }
    pass_on(signal, info, context);
}

/// Does what was done before: the handler of somebody else, or the end.
fn pass_on(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let before = BEFORE.get().map_or((libc::SIG_DFL, 0), |one| (one.sa_sigaction, one.sa_flags));
    match before {
        (libc::SIG_DFL | libc::SIG_IGN, _) => {
            // SAFETY: takes numbers only. The access is repeated, and then ends us.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        (handler, flags) if flags & libc::SA_SIGINFO != 0 => {
            // SAFETY: whoever set the flag said that the number is such a function.
            let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) =
                unsafe { std::mem::transmute(handler) };
            handler(signal, info, context);
        }
        (handler, _) => {
            // SAFETY: without the flag it is one of these.
            let handler: extern "C" fn(libc::c_int) = unsafe { std::mem::transmute(handler) };
            handler(signal);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Mapped;
    use std::fs::{File, OpenOptions};
    use std::io::Write as _;

    fn file(name: &str, pages: usize) -> (File, std::path::PathBuf) {
        let path = std::env::temp_dir().join(format!("memwhy-{}-{name}", std::process::id()));
        let mut options = OpenOptions::new();
        let mut file = options.read(true).write(true).create(true).truncate(true).open(&path);
        let file = file.as_mut().expect("a temporary file");
        file.write_all(&vec![7; pages * 4096]).expect("room");
        (file.try_clone().expect("a handle"), path)
    }

    #[test]
    fn a_file_that_becomes_shorter_ends_nobody_and_is_told() {
        let (file, path) = file("shorter", 8);
        let mapped = Mapped::of(&file).expect("it can be mapped");
        assert_eq!((mapped.bytes()[7 * 4096], mapped.sound()), (7, 8 * 4096));
        file.set_len(2 * 4096).expect("ours");
        assert_eq!(mapped.bytes()[4096], 7);
        assert_eq!(mapped.sound(), 8 * 4096);
        // Zeroes, but nobody is told that they are the file's.
        assert_eq!(mapped.bytes()[5 * 4096 + 17], 0);
        assert_eq!(mapped.sound(), 5 * 4096);
        assert_eq!(mapped.bytes()[3 * 4096], 0);
        assert_eq!(mapped.sound(), 3 * 4096);
        assert_eq!(mapped.bytes()[0], 7);
        std::fs::remove_file(path).expect("ours");
    }

    #[test]
    fn many_may_be_mapped_one_after_the_other() {
        let (file, path) = file("many", 1);
        for _ in 0..200 {
            assert_eq!(Mapped::of(&file).expect("it can be mapped").bytes().len(), 4096);
        }
        std::fs::remove_file(path).expect("ours");
    }
}
