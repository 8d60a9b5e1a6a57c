//! Which words of a program go into a snapshot, and which are what it works on?
//!
//! Without `--values` a snapshot has the program's structure: names of types, modules, attributes,
//! variables, functions and files. It has nothing of what the program computes with: no preview of
//! any object, and of the keys of dicts only those that look like a word that a programmer wrote.
//! The rule of [`keeps_key`] is all there is to it, and `docs/snapshot.md` states it.

use crate::Values;

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

#[cfg(test)]
mod tests {
    use super::keeps_key;
    use crate::Values;

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
