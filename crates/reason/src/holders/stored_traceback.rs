//! Rule: exceptions that are kept, with their tracebacks, whose frames keep all their variables.

use super::scene::{Scene, called};
use super::{Known, Rule};
use crate::wording::count;
use memwhy_model::{Bytes, ObjectId, SourcePlace};
use std::collections::{HashMap, HashSet};

/// See the [module](self).
#[derive(Debug)]
pub(super) struct StoredTraceback;

impl Rule for StoredTraceback {
    fn id(&self) -> &'static str {
        "stored-traceback"
    }

    fn find(&self, scene: &Scene<'_>) -> Vec<Known> {
        known(scene).into_iter().collect()
    }
}

fn known(scene: &Scene<'_>) -> Option<Known> {
    let steps = scene.all(|name| name == "traceback");
    if steps.is_empty() {
        return None;
    }
    let bytes = scene.retained_by(&steps);
    if !scene.much(bytes) {
        return None;
    }
    // The frame that keeps most, and the tracebacks that no other one goes on from.
    let mut places: HashMap<SourcePlace<'_>, Bytes> = HashMap::new();
    let mut inner: HashSet<ObjectId> = HashSet::new();
    for step in &steps {
        inner.extend(scene.first_of(*step, &["traceback"]));
        let frame = scene.first_of(*step, &["frame"]);
        if let Some(place) = scene.ask.case().places.of(*step) {
            let kept = frame.map_or(Bytes(0), |frame| scene.retained(frame));
            *places.entry(place).or_insert(Bytes(0)) += kept;
        }
    }
    let place = places.into_iter().max_by_key(|(_, bytes)| *bytes).map(|(place, _)| place);
    let outer: Vec<ObjectId> = steps.iter().copied().filter(|step| !inner.contains(step)).collect();
    let biggest = outer.iter().copied().max_by_key(|step| scene.retained(*step))?;
    let way = scene.way(biggest);
    // Whatever has the exceptions: the last on the way that has many of them, or the way's end.
    let keeper = way.iter().rev().skip(1).copied().find(|id| scene.is_container(*id));
    let path = scene.path(biggest);
    let mut holder = scene.holder(keeper.unwrap_or(biggest), place);
    holder.path = Some(path.clone());
    (holder.bytes, holder.objects) = (bytes, outer.len() as u64);
    let of = place
        .map_or_else(|| "their frames".into(), |place| format!("the frames of {}", called(&place)));
    Some(Known {
        rule: "stored-traceback",
        sentence: format!(
            "{} kept ({path}): {of} keep their variables, {bytes} in all",
            count(outer.len() as u64, "traceback"),
        ),
        cure: "store str(error) or traceback.format_exception(), or call traceback.clear_frames()"
            .into(),
        holder,
    })
}

#[cfg(test)]
mod tests {
    use crate::holders::Known;
    use crate::holders::stage::Stage;

    fn known(kib: u64) -> Option<Known> {
        let mut stage = Stage::default();
        let rows = stage.object("builtins.bytearray", kib, &[]);
        let frame = stage.object("builtins.frame", 0, &[rows]);
        let traceback = stage.object("builtins.traceback", 0, &[frame]);
        stage.place(traceback, "handle", 33);
        let error = stage.object("builtins.ValueError", 0, &[traceback]);
        let errors = stage.object("builtins.list", 0, &[error]);
        stage.name("ERRORS", errors);
        stage.known("stored-traceback")
    }

    #[test]
    fn a_frame_that_an_error_keeps_is_named_with_its_line() {
        let known = known(8 << 10).expect("its variables are kept");
        assert!(known.sentence.contains("the frames of handle() (app.py:33) keep"), "{known:?}");
    }

    #[test]
    fn an_error_with_little_around_it_is_none() {
        assert_eq!(known(100), None);
    }
}
