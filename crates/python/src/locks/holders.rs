//! Who has a lock that does not say it?
//!
//! A plain lock records nothing. But who is inside `with lock:` has, on the value stack of the
//! call, what the end of the block will call: the lock's `__exit__`. Which part of that stack is
//! sure to be in use is known without running code: up to 3.10 from the frame's open blocks, from
//! 3.11 on from the code's table of what to do on exceptions. A call that is still waiting to get
//! the lock has not opened the block yet.
//!
//! Who called `acquire` by name leaves no such trace; then functions that name the lock are
//! suspects.
//!
//! Source: `Python/ceval.c` (`SETUP_WITH`, `BEFORE_WITH`, `LOAD_SPECIAL`),
//! `Objects/exception_handling_notes.txt`, 3.11; `InternalDocs/exception_handling.md`.

use super::world::{Call, Sight, World};
use crate::dict;
use crate::layout::tables::code_object::Variables;
use crate::layout::tables::frame_object::{BLOCK_LEVEL, BLOCK_SIZE, FrameContent};
use crate::layout::tables::generator::GeneratorFrame;
use memwhy_model::Addr;
use memwhy_target::{Memory, MemoryExt};

/// `CO_MAXBLOCKS`.
const MOST_BLOCKS: i32 = 20;
/// No value stack is believed to be deeper.
const DEEPEST: u64 = 1 << 12;
/// No table of exceptions is longer.
const LONGEST_TABLE: usize = 1 << 20;
/// Names of one function's code.
const MOST_NAMES: usize = 1 << 12;
/// Names are compared up to this length.
const LONGEST_NAME: usize = 128;

/// The objects whose `with` blocks the call is in, the outermost first.
pub(crate) fn open_blocks(world: &World<'_>, call: &Call) -> Vec<Addr> {
    let mut found = Vec::new();
    let slots = live_slots(world, call).unwrap_or_default();
    let mut before = Addr(0);
    for slot in slots {
        if let Some(object) = exit_of(world, slot) {
            found.push(object);
        } else if before.0 != 0 && is_exit(world, before) {
            // From 3.14 on the function and the object it is for are apart.
            found.push(slot);
        }
        before = slot;
    }
    let within: Vec<Addr> = found.iter().filter_map(|at| managed(world, *at)).collect();
    found.extend(within);
    found
}

/// The value stack, as far as it is sure to be in use.
fn live_slots(world: &World<'_>, call: &Call) -> Option<Vec<Addr>> {
    let (memory, layouts) = (world.memory, world.layouts);
    let Some(fields) = layouts.interpreter_frame else {
        let (blocks, frame) = (layouts.frame_object.blocks?, &layouts.frame_object);
        let FrameContent::Here { valuestack, .. } = frame.content else { return None };
        let open =
            blocks.iblock.read(memory, call.at).ok().filter(|n| (1..=MOST_BLOCKS).contains(n))?;
        let last = u64::try_from(open - 1).ok()?.checked_mul(BLOCK_SIZE)?;
        let level = memory.u32(blocks.blockstack.addr(call.at).at(last + BLOCK_LEVEL)).ok()?;
        let stack = valuestack.read(memory, call.at).ok()??;
        return slots(memory, stack, u64::from(level), 0);
    };
    let code = &layouts.code_object;
    let table = code.exceptiontable?.read(memory, call.frame.code).ok()??;
    let length = u64::try_from(layouts.var_object.ob_size.read(memory, table).ok()?).ok()?;
    let table =
        memory.bytes(layouts.bytes_object.ob_sval.addr(table), length, LONGEST_TABLE).ok()?;
    let depth = depth_at(&table, call.frame.instruction?)?;
    let Variables::Together { count, .. } = code.variables else { return None };
    let variables = u64::try_from(count.read(memory, call.frame.code).ok()?).ok()?;
    let stack = fields.localsplus.addr(call.at).at(variables.checked_mul(8)?);
    slots(memory, stack, depth, fields.tag_mask)
}

fn slots(memory: &dyn Memory, stack: Addr, count: u64, tags: u64) -> Option<Vec<Addr>> {
    let limit = usize::try_from(DEEPEST).ok()?;
    let words = memory.words(stack, count, limit).ok()?;
    Some(words.into_iter().map(|word| Addr(word & !tags)).collect())
}

/// How deep the value stack is where an exception at `instruction` (in bytes) would be handled;
/// `None` where that would not be.
///
/// Entries are four numbers of 6 bits a byte, most significant first: begin, length, target, and
/// twice the depth; the first byte of an entry has bit 7, all but the last of a number bit 6.
fn depth_at(table: &[u8], instruction: u32) -> Option<u64> {
    let unit = u64::from(instruction / 2);
    let mut bytes = table.iter().copied();
    loop {
        let [begin, length, _, depth] = entry(&mut bytes)?;
        if unit < begin {
            return None;
        }
        if unit < begin.saturating_add(length) {
            return Some(depth >> 1);
        }
    }
}

fn entry(bytes: &mut impl Iterator<Item = u8>) -> Option<[u64; 4]> {
    let mut entry = [0; 4];
    for number in &mut entry {
        let mut byte = bytes.next()?;
        *number = u64::from(byte & 0x3f);
        // A number of an instruction has 32 bits.
        for _ in 0..5 {
            if byte & 0x40 == 0 {
                break;
            }
            byte = bytes.next()?;
            *number = *number << 6 | u64::from(byte & 0x3f);
        }
    }
    Some(entry)
}

/// The object whose bound `__exit__` this is.
fn exit_of(world: &World<'_>, object: Addr) -> Option<Addr> {
    let (memory, layouts) = (world.memory, world.layouts);
    match world.type_name(object)? {
        "builtins.builtin_function_or_method" => {
            // `PyCFunctionObject`: the definition, which begins with the name, and the object.
            let fields = object.at(layouts.object.size);
            let definition = memory.ptr(fields).ok()??;
            let name = memory.ptr(definition).ok()??;
            let exits = memory.c_string(name, 16).is_ok_and(|name| name == "__exit__");
            if exits { memory.ptr(fields.at(8)).ok()? } else { None }
        }
        "builtins.method" | "builtins.instancemethod" => {
            let function = layouts.method.im_func.read(memory, object).ok()??;
            let exits = is_exit(world, function);
            if exits { layouts.method.im_self.read(memory, object).ok()? } else { None }
        }
        _ => None,
    }
}

/// Whether this is an `__exit__` that is not bound to an object.
fn is_exit(world: &World<'_>, object: Addr) -> bool {
    let (memory, layouts) = (world.memory, world.layouts);
    let name = || match world.type_name(object)? {
        "builtins.function" => {
            world.text(layouts.function_object.func_name.read(memory, object).ok()?)
        }
        // `PyDescrObject`: the type, then the name.
        "builtins.method_descriptor" | "builtins.wrapper_descriptor" => {
            world.text(memory.ptr(object.at(layouts.object.size).at(8)).ok()?)
        }
        _ => None,
    };
    name().is_some_and(|name| name == "__exit__" || name == "__aexit__")
}

/// What a `with` block of an object that only stands for a lock is about: the lock that a
/// `@contextmanager` is suspended inside of.
fn managed(world: &World<'_>, object: Addr) -> Option<Addr> {
    if world.type_name(object)? != "contextlib._GeneratorContextManager" {
        return None;
    }
    let generator = world.attributes(object).get(&["gen"])?;
    let at = match world.layouts.generator.frame {
        GeneratorFrame::Inside { frame, .. } => frame.addr(generator),
        GeneratorFrame::Object(field) => field.read(world.memory, generator).ok()??,
    };
    let inner = world.call(at)?;
    let slots = live_slots(world, &inner)?;
    slots.iter().find_map(|slot| exit_of(world, *slot))
}

/// What a function names: its variables, what it takes from the module, and attributes of both.
#[derive(Debug, Default)]
pub(crate) struct Mentions {
    /// Names of globals and attributes in the code.
    names: Vec<String>,
    objects: Vec<(Addr, String)>,
}

impl Mentions {
    pub(crate) fn of(world: &Sight<'_>, call: &Call) -> Self {
        let mut mentions = Self { names: names(world, call.frame.code), objects: Vec::new() };
        let mut first: Vec<(Addr, String)> =
            call.frame.locals.iter().map(|local| (local.value, local.name.clone())).collect();
        if let Some(globals) = globals(world, call) {
            for (key, value) in
                dict::entries(world.memory, world.layouts, globals, 1 << 16).unwrap_or_default()
            {
                if let Some(name) = world.text(Some(key)).filter(|n| mentions.names.contains(n)) {
                    first.push((value, name));
                }
            }
        }
        for (object, name) in first {
            let attributes = world.attributes(object);
            let named = attributes
                .iter()
                .filter(|(attribute, _)| mentions.names.iter().any(|name| name == attribute));
            let named: Vec<_> =
                named.map(|(attribute, at)| (at, format!("{name}.{attribute}"))).collect();
            mentions.objects.push((object, name));
            mentions.objects.extend(named);
        }
        mentions
    }

    /// All that it names, and how.
    pub(crate) fn objects(&self) -> &[(Addr, String)] {
        &self.objects
    }

    /// How the function names the object.
    pub(crate) fn name_of(&self, object: Addr) -> Option<&str> {
        self.objects.iter().find(|(at, _)| *at == object).map(|(_, name)| name.as_str())
    }

    /// Whether it uses one of these names.
    pub(crate) fn uses(&self, names: &[&str]) -> bool {
        self.names.iter().any(|name| names.contains(&name.as_str()))
    }
}

fn names(world: &Sight<'_>, code: Addr) -> Vec<String> {
    let read = || {
        let tuple = world.layouts.code_object.names.read(world.memory, code).ok()??;
        let count = world.length(tuple)?;
        let items = world.layouts.tuple_object.ob_item.addr(tuple);
        world.memory.words(items, count, MOST_NAMES).ok()
    };
    let text = |word| crate::text::read(world.memory, world.layouts, Addr(word), LONGEST_NAME).ok();
    read().unwrap_or_default().into_iter().filter_map(text).collect()
}

fn globals(world: &Sight<'_>, call: &Call) -> Option<Addr> {
    let field = match (world.layouts.interpreter_frame, world.layouts.frame_object.content) {
        (Some(fields), _) => fields.globals,
        (None, FrameContent::Here { globals, .. }) => globals,
        (None, FrameContent::Elsewhere { .. }) => return None,
    };
    field.read(world.memory, call.at).ok()?
}

#[cfg(test)]
mod tests {
    use super::depth_at;

    /// `dis` of 3.12 on `def f(lock): with lock: g()` shows `12 to 36 -> 66 [1] lasti`; the bytes
    /// are those of its `co_exceptiontable`.
    #[test]
    fn the_table_tells_how_deep_the_stack_is_inside_a_block() {
        // 6 to 18 -> 33, depth 1 with lasti; then 33 to 38 -> 41, depth 3 with lasti.
        let table = [0x86, 12, 33, 3, 0xa1, 5, 41, 7];
        assert_eq!(depth_at(&table, 10), None);
        assert_eq!(depth_at(&table, 12), Some(1));
        assert_eq!(depth_at(&table, 34), Some(1));
        assert_eq!(depth_at(&table, 36), None);
        assert_eq!(depth_at(&table, 66), Some(3));
        assert_eq!(depth_at(&table, 80), None);
    }

    #[test]
    fn a_table_that_is_cut_off_has_no_depth() {
        assert_eq!(depth_at(&[0x86, 12, 0x40], 14), None);
        assert_eq!(depth_at(&[0xff; 64], 14), None);
    }
}
