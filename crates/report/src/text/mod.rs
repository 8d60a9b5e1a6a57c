//! What does each command print?
//!
//! One function per command. They lay out; what is laid out was computed by `memwhy-reason`.

mod diff;
mod explain;
mod family;
mod garbage;
mod heap;
mod held;
mod locks;
mod malloc;
mod maps;
mod paths;
mod show;
mod snap;
mod stacks;
mod sums;
mod tasks;
mod trial;
mod watch;

pub use diff::diff;
pub use explain::explain;
pub use family::family;
pub use garbage::garbage;
pub use heap::heap;
pub use held::held;
pub use locks::{LocksShown, locks};
pub use malloc::malloc;
pub use maps::maps;
pub use paths::paths;
pub use show::show;
pub use snap::snap;
pub use stacks::{StackOptions, stacks};
pub use tasks::{TasksShown, tasks};
pub use trial::{Explained, trial};
pub use watch::{watch_head, watch_line, watch_verdict};

use crate::blocks::Block;
use memwhy_model::{About, Case, Pause, TargetKind};

/// `memwhy 4711  gunicorn: worker [app]  CPython 3.11.2  up 3d4h  paused 14 ms`.
fn header(case: &Case) -> Block {
    let about = &case.about;
    let mut parts = vec![format!("memwhy {}", about.target()), name(about)];
    parts.push(about.python.as_ref().map_or_else(
        || match about.withheld {
            Some(_) => "memory not read".to_owned(),
            None => "no CPython found".to_owned(),
        },
        |python| {
            let free_threaded = match (python.free_threaded, python.gil) {
                (false, _) => "",
                (true, false) => " free-threaded, no GIL",
                (true, true) => " free-threaded, GIL on",
            };
            let debug = if python.debug { " debug" } else { "" };
            format!("CPython {}{free_threaded}{debug}", python.version)
        },
    ));
    parts.extend(about.uptime_s.map(|seconds| format!("up {}", uptime(seconds))));
    parts.push(match (about.kind, about.moment.pause) {
        (TargetKind::Core, _) => match about.signal {
            Some(signal) => format!("core, ended by signal {signal}{}", signal_name(signal)),
            None => "core".into(),
        },
        (TargetKind::Snapshot, _) => "snapshot".into(),
        (TargetKind::Process, Pause::Stop) => format!("paused {:.0} ms", about.moment.pause_ms),
        (TargetKind::Process, Pause::None) => "not paused".into(),
    });
    if let Some(cgroup) = &about.cgroup {
        let used = cgroup.used.as_mib();
        parts.push(match cgroup.limit {
            Some(limit) => format!("cgroup {used:.0}/{:.0} MiB", limit.as_mib()),
            None => format!("cgroup uses {used:.0} MiB"),
        });
    }
    parts.retain(|part| !part.is_empty());
    Block::Header(parts)
}

/// ` (SIGSEGV)`: those that the kernel writes cores for.
fn signal_name(signal: i32) -> String {
    let names = [
        (3, "SIGQUIT"),
        (4, "SIGILL"),
        (6, "SIGABRT"),
        (7, "SIGBUS"),
        (8, "SIGFPE"),
        (11, "SIGSEGV"),
        (24, "SIGXCPU"),
        (25, "SIGXFSZ"),
        (31, "SIGSYS"),
    ];
    let name = names.iter().find(|(number, _)| *number == signal);
    name.map_or_else(String::new, |(_, name)| format!(" ({name})"))
}

/// What the process calls itself: the script or module for a plain `python`, else all of its title.
fn name(about: &About) -> String {
    named(&about.command, &about.exe)
}

/// The same by its arguments, or its program where it has none.
fn named(command: &[String], exe: &str) -> String {
    let base = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
    let Some(program) = command.first() else { return base(exe) };
    if !base(program).starts_with("python") {
        return if command.len() == 1 { program.trim().to_owned() } else { base(program) };
    }
    let mut rest = command.iter().skip(1);
    while let Some(word) = rest.next() {
        match word.as_str() {
            "-m" => return rest.next().map_or_else(|| base(program), |m| format!("python -m {m}")),
            "-c" => return "python -c …".into(),
            "-X" | "-W" => drop(rest.next()),
            word if word.starts_with('-') => {}
            script => return base(script),
        }
    }
    base(program)
}

/// `45s`, `12m`, `4h12m`, `3d4h`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole seconds")]
fn uptime(seconds: f64) -> String {
    let seconds = seconds.max(0.0) as u64;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    if days > 0 {
        format!("{days}d{}h", hours % 24)
    } else if hours > 0 {
        format!("{hours}h{}m", minutes % 60)
    } else if minutes > 0 {
        format!("{minutes}m")
    } else {
        format!("{seconds}s")
    }
}

#[cfg(test)]
mod tests {
    use super::{name, uptime};
    use memwhy_model::About;

    fn named(command: &[&str]) -> String {
        let command = command.iter().map(|word| (*word).to_owned()).collect();
        name(&About { command, exe: "/usr/bin/python3.11".into(), ..About::default() })
    }

    #[test]
    fn a_process_is_called_what_a_person_calls_it() {
        assert_eq!(named(&["gunicorn: worker [app]"]), "gunicorn: worker [app]");
        assert_eq!(named(&["/usr/bin/python3", "-X", "dev", "/srv/app/main.py", "-v"]), "main.py");
        assert_eq!(named(&["python3.11", "-u", "-m", "app.web"]), "python -m app.web");
        assert_eq!(named(&["/opt/venv/bin/celery", "worker"]), "celery");
        assert_eq!(named(&[]), "python3.11");
    }

    #[test]
    fn time_is_said_in_two_units() {
        assert_eq!([45.2, 720.0, 15_125.0, 273_700.0].map(uptime), ["45s", "12m", "4h12m", "3d4h"]);
    }
}
