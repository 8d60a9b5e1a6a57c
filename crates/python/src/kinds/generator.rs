//! Generators, coroutines and asynchronous generators. Source: `Objects/genobject.c`, `gen_sizeof`.

use super::Kind;
use super::any;
use crate::layout::tables::code_object::Variables;
use crate::layout::tables::generator::GeneratorFrame;
use crate::object::Object;
use memwhy_model::Addr;
use memwhy_target::{Fault, MemoryExt};

/// Local variables and stack of one function; `co_stacksize` beyond that is not believed.
const MOST_SLOTS: u64 = 1 << 20;

#[derive(Debug)]
pub(super) struct Generator;

pub(super) static GENERATOR: Generator = Generator;

impl Kind for Generator {
    fn names(&self) -> &'static [&'static str] {
        &["generator", "coroutine", "async_generator"]
    }

    fn shallow(&self, object: &Object<'_>) -> Result<u64, Fault> {
        let layouts = object.layouts;
        let (GeneratorFrame::Inside { frame, .. }, Some(inner)) =
            (layouts.generator.frame, layouts.interpreter_frame)
        else {
            return object.basic_size();
        };
        let code = object.word(frame.offset + inner.code.offset)? & !inner.tag_mask;
        Ok(frame.offset + inner.localsplus.offset + slots(object, Addr(code))? * 8)
    }

    fn pointers(&self, object: &Object<'_>, each: &mut dyn FnMut(Addr)) -> Result<(), Fault> {
        let start = object.layouts.object.size;
        let (GeneratorFrame::Inside { frame, state }, Some(inner)) =
            (object.layouts.generator.frame, object.layouts.interpreter_frame)
        else {
            return any::fields(object, start, object.ty.basicsize, each);
        };
        any::fields(object, start, frame.offset, each)?;
        let at = object.addr.at(frame.offset);
        if state.read(object.memory, object.addr)? < object.layouts.generator.finished_from {
            return super::frame::inner(object, at, each);
        }
        // Nothing but the code outlives the call.
        each(Addr(inner.code.read(object.memory, at)? & !inner.tag_mask));
        Ok(())
    }
}

/// How many variables and stack places a call of `code` has.
pub(super) fn slots(object: &Object<'_>, code: Addr) -> Result<u64, Fault> {
    let (memory, layouts) = (object.memory, object.layouts);
    let fields = &layouts.code_object;
    let number = |value: i32| u64::try_from(value).unwrap_or(0);
    let stack = number(fields.stacksize.read(memory, code)?);
    let variables = match fields.variables {
        Variables::Together { count, .. } => number(count.read(memory, code)?),
        Variables::Separate { cellvars, freevars, .. } => {
            let mut sum = number(fields.nlocals.read(memory, code)?);
            for names in [cellvars, freevars] {
                if let Some(tuple) = names.read(memory, code)? {
                    sum += memory.u64(layouts.var_object.ob_size.addr(tuple))?;
                }
            }
            sum
        }
    };
    let sum = stack.saturating_add(variables);
    if sum > MOST_SLOTS { Err(Fault::too_long(code)) } else { Ok(sum) }
}
