//! Which ELF images does the process have loaded, and where are their symbols?

use crate::from_memory;
use flate2::read::ZlibDecoder;
use memwhy_model::{Addr, AddrRange};
use memwhy_target::{Mapping, View};
use object::elf::{PF_W, PT_LOAD, STT_FUNC, STT_GNU_IFUNC};
use object::read::elf::{ElfFile64, ProgramHeader as _};
use object::{
    CompressionFormat, Endianness, Object as _, ObjectSection as _, ObjectSymbol, ReadCache,
    SymbolKind,
};
use rustc_hash::FxHashMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Mutex, PoisonError};

/// No section that we read is larger, uncompressed.
const LARGEST_SECTION: usize = 1 << 30;

/// One loaded ELF file.
#[derive(Clone, Debug)]
pub struct Image {
    /// Its path, as the process sees it.
    pub path: String,
    /// What to add to an address in the file to get one in the process.
    pub bias: u64,
    /// The writable data, with the part that is not in the file (`.bss`).
    pub data: Vec<AddrRange>,
    /// From the first to the last loaded byte.
    pub span: AddrRange,
    file: Source,
    /// Where the symbols are that the file was asked for already. A process may stand still when it
    /// is asked again.
    known: Arc<Mutex<Known>>,
}

type Known = FxHashMap<(Scope, String), Option<Addr>>;

/// Which of the symbols of one name is meant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Scope {
    Exported,
    /// The first, whatever it is.
    Any,
    /// One that is local to this source file.
    Local(String),
}

/// Where the bytes of a file are.
#[derive(Clone, Debug)]
enum Source {
    /// In the file.
    File(Arc<File>),
    /// The file is missing, and these are the parts of it that memory has.
    Memory(Arc<Vec<u8>>),
}

impl Source {
    fn read_at(&self, buf: &mut [u8], at: u64) -> io::Result<usize> {
        match self {
            Self::File(file) => file.read_at(buf, at),
            Self::Memory(bytes) => {
                let rest = usize::try_from(at).ok().and_then(|at| bytes.get(at..));
                rest.unwrap_or_default().read(buf)
            }
        }
    }

    fn len(&self) -> io::Result<u64> {
        match self {
            Self::File(file) => file.metadata().map(|facts| facts.len()),
            Self::Memory(bytes) => Ok(bytes.len() as u64),
        }
    }
}

/// All loaded images, in address order.
#[derive(Clone, Debug, Default)]
pub struct Images(pub Vec<Image>);

impl Images {
    /// Finds the images by the mappings of their first pages. Files that are not ELF are left out;
    /// of those that are missing memory has to tell, as far as it does.
    #[must_use]
    pub fn of(view: &View) -> Self {
        let first_pages = view.maps().0.iter().filter(|m| m.facts.file && m.offset == 0);
        let mut images: Vec<Image> = Vec::new();
        for mapping in first_pages {
            if images.iter().any(|image| image.span.contains(mapping.range().start)) {
                continue;
            }
            if let Some(image) = Image::open(view, mapping) {
                images.push(image);
            }
        }
        Self(images)
    }

    /// The image whose file name satisfies `wanted`.
    #[must_use]
    pub fn by_name(&self, wanted: impl Fn(&str) -> bool) -> Option<&Image> {
        self.0.iter().find(|image| wanted(image.file_name()))
    }

    /// The image of the file at `path`, as the process sees it.
    #[must_use]
    pub fn by_path(&self, path: &str) -> Option<&Image> {
        self.0.iter().find(|image| image.path == path)
    }

    /// The first image that exports `symbol`, with its address.
    #[must_use]
    pub fn exporter(&self, symbol: &str) -> Option<(&Image, Addr)> {
        self.0.iter().find_map(|image| image.exported(symbol).map(|addr| (image, addr)))
    }

    /// The image that holds `addr`.
    #[must_use]
    pub fn containing(&self, addr: Addr) -> Option<&Image> {
        self.0.iter().find(|image| image.span.contains(addr))
    }
}

impl Image {
    fn open(view: &View, mapping: &Mapping) -> Option<Self> {
        let file = match view.file(mapping) {
            Some(file) => Source::File(file),
            None => Source::Memory(Arc::new(from_memory::rebuild(view, mapping.range().start)?)),
        };
        let mut magic = [0; 4];
        let read = file.read_at(&mut magic, 0).ok()?;
        (read == magic.len() && magic == *b"\x7fELF").then_some(())?;
        let cache = ReadCache::new(Cursor { file: &file, at: 0 });
        let elf = ElfFile64::<Endianness, _>::parse(&cache).ok()?;
        let endian = elf.endian();
        let loads: Vec<(u32, u64, u64)> = elf
            .elf_program_headers()
            .iter()
            .filter(|header| header.p_type(endian) == PT_LOAD)
            .map(|h| (h.p_flags(endian), h.p_vaddr(endian), h.p_memsz(endian)))
            .collect();
        let (_, first, _) = loads.first()?;
        let bias = mapping.range().start.0.wrapping_sub(first & !4095);
        let place = |vaddr: u64| Addr(bias.wrapping_add(vaddr));
        let span_end = loads.iter().map(|(_, vaddr, len)| place(*vaddr).at(*len)).max()?;
        let data = loads
            .iter()
            .filter(|(flags, ..)| flags & PF_W != 0)
            .map(|(_, vaddr, len)| AddrRange::sized(place(*vaddr), *len))
            .collect();
        Some(Self {
            path: mapping.facts.name.trim_end_matches(" (deleted)").to_owned(),
            bias,
            data,
            span: AddrRange::new(mapping.range().start, span_end),
            file: file.clone(),
            known: Arc::default(),
        })
    }

    /// The last part of the path.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// Where `offset`, an address in the file, is in the process.
    #[must_use]
    pub const fn place(&self, vaddr: u64) -> Addr {
        Addr(self.bias.wrapping_add(vaddr))
    }

    /// Runs `ask` on the parsed file.
    fn with_elf<T>(&self, ask: impl FnOnce(&Elf<'_, '_>) -> Option<T>) -> Option<T> {
        let cache = ReadCache::new(Cursor { file: &self.file, at: 0 });
        let elf = ElfFile64::<Endianness, _>::parse(&cache).ok()?;
        ask(&elf)
    }

    /// What `find` finds in the file, or what it found before.
    fn once(
        &self,
        scope: Scope,
        name: &str,
        find: impl FnOnce(&Elf<'_, '_>) -> Option<u64>,
    ) -> Option<Addr> {
        let key = (scope, name.to_owned());
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let before = known().get(&key).copied();
        before.unwrap_or_else(|| {
            let found = self.with_elf(find).map(|vaddr| self.place(vaddr));
            known().insert(key, found);
            found
        })
    }

    /// Where an exported symbol is in the process.
    #[must_use]
    pub fn exported(&self, name: &str) -> Option<Addr> {
        self.once(Scope::Exported, name, |elf| {
            let symbol = elf.dynamic_symbols().find(|symbol| {
                symbol.is_definition() && symbol.name_bytes().is_ok_and(|n| n == name.as_bytes())
            })?;
            Some(symbol.address())
        })
    }

    /// Where a symbol is, a local one too if the file was not stripped.
    #[must_use]
    pub fn symbol(&self, name: &str) -> Option<Addr> {
        self.exported(name).or_else(|| {
            self.once(Scope::Any, name, |elf| {
                let symbol = elf.symbols().find(|symbol| {
                    symbol.is_definition()
                        && symbol.name_bytes().is_ok_and(|n| n == name.as_bytes())
                })?;
                Some(symbol.address())
            })
        })
    }

    /// Where the variable `name` that is local to the source file `file` is, if the image was not
    /// stripped. Names like `debug` are found in many files.
    #[must_use]
    pub fn local_symbol(&self, file: &str, name: &str) -> Option<Addr> {
        self.once(Scope::Local(file.to_owned()), name, |elf| {
            let mut inside = false;
            for symbol in elf.symbols() {
                let its_name = symbol.name_bytes().unwrap_or_default();
                if symbol.kind() == SymbolKind::File {
                    inside = its_name == file.as_bytes();
                } else if inside && symbol.is_local() && its_name == name.as_bytes() {
                    return Some(symbol.address());
                }
            }
            None
        })
    }

    /// The variables that symbols name, in address order: local ones too if the file was not
    /// stripped.
    #[must_use]
    pub fn variables(&self) -> Vec<(AddrRange, String)> {
        let named = self.with_elf(|elf| {
            let mut named: Vec<_> =
                elf.symbols().filter_map(|symbol| self.variable(&symbol)).collect();
            if named.is_empty() {
                let symbols = elf.dynamic_symbols();
                named = symbols.filter_map(|symbol| self.variable(&symbol)).collect();
            }
            named.sort_unstable();
            named.dedup_by_key(|(range, _)| range.start);
            Some(named)
        });
        named.unwrap_or_default()
    }

    fn variable<'d>(&self, symbol: &impl ObjectSymbol<'d>) -> Option<(AddrRange, String)> {
        let data = symbol.is_definition() && symbol.kind() == SymbolKind::Data;
        let name = symbol.name().ok().filter(|name| data && !name.is_empty())?;
        Some((AddrRange::sized(self.place(symbol.address()), symbol.size()), name.to_owned()))
    }

    /// Where a section is in the process, with its size.
    #[must_use]
    pub fn section(&self, name: &str) -> Option<AddrRange> {
        self.with_elf(|elf| {
            let section = elf.section_by_name(name)?;
            Some(AddrRange::sized(self.place(section.address()), section.size()))
        })
    }

    /// The bytes of a section in the file.
    #[must_use]
    pub fn section_bytes(&self, name: &str) -> Option<Vec<u8>> {
        self.with_elf(|elf| {
            let stored = elf.section_by_name(name)?.compressed_data().ok()?;
            let size = usize::try_from(stored.uncompressed_size).ok()?;
            if size > LARGEST_SECTION {
                return None;
            }
            let mut bytes = Vec::new();
            match stored.format {
                CompressionFormat::None => bytes.extend_from_slice(stored.data),
                // Distributions compress debug information.
                CompressionFormat::Zlib => {
                    let inflated = ZlibDecoder::new(stored.data).take(stored.uncompressed_size);
                    { inflated }.read_to_end(&mut bytes).ok()?;
                }
                CompressionFormat::Zstandard => {
                    bytes = zstd::bulk::decompress(stored.data, size).ok()?;
                }
                _ => return None,
            }
            (bytes.len() == size).then_some(bytes)
        })
    }

    /// Every function that the file names, with the address there and the size that it states.
    #[must_use]
    pub fn functions(&self) -> Vec<(u64, u64, String)> {
        let functions = self.with_elf(|elf| {
            let symbols = elf.dynamic_symbols().chain(elf.symbols());
            let functions = symbols.filter(|symbol| {
                let kind = symbol.elf_symbol().st_type();
                symbol.is_definition() && matches!(kind, STT_FUNC | STT_GNU_IFUNC)
            });
            let named = |symbol: object::read::elf::ElfSymbol64<'_, '_, Endianness, _>| {
                let name = String::from_utf8_lossy(symbol.name_bytes().ok()?).into_owned();
                Some((symbol.address(), symbol.size(), name))
            };
            Some(functions.filter_map(named).collect())
        });
        functions.unwrap_or_default()
    }

    /// What tells the file from every other, in hexadecimal.
    #[must_use]
    pub fn build_id(&self) -> Option<String> {
        let id = self.with_elf(|elf| Some(elf.build_id().ok()??.to_vec()))?;
        let hex = id.iter().fold(String::new(), |mut hex, byte| {
            // Writing to a string does not fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        Some(hex)
    }

    /// The same image with another file: one that describes it.
    #[must_use]
    pub fn described_by(&self, file: File) -> Self {
        Self { file: Source::File(Arc::new(file)), ..self.clone() }
    }

    /// The word that the file has for `vaddr`, before relocation.
    #[must_use]
    pub fn file_word(&self, vaddr: u64) -> Option<u64> {
        self.with_elf(|elf| {
            let endian = elf.endian();
            let header = elf.elf_program_headers().iter().find(|h| {
                h.p_type(endian) == PT_LOAD
                    && (h.p_vaddr(endian)..h.p_vaddr(endian).saturating_add(h.p_filesz(endian)))
                        .contains(&vaddr)
            })?;
            let mut word = [0; 8];
            let offset = vaddr - header.p_vaddr(endian) + header.p_offset(endian);
            let read = self.file.read_at(&mut word, offset).ok()?;
            (read == word.len()).then(|| u64::from_le_bytes(word))
        })
    }
}

type Elf<'d, 'f> = ElfFile64<'d, Endianness, &'d ReadCache<Cursor<'f>>>;

/// A file read at a position of its own: the handle is shared.
#[derive(Debug)]
struct Cursor<'f> {
    file: &'f Source,
    at: u64,
}

impl Read for Cursor<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let got = self.file.read_at(buf, self.at)?;
        self.at += got as u64;
        Ok(got)
    }
}

impl Seek for Cursor<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let end = || self.file.len();
        let wanted = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => end()?.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = wanted.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}
