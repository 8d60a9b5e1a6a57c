//! What if the core is compressed?
//!
//! It is expanded into a file without a name, which is gone as soon as we are, whatever we end of.
//! Pages of zeroes become holes, as the kernel writes them. The bound is the room that the folder
//! of temporary files has; nothing is expanded in memory.

use crate::sys::files::room_in;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

const PAGE: usize = 4096;
/// Expanded at once.
const PIECE: usize = 1 << 20;
/// No address space of x86-64 is larger: whoever expands to more is no core.
const MOST: u64 = 1 << 47;
/// Left to others in the folder of temporary files.
const SPARED: u64 = 64 << 20;

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    /// As systemd-coredump does it today.
    Zstd,
    /// As it did before.
    Lz4,
    /// As administrators do it.
    Gzip,
}

impl Packing {
    /// Tells by the first bytes.
    #[must_use]
    pub(super) fn of(head: [u8; 4]) -> Option<Self> {
        match head {
            [0x28, 0xb5, 0x2f, 0xfd] => Some(Self::Zstd),
            [0x04, 0x22, 0x4d, 0x18] => Some(Self::Lz4),
            [0x1f, 0x8b, 8, _] => Some(Self::Gzip),
            _ => None,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Lz4 => "LZ4",
            Self::Gzip => "gzip",
        }
    }

    fn reader(self, file: File) -> io::Result<Box<dyn Read>> {
        let file = BufReader::with_capacity(PIECE, file);
        Ok(match self {
            Self::Zstd => Box::new(zstd::Decoder::with_buffer(file)?),
            Self::Lz4 => Box::new(lz4_flex::frame::FrameDecoder::new(file)),
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(file)),
        })
    }
}

/// The expanded file, and what was wrong at its end: a core cut off while it was compressed still
/// tells what came before.
#[derive(Debug)]
pub(super) struct Unpacked {
    /// Without a name.
    pub(super) file: File,
    /// Why not all of it is there.
    pub(super) broken: Option<String>,
}

/// Expands `file` into the folder of temporary files.
///
/// # Errors
/// A sentence: no room, or nothing could be expanded.
pub(super) fn unpack(file: File, packing: Packing) -> Result<Unpacked, String> {
    let folder = std::env::temp_dir();
    unpack_into(file, packing, &folder, room_in(&folder).unwrap_or(u64::MAX))
}

fn unpack_into(file: File, packing: Packing, folder: &Path, room: u64) -> Result<Unpacked, String> {
    let name = packing.name();
    let cannot = |error: &io::Error| format!("its {name} data cannot be expanded: {error}");
    let room = room.saturating_sub(SPARED);
    let out = nameless(folder)
        .map_err(|error| format!("no temporary file in {} (TMPDIR): {error}", folder.display()))?;
    let mut from = packing.reader(file).map_err(|error| cannot(&error))?;
    let mut piece = vec![0; PIECE];
    let (mut len, mut written, mut broken) = (0u64, 0u64, None);
    loop {
        let got = match fill(&mut *from, &mut piece) {
            (0, None) => break,
            (got, error) => {
                broken = error.map(|error| cannot(&error));
                got
            }
        };
        let bytes = piece.get(..got).unwrap_or_default();
        for (n, page) in bytes.chunks(PAGE).enumerate() {
            if page.iter().any(|byte| *byte != 0) {
                written += page.len() as u64;
                let done = out.write_all_at(page, len + (n * PAGE) as u64);
                let full = done.err().map(|error| error.to_string());
                if let Some(why) = full.or_else(|| (written > room).then(|| "no room".into())) {
                    return Err(format!(
                        "expanding it takes more than the {} MiB that {} has (TMPDIR names \
                         another folder): {why}",
                        room >> 20,
                        folder.display()
                    ));
                }
            }
        }
        len += got as u64;
        if len > MOST {
            return Err(format!("its {name} data expand to more than any process has"));
        }
        if broken.is_some() {
            break;
        }
    }
    out.set_len(len).map_err(|error| cannot(&error))?;
    match broken {
        Some(why) if len == 0 => Err(why),
        broken => Ok(Unpacked { file: out, broken }),
    }
}

/// Reads until `buf` is full or nothing comes any more; an error does not lose what came before.
fn fill(from: &mut dyn Read, buf: &mut [u8]) -> (usize, Option<io::Error>) {
    let mut got = 0;
    while let Some(rest) = buf.get_mut(got..).filter(|rest| !rest.is_empty()) {
        match from.read(rest) {
            Ok(0) => break,
            Ok(n) => got += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (got, Some(error)),
        }
    }
    (got, None)
}

/// A file without a name in `folder`; where the file system has none such, one that loses its name
/// at once.
fn nameless(folder: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    let without = options.clone().custom_flags(libc::O_TMPFILE).open(folder);
    without.or_else(|_| {
        let path: PathBuf = folder.join(format!(".memwhy-{}-unpacked", std::process::id()));
        let file = options.create_new(true).open(&path)?;
        std::fs::remove_file(&path)?;
        Ok(file)
    })
}

#[cfg(test)]
mod tests {
    use super::{Packing, nameless, unpack_into};
    use std::fs::File;
    use std::io::{Read as _, Seek as _, Write as _};
    use std::os::unix::fs::MetadataExt as _;

    fn sample() -> Vec<u8> {
        let mut bytes = vec![7; 10_000];
        bytes.resize(8 << 20, 0);
        bytes.extend([9; 5000]);
        bytes
    }

    fn packed(packing: Packing) -> Vec<u8> {
        let bytes = sample();
        match packing {
            Packing::Zstd => zstd::encode_all(&*bytes, 1).expect("in memory"),
            Packing::Lz4 => {
                let mut to = lz4_flex::frame::FrameEncoder::new(Vec::new());
                to.write_all(&bytes).expect("in memory");
                to.finish().expect("in memory")
            }
            Packing::Gzip => {
                let mut to = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                to.write_all(&bytes).expect("in memory");
                to.finish().expect("in memory")
            }
        }
    }

    fn file(bytes: &[u8]) -> File {
        let mut file = nameless(&std::env::temp_dir()).expect("a temporary file");
        file.write_all(bytes).expect("room");
        file.rewind().expect("a file");
        file
    }

    #[test]
    fn what_is_expanded_is_the_same_and_zeroes_are_holes() {
        for packing in [Packing::Zstd, Packing::Lz4, Packing::Gzip] {
            let bytes = packed(packing);
            assert_eq!(Packing::of(bytes[..4].try_into().expect("four")), Some(packing));
            let folder = std::env::temp_dir();
            let mut out = unpack_into(file(&bytes), packing, &folder, u64::MAX).expect("valid");
            let mut back = Vec::new();
            out.file.read_to_end(&mut back).expect("readable");
            assert!(back == sample() && out.broken.is_none(), "{packing:?}");
            assert!(out.file.metadata().expect("a file").blocks() * 512 < 1 << 20, "{packing:?}");
        }
    }

    #[test]
    fn a_cut_one_tells_what_came_before_and_why_it_ends() {
        for packing in [Packing::Zstd, Packing::Gzip] {
            let bytes = packed(packing);
            let cut = &bytes[..bytes.len() - 8];
            let folder = std::env::temp_dir();
            let out = unpack_into(file(cut), packing, &folder, u64::MAX).expect("some of it");
            assert!(out.broken.is_some_and(|why| why.contains("cannot be expanded")));
            assert!(unpack_into(file(&bytes[..5]), packing, &folder, u64::MAX).is_err());
        }
    }

    #[test]
    fn no_more_is_written_than_there_is_room_for() {
        let bytes = packed(Packing::Zstd);
        let refused = unpack_into(file(&bytes), Packing::Zstd, &std::env::temp_dir(), 0);
        assert!(refused.is_err_and(|why| why.contains("TMPDIR")));
    }
}
