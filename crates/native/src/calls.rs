//! Which system call is a thread in, and what is it about?

use crate::call_names;
use memwhy_model::{Addr, SystemCall};
use memwhy_target::{Call, Memory, MemoryExt};

/// Descriptors that are named where a call waits for many.
const MOST_NAMED: u64 = 3;
/// No path is longer: `PATH_MAX`.
const LONGEST_PATH: usize = 4096;

/// Seconds.
const NANO: f64 = 1e-9;
const MICRO: f64 = 1e-6;

/// Describes `call`. `file` names a descriptor of the process, where that can be told.
pub fn describe(
    memory: &dyn Memory,
    call: &Call,
    file: &mut dyn FnMut(u64) -> Option<String>,
) -> SystemCall {
    let name = call_names::name(call.number);
    let about = name.and_then(|name| about(memory, name, &call.arguments, file));
    SystemCall {
        number: call.number,
        name: name.map_or_else(|| format!("syscall {}", call.number), str::to_owned),
        arguments: call.arguments,
        about: about.unwrap_or_default(),
    }
}

fn about(
    memory: &dyn Memory,
    name: &str,
    arguments: &[u64; 6],
    file: &mut dyn FnMut(u64) -> Option<String>,
) -> Option<String> {
    let [first, second, third, fourth, fifth, _] = *arguments;
    let mut descriptor = |number: u64| {
        // They are of 32 bits; what is above is left over in the register.
        let number = number & 0xffff_ffff;
        match file(number) {
            Some(name) => format!("{number}: {name}"),
            None => format!("descriptor {number}"),
        }
    };
    let number = |register: u64| (register & 0xffff_ffff) as u32;
    let milliseconds = |register: u64| match number(register).cast_signed() {
        ..0 => "without limit".to_owned(),
        ms => format!("for {}", seconds(f64::from(ms) / 1000.0)),
    };
    // `struct timespec`; none is no limit.
    let until = |at: u64, unit: f64| match memory.ptr_at(at) {
        None => Some("without limit".to_owned()),
        Some(at) => {
            let whole = memory.i64(at).ok()?;
            let part = memory.i64(at.at(8)).ok()?;
            #[expect(clippy::cast_precision_loss, reason = "seconds, shown rounded")]
            let time = whole as f64 + part as f64 * unit;
            Some(format!("for {}", seconds(time)))
        }
    };
    match name {
        "read" | "write" | "pread64" | "pwrite64" | "readv" | "writev" | "preadv" | "pwritev"
        | "recvfrom" | "sendto" | "recvmsg" | "sendmsg" | "recvmmsg" | "sendmmsg" | "accept"
        | "accept4" | "connect" | "ioctl" | "fsync" | "fdatasync" | "flock" | "fcntl"
        | "getdents64" | "fallocate" | "ftruncate" | "close" | "shutdown" | "sendfile"
        | "lseek" => Some(descriptor(first)),
        "epoll_wait" | "epoll_pwait" => {
            Some(format!("{}, {}", descriptor(first), milliseconds(fourth)))
        }
        "epoll_pwait2" => Some(format!("{}, {}", descriptor(first), until(fourth, NANO)?)),
        "poll" | "ppoll" => {
            // `struct pollfd`: a descriptor in the first four bytes of eight.
            let named = (0..second.min(MOST_NAMED)).filter_map(|n| {
                let entry = memory.u32(Addr(first).at(8 * n)).ok()?;
                Some(descriptor(entry.into()))
            });
            let named: Vec<String> = named.collect();
            let more = second.saturating_sub(named.len() as u64);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let limit = if name == "poll" { milliseconds(third) } else { until(third, NANO)? };
            let named = if named.is_empty() { "nothing".into() } else { named.join(", ") };
            Some(format!("{named}{more}, {limit}"))
        }
        "select" => {
            Some(format!("{} descriptors at most, {}", number(first), until(fifth, MICRO)?))
        }
        "pselect6" => {
            Some(format!("{} descriptors at most, {}", number(first), until(fifth, NANO)?))
        }
        "nanosleep" => until(first, NANO),
        // TIMER_ABSTIME has a time of day there instead of a duration.
        "clock_nanosleep" if second & 1 == 0 => until(third, NANO),
        "futex" => Some(format!("at {}", Addr(first))),
        "wait4" | "waitid" => Some(match (name, number(first).cast_signed(), second) {
            ("wait4", pid @ 1.., _) => format!("for process {pid}"),
            ("waitid", 1, pid) => format!("for process {}", number(pid)),
            _ => "for any child".to_owned(),
        }),
        "openat" | "newfstatat" | "unlinkat" | "statx" => path(memory, second),
        "open" | "stat" | "lstat" | "unlink" | "rename" | "mkdir" | "rmdir" | "execve"
        | "access" => path(memory, first),
        _ => None,
    }
}

trait PointerAt {
    /// A pointer, unless it is null.
    fn ptr_at(&self, raw: u64) -> Option<Addr>;
}

impl PointerAt for dyn Memory + '_ {
    fn ptr_at(&self, raw: u64) -> Option<Addr> {
        (raw != 0).then_some(Addr(raw))
    }
}

fn path(memory: &dyn Memory, at: u64) -> Option<String> {
    memory.c_string(Addr(at), LONGEST_PATH).ok()
}

fn seconds(time: f64) -> String {
    if time < 1.0 { format!("{:.0} ms", time * 1000.0) } else { format!("{time:.1} s") }
}

#[cfg(test)]
mod tests {
    use super::describe;
    use memwhy_model::Addr;
    use memwhy_target::{Call, Fault, Memory};

    /// A page at 0x1000: two descriptors to poll, a time of 1.5 s.
    struct Page;

    impl Memory for Page {
        fn read(&self, addr: Addr, buf: &mut [u8]) -> Result<(), Fault> {
            let mut page = [0_u8; 64];
            page[0] = 7;
            page[8] = 9;
            page[16] = 1;
            page[24..32].copy_from_slice(&500_000_000_u64.to_le_bytes());
            page[32..41].copy_from_slice(b"/etc/motd");
            let fault = Fault::unmapped(addr);
            let at = addr.checked_since(Addr(0x1000)).and_then(|at| usize::try_from(at).ok());
            let at = at.ok_or(fault)?;
            buf.copy_from_slice(page.get(at..at + buf.len()).ok_or(fault)?);
            Ok(())
        }
    }

    fn about(number: u64, arguments: [u64; 6]) -> String {
        let mut file = |number: u64| (number == 7).then(|| "/tmp/log".to_owned());
        let said = describe(&Page, &Call { number, arguments }, &mut file);
        format!("{}: {}", said.name, said.about)
    }

    #[test]
    fn a_call_says_what_it_is_about() {
        assert_eq!(about(0, [0xffff_0000_0000_0007, 0, 0, 0, 0, 0]), "read: 7: /tmp/log");
        assert_eq!(
            about(7, [0x1000, 2, 250, 0, 0, 0]),
            "poll: 7: /tmp/log, descriptor 9, for 250 ms"
        );
        assert_eq!(
            about(7, [0x1000, 5, u64::MAX, 0, 0, 0]).split(" and ").nth(1),
            Some("2 more, without limit")
        );
        assert_eq!(about(35, [0x1010, 0, 0, 0, 0, 0]), "nanosleep: for 1.5 s");
        assert_eq!(about(257, [u64::MAX, 0x1020, 0, 0, 0, 0]), "openat: /etc/motd");
        assert_eq!(about(61, [u64::MAX, 0, 0, 0, 0, 0]), "wait4: for any child");
    }

    #[test]
    fn what_cannot_be_read_and_what_is_not_known_says_nothing() {
        assert_eq!(about(35, [0x9999, 0, 0, 0, 0, 0]), "nanosleep: ");
        assert_eq!(about(9999, [0; 6]), "syscall 9999: ");
    }
}
