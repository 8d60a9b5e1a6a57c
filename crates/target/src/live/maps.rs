//! Which mappings does a process have? `/proc/PID/smaps`, or `maps` where sizes are not needed.

use memwhy_model::{Addr, AddrRange, Bytes, MappingFacts};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::io;

/// One mapping.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapping {
    /// What the kernel says of its size and residency.
    pub facts: MappingFacts,
    /// Where in the file it begins.
    pub offset: u64,
    /// Device and inode, as in maps: `fe:01 1234`. Empty inode 0 means no file.
    pub device: String,
    /// Inode number, 0 for anonymous memory.
    pub inode: u64,
}

impl Mapping {
    /// Where.
    #[must_use]
    pub const fn range(&self) -> AddrRange {
        self.facts.range
    }

    /// Whether the process may write there now.
    #[must_use]
    pub fn writable(&self) -> bool {
        self.facts.permissions.as_bytes().get(1) == Some(&b'w')
    }

    /// Whether the process may run what is there.
    #[must_use]
    pub fn executable(&self) -> bool {
        self.facts.permissions.as_bytes().get(2) == Some(&b'x')
    }

    /// Whether the process may read there now: guard pages are not.
    #[must_use]
    pub fn readable(&self) -> bool {
        self.facts.permissions.starts_with('r')
    }

    /// Whether changes stay in the process.
    #[must_use]
    pub fn private(&self) -> bool {
        self.facts.permissions.ends_with('p')
    }

    /// Whether it is memory without a file: the kernel's special pages are not.
    #[must_use]
    pub fn anonymous(&self) -> bool {
        let special = matches!(self.facts.name.as_str(), "[vdso]" | "[vvar]" | "[vsyscall]");
        !self.facts.file && !self.facts.shmem && !special
    }
}

/// All mappings, ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Maps(pub Vec<Mapping>);

impl Maps {
    /// Parses `smaps` or `maps`. `tmpfs` has the devices whose files are memory.
    ///
    /// # Errors
    /// `InvalidData` if no line could be understood.
    pub fn parse(text: &str, tmpfs: &HashSet<String>) -> io::Result<Self> {
        let mut maps: Vec<Mapping> = Vec::new();
        for line in text.lines() {
            if let Some(mapping) = header(line, tmpfs) {
                maps.push(mapping);
            } else if let Some(last) = maps.last_mut() {
                detail(line, &mut last.facts);
            }
        }
        if maps.is_empty() && !text.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "no mapping in smaps"));
        }
        Ok(Self(maps))
    }

    /// The mapping that holds `addr`.
    #[must_use]
    pub fn find(&self, addr: Addr) -> Option<&Mapping> {
        let after = self.0.partition_point(|mapping| mapping.range().start <= addr);
        let mapping = self.0.get(after.checked_sub(1)?)?;
        mapping.range().contains(addr).then_some(mapping)
    }

    /// Where the writable anonymous memory that begins at or before `addr` ends: neighbours that
    /// the kernel keeps apart (after a fork the heap is several) count as one.
    #[must_use]
    pub fn run_end(&self, addr: Addr) -> Addr {
        let first = self.0.partition_point(|mapping| mapping.range().end <= addr);
        let mut end = addr;
        for mapping in self.0.iter().skip(first) {
            let joins = mapping.range().start <= end && mapping.anonymous() && mapping.writable();
            if !joins {
                break;
            }
            end = mapping.range().end;
        }
        end
    }

    /// RSS, all mappings together.
    #[must_use]
    pub fn rss(&self) -> Bytes {
        self.0.iter().map(|mapping| mapping.facts.rss).sum()
    }
}

/// `55d0-55e0 rw-p 00001000 fe:01 1234   /usr/bin/python3.11 (deleted)`
fn header(line: &str, tmpfs: &HashSet<String>) -> Option<Mapping> {
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let range = AddrRange::new(hex(start)?, hex(end)?);
    let permissions = words.next().filter(|word| word.len() == 4)?.to_owned();
    let offset = u64::from_str_radix(words.next()?, 16).ok()?;
    let device = words.next()?.to_owned();
    let inode_text = words.next()?;
    let inode = inode_text.parse().ok()?;
    // The name may have spaces: it is what follows the inode and its padding.
    let after_inode = line.splitn(6, ' ').nth(5).unwrap_or_default();
    let name = after_inode.trim_start().to_owned();
    let shmem = inode != 0
        && (tmpfs.contains(&device)
            || ["/dev/shm/", "/memfd:", "/SYSV", "/dev/zero"].iter().any(|p| name.starts_with(p)));
    let facts = MappingFacts {
        range,
        file: inode != 0 && !shmem,
        shmem,
        permissions,
        name,
        ..MappingFacts::default()
    };
    Some(Mapping { facts, offset, device, inode })
}

/// `Rss:                 123 kB`
fn detail(line: &str, facts: &mut MappingFacts) {
    let Some((key, rest)) = line.split_once(':') else { return };
    let kib = || {
        let number = rest.split_ascii_whitespace().next().and_then(|n| n.parse().ok());
        Bytes::kib(number.unwrap_or(0))
    };
    match key {
        "Rss" => facts.rss = kib(),
        "Pss" => facts.pss = kib(),
        "Private_Dirty" => facts.private_dirty = kib(),
        "Private_Clean" => facts.private_clean = kib(),
        "LazyFree" => facts.lazy_free = kib(),
        "VmFlags" => facts.huge_advised = rest.split_ascii_whitespace().any(|flag| flag == "hg"),
        "Swap" => facts.swap = kib(),
        "AnonHugePages" => facts.anon_huge = kib(),
        _ => {}
    }
}

fn hex(text: &str) -> Option<Addr> {
    u64::from_str_radix(text, 16).ok().map(Addr)
}

/// The devices of mounted tmpfs, as `maps` writes them, from `/proc/PID/mountinfo`.
#[must_use]
pub fn tmpfs_devices(mountinfo: &str) -> HashSet<String> {
    mountinfo
        .lines()
        .filter_map(|line| {
            let (mount, kind) = line.split_once(" - ")?;
            let kind = kind.split_ascii_whitespace().next()?;
            let (major, minor) = mount.split_ascii_whitespace().nth(2)?.split_once(':')?;
            let (major, minor): (u32, u32) = (major.parse().ok()?, minor.parse().ok()?);
            matches!(kind, "tmpfs" | "ramfs" | "hugetlbfs")
                .then(|| format!("{major:02x}:{minor:02x}"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Maps, tmpfs_devices};
    use memwhy_model::{Addr, Bytes};

    const SMAPS: &str = "\
00400000-00a00000 r-xp 00000000 fe:01 1234                       /opt/my app/python3.11 (deleted)
Rss:                2048 kB
Pss:                 512 kB
Private_Dirty:         4 kB
AnonHugePages:         0 kB
VmFlags: rd ex mr mw me
00a00000-00b00000 rw-p 00000000 00:00 0                          [heap]
Rss:                 100 kB
Private_Clean:         8 kB
LazyFree:             16 kB
VmFlags: rd wr mr mw me ac hg
7f0000000000-7f0000100000 rw-s 00000000 00:19 7                  /tmp/shared
Rss:                   8 kB
";

    #[test]
    fn names_may_have_spaces_and_tmpfs_is_shared_memory() {
        let mounts = "30 1 0:25 / /tmp rw - tmpfs tmpfs rw\n31 1 254:1 / / rw - ext4 /dev/vda rw\n";
        let maps = Maps::parse(SMAPS, &tmpfs_devices(mounts)).expect("valid smaps");
        assert_eq!(maps.0.len(), 3);
        assert_eq!(maps.0[0].facts.name, "/opt/my app/python3.11 (deleted)");
        assert_eq!(maps.rss(), Bytes::kib(2156));
        assert!(maps.0[0].facts.file && !maps.0[0].facts.shmem);
        assert!(maps.0[1].anonymous() && maps.0[1].writable());
        assert!(maps.0[2].facts.shmem && !maps.0[2].private());
        let heap = &maps.0[1].facts;
        assert_eq!((heap.private_clean, heap.lazy_free), (Bytes::kib(8), Bytes::kib(16)));
        assert!(heap.huge_advised && !maps.0[0].facts.huge_advised);
        assert_eq!(maps.find(Addr(0x9f_ffff)).map(|m| m.inode), Some(1234));
        assert_eq!(maps.find(Addr(0xb0_0000)), None);
    }

    #[test]
    fn text_that_is_not_smaps_is_an_error() {
        assert!(Maps::parse("no such thing\n", &std::collections::HashSet::new()).is_err());
    }
}
