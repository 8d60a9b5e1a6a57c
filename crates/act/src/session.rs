//! How is code run in a target, line by line or whole, and how does one leave?

use crate::Refusal;
use crate::channel::Channel;
use crate::inject::{Injected, inject};
use crate::subject::Subject;
use memwhy_target::Process;
use std::io;
use std::time::{Duration, Instant};

/// How often somebody is asked whether to stop.
const TURN: Duration = Duration::from_millis(50);
/// An interrupt takes effect at the next bytecode; C code does not see it.
const LAST: Duration = Duration::from_secs(2);

/// Code of ours runs in the target, and waits for what to do.
#[derive(Debug)]
pub struct Session {
    channel: Channel,
    /// How it got there.
    pub injected: Injected,
    before: Traces,
    process: Process,
}

/// How code ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It has run to its end; 0, the number of its `SystemExit`, 1 for an exception.
    Status(u8),
    /// It is not whole: a console has to ask for more lines.
    More,
    /// It was interrupted because its time was over, or on request.
    Interrupted,
    /// It was interrupted and goes on all the same: it is in C code. The session cannot be used
    /// any more, and leaves once the code ends.
    GoesOn,
}

/// What can be counted of a process from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traces {
    /// Its threads.
    pub threads: usize,
    /// Its open files.
    pub files: usize,
}

/// What a session left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// Before it and after it.
    pub traces: (Traces, Traces),
    /// Modules that were imported meanwhile, by us or by the program.
    pub modules: Vec<String>,
}

impl Traces {
    fn of(process: &Process) -> Self {
        let files = std::fs::read_dir(process.path("fd")).map_or(0, Iterator::count);
        Self { threads: process.tids().len(), files }
    }
}

impl Session {
    /// Gets into process `pid`, waiting `patience` for a moment in which that can be done.
    ///
    /// # Errors
    /// If it cannot be done; the sentence says whether anything was changed.
    pub fn open(process: Process, patience: Duration) -> Result<Self, Refusal> {
        let before = Traces::of(&process);
        let subject = Subject::of(process.clone())?;
        let (channel, injected) = inject(&subject, patience)?;
        Ok(Self { channel, injected, before, process })
    }

    /// Runs `source`, which tracebacks call `name`; what it prints goes to `output`. After
    /// `patience`, or as soon as `stop` says so, it is interrupted.
    ///
    /// # Errors
    /// If the target goes away.
    pub fn run(
        &mut self,
        source: &str,
        name: &str,
        patience: Option<Duration>,
        stop: &dyn Fn() -> bool,
        output: &mut dyn FnMut(&str),
    ) -> Result<Ended, Refusal> {
        self.ask(b'X', source, name, patience, stop, output)
    }

    /// Runs a console's lines, with the value of an expression printed.
    ///
    /// # Errors
    /// If the target goes away.
    pub fn interact(
        &mut self,
        lines: &str,
        stop: &dyn Fn() -> bool,
        output: &mut dyn FnMut(&str),
    ) -> Result<Ended, Refusal> {
        self.ask(b'I', lines, "<console>", None, stop, output)
    }

    fn ask(
        &mut self,
        kind: u8,
        source: &str,
        name: &str,
        patience: Option<Duration>,
        stop: &dyn Fn() -> bool,
        output: &mut dyn FnMut(&str),
    ) -> Result<Ended, Refusal> {
        let name = name.replace('\n', " ");
        self.channel.send(kind, &format!("{name}\n{source}")).map_err(Refusal::Lost)?;
        let begun = Instant::now();
        let mut interrupted: Option<Instant> = None;
        loop {
            match self.channel.receive(Some(TURN)) {
                Ok((b'O', text)) => output(&text),
                Ok((b'D', answer)) => {
                    return Ok(match answer.parse() {
                        _ if interrupted.is_some() => Ended::Interrupted,
                        Ok(status) => Ended::Status(status),
                        Err(_) => Ended::More,
                    });
                }
                Ok(_) => return Err(Refusal::Lost(io::ErrorKind::InvalidData.into())),
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {}
                Err(error) => return Err(Refusal::Lost(error)),
            }
            if let Some(since) = interrupted {
                if since.elapsed() > LAST {
                    return Ok(Ended::GoesOn);
                }
            } else if stop() || patience.is_some_and(|patience| begun.elapsed() > patience) {
                self.channel.send(b'K', "").map_err(Refusal::Lost)?;
                interrupted = Some(Instant::now());
            }
        }
    }

    /// What a word that was begun can become.
    ///
    /// # Errors
    /// If the target goes away.
    pub fn completions(&mut self, word: &str) -> Result<Vec<String>, Refusal> {
        self.channel.send(b'C', word).map_err(Refusal::Lost)?;
        match self.channel.receive(Some(Duration::from_secs(2))).map_err(Refusal::Lost)? {
            (b'L', words) => Ok(words.lines().map(str::to_owned).collect()),
            _ => Err(Refusal::Lost(io::ErrorKind::InvalidData.into())),
        }
    }

    /// Leaves, and says what is not as it was.
    ///
    /// # Errors
    /// If the target goes away.
    pub fn leave(mut self) -> Result<Left, Refusal> {
        self.channel.send(b'Q', "").map_err(Refusal::Lost)?;
        let modules = loop {
            match self.channel.receive(Some(Duration::from_secs(5))).map_err(Refusal::Lost)? {
                (b'B', names) => break names,
                (b'O', _) => {}
                _ => return Err(Refusal::Lost(io::ErrorKind::InvalidData.into())),
            }
        };
        drop(self.channel);
        // Its two threads end as soon as they see that.
        let until = Instant::now() + Duration::from_secs(1);
        let mut after = Traces::of(&self.process);
        while after != self.before && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(2));
            after = Traces::of(&self.process);
        }
        let modules = modules.lines().map(str::to_owned).collect();
        Ok(Left { traces: (self.before, after), modules })
    }
}
