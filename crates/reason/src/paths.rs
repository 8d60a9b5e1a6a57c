//! How does a person write the way from a root to an object?
//!
//! `sys.modules['app.cache'].LAST['body'][3]`, not `dict → module → dict → dict → list`: what one
//! object calls the next comes from the case's details, and what Python code would not write, the
//! dict of a module or the cells of a closure, is left out.

use crate::Ask;
use crate::analyses::Reachability;
use crate::ways::of_any;
use crate::wording::short_type;
use memwhy_model::{Label, ObjectId, RootKind};
use std::collections::HashMap;

/// A way from a root to an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path {
    /// The whole way as one expression.
    pub text: String,
    /// What keeps the first object; nothing where it lasts as long as the process.
    pub root: Option<RootKind>,
    /// The objects, the root's first, each with how the one before it refers to it.
    pub steps: Vec<(ObjectId, Option<Label>)>,
    /// The source file where the name lives, if one is known.
    pub file: Option<String>,
    /// The line there, 1-based, if one is known.
    pub line: Option<u32>,
}

/// So many times the same step are written as one.
const SHORTENED: usize = 4;

/// Writes ways.
#[derive(Debug)]
pub struct Paths<'a> {
    ask: &'a Ask<'a>,
    /// The files of modules, by what the module is called: `sys.modules['app']`.
    files: HashMap<&'a str, &'a str>,
}

impl<'a> Paths<'a> {
    /// Ready to write.
    #[must_use]
    pub fn new(ask: &'a Ask<'a>) -> Self {
        let roots = ask.case().heap.iter().flat_map(memwhy_model::HeapGraph::roots);
        let files = roots.filter_map(|root| {
            let module = root.name.split_once("'].").map(|(module, _)| module.len() + 2)?;
            Some((root.name.get(..module)?, root.file.as_deref()?))
        });
        Self { ask, files: files.collect() }
    }

    /// A shortest way to `object`; none if nothing leads to it.
    #[must_use]
    pub fn to(&self, object: ObjectId) -> Option<Path> {
        let way = self.ask.get::<Reachability>().way_to(object);
        (!way.is_empty()).then(|| self.along(&way))
    }

    /// Writes a way that begins with the object of a root.
    #[must_use]
    pub fn along(&self, way: &[ObjectId]) -> Path {
        self.of_members(way, |_, _| false)
    }

    /// The same, with `[…]` where `any` says that the object is one of many members.
    #[must_use]
    pub fn of_members(&self, way: &[ObjectId], any: impl Fn(ObjectId, ObjectId) -> bool) -> Path {
        let Some(heap) = &self.ask.case().heap else { return Path::default() };
        let Some(first) = way.first() else { return Path::default() };
        let reached = self.ask.get::<Reachability>();
        let root = reached.root_of(heap, *first);
        let mut labels = vec![None];
        labels.extend(way.windows(2).map(|pair| {
            let label = self.label(pair[0], pair[1]);
            if any(pair[0], pair[1]) { label.map(of_any) } else { label }
        }));
        let begin = root.map_or_else(
            || format!("{} that lasts", self.called(*first)),
            |root| root.name.clone(),
        );
        let keeps = root.map(|root| root.kind);
        let mut text = Text {
            paths: self,
            way,
            labels: &labels,
            out: begin,
            at: 1,
            file: None,
            pieces: Vec::new(),
        };
        text.write(keeps);
        let (text, module) = (text.shortened(), text.file);
        let file = module.map(str::to_owned).or_else(|| root?.file.clone());
        let line = root.and_then(|root| root.line).filter(|_| module.is_none());
        let steps = way.iter().copied().zip(labels).collect();
        Path { text, root: keeps, steps, file, line }
    }

    /// How `from` refers to `to`.
    fn label(&self, from: ObjectId, to: ObjectId) -> Option<Label> {
        let case = self.ask.case();
        let (heap, details) = (case.heap.as_ref()?, case.details.as_ref());
        match heap.references(from).iter().position(|target| *target == to) {
            Some(at) => details?.label(heap, from, at),
            // Every object has a type, which is none of its references.
            None => Some(Label::Field("__class__".into())),
        }
    }

    fn captured(&self, function: ObjectId) -> Vec<String> {
        let case = self.ask.case();
        let (Some(heap), Some(details)) = (&case.heap, &case.details) else { return Vec::new() };
        details.captured(heap, function)
    }

    /// `dict object 0x7f…`.
    fn called(&self, object: ObjectId) -> String {
        let Some(heap) = &self.ask.case().heap else { return "?".into() };
        let ty = heap.type_row(heap.type_of(object)).map_or("?", |row| short_type(&row.name));
        format!("{ty} object {}", heap.addr(object))
    }
}

/// A way being written.
struct Text<'p, 'a> {
    paths: &'p Paths<'a>,
    way: &'p [ObjectId],
    labels: &'p [Option<Label>],
    out: String,
    /// The step to be written.
    at: usize,
    /// The file of the last module met.
    file: Option<&'a str>,
    /// What the steps added, one by one.
    pieces: Vec<String>,
}

impl Text<'_, '_> {
    fn write(&mut self, root: Option<RootKind>) {
        // The namespace of `sys` is a root itself, and so is the cell of a variable.
        if let Some(owner) = self.out.strip_suffix(".__dict__").map(str::to_owned)
            && let Some(name) = self.attribute(self.at)
        {
            self.out = format!("{owner}.{name}");
            self.at += 1;
        } else if root == Some(RootKind::Frame) && self.field(self.at) == Some("cell_contents") {
            self.at += 1;
        }
        while self.at < self.labels.len() {
            if let Some(file) = self.paths.files.get(self.out.as_str()) {
                self.file = Some(file);
            }
            let before = self.out.len();
            let taken = self.step();
            self.pieces.push(self.out.get(before..).unwrap_or_default().to_owned());
            self.at += taken;
        }
    }

    /// The whole, with runs of the same step as one: a linked list is a long way.
    fn shortened(&self) -> String {
        let steps: usize = self.pieces.iter().map(String::len).sum();
        let begin = self.out.len().saturating_sub(steps);
        let mut text = self.out.get(..begin).unwrap_or_default().to_owned();
        for run in self.pieces.chunk_by(|a, b| a == b) {
            match run {
                [] => {}
                [piece, ..] if run.len() >= SHORTENED => {
                    text = format!("{text}{piece}×{}", run.len());
                }
                _ => text.extend(run.iter().map(String::as_str)),
            }
        }
        text
    }

    /// Writes one step, or several that Python code would write as one; returns how many.
    fn step(&mut self) -> usize {
        if self.field(self.at) == Some("__dict__")
            && let Some(name) = self.attribute(self.at + 1)
        {
            self.out = format!("{}.{name}", self.out);
            return 2;
        }
        if self.field(self.at) == Some("__closure__")
            && let Some(Some(Label::Index(cell))) = self.labels.get(self.at + 1)
            && self.field(self.at + 2) == Some("cell_contents")
            && let Some(name) = self.captured_name(*cell)
        {
            self.out = format!("{}{}", self.out, Label::Captured(name));
            return 3;
        }
        match self.labels.get(self.at) {
            Some(Some(label)) => self.out = format!("{}{label}", self.out),
            Some(None) => {
                let called = self.way.get(self.at).map(|object| self.paths.called(*object));
                self.out = format!("{} → {}", self.out, called.unwrap_or_default());
            }
            None => {}
        }
        1
    }

    /// The name of the variable in a cell of the function before this step.
    fn captured_name(&self, cell: u64) -> Option<String> {
        let function = *self.way.get(self.at.checked_sub(1)?)?;
        self.paths.captured(function).into_iter().nth(usize::try_from(cell).ok()?)
    }

    fn field(&self, at: usize) -> Option<&str> {
        match self.labels.get(at) {
            Some(Some(Label::Field(name))) => Some(name),
            Some(_) | None => None,
        }
    }

    /// The name under which a namespace has the object of a step.
    fn attribute(&self, at: usize) -> Option<String> {
        match self.labels.get(at) {
            Some(Some(Label::Key(key))) => identifier(key).map(str::to_owned),
            Some(_) | None => None,
        }
    }
}

/// The name in a key that is a string and could be an attribute.
pub(crate) fn identifier(key: &str) -> Option<&str> {
    let bare = key.trim_start_matches(['u', 'b']);
    let name = bare.strip_prefix('\'')?.strip_suffix('\'')?;
    let begins = name.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_');
    (begins && name.chars().all(|c| c.is_alphanumeric() || c == '_')).then_some(name)
}
