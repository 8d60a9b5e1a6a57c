//! Which process is it, and what are its threads doing?

use crate::live::cgroup;
use crate::live::file_locks::FileLock;
use crate::live::maps::{Maps, tmpfs_devices};
use crate::live::source::Source;
use crate::open::OpenError;
use crate::registers::Registers;
use crate::sys::resources::clock_ticks_per_second;
use memwhy_model::{Bytes, CgroupFacts};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// A live process, as `/proc` shows it.
#[derive(Clone, Debug)]
pub struct Process {
    /// Its number in our pid namespace.
    pub pid: u32,
    dir: PathBuf,
    /// When it started, in clock ticks since boot: tells a process from a later one of its number.
    start_ticks: u64,
    /// How its memory is read; decided when it first is.
    source: Arc<OnceLock<Source>>,
}

/// One thread, as `/proc/PID/task/TID` shows it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Thread {
    /// Its number in our pid namespace.
    pub tid: u32,
    /// Its number in its own pid namespace: what the target itself calls it.
    pub inner_tid: u32,
    /// The name that the kernel has.
    pub comm: String,
    /// `R`, `S`, `D`, `T`, `Z`…
    pub state: char,
    /// Which share of one CPU it used while it was looked at; 0 to 1.
    pub cpu_share: f64,
    /// For which share of that time it was ready for a CPU and had none; 0 to 1.
    pub cpu_wait: f64,
    /// Its registers when it stood still; of a thread that was not stopped, what the kernel tells.
    pub registers: Option<Registers>,
    /// For how many seconds it had not run when it was looked at, where the kernel tells.
    pub asleep_s: Option<f64>,
    /// The lock on a file that it waits for.
    pub file_lock: Option<FileLock>,
}

impl Process {
    /// Finds a process and makes sure that it is one that we can talk about.
    ///
    /// # Errors
    /// If there is none, or it is a kernel thread, a zombie, or not 64-bit x86.
    pub fn open(pid: u32) -> Result<Self, OpenError> {
        let dir = PathBuf::from(format!("/proc/{pid}"));
        let stat =
            fs::read_to_string(dir.join("stat")).map_err(|_| OpenError::NoProcess { pid })?;
        let fields = StatFields::parse(&stat).ok_or(OpenError::NoProcess { pid })?;
        if matches!(fields.state, 'Z' | 'X') {
            return Err(OpenError::Zombie { pid });
        }
        let source = Arc::default();
        let process = Self { pid, dir, start_ticks: fields.start_ticks, source };
        if process.tgid().is_some_and(|tgid| tgid != pid) {
            return Err(OpenError::IsThread { pid, tgid: process.tgid().unwrap_or(pid) });
        }
        if process.status_number("VmSize").is_none() {
            return Err(OpenError::KernelThread { pid });
        }
        process.check_64_bit()?;
        Ok(process)
    }

    fn check_64_bit(&self) -> Result<(), OpenError> {
        use std::io::Read as _;
        // An ELF header has its class at 4 and its machine at 18. An exe that we may not open is
        // another matter, told when memory is asked for.
        let mut head = [0; 20];
        let Ok(mut exe) = fs::File::open(self.dir.join("exe")) else { return Ok(()) };
        if exe.read_exact(&mut head).is_err() {
            return Ok(());
        }
        let [_, _, _, _, class, .., m0, m1] = head;
        match (class, u16::from_le_bytes([m0, m1])) {
            (2, 62) => Ok(()),
            (1, _) => Err(OpenError::Not64Bit { pid: self.pid }),
            (_, machine) => Err(OpenError::OtherMachine { pid: self.pid, machine }),
        }
    }

    /// A file of its `/proc` directory.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Whether it is still the process that was opened.
    #[must_use]
    pub fn alive(&self) -> bool {
        let stat = fs::read_to_string(self.path("stat")).unwrap_or_default();
        StatFields::parse(&stat).is_some_and(|fields| {
            fields.start_ticks == self.start_ticks && !matches!(fields.state, 'Z' | 'X')
        })
    }

    /// Copies its memory from `addr` on until `buf` is full or a page is missing; how many bytes.
    ///
    /// What it shares with others of its family it shares afterwards.
    ///
    /// # Errors
    /// `EPERM` without permission, `ESRCH` when it is gone.
    pub fn read(&self, addr: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.read_pieces(&[(addr, buf.len())], buf)
    }

    /// Copies several pieces, one after another, into `buf`; the first that cannot be read whole
    /// ends it.
    ///
    /// # Errors
    /// As [`Process::read`], and `EINVAL` for more pieces than the kernel takes, or than fit.
    pub fn read_pieces(&self, pieces: &[(u64, usize)], buf: &mut [u8]) -> io::Result<usize> {
        let source = self.source.get_or_init(|| Source::of(self));
        source.read_pieces(self.pid, pieces, buf)
    }

    /// Its arguments.
    #[must_use]
    pub fn command(&self) -> Vec<String> {
        let raw = fs::read(self.path("cmdline")).unwrap_or_default();
        let words = raw.split(|byte| *byte == 0).filter(|word| !word.is_empty());
        words.map(|word| String::from_utf8_lossy(word).into_owned()).collect()
    }

    /// Its program, as the link says, or nothing if that is withheld.
    #[must_use]
    pub fn exe(&self) -> String {
        fs::read_link(self.path("exe"))
            .map(|p| p.to_string_lossy().into_owned())
            .unwrap_or_default()
    }

    /// Seconds by the clock that programs measure time with, `CLOCK_MONOTONIC`; it is that of the
    /// machine, to a hundredth, unless the machine was suspended.
    #[must_use]
    pub fn now_s(&self) -> f64 {
        let uptime = fs::read_to_string("/proc/uptime").unwrap_or_default();
        uptime.split_ascii_whitespace().next().and_then(|s| s.parse().ok()).unwrap_or(0.0)
    }

    /// Seconds since it started.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "seconds, shown rounded")]
    pub fn uptime_s(&self) -> f64 {
        (self.now_s() - self.start_ticks as f64 / clock_ticks_per_second() as f64).max(0.0)
    }

    /// A line of `/proc/PID/status`, without its key.
    #[must_use]
    pub fn status(&self, key: &str) -> Option<String> {
        status_line(&self.path("status"), key)
    }

    /// The same of one of its threads.
    #[must_use]
    pub fn thread_status(&self, tid: u32, key: &str) -> Option<String> {
        status_line(&self.path("task").join(tid.to_string()).join("status"), key)
    }

    /// Its number in its own pid namespace.
    #[must_use]
    pub fn inner_pid(&self) -> u32 {
        inner_tid(&self.dir).unwrap_or(self.pid)
    }

    fn status_number(&self, key: &str) -> Option<u64> {
        self.status(key)?.split_ascii_whitespace().next()?.parse().ok()
    }

    /// RSS as `status` has it: available to everybody, may lag by some pages.
    #[must_use]
    pub fn quick_rss(&self) -> Bytes {
        Bytes::kib(self.status_number("VmRSS").unwrap_or(0))
    }

    /// The process that it is a thread of.
    fn tgid(&self) -> Option<u32> {
        self.status("Tgid")?.parse().ok()
    }

    /// The user who runs it (effective).
    #[must_use]
    pub fn uid(&self) -> Option<u32> {
        self.status("Uid")?.split_ascii_whitespace().nth(1)?.parse().ok()
    }

    /// Its parent.
    #[must_use]
    pub fn parent(&self) -> Option<u32> {
        self.status("PPid")?.parse().ok()
    }

    /// Whether it was forked and has not started another program since; `None` where the kernel
    /// does not say.
    #[must_use]
    pub fn forked(&self) -> Option<bool> {
        /// `include/linux/sched.h`.
        const PF_FORKNOEXEC: u64 = 0x40;
        let stat = fs::read_to_string(self.path("stat")).ok()?;
        Some(StatFields::parse(&stat)?.flags & PF_FORKNOEXEC != 0)
    }

    /// Its mappings with sizes, in one read.
    ///
    /// # Errors
    /// As the kernel says: `EACCES` without permission.
    pub fn smaps(&self) -> io::Result<Maps> {
        self.parse_maps("smaps")
    }

    /// Its mappings without sizes.
    ///
    /// # Errors
    /// As [`Process::smaps`].
    pub fn maps(&self) -> io::Result<Maps> {
        self.parse_maps("maps")
    }

    fn parse_maps(&self, file: &str) -> io::Result<Maps> {
        let text = fs::read(self.path(file))?;
        let mounts = fs::read_to_string(self.path("mountinfo")).unwrap_or_default();
        Maps::parse(&String::from_utf8_lossy(&text), &tmpfs_devices(&mounts))
    }

    /// PSS and private memory, from `smaps_rollup`; `None` without permission.
    #[must_use]
    pub fn rollup(&self) -> Option<(Bytes, Bytes)> {
        let text = fs::read_to_string(self.path("smaps_rollup")).ok()?;
        let number = |key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
            line.split_ascii_whitespace().next()?.parse().ok().map(Bytes::kib)
        };
        Some((number("Pss")?, number("Private_Clean")? + number("Private_Dirty")?))
    }

    /// The numbers of its threads, main thread first.
    #[must_use]
    pub fn tids(&self) -> Vec<u32> {
        let entries = fs::read_dir(self.path("task")).into_iter().flatten().flatten();
        let mut tids: Vec<u32> =
            entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
        tids.sort_unstable_by_key(|tid| (*tid != self.pid, *tid));
        tids
    }

    /// Its threads, looked at for as long as `look`, to tell who is at work.
    #[must_use]
    pub fn threads(&self, look: Duration) -> Vec<Thread> {
        self.threads_while(|| std::thread::sleep(look))
    }

    /// Its threads, with the CPU time they used while `looking` ran.
    #[must_use]
    pub fn threads_while(&self, looking: impl FnOnce()) -> Vec<Thread> {
        let dir = |tid: u32| self.path("task").join(tid.to_string());
        let started = Instant::now();
        let before: Vec<(u32, [u64; 2])> =
            self.tids().into_iter().map(|tid| (tid, cpu_times(&dir(tid)))).collect();
        looking();
        let passed = started.elapsed().as_secs_f64();
        // The scheduler's clock is nobody's else: we are running now, so our own mark is its now.
        let clock = last_run_ms(Path::new("/proc/thread-self"));
        let share = |now: u64, before: u64| {
            let used = Duration::from_nanos(now.saturating_sub(before));
            (used.as_secs_f64() / passed).clamp(0.0, 1.0)
        };
        let thread = |(tid, before): (u32, [u64; 2])| {
            let now = cpu_times(&dir(tid));
            let asleep_s =
                clock.and_then(|now| Some((now - last_run_ms(&dir(tid))?).max(0.0) / 1e3));
            let (cpu_share, cpu_wait) = (share(now[0], before[0]), share(now[1], before[1]));
            Some(Thread { cpu_share, cpu_wait, asleep_s, ..self.thread(tid)? })
        };
        before.into_iter().filter_map(thread).collect()
    }

    /// One of its threads; `None` if it is gone.
    #[must_use]
    pub fn thread(&self, tid: u32) -> Option<Thread> {
        let dir = self.path("task").join(tid.to_string());
        let stat = fs::read_to_string(dir.join("stat")).ok()?;
        let fields = StatFields::parse(&stat)?;
        Some(Thread {
            tid,
            inner_tid: inner_tid(&dir).unwrap_or(tid),
            comm: fields.comm.to_owned(),
            state: fields.state,
            ..Thread::default()
        })
    }

    /// What the kernel tells of the registers of a thread that is not stopped and does not run.
    #[must_use]
    pub fn told_registers(&self, tid: u32) -> Option<Registers> {
        let file = self.path("task").join(tid.to_string()).join("syscall");
        Registers::of_syscall_line(&fs::read_to_string(file).ok()?)
    }

    /// For how many nanoseconds a thread has been on a CPU: it grows whenever the thread runs.
    pub(crate) fn ran(&self, tid: u32) -> u64 {
        let [ran, _] = cpu_times(&self.path("task").join(tid.to_string()));
        ran
    }

    /// The control group that pays for it.
    #[must_use]
    pub fn cgroup(&self) -> Option<CgroupFacts> {
        let group = fs::read_to_string(self.path("cgroup")).ok()?;
        // Where the hierarchies are is asked of us: it is we who look into them.
        let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
        cgroup::of(&group, &mounts, &|path| fs::read_to_string(path).ok())
    }
}

/// Nanoseconds on a CPU, and waiting for one, so far: the first numbers of `schedstat`.
fn cpu_times(dir: &Path) -> [u64; 2] {
    let text = fs::read_to_string(dir.join("schedstat")).unwrap_or_default();
    let mut numbers = text.split_ascii_whitespace().map(|word| word.parse().unwrap_or(0));
    [(); 2].map(|()| numbers.next().unwrap_or(0))
}

fn status_line(path: &Path, key: &str) -> Option<String> {
    let status = fs::read_to_string(path).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    Some(line.trim().to_owned())
}

/// When a thread was last put on a CPU, by the scheduler's clock; only some kernels tell.
fn last_run_ms(dir: &Path) -> Option<f64> {
    let text = fs::read_to_string(dir.join("sched")).ok()?;
    let line = text.lines().find(|line| line.starts_with("se.exec_start"))?;
    // Of a thread that has not run since it was made it is 0.
    line.rsplit(':').next()?.trim().parse().ok().filter(|mark| *mark > 0.0)
}

fn inner_tid(dir: &Path) -> Option<u32> {
    let status = fs::read_to_string(dir.join("status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    line.split_ascii_whitespace().last()?.parse().ok()
}

/// What we need of `/proc/PID/stat`. The name is in parentheses and may hold anything.
pub(crate) struct StatFields<'a> {
    comm: &'a str,
    state: char,
    pub(crate) parent: u32,
    flags: u64,
    start_ticks: u64,
}

impl<'a> StatFields<'a> {
    pub(crate) fn parse(stat: &'a str) -> Option<Self> {
        let (head, rest) = stat.rsplit_once(')')?;
        let (_, comm) = head.split_once('(')?;
        let mut fields = rest.split_ascii_whitespace();
        let state = fields.next()?.chars().next()?;
        // Fields 4, 9 and 22 of the file; `state` was field 3.
        let parent = fields.next()?.parse().ok()?;
        let flags = fields.nth(4)?.parse().ok()?;
        let start_ticks = fields.nth(12)?.parse().ok()?;
        Some(Self { comm, state, parent, flags, start_ticks })
    }
}

#[cfg(test)]
mod tests {
    use super::{Process, StatFields};
    use crate::open::OpenError;

    #[test]
    fn a_name_may_hold_parentheses() {
        let stat = "7 (a (b) c) S 1 7 7 0 -1 4194560 1 0 0 0 1 2 0 0 20 0 1 0 987 1 2 3";
        let fields = StatFields::parse(stat).expect("valid");
        assert_eq!((fields.comm, fields.state, fields.start_ticks), ("a (b) c", 'S', 987));
        assert_eq!((fields.parent, fields.flags), (1, 4_194_560));
    }

    #[test]
    fn we_are_a_process_and_the_largest_pid_is_none() {
        let us = Process::open(std::process::id()).expect("we are alive");
        assert!(us.alive());
        assert!(!us.threads(std::time::Duration::ZERO).is_empty());
        assert!(us.smaps().expect("our own").rss().0 > 0);
        let none = Process::open(u32::MAX >> 1);
        assert!(matches!(none, Err(OpenError::NoProcess { .. })));
    }

    #[test]
    fn a_kernel_thread_is_told_as_such() {
        if std::fs::read_to_string("/proc/2/comm").is_ok_and(|comm| comm.trim() == "kthreadd") {
            assert!(matches!(Process::open(2), Err(OpenError::KernelThread { pid: 2 })));
        }
    }
}
