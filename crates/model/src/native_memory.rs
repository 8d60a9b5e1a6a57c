//! Who keeps what the program has from malloc, and what does nobody keep?
//!
//! Every chunk in use has one holder, so that the rows of [`NativeMemory::holders`] add up to all of
//! them, and those of [`NativeMemory::contents`] to all that are no object's.

use crate::{Addr, Bytes};
use serde::{Deserialize, Serialize};

/// Chunks and what they take: header and all, of large ones the pages that are there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Chunks.
    pub chunks: u64,
    /// Bytes of them.
    pub bytes: Bytes,
}

impl Tally {
    /// Adds one chunk.
    pub fn add(&mut self, bytes: Bytes) {
        self.chunks += 1;
        self.bytes += bytes;
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { chunks: self.chunks + other.chunks, bytes: self.bytes + other.bytes }
    }
}

/// What keeps a chunk, the best known first.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum HolderKind {
    /// Python objects of a type.
    Type,
    /// The variables of a library or of the program.
    Library,
    /// The stacks, registers and thread-local storage of threads.
    Threads,
    /// Anonymous memory that nobody is known to manage.
    Memory,
    /// Memory of the interpreter that belongs to no object.
    Interpreter,
    /// Nothing: no word in memory is its address.
    #[default]
    Nobody,
}

impl HolderKind {
    /// The word used in JSON and in snapshots.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::Type => "type",
            Self::Library => "library",
            Self::Threads => "threads",
            Self::Memory => "memory",
            Self::Interpreter => "interpreter",
            Self::Nobody => "nobody",
        }
    }
}

/// What one holder has of malloc's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holding {
    /// What it is.
    pub kind: HolderKind,
    /// Types by name, libraries by file; several where each of them leads there and none of them
    /// alone keeps it.
    pub names: Vec<String>,
    /// Chunks that objects of the type are in.
    pub own: Tally,
    /// Chunks that it has the address of.
    pub direct: Tally,
    /// Chunks that it leads to through others.
    pub through: Tally,
}

impl Holding {
    /// All of it.
    #[must_use]
    pub fn all(&self) -> Tally {
        self.own.plus(self.direct).plus(self.through)
    }
}

/// What is at the beginning of a chunk.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum ContentKind {
    /// The address of something in a library: a table of functions, mostly, as C++ objects have.
    Table,
    /// Text.
    Text,
    /// Nothing but zeroes.
    Zeroes,
    /// Addresses, one of them in a library.
    Library,
    /// Addresses of other chunks.
    Chunks,
    /// None of these.
    #[default]
    Numbers,
}

impl ContentKind {
    /// The word used in JSON and in snapshots.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Text => "text",
            Self::Zeroes => "zeroes",
            Self::Library => "library",
            Self::Chunks => "chunks",
            Self::Numbers => "numbers",
        }
    }
}

/// What chunks begin with, as far as it tells them from others.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Content {
    /// What it is.
    pub kind: ContentKind,
    /// Of a table its symbol (`vtable for Widget+16`), or its place where no symbol tells.
    pub symbol: Option<String>,
    /// The file of the library that the address is in.
    pub library: Option<String>,
    /// The first characters of text.
    pub text: Option<String>,
}

/// Chunks of one size, content and holder that are no object's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContentGroup {
    /// The least size of its class, which is the same in other processes; 0 where what is left is
    /// added up whatever its size.
    pub class: u64,
    /// The sizes of the chunks, from the smallest to the largest: small ones are grouped by it,
    /// large ones by eighths of powers of two.
    pub sizes: (u64, u64),
    /// What they begin with.
    pub content: Content,
    /// Who has them: a row of [`NativeMemory::holders`].
    pub holder: u32,
    /// How many, and what they take.
    pub all: Tally,
    /// How many of them are led to by other chunks of the same holder only.
    pub inner: u64,
    /// Where the memory of some of them begins.
    pub examples: Vec<Addr>,
}

/// What the search for holders found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NativeMemory {
    /// Memory that was searched for addresses of chunks.
    pub searched: Bytes,
    /// Memory that may have such addresses and was not to be read: swapped out, left out of a core.
    pub unread: Bytes,
    /// Threads whose stacks were searched, and of how many of them the registers too.
    pub threads: (u64, u64),
    /// Libraries whose variables were searched.
    pub libraries: u64,
    /// All chunks in use.
    pub all: Tally,
    /// By holder, most bytes first.
    pub holders: Vec<Holding>,
    /// What is no object's own by size, content and holder, most bytes first.
    pub contents: Vec<ContentGroup>,
    /// Where the memory of each chunk begins that nobody keeps, ascending. It is not written down.
    #[serde(skip)]
    pub lost_at: Vec<Addr>,
}

impl NativeMemory {
    /// What nobody keeps.
    #[must_use]
    pub fn lost(&self) -> Tally {
        let nobody = self.holders.iter().filter(|holding| holding.kind == HolderKind::Nobody);
        nobody.fold(Tally::default(), |sum, holding| sum.plus(holding.all()))
    }

    /// The groups of what nobody keeps, most bytes first.
    pub fn lost_groups(&self) -> impl Iterator<Item = &ContentGroup> {
        self.contents.iter().filter(|group| {
            self.holder_of(group).is_some_and(|holding| holding.kind == HolderKind::Nobody)
        })
    }

    /// Who has the chunks of a group.
    #[must_use]
    pub fn holder_of(&self, group: &ContentGroup) -> Option<&Holding> {
        self.holders.get(group.holder as usize)
    }
}
