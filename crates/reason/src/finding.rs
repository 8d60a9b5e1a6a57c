//! What does one hypothesis say about a case?

use memwhy_model::{Addr, Bytes, Trust};
use std::fmt;

/// Whether a hypothesis is true of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is true, and it matters.
    Holds,
    /// It is not true, or too little to matter.
    Refuted,
    /// What would decide it was not seen: a sentence saying what and how to get it.
    Undecided(String),
}

impl Standing {
    /// The word used in JSON.
    #[must_use]
    pub const fn id(&self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Refuted => "refuted",
            Self::Undecided(_) => "undecided",
        }
    }
}

/// How sure, weakest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Confidence {
    /// Something essential was not seen, or is known only by guess.
    #[default]
    Low,
    /// Seen, with a doubt that is named.
    Medium,
    /// Seen, complete, and consistent with what the target counts itself.
    High,
}

impl Confidence {
    /// The word used in JSON and on the screen.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }

    /// One step less.
    #[must_use]
    pub const fn less(self) -> Self {
        match self {
            Self::High => Self::Medium,
            Self::Medium | Self::Low => Self::Low,
        }
    }
}

impl fmt::Display for Confidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.id())
    }
}

/// What one hypothesis says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The stable id of the cause.
    pub cause: &'static str,
    /// Whether it is true.
    pub standing: Standing,
    /// Whether it could not hold whatever the process did: nobody is told that it does not.
    pub moot: bool,
    /// How much of RSS it explains; nothing unless it holds.
    pub explains: Bytes,
    /// How much of RSS it may explain where it is undecided, and how much of what it is about was
    /// there where it is refuted.
    pub could_explain: Bytes,
    /// One line, with its number, whatever the standing.
    pub summary: String,
    /// How sure this finding is.
    pub confidence: Confidence,
    /// What was seen.
    pub evidence: Vec<Evidence>,
    /// Who holds the memory, or what pins it.
    pub holders: Vec<Holder>,
    /// What can be done.
    pub remedies: Vec<Remedy>,
}

impl Finding {
    /// A finding of standing `Refuted`, to be filled in.
    #[must_use]
    pub fn refuted(cause: &'static str, summary: impl Into<String>) -> Self {
        Self {
            cause,
            standing: Standing::Refuted,
            moot: false,
            explains: Bytes(0),
            could_explain: Bytes(0),
            summary: summary.into(),
            confidence: Confidence::High,
            evidence: Vec::new(),
            holders: Vec::new(),
            remedies: Vec::new(),
        }
    }

    /// The same, undecided for want of `missing`; it may be about as much as `could_explain`.
    #[must_use]
    pub fn undecided(mut self, missing: impl Into<String>, could_explain: Bytes) -> Self {
        self.standing = Standing::Undecided(missing.into());
        self.could_explain = could_explain;
        self.confidence = Confidence::Low;
        self
    }

    /// Whether it is true.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.standing == Standing::Holds
    }

    /// Adds something seen.
    pub fn saw(&mut self, trust: Trust, saw: impl Into<String>, check: impl Into<String>) {
        self.evidence.push(Evidence { saw: saw.into(), check: check.into(), trust });
    }

    /// The cause as words: `allocator retention`.
    #[must_use]
    pub fn title(&self) -> String {
        title(self.cause)
    }
}

/// The id of a cause as words.
#[must_use]
pub fn title(cause: &str) -> String {
    match cause {
        "python-objects" => "Python objects".into(),
        other => other.replace('-', " "),
    }
}

/// Something that was seen, worded so that the reader can check it without us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// What was seen.
    pub saw: String,
    /// How to see it: a command.
    pub check: String,
    /// How it is known.
    pub trust: Trust,
}

/// Something that holds memory, or keeps it from being returned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holder {
    /// How a person would write it; nothing where no name leads there.
    pub path: Option<String>,
    /// The object or chunk.
    pub object: Addr,
    /// Its type; nothing where it is not a Python object.
    pub type_name: Option<String>,
    /// The source file where the name lives.
    pub file: Option<String>,
    /// The line there.
    pub line: Option<u32>,
    /// What the next two count.
    pub hold: Hold,
    /// Number of objects that it holds.
    pub objects: u64,
    /// Bytes that it holds.
    pub bytes: Bytes,
    /// How many other names reach the very same objects.
    pub also_reached_from: u64,
}

/// In which sense an object holds others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hold {
    /// They are reachable from it; what others reach too is counted with each of them.
    #[default]
    Reaches,
    /// They would be freed with it: nothing else leads to them.
    Retains,
}

impl Hold {
    /// `12 MiB in 3 objects` … `app.cache.LAST`.
    #[must_use]
    pub const fn said(self) -> &'static str {
        match self {
            Self::Reaches => "reachable from",
            Self::Retains => "kept alone by",
        }
    }
}

/// Something that can be done today.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remedy {
    /// What to do.
    pub action: String,
    /// RSS afterwards, where it can be computed from what was read.
    pub expected_rss: Option<Bytes>,
    /// What the number rests on, what it costs, what did not help.
    pub note: String,
    /// How to know that it worked.
    pub verify: String,
}
