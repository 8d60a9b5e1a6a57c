//! What is a descriptor of a process: a path, a pipe, a socket and its peer?

use crate::live::process::Process;
use std::collections::HashMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Names descriptors; the tables of sockets are read when the first socket is asked for.
#[derive(Debug)]
pub struct Descriptors<'p> {
    process: &'p Process,
    sockets: Option<HashMap<u64, String>>,
}

impl<'p> Descriptors<'p> {
    /// Nothing is read yet.
    #[must_use]
    pub const fn new(process: &'p Process) -> Self {
        Self { process, sockets: None }
    }

    /// What descriptor `number` is, as `/proc` has it now; `None` if there is none.
    pub fn name(&mut self, number: u64) -> Option<String> {
        let link = fs::read_link(self.process.path("fd").join(number.to_string())).ok()?;
        let link = link.to_string_lossy().into_owned();
        let inode = link.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']'));
        let Some(inode) = inode.and_then(|inode| inode.parse().ok()) else { return Some(link) };
        let sockets = self.sockets.get_or_insert_with(|| sockets(self.process));
        Some(sockets.get(&inode).cloned().unwrap_or(link))
    }
}

/// The sockets of the process's network namespace, by inode.
fn sockets(process: &Process) -> HashMap<u64, String> {
    let mut found = HashMap::new();
    for kind in ["tcp", "tcp6", "udp", "udp6"] {
        let text = fs::read_to_string(process.path("net").join(kind)).unwrap_or_default();
        found.extend(text.lines().skip(1).filter_map(|line| internet(kind, line)));
    }
    let text = fs::read_to_string(process.path("net/unix")).unwrap_or_default();
    found.extend(text.lines().skip(1).filter_map(unix));
    found
}

/// `0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 12345 …`
fn internet(kind: &str, line: &str) -> Option<(u64, String)> {
    let mut words = line.split_ascii_whitespace();
    let (here, there, state) = (words.nth(1)?, words.next()?, words.next()?);
    let inode = words.nth(5)?.parse().ok()?;
    let (here, there) = (endpoint(here)?, endpoint(there)?);
    let kind = kind.trim_end_matches('6');
    // TCP_LISTEN; a peer at port 0 is none.
    let said = if state == "0A" {
        format!("{kind} listens at {here}")
    } else if there.ends_with(":0") {
        format!("{kind} at {here}")
    } else {
        format!("{kind} {here} to {there}")
    };
    Some((inode, said))
}

/// An address in words of the machine's order, then a port.
fn endpoint(text: &str) -> Option<String> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| u32::from_str_radix(address.get(at * 8..at * 8 + 8)?, 16).ok();
    let address = if address.len() == 8 {
        IpAddr::V4(Ipv4Addr::from(word(0)?.to_le_bytes()))
    } else {
        let mut bytes = [0; 16];
        for (at, four) in bytes.as_chunks_mut::<4>().0.iter_mut().enumerate() {
            *four = word(at)?.to_le_bytes();
        }
        let address = Ipv6Addr::from(bytes);
        address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4)
    };
    Some(match address {
        IpAddr::V4(address) => format!("{address}:{port}"),
        IpAddr::V6(address) => format!("[{address}]:{port}"),
    })
}

/// `ffff…: 00000003 00000000 00000000 0001 03 12345 /run/socket`
fn unix(line: &str) -> Option<(u64, String)> {
    let mut words = line.split_ascii_whitespace();
    let inode = words.nth(6)?.parse().ok()?;
    let path = words.next().map_or(String::new(), |path| format!(" {path}"));
    Some((inode, format!("unix socket{path}")))
}

#[cfg(test)]
mod tests {
    use super::{Descriptors, internet, unix};
    use crate::live::process::Process;
    use std::io::Read as _;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd as _;

    #[test]
    fn lines_of_proc_net_are_endpoints() {
        let line = "   1: 0100007F:1F90 0200000A:C350 01 00000000:00000000 00:00000000 00000000  0  0 77 1";
        let told = Some((77, "tcp 127.0.0.1:8080 to 10.0.0.2:50000".to_owned()));
        assert_eq!(internet("tcp", line), told);
        let six = "0: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 78";
        assert_eq!(internet("tcp6", six), Some((78, "tcp listens at [::1]:80".to_owned())));
        let line = "ffff: 00000003 00000000 00000000 0001 03 12345 /run/socket";
        assert_eq!(unix(line), Some((12345, "unix socket /run/socket".to_owned())));
        assert_eq!(internet("tcp", "nonsense"), None);
    }

    #[test]
    fn our_own_sockets_and_files_have_names() {
        let us = Process::open(std::process::id()).expect("we are alive");
        let mut names = Descriptors::new(&us);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let at = listener.local_addr().expect("bound");
        let client = TcpStream::connect(at).expect("connected");
        let mut name = |fd: i32| names.name(u64::try_from(fd).expect("open")).expect("a name");
        assert_eq!(name(listener.as_raw_fd()), format!("tcp listens at {at}"));
        let from = client.local_addr().expect("bound");
        assert_eq!(name(client.as_raw_fd()), format!("tcp {from} to {at}"));
        let mut file = std::fs::File::open("/proc/self/exe").expect("ourselves");
        file.read_exact(&mut [0; 4]).expect("an ELF file");
        assert!(name(file.as_raw_fd()).starts_with('/'));
        assert_eq!(names.name(999_999), None);
    }
}
