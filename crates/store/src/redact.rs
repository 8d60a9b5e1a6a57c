//! Which words of a program go into a snapshot, and which are what it works on?
//!
//! Without `--values` a snapshot has the program's structure: names of types, modules, attributes,
//! variables, functions and files, and previews of classes, functions, modules and code, which are
//! made of such names. It has nothing of what the program computes with: no preview of any other
//! object, and of the keys of dicts only those that look like a word that a programmer wrote. The
//! rules of [`keeps_key`] and [`Program`] are all there is to it, and `docs/snapshot.md` states them.

use crate::Values;
use memwhy_model::{Addr, HeapGraph, ObjectId};
use serde_json::Value;
use std::collections::HashSet;

/// Types whose objects are the program itself: their `repr` has names and addresses.
const PROGRAM: [&str; 8] = [
    "builtins.function",
    "builtins.builtin_function_or_method",
    "builtins.module",
    "builtins.code",
    "builtins.method_descriptor",
    "builtins.wrapper_descriptor",
    "builtins.getset_descriptor",
    "builtins.member_descriptor",
];

/// Which objects of a heap are the program itself, not what it works on.
#[derive(Debug)]
pub struct Program {
    /// For each type whether its objects are.
    types: Vec<bool>,
    /// Classes, whatever their metaclass.
    classes: HashSet<Addr>,
}

impl Program {
    /// Looks at the types of a heap.
    #[must_use]
    pub fn of(heap: &HeapGraph) -> Self {
        Self {
            types: heap.types().iter().map(|ty| PROGRAM.contains(&ty.name.as_str())).collect(),
            classes: heap.types().iter().map(|ty| ty.addr).collect(),
        }
    }

    /// Whether an object is one of them.
    #[must_use]
    pub fn has(&self, heap: &HeapGraph, object: ObjectId) -> bool {
        let ty = heap.type_of(object).0 as usize;
        self.types.get(ty) == Some(&true) || self.classes.contains(&heap.addr(object))
    }
}

/// A key of that length is no longer a word that somebody wrote down as a name.
const LONGEST_WORD: usize = 40;

/// So many digits in a row are a number that was made, not a name: `user_10482`, `a3f9…`.
const DIGITS: usize = 3;

/// Whether a key, as its preview shows it, is written down.
///
/// It is when values are kept, or when it is a string that could name a variable: letters, digits
/// and underscores, not beginning with a digit, at most 40 characters, and without three digits in
/// a row. Everything else (numbers, addresses, mails, names with a blank, tokens) is left out, and
/// shown as the type of the key.
#[must_use]
pub fn keeps_key(preview: &str, values: Values) -> bool {
    match values {
        Values::Kept => true,
        Values::LeftOut => quoted(preview).is_some_and(is_word),
    }
}

/// What stands between the quotes of a string's preview; nothing for other objects and for strings
/// that the preview cuts off.
fn quoted(preview: &str) -> Option<&str> {
    let text = preview.strip_prefix(['u', 'b']).unwrap_or(preview);
    let quote = text.chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
    text.strip_prefix(quote)?.strip_suffix(quote)
}

fn is_word(text: &str) -> bool {
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let letters = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let digits = text.as_bytes().windows(DIGITS).any(|few| few.iter().all(u8::is_ascii_digit));
    begins && letters && !digits && text.len() <= LONGEST_WORD
}

/// `case.json` of a case, without what local variables look like, nor what is in memory of C.
pub(crate) fn without_previews(mut case: Value) -> Value {
    let contents = case.pointer_mut("/native_memory/contents").and_then(Value::as_array_mut);
    for content in contents.into_iter().flatten() {
        if let Some(text) = content.pointer_mut("/content/text") {
            text.take();
        }
    }
    let threads = case.get_mut("threads").and_then(Value::as_array_mut);
    for thread in threads.into_iter().flatten() {
        let frames = thread.get_mut("frames").and_then(Value::as_array_mut);
        for frame in frames.into_iter().flatten() {
            let locals = frame.get_mut("locals").and_then(Value::as_array_mut);
            for local in locals.into_iter().flatten() {
                if let Some(preview) = local.get_mut("preview") {
                    preview.take();
                }
            }
        }
    }
    case
}

#[cfg(test)]
mod tests {
    use super::{keeps_key, without_previews};
    use crate::Values;
    use memwhy_model::{Case, Content, ContentGroup, Frame, Local, NativeMemory, ThreadFacts};

    #[test]
    fn what_a_local_variable_looks_like_is_left_out() {
        let secret =
            Local { name: "token".into(), preview: Some("'sk-1'".into()), ..Local::default() };
        let frame = Frame { locals: vec![secret], ..Frame::default() };
        let thread = ThreadFacts { frames: vec![frame], ..ThreadFacts::default() };
        let content = Content { text: Some("card=42".into()), ..Content::default() };
        let group = ContentGroup { content, ..ContentGroup::default() };
        let native = NativeMemory { contents: vec![group], ..NativeMemory::default() };
        let case = Case { threads: vec![thread], native_memory: Some(native), ..Case::default() };
        let written = serde_json::to_value(&case).expect("written");
        assert!(written.to_string().contains("sk-1") && written.to_string().contains("card="));
        let redacted = without_previews(written);
        assert!(!redacted.to_string().contains("sk-1"));
        assert!(!redacted.to_string().contains("card="));
        let read: Case = serde_json::from_value(redacted).expect("a case still");
        assert_eq!(read.threads[0].frames[0].locals[0].name, "token");
    }

    #[test]
    fn a_word_of_the_program_is_kept_and_what_it_works_on_is_not() {
        for kept in ["'body'", "'__dict__'", "u'title'", "b'host'", "\"path\"", "'utf_8'", "'x2'"] {
            assert!(keeps_key(kept, Values::LeftOut), "{kept}");
        }
        for left_out in [
            "'ada@example.org'",
            "'Ada Lovelace'",
            "'user_10482'",
            "'2024'",
            "''",
            "7",
            "('a', 'b')",
            "'a-b'",
            "'täglich'",
            "'cut off...",
            "'sk_live_abcdefghijklmnopqrstuvwxyzabcdefghi'",
            "<object at 0x7f00>",
        ] {
            assert!(!keeps_key(left_out, Values::LeftOut), "{left_out}");
            assert!(keeps_key(left_out, Values::Kept), "{left_out}");
        }
    }
}
