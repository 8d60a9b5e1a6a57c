//! Which object does somebody mean who writes `app.cache.LAST['body'][3]`?
//!
//! An address, the name of a type, or an expression. Nothing is run: names are looked up in
//! `sys.modules`, attributes and items among the references of the object at hand. Whatever
//! [`crate::Paths`] writes can be given back.

use crate::Ask;
use crate::paths::identifier;
use crate::wording::short_type;
use memwhy_model::{Addr, HeapGraph, Label, ObjectId, RootKind};

/// Names offered where one was not found.
const OFFERED: usize = 8;

/// What was meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meant {
    /// One object.
    Object(ObjectId),
    /// All objects of a type.
    OfType(String, Vec<ObjectId>),
}

impl Meant {
    /// The objects.
    #[must_use]
    pub fn objects(&self) -> &[ObjectId] {
        match self {
            Self::Object(object) => std::slice::from_ref(object),
            Self::OfType(_, objects) => objects,
        }
    }
}

/// Finds what `text` means.
///
/// # Errors
/// If it means nothing: a sentence for the user.
pub fn meant(ask: &Ask<'_>, text: &str) -> Result<Meant, String> {
    let heap = ask.heap.as_ref().ok_or("there is no Python heap")?;
    let text = text.trim();
    if let Some(digits) = text.strip_prefix("0x") {
        let addr = u64::from_str_radix(digits, 16).map_err(|_| format!("{text} is no address"))?;
        return at(heap, Addr(addr)).map(Meant::Object);
    }
    let objects = of_type(heap, text);
    if !objects.is_empty() {
        return Ok(Meant::OfType(text.to_owned(), objects));
    }
    Lookup { ask, heap }.find(text).map(Meant::Object)
}

/// The objects of the types that are called `name`, with or without `builtins.`.
#[must_use]
pub fn of_type(heap: &HeapGraph, name: &str) -> Vec<ObjectId> {
    let wanted: Vec<bool> =
        heap.types().iter().map(|ty| ty.name == name || short_type(&ty.name) == name).collect();
    if !wanted.contains(&true) {
        return Vec::new();
    }
    let is = |id: &ObjectId| wanted.get(heap.type_of(*id).0 as usize).copied().unwrap_or(false);
    heap.ids().filter(is).collect()
}

/// The object at `addr`, or the one that `addr` is in.
fn at(heap: &HeapGraph, addr: Addr) -> Result<ObjectId, String> {
    if let Some(object) = heap.find(addr) {
        return Ok(object);
    }
    let around = heap.ids().take_while(|id| heap.addr(*id) <= addr).last();
    let inside = around.filter(|id| addr.0 - heap.addr(*id).0 < heap.size(*id).0);
    inside.ok_or_else(|| format!("no object is at {addr}"))
}

/// One step of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Attribute(String),
    Item(String),
    Local(String),
    Captured(String),
    Word(u32),
}

struct Lookup<'a> {
    ask: &'a Ask<'a>,
    heap: &'a HeapGraph,
}

impl Lookup<'_> {
    fn find(&self, text: &str) -> Result<ObjectId, String> {
        let (mut object, rest, mut so_far) = self.begin(text)?;
        let mut rest = rest;
        while !rest.is_empty() {
            let (step, after) = step(rest)?;
            let (times, after) = times(after);
            for _ in 0..times {
                object = self.follow(object, &step).map_err(|why| format!("{so_far} {why}"))?;
            }
            so_far += rest.get(..rest.len() - after.len()).unwrap_or_default();
            rest = after;
        }
        Ok(object)
    }

    /// Where an expression begins: at a root, at a module, at a name of `__main__`.
    fn begin<'t>(&self, text: &'t str) -> Result<(ObjectId, &'t str, String), String> {
        let roots = self.heap.roots().iter().filter(|root| root.kind.keeps());
        let root = roots
            .filter(|root| {
                text.strip_prefix(root.name.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[', ' ', '+']))
            })
            .max_by_key(|root| root.name.len());
        if let Some(root) = root {
            let at = root.name.len();
            return Ok((root.object, text.get(at..).unwrap_or_default(), root.name.clone()));
        }
        let modules = self.heap.roots().iter().find(|root| root.kind == RootKind::Modules);
        let modules = modules.ok_or("sys.modules was not found")?.object;
        let name_end = text.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '.');
        let dotted = text.get(..name_end.unwrap_or(text.len())).unwrap_or_default();
        // `app.cache.LAST`: the longest beginning that is a module.
        let ends = dotted.match_indices('.').map(|(at, _)| at).chain([dotted.len()]);
        let mut module = None;
        for end in ends {
            let name = dotted.get(..end).unwrap_or_default();
            module = self.item(modules, &format!("'{name}'")).map(|found| (found, end)).or(module);
        }
        if let Some((module, end)) = module {
            return Ok((
                module,
                text.get(end..).unwrap_or_default(),
                dotted.get(..end).unwrap_or_default().to_owned(),
            ));
        }
        let main = self.item(modules, "'__main__'").ok_or("there is no module __main__")?;
        let first = dotted.split('.').next().filter(|name| !name.is_empty());
        let first = first.ok_or_else(|| {
            format!("{text} is no address, no type, and does not begin with a name")
        })?;
        let object = self
            .follow(main, &Step::Attribute(first.to_owned()))
            .map_err(|_| format!("{first} is no module, no type, and no name of __main__"))?;
        Ok((object, text.get(first.len()..).unwrap_or_default(), first.to_owned()))
    }

    fn labels(&self, object: ObjectId) -> Vec<(Label, ObjectId)> {
        let Some(details) = &self.ask.case().details else { return Vec::new() };
        let labels = details.labels(self.heap, object).into_iter();
        labels.zip(self.heap.references(object).iter().copied()).collect()
    }

    /// The value under a key that is written so.
    fn item(&self, object: ObjectId, key: &str) -> Option<ObjectId> {
        let wanted = plain(key);
        let index: Option<i64> = key.trim().parse().ok();
        let labels = self.labels(object);
        let length = labels.iter().filter(|(label, _)| matches!(label, Label::Index(_))).count();
        let index = index.and_then(|n| match n {
            0.. => u64::try_from(n).ok(),
            _ => u64::try_from(i64::try_from(length).ok()? + n).ok(),
        });
        labels.into_iter().find_map(|(label, to)| match label {
            Label::Key(key) if plain(&key) == wanted => Some(to),
            Label::Index(at) if Some(at) == index => Some(to),
            _ => None,
        })
    }

    fn follow(&self, object: ObjectId, step: &Step) -> Result<ObjectId, String> {
        let heap = self.heap;
        match step {
            Step::Item(key) => self.item(object, key).ok_or_else(|| format!("has no item [{key}]")),
            Step::Attribute(name) => {
                let labels = self.labels(object);
                let own = labels.iter().find_map(|(label, to)| match label {
                    Label::Attribute(known) | Label::Field(known) if known == name => Some(*to),
                    _ => None,
                });
                let namespace = labels.iter().find_map(|(label, to)| match label {
                    Label::Field(field) if field == "__dict__" => Some(*to),
                    _ => None,
                });
                let key = format!("'{name}'");
                let found = own.or_else(|| self.item(namespace?, &key));
                let class = || heap.find(heap.type_row(heap.type_of(object))?.addr);
                let found = found.or_else(|| (name == "__class__").then(class)?);
                found.ok_or_else(|| {
                    let mut known: Vec<String> = namespace
                        .map(|at| self.labels(at))
                        .unwrap_or_default()
                        .iter()
                        .chain(&labels)
                        .filter_map(|(label, _)| match label {
                            Label::Attribute(name) => Some(name.clone()),
                            Label::Key(key) => identifier(key).map(str::to_owned),
                            _ => None,
                        })
                        .filter(|name| !name.starts_with("__"))
                        .collect();
                    known.sort();
                    let more = if known.len() > OFFERED { ", …" } else { "" };
                    known.truncate(OFFERED);
                    if known.is_empty() {
                        return format!("has no attribute {name}");
                    }
                    format!("has no attribute {name}; it has {}{more}", known.join(", "))
                })
            }
            Step::Local(name) => self.labelled(object, &Label::Local(name.clone())),
            Step::Word(offset) => self.labelled(object, &Label::Word(*offset)),
            Step::Captured(name) => {
                let details = self.ask.case().details.as_ref().ok_or("cannot be read")?;
                let names = details.captured(heap, object);
                let closure = self.labelled(object, &Label::Field("__closure__".into()))?;
                let cells = heap.references(closure);
                let at = names.iter().position(|known| known == name);
                let held =
                    at.and_then(|at| cells.get(at)).ok_or_else(|| format!("captured no {name}"))?;
                self.labelled(*held, &Label::Field("cell_contents".into()))
            }
        }
    }

    fn labelled(&self, object: ObjectId, wanted: &Label) -> Result<ObjectId, String> {
        let found = self.labels(object).into_iter().find(|(label, _)| label == wanted);
        found.map(|(_, to)| to).ok_or_else(|| format!("has no{wanted}"))
    }
}

/// How often a step is to be taken: `.after×12`.
fn times(text: &str) -> (u32, &str) {
    let number = text.strip_prefix('×').map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        rest.split_at_checked(end).unwrap_or((rest, ""))
    });
    match number.map(|(digits, after)| (digits.parse(), after)) {
        Some((Ok(times), after)) if times > 0 => (times, after),
        Some(_) | None => (1, text),
    }
}

/// Takes the first step off an expression.
fn step(text: &str) -> Result<(Step, &str), String> {
    let unclear = || format!("{text} cannot be followed: write .name, [key] or [index]");
    let quoted = |text: &str| -> Option<(String, usize)> {
        let inner = text.strip_prefix('\'')?;
        let end = inner.find('\'')?;
        Some((inner.get(..end)?.to_owned(), end + 2))
    };
    for (word, make) in [
        (" local ", Step::Local as fn(String) -> Step),
        (" captured ", Step::Captured as fn(String) -> Step),
    ] {
        if let Some(rest) = text.strip_prefix(word) {
            let (name, taken) = quoted(rest).ok_or_else(unclear)?;
            return Ok((make(name), rest.get(taken..).unwrap_or_default()));
        }
    }
    if let Some(rest) = text.strip_prefix('.') {
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (name, after) = rest.split_at_checked(end).ok_or_else(unclear)?;
        return if name.is_empty() {
            Err(unclear())
        } else {
            Ok((Step::Attribute(name.into()), after))
        };
    }
    if let Some(rest) = text.strip_prefix('+') {
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (offset, after) = rest.split_at_checked(end).ok_or_else(unclear)?;
        return Ok((Step::Word(offset.parse().map_err(|_| unclear())?), after));
    }
    let rest = text.strip_prefix('[').ok_or_else(unclear)?;
    let (mut depth, mut quote, mut escaped) = (1u32, None, false);
    for (at, c) in rest.char_indices() {
        match (quote, c) {
            _ if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), c) if open == c => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, '[' | '(' | '{') => depth += 1,
            (None, ']' | ')' | '}') => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            let (key, after) = rest.split_at_checked(at).ok_or_else(unclear)?;
            return Ok((Step::Item(key.to_owned()), after.get(1..).unwrap_or_default()));
        }
    }
    Err(format!("{text}: a bracket is not closed"))
}

/// A key without what may be written in several ways: the prefix of a string, and its quotes.
fn plain(key: &str) -> String {
    let key = key.trim();
    let bare =
        key.strip_prefix(['u', 'b']).filter(|rest| rest.starts_with(['\'', '"'])).unwrap_or(key);
    let quote = bare.chars().next().filter(|c| matches!(c, '\'' | '"'));
    let Some(quote) = quote else { return key.to_owned() };
    let inner = bare.trim_start_matches(quote).strip_suffix(quote).unwrap_or(bare);
    format!("'{}", inner.replace("\\'", "'").replace("\\\"", "\""))
}

#[cfg(test)]
mod tests {
    use super::{Step, plain, step, times};

    #[test]
    fn an_expression_is_taken_apart_step_by_step() {
        let mut rest = ".LAST['a]b'][-1] local 'rows'+16";
        let mut steps = Vec::new();
        while !rest.is_empty() {
            let (next, after) = step(rest).expect("a step");
            steps.push(next);
            rest = after;
        }
        assert_eq!(
            steps,
            [
                Step::Attribute("LAST".into()),
                Step::Item("'a]b'".into()),
                Step::Item("-1".into()),
                Step::Local("rows".into()),
                Step::Word(16),
            ]
        );
        assert_eq!((times("×12.value"), times(".value")), ((12, ".value"), (1, ".value")));
        assert!(step("[3").is_err() && step("..").is_err() && step("x").is_err());
    }

    #[test]
    fn a_key_may_be_quoted_either_way() {
        assert_eq!(plain("u'it'"), plain("\"it\""));
        assert_eq!(plain("'it\\'s'"), plain("\"it's\""));
        assert_ne!(plain("'3'"), plain("3"));
    }
}
