//! `memwhy demo`: what does all this look like on a service whose memory stays?
//!
//! Starts a small Python program (`workloads/demo.py`, carried in the binary), explains it, applies
//! the cure that the verdict names, and explains it again. The program ends with its standard
//! input, so it does not outlive us whatever we die of.

use super::failure::Failure;
use super::output::{ColorChoice, Out};
use crate::Options;
use clap::Args;
use memwhy_model::Bytes;
use memwhy_report::Style;
use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

const PROGRAM: &str = include_str!("../../../../workloads/demo.py");

/// See the [module](self).
#[derive(Debug, Args)]
pub(super) struct Demo {
    /// Interpreter to run the service with
    #[arg(long, value_name = "PATH", default_value = "python3")]
    python: PathBuf,
    /// When to use colours
    #[arg(long, value_enum, default_value_t = ColorChoice::Auto)]
    color: ColorChoice,
}

impl Demo {
    pub(super) fn run(self, out: &mut Out) -> Result<u8, Failure> {
        eprintln!("starting a service with {}: 16 threads, 160 requests", self.python.display());
        let mut service = Service::start(&self.python)?;
        service.line()?;
        let terminal = std::io::stdout().is_terminal();
        let style = Style { color: self.color.wanted(terminal), width: 100 };

        eprintln!("\n$ memwhy {}\n", service.pid());
        let before = crate::capture(service.pid(), &Options::default())?;
        out.text(&memwhy_report::text::explain(&before, &crate::explain(&before), style));
        out.flush()?;

        if before.mimalloc.is_some() {
            service.ask("ping")?;
            eprintln!(
                "\nwithout GIL objects of all sizes are in mimalloc, which malloc_trim does not reach: \
                 there is no cure to show. The service still answers; ending it"
            );
            return Ok(0);
        }
        eprintln!("\nnow the first cure: the service calls malloc_trim(0) on itself\n");
        let predicted =
            before.malloc.as_ref().and_then(|m| m.glibc.as_ref()).map(|g| g.trim_returns);
        let reply = service.ask("trim")?;
        let number = |key: &str| reply.get(key).and_then(serde_json::Value::as_u64).map(Bytes::kib);
        let returned =
            number("before_rss_kib").zip(number("after_rss_kib")).map(|(b, a)| b.minus(a));
        if let (Some(predicted), Some(returned)) = (predicted, returned) {
            out.text(&format!("predicted {predicted}, returned {returned}"));
        }
        let after = crate::capture(service.pid(), &Options::default())?;
        out.text(&format!("\n$ memwhy {}\n", service.pid()));
        out.text(&memwhy_report::text::explain(&after, &crate::explain(&after), style));
        out.flush()?;
        service.ask("ping")?;
        eprintln!("\nthe service still answers; ending it");
        Ok(0)
    }
}

/// The running program.
struct Service {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Service {
    fn start(python: &PathBuf) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| Failure::Other {
            what: format!("cannot start {}: {error}", python.display()),
            advice: "name an interpreter: memwhy demo --python /usr/bin/python3".into(),
        };
        let mut child = Command::new(python)
            .args(["-c", PROGRAM])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(failed(std::io::Error::other("no pipes")));
        };
        Ok(Self { child, stdin, stdout: BufReader::new(stdout) })
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line that the service prints.
    fn line(&mut self) -> Result<String, Failure> {
        let mut line = String::new();
        match self.stdout.read_line(&mut line) {
            Ok(n) if n > 0 => Ok(line),
            _ => Err(Failure::Other {
                what: "the demo service ended early".into(),
                advice: "it needs CPython 2.7, or 3.6 or newer: memwhy demo --python PATH".into(),
            }),
        }
    }

    fn ask(&mut self, command: &str) -> Result<serde_json::Value, Failure> {
        let sent = writeln!(self.stdin, "{command}").and_then(|()| self.stdin.flush());
        sent.map_err(|error| Failure::Write { path: None, error })?;
        Ok(serde_json::from_str(&self.line()?).unwrap_or_default())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Ours, by handle: it cannot be another process.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
