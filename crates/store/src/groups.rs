//! How are single rows of a large table found without holding all of it?

use crate::ReadError;
use crate::table::{Rows, TableReader};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// Groups of rows kept of each table: of edges they take 80 MB, and are 16 million.
const KEPT: usize = 16;

/// A table of which groups of rows are decoded as they are asked for.
///
/// The file was whole when the snapshot was opened. If a group cannot be read any more, its rows are
/// not there: nobody gets a wrong one.
pub(crate) struct Groups<T> {
    table: TableReader,
    columns: &'static [&'static str],
    decode: fn(&Rows, &mut T) -> Result<(), ReadError>,
    /// The last used is the last.
    kept: Mutex<Vec<(usize, Arc<T>)>>,
}

impl<T: Default> Groups<T> {
    pub(crate) fn new(
        table: TableReader,
        columns: &'static [&'static str],
        decode: fn(&Rows, &mut T) -> Result<(), ReadError>,
    ) -> Self {
        Self { table, columns, decode, kept: Mutex::new(Vec::new()) }
    }

    /// What `ask` finds of a row: it gets the group and the place of the row in it.
    pub(crate) fn row<R>(&self, row: u64, ask: impl FnOnce(&T, usize) -> Option<R>) -> Option<R> {
        let (group, first) = self.table.group_of(row)?;
        let at = usize::try_from(row.checked_sub(first)?).ok()?;
        ask(&*self.group(group)?, at)
    }

    /// A group, read if need be.
    fn group(&self, number: usize) -> Option<Arc<T>> {
        // Whoever panicked while holding it left whole groups there.
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = kept.iter().rposition(|(kept, _)| *kept == number) {
            if at + 1 < kept.len() {
                let used = kept.remove(at);
                kept.push(used);
            }
            return kept.last().map(|(_, group)| Arc::clone(group));
        }
        let mut group = T::default();
        for rows in self.table.batches(self.columns, Some(number)).ok()? {
            (self.decode)(&rows.ok()?, &mut group).ok()?;
        }
        let group = Arc::new(group);
        if kept.len() == KEPT {
            kept.remove(0);
        }
        kept.push((number, Arc::clone(&group)));
        Some(group)
    }
}

impl<V: Clone> Groups<Vec<(i32, V)>> {
    /// What all rows of `key` have, in a table that is sorted by it.
    pub(crate) fn of(&self, key: i32) -> Vec<V> {
        let groups = 0..self.table.groups();
        let (mut low, mut high) = (groups.start, groups.end);
        // The first group that does not end before the key.
        while low < high {
            let middle = low.midpoint(high);
            match self.group(middle) {
                Some(group) if group.last().is_none_or(|(last, _)| *last < key) => low = middle + 1,
                Some(_) => high = middle,
                None => return Vec::new(),
            }
        }
        let mut found = Vec::new();
        for number in low..groups.end {
            let Some(group) = self.group(number) else { break };
            let first = group.partition_point(|(at, _)| *at < key);
            let rows = group.get(first..).unwrap_or_default();
            found.extend(rows.iter().take_while(|(at, _)| *at == key).map(|(_, v)| v.clone()));
            if group.last().is_some_and(|(last, _)| *last > key) {
                break;
            }
        }
        found
    }
}

impl<T> fmt::Debug for Groups<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Groups").field("table", &self.table).finish_non_exhaustive()
    }
}
