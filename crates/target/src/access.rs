//! Which reads of a process would work, and if not, why exactly?
//!
//! The rules are those of `ptrace(2)`, "Ptrace access mode checking": same user or
//! `CAP_SYS_PTRACE`, a dumpable target, then Yama and other security modules.

use crate::live::process::Process;
use crate::sys::process_vm;
use crate::sys::resources::effective_uid;
use std::fs;
use std::io;

/// `CAP_SYS_PTRACE` of `linux/capability.h`.
const CAP_SYS_PTRACE: u32 = 19;

/// One thing that memwhy reads, and whether it may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// What is read.
    pub what: &'static str,
    /// What for.
    pub purpose: &'static str,
    /// The kernel's answer.
    pub answer: Result<(), String>,
}

/// What stands between us and a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Our effective user.
    pub our_uid: u32,
    /// The target's.
    pub target_uid: Option<u32>,
    /// Whether we have `CAP_SYS_PTRACE`.
    pub capable: bool,
    /// `kernel.yama.ptrace_scope`, if there is such a thing.
    pub yama: Option<u8>,
    /// Who traces the target, 0 for nobody.
    pub tracer: u32,
    /// Each read that was tried.
    pub probes: Vec<Probe>,
}

impl Access {
    /// Tries every kind of read on a process, without stopping it.
    #[must_use]
    pub fn probe(process: &Process) -> Self {
        let said = |result: io::Result<()>| result.map_err(|error| plain(&error));
        let open = |name: &str| fs::File::open(process.path(name)).map(drop);
        let probes = vec![
            Probe {
                what: "/proc/PID/status",
                purpose: "RSS as one number",
                answer: said(open("status")),
            },
            Probe {
                what: "/proc/PID/smaps",
                purpose: "RSS by mapping",
                answer: said(fs::read(process.path("smaps")).map(drop)),
            },
            Probe {
                what: "/proc/PID/pagemap",
                purpose: "which pages are resident",
                answer: said(open("pagemap")),
            },
            Probe {
                what: "process_vm_readv",
                purpose: "objects, stacks, malloc",
                answer: said(try_memory(process)),
            },
        ];
        Self {
            our_uid: effective_uid(),
            target_uid: process.uid(),
            capable: has_capability(CAP_SYS_PTRACE),
            yama: fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope")
                .ok()
                .and_then(|text| text.trim().parse().ok()),
            tracer: process.status("TracerPid").and_then(|t| t.parse().ok()).unwrap_or(0),
            probes,
        }
    }

    /// Whether memory can be read.
    #[must_use]
    pub fn memory(&self) -> bool {
        self.probes.last().is_some_and(|probe| probe.answer.is_ok())
    }

    /// Why memory cannot be read, and the one line that mends it.
    #[must_use]
    pub fn refusal(&self, pid: u32) -> (String, String) {
        let sudo = format!("sudo memwhy {pid}");
        let uids = self.target_uid.map(|uid| (self.our_uid, uid));
        if let Some((ours, theirs)) = uids
            && ours != theirs
            && !self.capable
        {
            return (
                format!("it runs as uid {theirs}, memwhy as uid {ours} without CAP_SYS_PTRACE"),
                format!("run as that user or as root: `{sudo}`"),
            );
        }
        match self.yama {
            Some(1 | 2) if !self.capable => (
                "Yama restricts ptrace (kernel.yama.ptrace_scope)".into(),
                format!(
                    "`{sudo}`, or give memwhy the capability: `sudo setcap cap_sys_ptrace=ep $(command -v memwhy)`"
                ),
            ),
            Some(3) => (
                "Yama forbids ptrace to everybody (kernel.yama.ptrace_scope=3)".into(),
                "only a reboot changes that; what /proc tells is shown".into(),
            ),
            _ if self.capable => (
                "a security module or a user namespace above ours forbids it".into(),
                "run memwhy on the host, or in the container with `--cap-add SYS_PTRACE`".into(),
            ),
            _ => (
                "it is not dumpable (set-uid, or prctl PR_SET_DUMPABLE), or seccomp forbids it"
                    .into(),
                format!("`{sudo}`; in a container add `--cap-add SYS_PTRACE`"),
            ),
        }
    }
}

/// Reads one byte that surely is resident: of the code of the program.
fn try_memory(process: &Process) -> io::Result<()> {
    let maps = process.maps()?;
    let code = maps.0.iter().find(|m| m.readable() && m.facts.file);
    let addr = code.map_or(0, |m| m.range().start.0);
    process_vm::read(process.pid, addr, &mut [0; 1]).map(drop)
}

fn has_capability(number: u32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask >> number & 1 == 1)
}

/// `Permission denied`, without the number that the standard library appends.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::Access;

    fn stranger() -> Access {
        Access { our_uid: 1000, target_uid: Some(33), ..Access::default() }
    }

    #[test]
    fn another_user_is_named_with_both_uids() {
        let (why, advice) = stranger().refusal(42);
        assert!(why.contains("uid 33") && why.contains("uid 1000"));
        assert!(advice.contains("sudo memwhy 42"));
    }

    #[test]
    fn yama_is_named() {
        let access = Access { target_uid: Some(1000), yama: Some(1), ..stranger() };
        assert!(access.refusal(42).0.contains("Yama"));
    }
}
