//! Hypothesis: Python 2 keeps the memory of integers and floats that are long gone.
//!
//! The complaint: many numbers were freed, RSS stayed, and neither a trim nor `gc.collect()` alone
//! changes anything.
//!
//! *Speaks for it:* blocks of numbers in which there is no number take much of RSS. *Speaks against
//! it:* there are none, as in every Python 3, where integers are objects like others.
//!
//! Rests on: CPython 2.7 `Objects/intobject.c`, `fill_free_list` (blocks of 41 from malloc, whose
//! cells are reused and never given back) and `PyInt_ClearFreeList` (which gives back those without
//! a number, and is called by a full collection only: `Modules/gcmodule.c`, `clear_freelists`);
//! `Objects/floatobject.c` has the same. What malloc gets back so, it keeps in turn: only a trim
//! then returns it.

use super::Hypothesis;
use crate::wording::{amount, count, digits, of_all};
use crate::{Ask, Finding, Remedy, Standing, noteworthy};
use memwhy_model::{Bytes, Owner, Trust};

/// See the [module](self).
#[derive(Debug)]
pub struct Python2FreeLists;

impl Hypothesis for Python2FreeLists {
    fn id(&self) -> &'static str {
        "python2-free-lists"
    }

    fn claim(&self) -> &'static str {
        "Python 2 keeps the memory of integers and floats that were freed"
    }

    fn judge(&self, ask: &Ask<'_>) -> Finding {
        let (rss, free) = (ask.rss(), ask.resident(Owner::PythonFree));
        if ask.about.withheld.is_some() || (ask.heap.is_none() && free == Bytes(0)) {
            let unseen = ask.resident(Owner::AnonOther) + ask.accounting.unexplained;
            return Finding::refuted(self.id(), "Python's objects were not read")
                .undecided("Python's objects were not read", unseen);
        }
        let kept = format!("blocks for numbers, without any, {}", amount(free, rss));
        let mut finding = Finding::refuted(self.id(), kept);
        let list = ask.free_lists.iter().find(|list| list.most.is_none());
        // Python 3 has no such blocks.
        finding.moot = list.is_none();
        let (true, Some(list)) = (noteworthy(free, rss), list) else { return finding };
        finding.standing = Standing::Holds;
        finding.explains = free;
        finding.summary = format!(
            "{} is kept for integers and floats to come: Python 2 never gives it back by itself",
            of_all(free, ask)
        );
        let (trust, pid) = (
            ask.about.python.as_ref().map_or(Trust::Heuristic, |python| python.layout),
            ask.about.target(),
        );
        finding.saw(
            trust,
            format!(
                "{} free for an integer or a float, {} of memory; there is no limit",
                count(list.free, "place"),
                list.bytes
            ),
            format!("memwhy malloc {pid}"),
        );
        finding.saw(
            trust,
            format!("{} of it in blocks in which no number is left", list.collectable),
            format!("memwhy malloc {pid}"),
        );
        let trim = ask.malloc.as_ref().and_then(|malloc| malloc.glibc.as_ref());
        let trim = trim.map_or(Bytes(0), |glibc| glibc.trim_returns);
        let running = ask.about.running();
        let left = rss.minus(free).minus(trim);
        finding.remedies.push(Remedy {
            action: "call gc.collect(), then ctypes.CDLL(\"libc.so.6\").malloc_trim(0) in the \
                     program, in this order"
                .into(),
            expected_rss: Some(left),
            note: format!(
                "measured after {} integers: 314 MiB became 237 when they were freed, stayed 237 \
                 with either of the two alone, and became 3 with both",
                digits(10_000_000)
            ),
            verify: format!("memwhy {running}: RSS near {left}"),
        });
        finding.remedies.push(Remedy {
            action: "use xrange where range makes a list, and array or numpy for many numbers"
                .into(),
            expected_rss: Some(left),
            note: "they are never all there at once; Python 3 has no such lists".into(),
            verify: format!("the same load, then memwhy {running}: RSS"),
        });
        finding
    }
}

#[cfg(test)]
mod tests {
    use super::Python2FreeLists;
    use crate::hypotheses::Hypothesis;
    use crate::{Ask, Standing};
    use memwhy_model::{Bytes, Case, FreeList, HeapGraph, Owner};

    fn case(free: u64) -> Case {
        let list = FreeList {
            of: "int and float".into(),
            free: 41,
            bytes: Bytes::mib(free),
            most: None,
            collectable: Bytes::mib(free),
            held: Vec::new(),
        };
        let mut case =
            Case { heap: Some(HeapGraph::default()), free_lists: vec![list], ..Case::default() };
        case.accounting = case
            .accounting
            .with(Owner::PythonFree, Bytes::mib(free))
            .with(Owner::PythonObjects, Bytes::mib(30));
        case
    }

    #[test]
    fn blocks_without_a_number_are_blamed_and_their_return_is_predicted() {
        let case = case(200);
        let finding = Python2FreeLists.judge(&Ask::new(&case));
        assert!(finding.holds());
        assert_eq!(finding.explains, Bytes::mib(200));
        assert_eq!(finding.remedies[0].expected_rss, Some(Bytes::mib(30)));
    }

    #[test]
    fn of_python_3_nobody_is_told_that_it_has_no_such_blocks() {
        let case = Case { free_lists: Vec::new(), ..case(0) };
        assert!(Python2FreeLists.judge(&Ask::new(&case)).moot);
    }

    #[test]
    fn a_few_blocks_are_no_cause() {
        let case = case(1);
        let finding = Python2FreeLists.judge(&Ask::new(&case));
        assert_eq!(finding.standing, Standing::Refuted);
    }
}
