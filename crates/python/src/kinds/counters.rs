//! Iterators of `itertools` with a counter for each of their places. Source:
//! `Modules/itertoolsmodule.c`, `combinations_sizeof`, `permutations_sizeof`, `product_sizeof`.

use super::Kind;
use super::any;
use crate::object::Object;
use memwhy_model::Addr;
use memwhy_target::{Fault, MemoryExt};

/// The pool or pools come first in the object; what else is counted differs.
#[derive(Debug)]
pub(super) enum Counters {
    /// A counter for each pool.
    Product,
    /// A counter for each place, whose number is this word behind the head.
    Combinations(u64),
    /// One for each item of the pool, and another for each place.
    Permutations(u64),
}

pub(super) static PRODUCT: Counters = Counters::Product;
pub(super) static COMBINATIONS: Counters = Counters::Combinations(3);
pub(super) static PERMUTATIONS: Counters = Counters::Permutations(4);

/// Nobody lives to see more combinations.
const MOST: u64 = 1 << 32;

impl Counters {
    fn pool(object: &Object<'_>) -> Result<u64, Fault> {
        let pool = Addr(object.word(object.layouts.object.size)?);
        object.memory.u64(object.layouts.var_object.ob_size.addr(pool))
    }

    fn places(object: &Object<'_>, word: u64) -> Result<u64, Fault> {
        object.word(object.layouts.object.size + word * 8)
    }
}

impl Kind for Counters {
    fn names(&self) -> &'static [&'static str] {
        match self {
            Self::Product => &["itertools.product"],
            Self::Combinations(_) => {
                &["itertools.combinations", "itertools.combinations_with_replacement"]
            }
            Self::Permutations(_) => &["itertools.permutations"],
        }
    }

    fn shallow(&self, object: &Object<'_>) -> Result<u64, Fault> {
        let own = any::shallow(object)?;
        if !object.layouts.stated_sizes.counters {
            return Ok(own);
        }
        let counters = match self {
            Self::Product => Self::pool(object)?,
            Self::Combinations(places) => Self::places(object, *places)?,
            Self::Permutations(places) => {
                Self::pool(object)?.saturating_add(Self::places(object, *places)?)
            }
        };
        if counters > MOST {
            return Err(Fault::too_long(object.addr));
        }
        Ok(own + counters * 8)
    }
}
