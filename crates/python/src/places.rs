//! Where in the source do objects come from?
//!
//! Code objects name their file and first line, generators and coroutines that are suspended stand
//! at a line, steps of a traceback failed at one.

use crate::frames::Stacks;
use crate::layout::Layouts;
use crate::layout::tables::frame_object::FrameContent;
use crate::layout::tables::generator::GeneratorFrame;
use crate::text;
use memwhy_model::{Addr, HeapGraph, ObjectId, SourcePlaces};
use memwhy_target::Memory;

/// Names are cut here.
const LONGEST_NAME: usize = 512;
/// Generators and steps of tracebacks that are looked at, each: with more of them the first say
/// what the others would.
const MOST: usize = 200_000;

/// A place, before it is one of many.
type Found = (ObjectId, String, String, Option<u32>);

/// Reads the places of all objects that have one.
#[must_use]
pub fn collect(memory: &dyn Memory, layouts: &Layouts, graph: &HeapGraph) -> SourcePlaces {
    let mut reader = Reader { memory, layouts, stacks: Stacks::new(memory, layouts) };
    let named = |names: &[&str]| -> Vec<bool> {
        let short = |name: &str| name.strip_prefix("builtins.").unwrap_or(name).to_owned();
        graph.types().iter().map(|ty| names.contains(&short(&ty.name).as_str())).collect()
    };
    let codes = named(&["code"]);
    let generators = named(&["generator", "coroutine", "async_generator"]);
    let steps = named(&["traceback"]);
    let (mut looked_at, mut found) = ((0, 0), Vec::new());
    for id in graph.ids() {
        let is = |types: &[bool]| types.get(graph.type_of(id).0 as usize) == Some(&true);
        let addr = graph.addr(id);
        let place = if is(&codes) {
            reader.code(id, addr)
        } else if is(&generators) && looked_at.0 < MOST {
            looked_at.0 += 1;
            reader.generator(id, addr)
        } else if is(&steps) && looked_at.1 < MOST {
            looked_at.1 += 1;
            reader.step(id, addr)
        } else {
            None
        };
        found.extend(place);
    }
    SourcePlaces::new(found)
}

struct Reader<'a> {
    memory: &'a dyn Memory,
    layouts: &'a Layouts,
    stacks: Stacks<'a>,
}

impl Reader<'_> {
    fn text(&self, at: Option<Addr>) -> Option<String> {
        text::read(self.memory, self.layouts, at?, LONGEST_NAME).ok()
    }

    fn code(&self, id: ObjectId, at: Addr) -> Option<Found> {
        let (memory, fields) = (self.memory, &self.layouts.code_object);
        let qualified = fields.qualname.and_then(|field| field.read(memory, at).ok().flatten());
        let name = qualified.or_else(|| fields.name.read(memory, at).ok().flatten());
        let file = self.text(fields.filename.read(memory, at).ok()?)?;
        let line = fields.firstlineno.read(memory, at).ok()?;
        Some((id, file, self.text(name)?, u32::try_from(line).ok()))
    }

    /// A generator or coroutine that still has a frame.
    fn generator(&mut self, id: ObjectId, at: Addr) -> Option<Found> {
        let fields = &self.layouts.generator;
        let frame = match fields.frame {
            GeneratorFrame::Inside { frame, state } => {
                let state = state.read(self.memory, at).ok()?;
                (state < fields.finished_from).then(|| frame.addr(at))?
            }
            GeneratorFrame::Object(frame) => frame.read(self.memory, at).ok()??,
        };
        let frame = self.stacks.frame(frame).ok()??;
        Some((id, frame.file, frame.function, frame.line))
    }

    /// A step of a traceback. Its line is known, or to be computed: then that of its code is told.
    fn step(&self, id: ObjectId, at: Addr) -> Option<Found> {
        let (memory, fields) = (self.memory, &self.layouts.traceback);
        let frame = fields.tb_frame.read(memory, at).ok()??;
        let code = match (self.layouts.frame_object.content, self.layouts.interpreter_frame) {
            (FrameContent::Here { code, .. }, _) => code.read(memory, frame).ok()??,
            (FrameContent::Elsewhere { frame: inner, .. }, Some(inner_fields)) => {
                let inner = inner.read(memory, frame).ok()??;
                let word = inner_fields.code.read(memory, inner).ok()?;
                Addr(word & !inner_fields.tag_mask)
            }
            (FrameContent::Elsewhere { .. }, None) => return None,
        };
        let (_, file, function, first) = self.code(id, code)?;
        let line = u32::try_from(fields.tb_lineno.read(memory, at).ok()?).ok();
        Some((id, file, function, line.filter(|line| *line > 0).or(first)))
    }
}
