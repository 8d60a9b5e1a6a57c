//! Which control group pays for a process, and for what?
//!
//! A group is charged for more than its processes' memory: for every page of a file that one of
//! them was the first to read or write, for files in tmpfs, for what the kernel keeps. What
//! `docker stats` and an orchestrator show is that sum.
//!
//! Source: `Documentation/admin-guide/cgroup-v1/memory.rst` and `cgroup-v2.rst` of Linux.

use memwhy_model::{Bytes, CgroupFacts, Charges};
use std::path::{Path, PathBuf};

/// Version 1 writes "no limit" as the largest multiple of the page size.
const NO_LIMIT: u64 = 1 << 60;

/// The files of one version.
struct Version {
    number: u8,
    used: &'static str,
    limit: &'static str,
    /// Lines of `memory.stat`.
    anon: &'static str,
    cache: &'static str,
    dirty: &'static str,
    shmem: &'static str,
}

const V1: Version = Version {
    number: 1,
    used: "memory.usage_in_bytes",
    limit: "memory.limit_in_bytes",
    // Those without `total_` leave out the groups below.
    anon: "total_rss",
    cache: "total_cache",
    dirty: "total_dirty",
    shmem: "total_shmem",
};

const V2: Version = Version {
    number: 2,
    used: "memory.current",
    limit: "memory.max",
    anon: "anon",
    cache: "file",
    dirty: "file_dirty",
    shmem: "shmem",
};

/// The group that pays for a process, by its `/proc/PID/cgroup` and our `/proc/self/mountinfo`;
/// `read` reads a file.
#[must_use]
pub fn of(
    groups: &str,
    mountinfo: &str,
    read: &dyn Fn(&Path) -> Option<String>,
) -> Option<CgroupFacts> {
    // Where both versions are mounted, the controller is with one of them: 1, if it has a line.
    let lines = || groups.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
    let with_memory = |names: &str| names.split(',').any(|name| name == "memory");
    let (version, path) = match lines().find(|(names, _)| with_memory(names)) {
        Some((_, path)) => (&V1, path),
        None => (&V2, lines().find(|(names, _)| names.is_empty())?.1),
    };
    let folder = folder(mountinfo, version, path)?;
    let text = |file: &str| read(&folder.join(file));
    let number = |file: &str| text(file)?.trim().parse::<u64>().ok();
    let used = Bytes(number(version.used)?);
    let charged = text("memory.stat").and_then(|stat| charges(version, &stat, &number));
    Some(CgroupFacts {
        path: path.to_owned(),
        used,
        limit: number(version.limit).filter(|limit| *limit < NO_LIMIT).map(Bytes),
        charged,
    })
}

/// Where the group's files are: below the mount of its hierarchy, which may show a part of it only.
fn folder(mountinfo: &str, version: &Version, path: &str) -> Option<PathBuf> {
    let mut mounts = mountinfo.lines().filter_map(|line| {
        let (mount, system) = line.split_once(" - ")?;
        let mut mount = mount.split_ascii_whitespace().skip(3);
        let (root, point) = (mount.next()?, mount.next()?);
        let mut system = system.split_ascii_whitespace();
        let (kind, options) = (system.next()?, system.nth(1).unwrap_or_default());
        let fits = match version.number {
            1 => kind == "cgroup" && options.split(',').any(|option| option == "memory"),
            _ => kind == "cgroup2",
        };
        fits.then_some((root, point))
    });
    mounts.find_map(|(root, point)| {
        let below = if root == "/" { path } else { path.strip_prefix(root)? };
        // A group outside of our namespace is written `/../..`: its files are not to be had.
        let inside = !below.split('/').any(|part| part == "..");
        inside.then(|| Path::new(point).join(below.trim_start_matches('/')))
    })
}

fn charges(version: &Version, stat: &str, file: &dyn Fn(&str) -> Option<u64>) -> Option<Charges> {
    let line = |key: &str| {
        let found = stat.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
        found.and_then(|number| number.trim().parse::<u64>().ok())
    };
    let shmem = line(version.shmem).unwrap_or(0);
    let kernel = match version.number {
        1 => file("memory.kmem.usage_in_bytes"),
        // One line since Linux 5.18; before it has to be added up.
        _ => line("kernel").or_else(|| {
            let parts = ["kernel_stack", "pagetables", "percpu", "slab"].map(line);
            parts.iter().any(Option::is_some).then(|| parts.into_iter().flatten().sum())
        }),
    };
    let sockets = if version.number == 1 { None } else { line("sock") };
    let swap = match version.number {
        1 => line("total_swap"),
        _ => file("memory.swap.current"),
    };
    Some(Charges {
        version: version.number,
        anon: Bytes(line(version.anon)?),
        // Both versions count shared memory as cache.
        cache: Bytes(line(version.cache)?.saturating_sub(shmem)),
        dirty: Bytes(line(version.dirty).unwrap_or(0)),
        shmem: Bytes(shmem),
        kernel: Bytes(kernel.unwrap_or(0).saturating_add(sockets.unwrap_or(0))),
        swap: Bytes(swap.unwrap_or(0)),
    })
}

#[cfg(test)]
mod tests {
    use super::of;
    use memwhy_model::{Bytes, CgroupFacts, Charges};
    use std::path::Path;

    /// As they were in a container of version 1 (Linux 6.18) and of version 2 (Linux 6.1), less
    /// the lines that nobody asks for.
    const V1_STAT: &str = "cache 11595776\nrss 14573568\nshmem 9084928\ntotal_cache 11331424256\n\
                           total_rss 1699364864\ntotal_shmem 9084928\ntotal_dirty 488308736\n\
                           total_swap 0\n";
    const V2_STAT: &str = "anon 314572800\nfile 1048576000\nkernel_stack 1000000\n\
                           pagetables 3000000\nsock 4096\nshmem 104857600\nfile_mapped 7\n\
                           file_dirty 8192\nslab 6000000\n";

    fn read(tree: &[(&str, &str)], groups: &str, mounts: &str) -> Option<CgroupFacts> {
        of(groups, mounts, &|path: &Path| {
            let found = tree.iter().find(|(name, _)| Path::new(name) == path);
            found.map(|(_, text)| (*text).to_owned())
        })
    }

    #[test]
    fn version_1_is_read_with_the_groups_below_and_without_its_shared_memory_as_cache() {
        let group = "/sys/fs/cgroup/memory/docker/abc";
        let file = |name: &str| format!("{group}/{name}");
        let tree = [
            (file("memory.usage_in_bytes"), "13000000000\n"),
            (file("memory.limit_in_bytes"), "9223372036854771712\n"),
            (file("memory.kmem.usage_in_bytes"), "5000000\n"),
            (file("memory.stat"), V1_STAT),
        ];
        let tree: Vec<(&str, &str)> = tree.iter().map(|(name, text)| (&name[..], *text)).collect();
        let mounts = "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                      41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let groups = "8:pids:/docker/abc\n4:memory:/docker/abc\n0::/\n";
        let facts = read(&tree, groups, mounts).expect("it is there");
        assert_eq!((facts.used, facts.limit), (Bytes(13_000_000_000), None));
        assert_eq!(
            facts.charged,
            Some(Charges {
                version: 1,
                anon: Bytes(1_699_364_864),
                cache: Bytes(11_331_424_256 - 9_084_928),
                dirty: Bytes(488_308_736),
                shmem: Bytes(9_084_928),
                kernel: Bytes(5_000_000),
                swap: Bytes(0),
            })
        );
    }

    #[test]
    fn version_2_is_read_below_a_mount_that_shows_a_part_of_the_hierarchy() {
        let tree = [
            ("/sys/fs/cgroup/app/memory.current", "1400000000\n"),
            ("/sys/fs/cgroup/app/memory.max", "2147483648\n"),
            ("/sys/fs/cgroup/app/memory.swap.current", "4096\n"),
            ("/sys/fs/cgroup/app/memory.stat", V2_STAT),
        ];
        let mounts = "29 22 0:26 /kubepods/pod1 /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw\n";
        let facts = read(&tree, "0::/kubepods/pod1/app\n", mounts).expect("it is there");
        assert_eq!((facts.used, facts.limit), (Bytes(1_400_000_000), Some(Bytes(2 << 30))));
        let charged = facts.charged.expect("memory.stat is there");
        assert_eq!(charged.anon, Bytes(314_572_800));
        assert_eq!(charged.cache, Bytes(1_048_576_000 - 104_857_600));
        assert_eq!(charged.kernel, Bytes(10_004_096));
        assert_eq!((charged.version, charged.swap), (2, Bytes(4096)));
    }

    #[test]
    fn no_limit_is_none_and_what_is_outside_of_our_view_is_not_told() {
        let tree =
            [("/sys/fs/cgroup/memory.current", "7\n"), ("/sys/fs/cgroup/memory.max", "max\n")];
        let mounts = "29 22 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        let facts = read(&tree, "0::/\n", mounts).expect("it is there");
        assert_eq!((facts.limit, facts.charged), (None, None));
        assert_eq!(read(&tree, "0::/../other\n", mounts), None);
        assert_eq!(read(&tree, "nonsense", "nonsense"), None);
        assert_eq!(read(&tree, "0::/\n", ""), None);
    }
}
