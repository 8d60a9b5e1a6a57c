//! What was asked of a heap, and the answer.

use memwhy_reason::analyses::By;
use memwhy_reason::{Ask, Groups, Selection};

/// What `memwhy heap` was asked for, and the answer.
#[derive(Debug)]
pub struct HeapView<'a> {
    /// The case.
    pub(crate) ask: &'a Ask<'a>,
    /// The groups.
    pub(crate) groups: Groups,
    /// What was asked for.
    pub(crate) selection: Selection,
    /// What rows are sorted by.
    pub(crate) by: By,
    /// How many rows.
    pub(crate) top: usize,
}

impl<'a> HeapView<'a> {
    /// Groups the objects.
    ///
    /// # Errors
    /// If the selection names what is not there: a sentence for the user.
    pub fn new(ask: &'a Ask<'a>, selection: Selection, by: By, top: usize) -> Result<Self, String> {
        let groups = match ask.case().heap {
            Some(_) => Groups::of(ask, &selection, by)?,
            None => Groups::default(),
        };
        Ok(Self { ask, groups, selection, by, top })
    }

    /// The same, but only what is more than in an earlier case.
    ///
    /// # Errors
    /// If the earlier case has no heap: a sentence for the user.
    pub fn since(mut self, base: &Ask<'_>) -> Result<Self, String> {
        // What the base does not have at all is all growth.
        let everything = Selection { of_type: None, row: None, ..self.selection.clone() };
        let base = match Groups::of(base, &self.selection, self.by) {
            Ok(groups) => groups,
            Err(_) if self.selection.of_type.is_some() => Groups::default(),
            Err(_) => Groups::of(base, &everything, self.by)?,
        };
        self.selection.relative = true;
        self.groups = self.groups.grown_since(&base, &self.selection, self.by);
        Ok(self)
    }
}
