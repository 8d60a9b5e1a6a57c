//! How does a hypothesis get an analysis without computing it twice?

use crate::Analysis;
use memwhy_model::Case;
use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::ops::Deref;
use std::rc::Rc;

/// A case, with the answers of analyses kept. It reads like the case itself.
pub struct Ask<'a> {
    case: &'a Case,
    before: Option<&'a Case>,
    answers: RefCell<HashMap<TypeId, Rc<dyn Any>>>,
}

impl<'a> Ask<'a> {
    /// Nothing is computed yet.
    #[must_use]
    pub fn new(case: &'a Case) -> Self {
        Self { case, before: None, answers: RefCell::default() }
    }

    /// The same, where an earlier case is known: of this process, or of another one like it.
    #[must_use]
    pub fn since(before: &'a Case, case: &'a Case) -> Self {
        Self { case, before: Some(before), answers: RefCell::default() }
    }

    /// The earlier case, if one is known.
    #[must_use]
    pub const fn before(&self) -> Option<&'a Case> {
        self.before
    }

    /// The case, for as long as it lives and not only as long as this.
    #[must_use]
    pub const fn case(&self) -> &'a Case {
        self.case
    }

    /// What `A` answers; computed the first time.
    pub fn get<A: Analysis>(&self) -> Rc<A::Answer> {
        let known = self.answers.borrow().get(&TypeId::of::<A>()).cloned();
        if let Some(answer) = known.and_then(|answer| answer.downcast().ok()) {
            return answer;
        }
        // Nothing is borrowed here: an analysis may ask for another one.
        let answer = Rc::new(A::compute(self));
        self.answers.borrow_mut().insert(TypeId::of::<A>(), Rc::clone(&answer) as Rc<dyn Any>);
        answer
    }
}

impl Deref for Ask<'_> {
    type Target = Case;

    fn deref(&self) -> &Case {
        self.case
    }
}

impl fmt::Debug for Ask<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ask").field("pid", &self.about.pid).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{Analysis, Ask};
    use memwhy_model::Case;
    use std::cell::Cell;
    use std::rc::Rc;

    thread_local!(static RUNS: Cell<u32> = const { Cell::new(0) });

    struct Inner;
    impl Analysis for Inner {
        type Answer = u32;
        const NAME: &'static str = "inner";
        fn compute(_: &Ask<'_>) -> u32 {
            RUNS.with(|runs| runs.replace(runs.get() + 1))
        }
    }

    struct Outer;
    impl Analysis for Outer {
        type Answer = u32;
        const NAME: &'static str = "outer";
        fn compute(ask: &Ask<'_>) -> u32 {
            *ask.get::<Inner>()
        }
    }

    #[test]
    fn an_analysis_runs_once_even_when_another_asked_for_it() {
        let case = Case::default();
        let ask = Ask::new(&case);
        let (outer, inner) = (ask.get::<Outer>(), ask.get::<Inner>());
        assert_eq!((*outer, *inner), (0, 0));
        assert!(Rc::ptr_eq(&inner, &ask.get::<Inner>()));
        assert_eq!(RUNS.with(Cell::get), 1);
    }
}
