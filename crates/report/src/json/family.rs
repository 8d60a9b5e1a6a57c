//! A process and its children, for programs.

use memwhy_model::Bytes;
use memwhy_reason::family::{Family, Member};
use serde_json::{Value, json};

/// The format of `memwhy PID --children --json`.
pub(super) const FAMILY: &str = "memwhy.family/1";

/// What `memwhy PID --children --json` prints.
#[must_use]
pub fn family(family: &Family) -> Value {
    let owners = |owners: &[(memwhy_model::Owner, Bytes)]| -> Vec<Value> {
        let row = |(owner, bytes): &(memwhy_model::Owner, Bytes)| json!({ "owner": owner.id(), "pss_bytes": bytes.0 });
        owners.iter().map(row).collect()
    };
    let member = |one: &Member| {
        let mut out = json!({
            "pid": one.pid,
            "parent": one.parent,
            "command": one.command,
            "rss_bytes": one.rss.0,
            "pss_bytes": one.pss.0,
            "private_bytes": one.private.0,
            "swapped_bytes": one.swap.0,
            "owners": owners(&one.owners),
            "unexplained_bytes": one.unexplained.0,
            "explains_bytes": one.explains.0,
            "summary": one.summary,
        });
        // What is not known is not there.
        if let (Some(fields), Some(cause)) = (out.as_object_mut(), one.cause) {
            fields.insert("cause".into(), cause.into());
        }
        if let (Some(fields), Some(python)) = (out.as_object_mut(), &one.python) {
            fields.insert("python".into(), python.as_str().into());
        }
        out
    };
    json!({
        "schema": FAMILY,
        "memwhy": env!("CARGO_PKG_VERSION"),
        "processes": family.members.iter().map(member).collect::<Vec<_>>(),
        "unread": family.unread.iter().map(|(pid, why)| json!({ "pid": pid, "why": why }))
            .collect::<Vec<_>>(),
        "total": {
            "rss_bytes": family.sum(|one| one.rss).0,
            "pss_bytes": family.sum(|one| one.pss).0,
            "private_bytes": family.sum(|one| one.private).0,
            "swapped_bytes": family.sum(|one| one.swap).0,
            "owners": owners(&family.owners()),
            "unexplained_bytes": family.unexplained().0,
            "causes": family.causes().iter().map(|one| json!({
                "cause": one.cause,
                "processes": one.members,
                "explains_bytes": one.explains.0,
            })).collect::<Vec<_>>(),
        },
    })
}
