//! What did the program name its threads?
//!
//! `threading._active` is a dict from thread number to `Thread` in all versions; threads that C
//! code made are in it once they asked for their own.

use crate::layout::Layouts;
use crate::{attributes, dict, int, text};
use memwhy_model::Addr;
use memwhy_target::{Fault, Memory};
use rustc_hash::FxHashMap;

/// More threads are not asked for their names.
const MOST_NAMED: usize = 1 << 16;
/// Names are cut here.
const LONGEST_NAME: usize = 128;

/// The names of the threads of the interpreter that has `modules` (`sys.modules`), by the number
/// that its thread states have as `thread_id`. Empty if the program did not import `threading`.
///
/// # Errors
/// As [`Memory::read`]; a thread whose name cannot be read is left out.
pub fn thread_names(
    memory: &dyn Memory,
    layouts: &Layouts,
    modules: Addr,
) -> Result<FxHashMap<u64, String>, Fault> {
    let mut names = FxHashMap::default();
    let Some(module) = dict::get(memory, layouts, modules, "threading")? else { return Ok(names) };
    let Some(globals) = layouts.module.md_dict.read(memory, module)? else { return Ok(names) };
    let Some(active) = dict::get(memory, layouts, globals, "_active")? else { return Ok(names) };
    for (key, thread) in dict::entries(memory, layouts, active, MOST_NAMED)? {
        let number = int::read(memory, layouts, key).ok().flatten();
        let number = number.and_then(|number| u64::try_from(number).ok());
        if let (Some(number), Some(name)) = (number, name_of(memory, layouts, thread)) {
            names.insert(number, name);
        }
    }
    Ok(names)
}

fn name_of(memory: &dyn Memory, layouts: &Layouts, thread: Addr) -> Option<String> {
    // 2.7 has the private name, mangled.
    let name = ["_name", "_Thread__name"]
        .into_iter()
        .find_map(|attribute| attributes::get(memory, layouts, thread, attribute).ok().flatten())?;
    text::read(memory, layouts, name, LONGEST_NAME).ok()
}
