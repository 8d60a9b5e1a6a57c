//! How do memwhy and its code in the target talk?
//!
//! memwhy listens and the target connects, to a Unix socket of a random abstract name: there is no
//! file, so that nothing is left behind whatever ends us. Where the target has a network namespace
//! of its own, and with it abstract names of its own, it is a file in its `/tmp`, of mode 0600,
//! removed as soon as the target has connected. Whoever else connects is refused.

use crate::sys::peer;
use memwhy_target::Process;
use std::fs;
use std::io::{self, Read, Write};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// No frame is longer; output comes in pieces.
const LONGEST: usize = 64 << 20;

/// A socket that waits for the target.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: UnixListener,
    /// What the target has to give to `connect`, as Python writes it.
    pub(crate) address: String,
    /// The file, where there is one; removed when this is dropped.
    file: Option<PathBuf>,
}

/// A connection to the target.
#[derive(Debug)]
pub(crate) struct Channel {
    stream: UnixStream,
}

impl Listener {
    /// Listens where `process` can connect.
    pub(crate) fn open(process: &Process) -> io::Result<Self> {
        let name = format!("memwhy-{}", random_name()?);
        let namespace = |of: PathBuf| fs::read_link(of.join("ns/net")).ok();
        let shared = namespace(PathBuf::from("/proc/self")) == namespace(process.path(""));
        let (socket, address, file) = if shared {
            let address = SocketAddr::from_abstract_name(&name)?;
            (UnixListener::bind_addr(&address)?, format!("b'\\0{name}'"), None)
        } else {
            let path = process.path("root").join("tmp").join(&name);
            let socket = UnixListener::bind(&path)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
            if let Some(uid) = process.uid() {
                chown(&path, Some(uid), None)?;
            }
            (socket, format!("b'/tmp/{name}'"), Some(path))
        };
        socket.set_nonblocking(true)?;
        Ok(Self { socket, address, file })
    }

    /// Waits until process `pid` connects; `TimedOut` if it does not.
    pub(crate) fn accept(&self, pid: u32, patience: Duration) -> io::Result<Channel> {
        let until = Instant::now() + patience;
        loop {
            match self.socket.accept() {
                Ok((stream, _)) if peer::process(&stream)? == pid => {
                    stream.set_nonblocking(false)?;
                    return Ok(Channel { stream });
                }
                // Somebody else; dropping the stream refuses it.
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if Instant::now() > until {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(file) = &self.file {
            // It may be gone already, with the container that it was in.
            let _ = fs::remove_file(file);
        }
    }
}

impl Channel {
    /// Hands over code to run, as the first thing.
    pub(crate) fn code(&mut self, code: &str) -> io::Result<()> {
        self.stream.write_all(format!("{:08}{code}", code.len()).as_bytes())
    }

    /// Sends one frame.
    pub(crate) fn send(&mut self, kind: u8, text: &str) -> io::Result<()> {
        let mut frame = vec![kind];
        frame.extend_from_slice(format!("{:08}", text.len()).as_bytes());
        frame.extend_from_slice(text.as_bytes());
        self.stream.write_all(&frame)
    }

    /// Waits for one frame; `TimedOut` when none begins in time, `UnexpectedEof` when the target
    /// has gone.
    pub(crate) fn receive(&mut self, patience: Option<Duration>) -> io::Result<(u8, String)> {
        let timed_out = |error: io::Error| match error.kind() {
            io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
            _ => error,
        };
        self.stream.set_read_timeout(patience)?;
        let mut head = [0; 9];
        let (first, rest) = head.split_at_mut(1);
        self.stream.read_exact(first).map_err(timed_out)?;
        // The rest of a frame follows at once.
        self.stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        self.stream.read_exact(rest).map_err(timed_out)?;
        let digits = std::str::from_utf8(rest).ok().and_then(|digits| digits.parse().ok());
        let len: usize = digits.filter(|len| *len <= LONGEST).ok_or(io::ErrorKind::InvalidData)?;
        let mut text = vec![0; len];
        self.stream.read_exact(&mut text).map_err(timed_out)?;
        let [kind, ..] = head;
        Ok((kind, String::from_utf8_lossy(&text).into_owned()))
    }
}

/// 128 random bits, as hexadecimal digits.
fn random_name() -> io::Result<String> {
    let mut bytes = [0; 16];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(format!("{:032x}", u128::from_le_bytes(bytes)))
}
