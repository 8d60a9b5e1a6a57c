//! What does a chunk begin with, as far as that tells it from others?
//!
//! C++ objects begin with the address of their table of virtual functions, which has a symbol; so do
//! structs that begin with a function. Text shows its first characters.

use crate::{Images, Symbols};
use memwhy_model::{Addr, AddrRange, Content, ContentKind};
use rustc_hash::FxHashMap;

/// Different beginnings that are told apart.
const MOST_KEYS: usize = 1 << 18;
/// Printable characters that a text begins with, at least.
const TEXT: usize = 4;
/// Words that are looked at for an address in a library.
const WORDS: usize = 16;
/// Bytes that are looked at before memory is said to be all zeroes.
const ZEROES: usize = 64;

/// A beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// The address of something in a library.
    Table(u64),
    /// Text, its first eight bytes.
    Text(u64),
    /// Text of which nothing more is kept.
    AnyText,
    /// Zeroes.
    Zeroes,
    /// An address in the library with this number, somewhere near the beginning.
    Library(u32),
    /// Addresses of chunks.
    Chunks,
    /// Anything else.
    Numbers,
}

/// A [`Key`] by its number; 0 is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Begins(pub(super) u32);

/// The keys that occur.
#[derive(Debug, Default)]
pub(super) struct Keys {
    keys: Vec<Key>,
    numbers: FxHashMap<Key, Begins>,
}

impl Keys {
    pub(super) fn number(&mut self, key: Key) -> Begins {
        if let Some(known) = self.numbers.get(&key) {
            return *known;
        }
        let key = match key {
            Key::Text(_) if self.keys.len() >= MOST_KEYS => Key::AnyText,
            Key::Table(_) if self.keys.len() >= MOST_KEYS => Key::Numbers,
            other => other,
        };
        let next = Begins(u32::try_from(self.keys.len() + 1).unwrap_or(0));
        let number = *self.numbers.entry(key).or_insert(next);
        if number == next {
            self.keys.push(key);
        }
        number
    }

    /// Takes the keys of others; returns what each of their numbers is here.
    pub(super) fn absorb(&mut self, others: Self) -> Vec<Begins> {
        let mut renamed = vec![Begins::default()];
        renamed.extend(others.keys.into_iter().map(|key| self.number(key)));
        renamed
    }

    /// What a number means.
    pub(super) fn key(&self, number: Begins) -> Option<Key> {
        self.keys.get((number.0 as usize).checked_sub(1)?).copied()
    }
}

/// Where images are, for questions about millions of words.
#[derive(Debug)]
pub(super) struct Spans {
    images: Vec<(AddrRange, u32)>,
    /// As [`super::Chunks::stale`].
    stale: AddrRange,
}

impl Spans {
    pub(super) fn of(images: &Images, stale: AddrRange) -> Self {
        let mut images: Vec<_> = images.0.iter().map(|image| image.span).zip(0u32..).collect();
        images.sort_unstable();
        Self { images, stale }
    }

    /// The number of the image that has `word`.
    pub(super) fn find(&self, word: u64) -> Option<u32> {
        let after = self.images.partition_point(|(span, _)| span.start.0 <= word);
        let (span, image) = self.images.get(after.checked_sub(1)?)?;
        let meant = span.contains(Addr(word)) && !self.stale.contains(Addr(word));
        meant.then_some(*image)
    }

    /// What the bytes are that a chunk begins with; `is_chunk` says whether a word is the address
    /// of one.
    pub(super) fn key(&self, bytes: &[u8], is_chunk: impl Fn(u64) -> bool) -> Key {
        let words = || super::contents::words(bytes).take(WORDS);
        let first = words().next().unwrap_or(0);
        if self.find(first).is_some() {
            return Key::Table(first);
        }
        if is_text(bytes) {
            return Key::Text(text_only(first));
        }
        if bytes.iter().take(ZEROES).all(|byte| *byte == 0) {
            return Key::Zeroes;
        }
        if let Some(image) = words().find_map(|word| self.find(word)) {
            return Key::Library(image);
        }
        if words().take(4).any(is_chunk) { Key::Chunks } else { Key::Numbers }
    }
}

const fn printable(byte: u8) -> bool {
    matches!(byte, b' '..=b'~' | b'\t' | b'\n' | b'\r')
}

fn is_text(bytes: &[u8]) -> bool {
    let length = bytes.iter().take(8).take_while(|byte| printable(**byte)).count();
    let letters = bytes.iter().take(length).filter(|byte| byte.is_ascii_graphic()).count();
    if letters < TEXT {
        return false;
    }
    let ended = bytes.get(length).is_none_or(|byte| *byte == 0);
    length >= 8 || (length >= TEXT && ended)
}

/// The word without what lies behind the end of the text in it.
fn text_only(word: u64) -> u64 {
    let mut bytes = word.to_le_bytes();
    if let Some(end) = bytes.iter().position(|byte| !printable(*byte)) {
        bytes.iter_mut().skip(end).for_each(|byte| *byte = 0);
    }
    u64::from_le_bytes(bytes)
}

/// Says what keys are, in words.
pub(super) struct Namer<'a> {
    images: &'a Images,
    functions: Symbols<'a>,
    /// Variables by image.
    variables: FxHashMap<u32, Vec<(AddrRange, String)>>,
    spans: Spans,
}

impl<'a> Namer<'a> {
    pub(super) fn new(images: &'a Images) -> Self {
        let functions = Symbols::new(images, Vec::new());
        Self {
            images,
            functions,
            variables: FxHashMap::default(),
            spans: Spans::of(images, AddrRange::default()),
        }
    }

    /// The file of an image, by number.
    pub(super) fn library(&self, image: u32) -> Option<String> {
        self.images.0.get(image as usize).map(|image| image.file_name().to_owned())
    }

    pub(super) fn content(&mut self, key: Key) -> Content {
        let plain = |kind| Content { kind, ..Content::default() };
        match key {
            Key::Table(word) => {
                let image = self.spans.find(word);
                Content {
                    symbol: image.and_then(|image| self.symbol(image, Addr(word))),
                    library: image.and_then(|image| self.library(image)),
                    ..plain(ContentKind::Table)
                }
            }
            Key::Text(word) => {
                let bytes = word.to_le_bytes();
                let text = bytes.iter().take_while(|byte| **byte != 0);
                let text = text.map(|byte| char::from(*byte)).collect();
                Content { text: Some(text), ..plain(ContentKind::Text) }
            }
            Key::AnyText => plain(ContentKind::Text),
            Key::Zeroes => plain(ContentKind::Zeroes),
            Key::Library(image) => {
                Content { library: self.library(image), ..plain(ContentKind::Library) }
            }
            Key::Chunks => plain(ContentKind::Chunks),
            Key::Numbers => plain(ContentKind::Numbers),
        }
    }

    /// `vtable for Widget+16`, `on_close`; where no symbol tells the place in the file.
    fn symbol(&mut self, number: u32, at: Addr) -> Option<String> {
        let image = self.images.0.get(number as usize)?;
        let place = |name: &str, offset: u64| match (demangled(name), offset) {
            (name, 0) => name,
            (name, offset) => format!("{name}+{offset}"),
        };
        let variables = self.variables.entry(number).or_insert_with(|| image.variables());
        let after = variables.partition_point(|(range, _)| range.start <= at);
        let found = after.checked_sub(1).and_then(|before| variables.get(before));
        if let Some((range, name)) = found.filter(|(range, _)| range.contains(at)) {
            return Some(place(name, at.0 - range.start.0));
        }
        if let Some((name, offset)) = self.functions.function(at) {
            return Some(place(name, offset));
        }
        Some(format!("{:#x}", at.0.wrapping_sub(image.bias)))
    }
}

/// `vtable for app::Widget` of `_ZTVN3app6WidgetE`; other names stay as they are.
fn demangled(name: &str) -> String {
    let nested = |name: &str| -> Option<String> {
        let mut rest = name.strip_prefix("_ZTV")?;
        let several = rest.strip_prefix('N');
        rest = several.unwrap_or(rest);
        let mut parts = Vec::new();
        while rest.starts_with(|c: char| c.is_ascii_digit()) {
            let digits = rest.find(|c: char| !c.is_ascii_digit())?;
            let (length, after) = rest.split_at(digits);
            let (part, after) = after.split_at_checked(length.parse().ok()?)?;
            parts.push(part);
            rest = after;
        }
        let whole = if several.is_some() { rest == "E" } else { rest.is_empty() };
        (whole && !parts.is_empty()).then(|| format!("vtable for {}", parts.join("::")))
    };
    nested(name).unwrap_or_else(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{Key, Keys, Spans, demangled};
    use memwhy_model::{Addr, AddrRange};

    fn key(bytes: &[u8]) -> Key {
        let image = AddrRange::new(Addr(0x7f00_0000_0000), Addr(0x7f00_0001_0000));
        let mut whole = bytes.to_vec();
        whole.resize(128, 0);
        let stale = AddrRange::new(Addr(0x7f00_0000_8000), Addr(0x7f00_0000_9000));
        Spans { images: vec![(image, 3)], stale }.key(&whole, |word| word == 0x5500_0000)
    }

    #[test]
    fn a_beginning_is_told_by_its_first_words() {
        let words = |words: &[u64]| words.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<_>>();
        assert_eq!(key(&words(&[0x7f00_0000_1230])), Key::Table(0x7f00_0000_1230));
        assert_eq!(key(b"GET /items/17"), Key::Text(u64::from_le_bytes(*b"GET /ite")));
        assert_eq!(key(b"abcd\0\xff\xff"), Key::Text(u64::from_le_bytes(*b"abcd\0\0\0\0")));
        assert_eq!(key(b"\t\t\t\t\t\t\t\t\t"), Key::Numbers);
        assert_eq!(key(&words(&[0x7f00_0000_8008, 0x7f00_0000_8008])), Key::Numbers);
        assert_eq!(key(&[]), Key::Zeroes);
        assert_eq!(key(&words(&[7, 0x7f00_0000_1230])), Key::Library(3));
        assert_eq!(key(&words(&[7, 0x5500_0000])), Key::Chunks);
        assert_eq!(key(&words(&[7, 9])), Key::Numbers);
        assert_eq!(key(b"ab\xff"), Key::Numbers);
    }

    #[test]
    fn keys_keep_their_meaning_when_they_are_joined() {
        let (mut a, mut b) = (Keys::default(), Keys::default());
        let (zeroes, five) = (a.number(Key::Zeroes), a.number(Key::Table(5)));
        let seven = b.number(Key::Table(7));
        let theirs = b.number(Key::Zeroes);
        let renamed = a.absorb(b);
        assert_eq!(renamed[theirs.0 as usize], zeroes);
        assert_eq!(a.key(renamed[seven.0 as usize]), Some(Key::Table(7)));
        assert_eq!(a.key(five), Some(Key::Table(5)));
    }

    #[test]
    fn names_of_tables_are_readable() {
        assert_eq!(demangled("_ZTV6Widget"), "vtable for Widget");
        assert_eq!(demangled("_ZTVN3app7SessionE"), "vtable for app::Session");
        assert_eq!(demangled("_ZTVSt9exception"), "_ZTVSt9exception");
        assert_eq!(demangled("close_cb"), "close_cb");
    }
}
