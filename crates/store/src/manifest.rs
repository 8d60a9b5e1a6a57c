//! Is every file of the folder there, whole, and as it was written?
//!
//! `manifest.json` states the length and CRC-32 of each file, and one of itself. That finds what was
//! cut off, flipped or mixed up; it does not make a folder from a stranger trustworthy, and the
//! readers of the tables check what they are told.

use crate::ReadError;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The form described in `docs/snapshot.md`. It grows when a file, a column or a field is added that
/// older readers would miss.
pub const FORMAT_VERSION: u32 = 1;

/// What every manifest calls itself.
const FORMAT: &str = "memwhy.snapshot";

/// The file that vouches for the others.
pub(crate) const MANIFEST: &str = "manifest.json";

/// Everything but the bulk.
pub(crate) const CASE: &str = "case.json";

/// A manifest is a few kB; nobody needs one of this size.
const LARGEST_MANIFEST: u64 = 1 << 20;

/// Whether the values that objects have were written down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Values {
    /// Names that belong to the program are there, what it works on is not.
    #[default]
    LeftOut,
    /// Previews of all objects are there, and all keys.
    Kept,
}

/// What the folder is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Manifest {
    format: String,
    version: u32,
    /// The release that wrote it, for the reader of an error.
    memwhy: String,
    pub(crate) values: Values,
    pub(crate) objects: u64,
    pub(crate) references: u64,
    pub(crate) files: Vec<FileFacts>,
    /// CRC-32 of all fields above, as compact JSON.
    crc32: u32,
}

/// What a file has to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileFacts {
    pub(crate) name: String,
    pub(crate) bytes: u64,
    pub(crate) crc32: u32,
}

impl Manifest {
    pub(crate) fn new(
        values: Values,
        objects: u64,
        references: u64,
        files: Vec<FileFacts>,
    ) -> Self {
        let mut manifest = Self {
            format: FORMAT.into(),
            version: FORMAT_VERSION,
            memwhy: env!("CARGO_PKG_VERSION").into(),
            values,
            objects,
            references,
            files,
            crc32: 0,
        };
        manifest.crc32 = manifest.checksum();
        manifest
    }

    fn checksum(&self) -> u32 {
        let unsealed = Self { crc32: 0, ..self.clone() };
        // It has no map with odd keys and nothing that fails to be written.
        crc32fast::hash(&serde_json::to_vec(&unsealed).unwrap_or_default())
    }

    pub(crate) fn to_json(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec_pretty(self).unwrap_or_default();
        text.push(b'\n');
        text
    }

    /// Reads the manifest of `folder`.
    pub(crate) fn read(folder: &Path) -> Result<Self, ReadError> {
        /// What says whether the rest can be understood.
        #[derive(Deserialize)]
        struct Kind {
            format: String,
            version: u32,
            #[serde(default)]
            memwhy: String,
        }
        let broken = |why: String| ReadError::new(MANIFEST, why);
        let file = open_plain(folder, MANIFEST)?;
        let mut text = Vec::new();
        let read = file.take(LARGEST_MANIFEST + 1).read_to_end(&mut text);
        read.map_err(|error| broken(error.to_string()))?;
        if text.len() as u64 > LARGEST_MANIFEST {
            return Err(broken("it is too large to be a manifest".into()));
        }
        let json = |error: serde_json::Error| broken(format!("it is cut off or changed: {error}"));
        let kind: Kind = serde_json::from_slice(&text).map_err(json)?;
        if kind.format != FORMAT {
            return Err(broken("it is not that of a memwhy snapshot".into()));
        }
        if kind.version != FORMAT_VERSION {
            return Err(broken(format!(
                "memwhy {} wrote it in form {}, this release reads form {FORMAT_VERSION}",
                printable(&kind.memwhy),
                kind.version
            )));
        }
        let manifest: Self = serde_json::from_slice(&text).map_err(json)?;
        if manifest.crc32 != manifest.checksum() {
            return Err(broken("it was changed after it was written".into()));
        }
        Ok(manifest)
    }

    /// Opens a file of the folder after checking that it is what was written.
    pub(crate) fn open(&self, folder: &Path, name: &str) -> Result<File, ReadError> {
        let stated = self.files.iter().find(|facts| facts.name == name);
        let stated = stated.ok_or_else(|| ReadError::new(MANIFEST, format!("it has no {name}")))?;
        let mut file = open_plain(folder, name)?;
        let broken = |error: io::Error| ReadError::new(name, error);
        let length = file.metadata().map_err(broken)?.len();
        if length != stated.bytes {
            let is = if length < stated.bytes { "cut off" } else { "changed" };
            let why = format!("it is {is}: {length} bytes instead of {}", stated.bytes);
            return Err(ReadError::new(name, why));
        }
        let mut sum = crc32fast::Hasher::new();
        let mut block = vec![0; 1 << 16];
        loop {
            match file.read(&mut block).map_err(broken)? {
                0 => break,
                read => sum.update(block.get(..read).unwrap_or_default()),
            }
        }
        if sum.finalize() != stated.crc32 {
            return Err(ReadError::new(name, "its content was changed after it was written"));
        }
        file.rewind().map_err(broken)?;
        Ok(file)
    }
}

/// Opens an ordinary file: following a link could lead anywhere, and opening a pipe could wait for
/// ever.
fn open_plain(folder: &Path, name: &str) -> Result<File, ReadError> {
    let path = folder.join(name);
    let broken = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => ReadError::new(name, "it is missing"),
        _ => ReadError::new(name, error),
    };
    let before = path.symlink_metadata().map_err(broken)?;
    if !before.is_file() {
        return Err(ReadError::new(name, "it is a link or something else that is not a file"));
    }
    let file = File::open(&path).map_err(broken)?;
    let opened = file.metadata().map_err(broken)?;
    if (opened.dev(), opened.ino()) != (before.dev(), before.ino()) {
        return Err(ReadError::new(name, "it was replaced while it was opened"));
    }
    Ok(file)
}

/// What a stranger wrote, fit for a terminal.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(40).collect()
}

/// Counts and sums up what is written through it.
#[derive(Debug)]
pub(crate) struct Summed<W> {
    inner: W,
    bytes: u64,
    sum: crc32fast::Hasher,
}

impl<W: Write> Summed<W> {
    pub(crate) fn new(inner: W) -> Self {
        Self { inner, bytes: 0, sum: crc32fast::Hasher::new() }
    }

    /// What was written, as the manifest states it.
    pub(crate) fn facts(self, name: &str) -> (W, FileFacts) {
        let facts = FileFacts { name: name.into(), bytes: self.bytes, crc32: self.sum.finalize() };
        (self.inner, facts)
    }
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.sum.update(bytes.get(..written).unwrap_or_default());
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
