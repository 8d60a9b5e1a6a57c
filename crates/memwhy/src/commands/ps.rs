//! `memwhy ps`: which Python processes are there, and who forked whom?

use super::failure::Failure;
use super::output::Out;
use clap::Args;
use memwhy_model::Bytes;
use memwhy_target::Process;
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// See the [module](self).
#[derive(Debug, Args)]
pub(super) struct Ps {
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

/// One process, by what `/proc` shows of it.
struct Row {
    pid: u32,
    parent: u32,
    version: String,
    rss: Bytes,
    /// Unknown without the right to read smaps.
    pss: Option<Bytes>,
    private: Option<Bytes>,
    threads: usize,
    cgroup: String,
    command: String,
}

impl Ps {
    pub(super) fn run(self, out: &mut Out) -> Result<u8, Failure> {
        let entries = std::fs::read_dir("/proc").map_err(|error| Failure::Other {
            what: format!("cannot list /proc: {error}"),
            advice: "mount proc, or run memwhy where it is mounted".into(),
        })?;
        let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let rows: BTreeMap<u32, Row> = pids.filter_map(row).map(|row| (row.pid, row)).collect();
        if self.json {
            out.json(&as_json(&rows));
        } else {
            out.text(&as_text(&rows));
        }
        Ok(0)
    }
}

fn row(pid: u32) -> Option<Row> {
    let process = Process::open(pid).ok()?;
    let version = python_version(&process)?;
    let (pss, private) = match process.rollup() {
        Some((pss, private)) => (Some(pss), Some(private)),
        None => (None, None),
    };
    Some(Row {
        pid,
        parent: process.parent().unwrap_or(0),
        version,
        rss: process.quick_rss(),
        pss,
        private,
        threads: process.tids().len(),
        cgroup: process.cgroup().map(|group| group.path).unwrap_or_default(),
        command: process.command().join(" "),
    })
}

/// `3.11`, by the files that the process has mapped; without that right, by its program's name.
fn python_version(process: &Process) -> Option<String> {
    let exe = process.exe();
    let named = |path: &str| {
        let file = path.trim_end_matches(" (deleted)").rsplit('/').next()?.to_owned();
        let rest = file.strip_prefix("libpython").or_else(|| file.strip_prefix("python"))?;
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let version = rest.get(..end)?.trim_end_matches('.').to_owned();
        let named_so = version.is_empty() || version.starts_with(['2', '3']);
        named_so.then_some(version)
    };
    let maps = process.maps().map(|maps| maps.0).unwrap_or_default();
    let mapped = maps
        .iter()
        .filter(|m| m.facts.file)
        .find_map(|mapping| named(&mapping.facts.name).filter(|version| version.contains('.')));
    mapped.or_else(|| named(&exe)).or_else(|| {
        // Without the right to see either: the name that it goes by.
        let program = process.command().first().cloned().unwrap_or_default();
        if exe.is_empty() && maps.is_empty() { named(&program) } else { None }
    })
}

fn as_text(rows: &BTreeMap<u32, Row>) -> String {
    let mut text = format!(
        "{:>8}  {:<7} {:>10} {:>10} {:>10} {:>4}  {}\n",
        "PID", "PYTHON", "RSS", "PSS", "PRIVATE", "THR", "COMMAND"
    );
    for row in rows.values().filter(|row| !rows.contains_key(&row.parent)) {
        branch(rows, row, 0, &mut text);
    }
    if rows.is_empty() {
        text = "no Python process is visible from here\n".into();
    }
    text
}

/// One process and, indented below it, those it forked.
fn branch(rows: &BTreeMap<u32, Row>, row: &Row, depth: usize, text: &mut String) {
    let amount = |bytes: Option<Bytes>| bytes.map_or_else(|| "-".into(), |b| b.to_string());
    let command: String = row.command.chars().take(80).collect();
    let command = command.replace(char::is_control, "?");
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "{:>8}  {:<7} {:>10} {:>10} {:>10} {:>4}  {:indent$}{command}",
        row.pid,
        if row.version.is_empty() { "?" } else { &row.version },
        row.rss.to_string(),
        amount(row.pss),
        amount(row.private),
        row.threads,
        "",
        indent = depth * 2,
    );
    // A parent has a smaller depth than its children, and pids of a loop cannot be printed twice.
    if depth < 32 {
        for child in rows.values().filter(|child| child.parent == row.pid && child.pid != row.pid) {
            branch(rows, child, depth + 1, text);
        }
    }
}

fn as_json(rows: &BTreeMap<u32, Row>) -> serde_json::Value {
    let processes: Vec<_> = rows
        .values()
        .map(|row| {
            json!({
                "pid": row.pid,
                "parent": row.parent,
                "python": row.version,
                "rss_bytes": row.rss.0,
                "pss_bytes": row.pss.map(|b| b.0),
                "private_bytes": row.private.map(|b| b.0),
                "threads": row.threads,
                "cgroup": row.cgroup,
                "command": row.command,
            })
        })
        .collect();
    json!({ "schema": "memwhy.ps/1", "processes": processes })
}
