//! How wide is a screen, and may it have colours?

/// How text is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Whether terminal colours are written.
    pub color: bool,
    /// Columns to wrap at.
    pub width: usize,
}

impl Default for Style {
    /// 100 columns, no colours: what a pipe gets.
    fn default() -> Self {
        Self { color: false, width: 100 }
    }
}

/// What a piece of text is, which decides its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// The name of a line.
    Label,
    /// The answer.
    Verdict,
    /// Less important than what stands around it.
    Quiet,
}

impl Style {
    /// `text` in the colour of `tone`, or as it is.
    #[must_use]
    pub fn paint(self, tone: Tone, text: &str) -> String {
        if !self.color || text.is_empty() {
            return text.to_owned();
        }
        let code = match tone {
            Tone::Label => "1",
            Tone::Verdict => "1;33",
            Tone::Quiet => "2",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}
