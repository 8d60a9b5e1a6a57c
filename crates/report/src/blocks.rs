//! What is a screen made of, and how does each piece become lines?
//!
//! Names of threads, files and types come from the target: control characters in them are
//! replaced here, so that a target cannot write to the terminal of whoever looks at it.

use crate::style::{Style, Tone};

/// Columns taken by a label and the space after it.
const LABEL: usize = 9;

/// A line is not wrapped narrower than this, whatever the terminal: it would be unreadable.
const NARROWEST: usize = 40;

/// One piece of a screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Block {
    /// A line by itself, wrapped but without indent.
    Line(String),
    /// Things side by side, two spaces apart; a thing is not broken.
    Header(Vec<String>),
    /// A line that begins so many columns further right.
    Indented(usize, String),
    /// A line that other programs look for, a frame of a stack: it is never broken.
    Verbatim(usize, String),
    /// A label and a text that hangs beside it.
    Labelled {
        /// At most eight characters; empty to continue the label above.
        label: String,
        /// What it says.
        text: String,
        /// How it looks.
        tone: Option<Tone>,
    },
    /// Columns.
    Table(Table),
    /// An empty line.
    Gap,
}

impl Block {
    /// A labelled text.
    #[must_use]
    pub fn labelled(label: &str, text: impl Into<String>) -> Self {
        Self::Labelled { label: label.into(), text: text.into(), tone: None }
    }

    /// A labelled text that looks like `tone`.
    #[must_use]
    pub fn toned(label: &str, text: impl Into<String>, tone: Tone) -> Self {
        Self::Labelled { label: label.into(), text: text.into(), tone: Some(tone) }
    }
}

/// On which side of its column a cell stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Columns with a title each; the last one is not padded and may be as long as it likes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    columns: Vec<(String, Side)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table.
    #[must_use]
    pub fn new(columns: &[(&str, Side)]) -> Self {
        let columns = columns.iter().map(|(name, side)| ((*name).to_owned(), *side)).collect();
        Self { columns, rows: Vec::new() }
    }

    /// Adds a row; missing cells are empty.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| clean(&cell)).collect());
    }

    /// Whether it has no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn lines(&self, style: Style, out: &mut Vec<String>) {
        let widths: Vec<usize> = self
            .columns
            .iter()
            .enumerate()
            .map(|(at, (name, _))| {
                let cells = self.rows.iter().filter_map(|row| row.get(at)).map(|cell| width(cell));
                cells.chain([width(name)]).max().unwrap_or(0)
            })
            .collect();
        let line = |cell: &dyn Fn(usize) -> String| {
            let mut line = String::new();
            for (at, ((_, side), wide)) in self.columns.iter().zip(&widths).enumerate() {
                let text = cell(at);
                let padding = " ".repeat(wide - width(&text).min(*wide));
                line += if at > 0 { "  " } else { "" };
                match side {
                    Side::Left => line = line + &text + &padding,
                    Side::Right => line = line + &padding + &text,
                }
            }
            line.trim_end().to_owned()
        };
        let titles = line(&|at| self.columns[at].0.clone());
        out.push(style.paint(Tone::Label, &titles));
        for row in &self.rows {
            out.push(line(&|at| row.get(at).cloned().unwrap_or_default()));
        }
    }
}

/// All blocks as text, with a line end after each line.
#[must_use]
pub fn render(blocks: &[Block], style: Style) -> String {
    let mut lines = Vec::new();
    for block in blocks {
        match block {
            Block::Gap => lines.push(String::new()),
            Block::Line(text) => lines.extend(wrap(&clean(text), style.width)),
            Block::Header(parts) => header(parts, style, &mut lines),
            Block::Indented(columns, text) => {
                let beside = style.width.saturating_sub(*columns);
                let wrapped = wrap(&clean(text), beside).into_iter();
                lines.extend(wrapped.map(|line| " ".repeat(*columns) + &line));
            }
            Block::Verbatim(columns, text) => lines.push(" ".repeat(*columns) + &clean(text)),
            Block::Labelled { label, text, tone } => {
                let beside = style.width.saturating_sub(LABEL);
                for (n, line) in wrap(&clean(text), beside).into_iter().enumerate() {
                    let label = if n == 0 { label.as_str() } else { "" };
                    let padding = " ".repeat(LABEL.saturating_sub(width(label)));
                    let line = tone.map_or_else(|| line.clone(), |tone| style.paint(tone, &line));
                    lines.push(style.paint(Tone::Label, label) + &padding + &line);
                }
            }
            Block::Table(table) => table.lines(style, &mut lines),
        }
    }
    let mut text = lines.join("\n");
    text.push('\n');
    text
}

fn header(parts: &[String], style: Style, lines: &mut Vec<String>) {
    let mut line = String::new();
    for part in parts.iter().map(|part| clean(part)) {
        if !line.is_empty() && width(&line) + 2 + width(&part) > style.width {
            lines.push(std::mem::take(&mut line));
        }
        let gap = if line.is_empty() { "" } else { "  " };
        line = line + gap + &part;
    }
    lines.push(line);
}

/// Breaks at spaces, never between a number and its unit or share; a word that is wider than the
/// screen stays whole, so that it can be copied.
#[must_use]
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(NARROWEST);
    let mut words: Vec<String> = Vec::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        match words.last_mut() {
            Some(last) if belongs_to_number(last, word) => *last = format!("{last} {word}"),
            _ => words.push(word.to_owned()),
        }
    }
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        match lines.last_mut() {
            Some(line) if width(line) + 1 + width(&word) <= columns => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    if lines.is_empty() {
        lines.push(String::new());
    }
    lines
}

fn belongs_to_number(before: &str, word: &str) -> bool {
    let plain = word.trim_end_matches([',', ';', ':', ')', '.']);
    let unit = matches!(plain, "B" | "KiB" | "MiB" | "GiB" | "ms");
    let share = word.starts_with('(') && plain.ends_with('%');
    // A separator stays at the end of its line, where it says that more follows.
    let separator = matches!(word, "·" | "=");
    let number = before.ends_with(|c: char| c.is_ascii_digit());
    let rss = before.ends_with("RSS") && word.starts_with(|c: char| c.is_ascii_digit());
    (unit && number) || share || separator || rss
}

/// Characters, one column each: the screens hold no wide ones but those of the target.
fn width(text: &str) -> usize {
    text.chars().count()
}

/// Without control characters.
pub(crate) fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::{Block, Side, Table, render, wrap};
    use crate::Style;

    #[test]
    fn a_number_stays_with_its_unit_and_share() {
        let text = "of all the bytes that were there 398 MiB (77%) are free in malloc";
        let lines = wrap(text, 40);
        assert_eq!(lines[0], "of all the bytes that were there");
        assert!(lines[1].starts_with("398 MiB (77%)"));
    }

    #[test]
    fn a_word_wider_than_the_screen_stays_whole() {
        let path = "/".repeat(120);
        assert_eq!(wrap(&format!("see {path} there"), 100), ["see", &path, "there"]);
    }

    #[test]
    fn a_target_cannot_write_to_the_terminal() {
        let mut table = Table::new(&[("thread", Side::Left)]);
        table.row(["\u{1b}]0;gotcha\u{7}".to_owned()]);
        let blocks = [Block::Line("a\u{1b}[2Jb".into()), Block::Table(table)];
        let text = render(&blocks, Style::default());
        assert!(!text.contains(|c: char| c.is_control() && c != '\n'));
    }

    #[test]
    fn numbers_stand_right_and_words_left() {
        let mut table = Table::new(&[("n", Side::Right), ("type", Side::Left)]);
        table.row(["5".into(), "dict".into()]);
        table.row(["1,204".into(), "list".into()]);
        let text = render(&[Block::Table(table)], Style::default());
        assert_eq!(text, "    n  type\n    5  dict\n1,204  list\n");
    }

    #[test]
    fn colours_are_written_only_when_asked_for() {
        let blocks = [Block::labelled("WHY", "so")];
        assert_eq!(render(&blocks, Style::default()), "WHY      so\n");
        let coloured = render(&blocks, Style { color: true, ..Style::default() });
        assert!(coloured.starts_with("\u{1b}[1mWHY\u{1b}[0m      so"));
    }
}
