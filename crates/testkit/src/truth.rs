//! Which objects did the target say it has?
//!
//! Reads what `workloads/oracle.py` writes; the format is described there.

use memwhy_model::Addr;
use std::collections::BTreeMap;
use std::path::Path;

const MAGIC: &[u8] = b"MWTRUTH1";

/// The objects of a process by its own account, as columns in order of address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Truth {
    /// Where each object is, ascending.
    pub addresses: Vec<Addr>,
    /// The type of each, by its place in [`Truth::types`].
    pub type_of: Vec<u32>,
    /// What `sys.getsizeof` said of each, `None` where it could not say.
    pub sizes: Vec<Option<u64>>,
    /// Every type of an object.
    pub types: Vec<TruthType>,
    /// Where the referents of each object begin and end, with one offset more than objects; empty
    /// if edges were not asked for.
    offsets: Vec<usize>,
    targets: Vec<Addr>,
}

/// A type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TruthType {
    /// Where its type object is.
    pub addr: Addr,
    /// `module.qualname`.
    pub name: String,
}

impl Truth {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// What is wrong with it, in a sentence.
    pub fn read(path: &Path) -> Result<Self, String> {
        let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Self::parse(&bytes).map_err(|what| format!("{}: {what}", path.display()))
    }

    /// Reads the contents of such a file.
    ///
    /// # Errors
    /// What is wrong with it, in a sentence.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let mut rest = Rest(bytes);
        if rest.take(MAGIC.len())? != MAGIC {
            return Err("not a truth file".into());
        }
        let (objects, kinds, with_edges) = (rest.count()?, rest.count()?, rest.count()? != 0);
        let (addresses, type_addrs, sizes) =
            (rest.words(objects)?, rest.words(objects)?, rest.words(objects)?);
        let mut types = Vec::new();
        for addr in rest.words(kinds)? {
            let len = rest.count()?;
            let name = String::from_utf8_lossy(rest.take(len)?).into_owned();
            types.push((addr, name));
        }
        // The order in which Python lists types varies from run to run; names do not.
        types.sort_by(|a, b| (&a.1, a.0).cmp(&(&b.1, b.0)));
        let place: BTreeMap<u64, u32> =
            types.iter().zip(0..).map(|((addr, _), id)| (*addr, id)).collect();
        let (listed, found) = if with_edges {
            let offsets = rest.words(objects + 1)?;
            let targets = rest.words(index(offsets.last().copied().unwrap_or(0))?)?;
            (offsets, targets)
        } else {
            (Vec::new(), Vec::new())
        };
        if !rest.0.is_empty() {
            return Err(format!("{} bytes too many", rest.0.len()));
        }

        let mut order: Vec<usize> = (0..objects).collect();
        order.sort_unstable_by_key(|at| addresses[*at]);
        let mut truth = Self {
            types: types.into_iter().map(|(a, name)| TruthType { addr: Addr(a), name }).collect(),
            ..Self::default()
        };
        for at in order {
            if truth.addresses.last() == Some(&Addr(addresses[at])) {
                return Err(format!("{:#x} is listed twice", addresses[at]));
            }
            let kind =
                place.get(&type_addrs[at]).ok_or("an object has a type that is not listed")?;
            truth.addresses.push(Addr(addresses[at]));
            truth.type_of.push(*kind);
            truth.sizes.push((sizes[at] != u64::MAX).then_some(sizes[at]));
            if with_edges {
                let (start, end) = (index(listed[at])?, index(listed[at + 1])?);
                let edges = found.get(start..end).ok_or("offsets of edges do not ascend")?;
                truth.offsets.push(truth.targets.len());
                truth.targets.extend(edges.iter().map(|target| Addr(*target)));
            }
        }
        if with_edges {
            truth.offsets.push(truth.targets.len());
        }
        Ok(truth)
    }

    /// How many objects.
    #[must_use]
    pub fn len(&self) -> usize {
        self.addresses.len()
    }

    /// Whether there is no object, which cannot be.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.addresses.is_empty()
    }

    /// The place of the object at `addr` in the columns.
    #[must_use]
    pub fn find(&self, addr: Addr) -> Option<usize> {
        self.addresses.binary_search(&addr).ok()
    }

    /// The name of the type of object `at`.
    ///
    /// # Panics
    /// If there is no such object.
    #[must_use]
    pub fn type_name(&self, at: usize) -> &str {
        &self.types[self.type_of[at] as usize].name
    }

    /// What object `at` refers to, once for each reference; `None` if edges were not asked for.
    #[must_use]
    pub fn referents(&self, at: usize) -> Option<&[Addr]> {
        self.targets.get(*self.offsets.get(at)?..*self.offsets.get(at + 1)?)
    }

    /// Objects and bytes of each type that has any, by name.
    #[must_use]
    pub fn by_type(&self) -> BTreeMap<&str, (u64, u64)> {
        let mut sums = BTreeMap::new();
        for (kind, size) in self.type_of.iter().zip(&self.sizes) {
            let (count, bytes) = sums.entry(*kind).or_insert((0, 0));
            *count += 1;
            *bytes += size.unwrap_or(0);
        }
        let mut named = BTreeMap::new();
        for (kind, (count, bytes)) in sums {
            let sum = named.entry(self.types[kind as usize].name.as_str()).or_insert((0, 0));
            sum.0 += count;
            sum.1 += bytes;
        }
        named
    }
}

fn index(number: u64) -> Result<usize, String> {
    usize::try_from(number).map_err(|_| format!("{number} is too large"))
}

/// What is left to read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or("it ends too early")?;
        self.0 = rest;
        Ok(taken)
    }

    fn words(&mut self, count: usize) -> Result<Vec<u64>, String> {
        let len = count.checked_mul(8).ok_or("a count is beyond belief")?;
        let (words, _) = self.take(len)?.as_chunks::<8>();
        Ok(words.iter().map(|word| u64::from_le_bytes(*word)).collect())
    }

    fn count(&mut self) -> Result<usize, String> {
        index(self.words(1)?[0])
    }
}

#[cfg(test)]
mod tests {
    use super::{Truth, TruthType};
    use memwhy_model::Addr;

    /// Two objects of two types, the higher address first; the lower one refers to the higher.
    fn file(with_edges: bool) -> Vec<u8> {
        let mut words = vec![2, 2, u64::from(with_edges)];
        words.extend([0x2000, 0x1000, 0x20, 0x10, u64::MAX, 56, 0x20, 0x10]);
        let mut bytes = b"MWTRUTH1".to_vec();
        bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        for name in ["m.Zoo", "builtins.list"] {
            bytes.extend((name.len() as u64).to_le_bytes());
            bytes.extend(name.as_bytes());
        }
        if with_edges {
            bytes.extend([0u64, 0, 1, 0x2000].iter().flat_map(|word| word.to_le_bytes()));
        }
        bytes
    }

    #[test]
    fn columns_are_in_order_of_address() {
        let truth = Truth::parse(&file(true)).unwrap();
        assert_eq!(truth.addresses, [Addr(0x1000), Addr(0x2000)]);
        assert_eq!(truth.sizes, [Some(56), None]);
        assert_eq!(truth.type_name(0), "builtins.list");
        assert_eq!(truth.types[1], TruthType { addr: Addr(0x20), name: "m.Zoo".into() });
        assert_eq!(truth.referents(0), Some([Addr(0x2000)].as_slice()));
        assert_eq!(truth.referents(1), Some([].as_slice()));
        assert_eq!(truth.find(Addr(0x2000)), Some(1));
        assert_eq!(truth.find(Addr(0x1800)), None);
        assert_eq!(truth.by_type()["builtins.list"], (1, 56));
    }

    #[test]
    fn edges_that_were_not_written_are_not_empty_edges() {
        assert_eq!(Truth::parse(&file(false)).unwrap().referents(0), None);
    }

    #[test]
    fn a_cut_or_padded_file_is_refused() {
        let whole = file(true);
        for len in 0..whole.len() {
            assert!(Truth::parse(&whole[..len]).is_err(), "cut to {len} bytes");
        }
        assert!(Truth::parse(&[whole.as_slice(), b"x"].concat()).is_err());
    }
}
