//! Does the report keep to its schema?
//!
//! A walk over as much of JSON Schema as the schema uses; the whole of it is checked elsewhere,
//! with a validator.

mod cases;

use memwhy_model::{Owner, ProblemKind};
use memwhy_reason::HYPOTHESES;
use memwhy_report::json;
use serde_json::Value;

fn schema() -> Value {
    serde_json::from_str(include_str!("../../../schema/memwhy.report-1.schema.json"))
        .expect("the schema is JSON")
}

/// The schema itself, or what its `$ref` names.
fn resolved<'a>(root: &'a Value, node: &'a Value) -> &'a Value {
    let Some(name) = node["$ref"].as_str() else { return node };
    let target = root.pointer(name.trim_start_matches('#'));
    target.unwrap_or_else(|| panic!("{name} is not defined"))
}

fn faults(root: &Value, node: &Value, value: &Value, path: &str, faults_out: &mut Vec<String>) {
    let node = resolved(root, node);
    let mut fault = |what: String| faults_out.push(format!("{path}: {what}"));
    if let Some(constant) = node.get("const")
        && constant != value
    {
        fault(format!("is not {constant}"));
    }
    if let Some(allowed) = node["enum"].as_array()
        && !allowed.contains(value)
    {
        fault(format!("{value} is none of {allowed:?}"));
    }
    let fits = match node["type"].as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_u64() || value.is_i64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        Some(other) => panic!("{path}: type {other} is not known here"),
        None => true,
    };
    if !fits {
        fault(format!("{value} is not of type {}", node["type"]));
    }
    if let Some(object) = value.as_object() {
        assert_eq!(node["additionalProperties"], false, "{path}: is not closed");
        for name in node["required"].as_array().expect("required keys") {
            if !object.contains_key(name.as_str().expect("a key")) {
                fault(format!("{name} is missing"));
            }
        }
        for (key, inner) in object {
            match node["properties"].get(key) {
                Some(schema) => faults(root, schema, inner, &format!("{path}.{key}"), faults_out),
                None => faults_out.push(format!("{path}.{key}: is not in the schema")),
            }
        }
    }
    for (at, inner) in value.as_array().into_iter().flatten().enumerate() {
        faults(root, &node["items"], inner, &format!("{path}[{at}]"), faults_out);
    }
}

#[test]
fn every_key_that_is_written_is_in_the_schema() {
    let schema = schema();
    let all = [
        cases::retention(),
        cases::fragmented_pools(),
        cases::growing_dict(),
        cases::ordinary(),
        cases::withheld(),
        memwhy_model::Case::default(),
    ];
    for case in all {
        let report = json::report(&case, &memwhy_reason::explain(&case));
        let mut found = Vec::new();
        faults(&schema, &schema, &report, "report", &mut found);
        assert!(found.is_empty(), "{found:#?}");
    }
}

#[test]
fn a_key_that_is_not_in_the_schema_is_found() {
    let (schema, case) = (schema(), cases::retention());
    let mut report = json::report(&case, &memwhy_reason::explain(&case));
    report["verdict"]["guess"] = "x".into();
    report["rss"]["total_bytes"] = "515 MB".into();
    let mut found = Vec::new();
    faults(&schema, &schema, &report, "report", &mut found);
    assert_eq!(found.len(), 2, "{found:#?}");
}

#[test]
fn every_id_is_in_the_schema() {
    let schema = schema();
    let has = |list: &Value, id: &str| list.as_array().expect("a list").iter().any(|one| one == id);
    for hypothesis in HYPOTHESES {
        assert!(has(&schema["$defs"]["cause"]["enum"], hypothesis.id()), "{}", hypothesis.id());
    }
    for owner in Owner::ALL {
        let known = has(&schema["$defs"]["owner"]["anyOf"][0]["enum"], owner.id());
        assert!(known || owner.id().starts_with("allocator."), "{}", owner.id());
    }
    let kinds = [
        ProblemKind::UnreadablePointer,
        ProblemKind::AbsurdLength,
        ProblemKind::BrokenList,
        ProblemKind::TornPool,
        ProblemKind::BrokenMallocHeap,
        ProblemKind::TornRead,
        ProblemKind::OwnersConflict,
        ProblemKind::LayoutDisagrees,
        ProblemKind::CalibrationFailed,
        ProblemKind::KernelRefused,
        ProblemKind::ThreadNotStopped,
        ProblemKind::ResidencyMismatch,
    ];
    for kind in kinds {
        let known = &schema["$defs"]["problem"]["properties"]["kind"]["enum"];
        assert!(has(known, kind.id()), "{}", kind.id());
    }
}
