//! Do `DuckDB` and pandas read a snapshot, and do the recipes of the documents say what memwhy says?
//!
//! The recipes are taken out of `docs/snapshot.md` and run as they stand there.

mod binary;

use binary::json;
use memwhy_testkit::tools::venv;
use memwhy_testkit::{Turn, Workload, interpreters, require, script};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Reads one recipe a line, as JSON, and answers each with its rows, as JSON.
const READER: &str = r#"
import json, sys
import duckdb
for line in sys.stdin:
    kind, text = json.loads(line)
    if kind == "sql":
        rows = duckdb.sql(text).fetchall()
    else:
        names = {}
        exec(text, names)
        rows = names["answer"].reset_index().values.tolist()
    print(json.dumps([[str(cell) if isinstance(cell, str) else cell for cell in row] for row in rows],
                     default=int), flush=True)
"#;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The recipes: kind, and text with the folder in it.
fn recipes(folder: &str) -> Vec<(String, String)> {
    let path = root().join("docs/snapshot.md");
    let text = std::fs::read_to_string(path).expect("the document is there");
    let blocks = text.split("```").skip(1).step_by(2);
    let recipes = blocks.filter_map(|block| {
        let (kind, text) = block.split_once('\n')?;
        let known = ["sql", "python"].contains(&kind);
        known.then(|| (kind.to_owned(), text.replace("DIR", folder)))
    });
    recipes.collect()
}

/// Types by name: objects and footprint.
fn by_name(rows: &Value) -> BTreeMap<String, (u64, u64)> {
    let row = |row: &Value| {
        let number = |at: usize| row[at].as_f64().expect("a number");
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts")]
        let pair = (number(1) as u64, number(2) as u64);
        (row[0].as_str().expect("a name").to_owned(), pair)
    };
    rows.as_array().expect("rows").iter().map(row).collect()
}

#[test]
fn the_recipes_say_what_memwhy_says() {
    let Some(venv) = venv("parquet-venv", None) else { return };
    let reader = venv.join("bin/python");
    let found = || require(&["3"]).first().copied();
    let target = interpreters().iter().find(|one| one.answers_to("3.11")).or_else(found);
    let Some(target) = target else { return };
    let _turn = Turn::take(Path::new(env!("CARGO_TARGET_TMPDIR")));
    let workload = Workload::start(&target.path, &script("pymalloc_fragments.py"), &[]);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("recipes.memwhy");
    // Left there by a run that was killed.
    let _ = std::fs::remove_dir_all(&folder);
    let folder = folder.display().to_string();
    json(&["snap", &workload.pid().to_string(), "-o", &folder, "--json"]);

    let mut child = Command::new(reader)
        .args(["-c", READER])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python runs");
    let recipes = recipes(&folder);
    let mut stdin = child.stdin.take().expect("a pipe");
    for recipe in &recipes {
        writeln!(stdin, "{}", serde_json::to_string(recipe).expect("JSON")).expect("it listens");
    }
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).expect("text");
    let answers: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(answers.len(), recipes.len());
    let answer = |begins: &str| {
        let at = recipes.iter().position(|(_, text)| text.starts_with(begins));
        &answers[at.unwrap_or_else(|| panic!("no recipe {begins}"))]
    };

    let heap = json(&["heap", &folder, "--json", "--top", "100000"]);
    let types = heap["heap"]["types"].as_array().expect("types").iter();
    let ours: BTreeMap<String, (u64, u64)> = types
        .map(|ty| {
            let number = |key: &str| ty[key].as_u64().expect("a number");
            let name = ty["type"].as_str().expect("a name").to_owned();
            (name, (number("count"), number("footprint_bytes")))
        })
        .collect();
    assert_eq!(by_name(answer("-- types")), ours);
    assert_eq!(by_name(answer("import pandas")), ours);

    let report = json(&[&folder, "--json"]);
    let owners = answer("-- owners").as_array().expect("rows").iter();
    let sum: u64 = owners.map(|row| row[1].as_u64().expect("a number")).sum();
    assert_eq!(Some(sum), report["rss"]["total_bytes"].as_u64());

    let edges = answer("-- ways").as_array().expect("rows").iter();
    let sum: u64 = edges.map(|row| row[1].as_u64().expect("a number")).sum();
    assert_eq!(Some(sum), heap["heap"]["references"].as_u64());
    let referrers = answer("-- referrers").as_array().expect("rows");
    assert!(referrers.len() >= 10, "{referrers:?}");
    std::fs::remove_dir_all(&folder).expect("it is there");
}
