//! Rule: classes that are made anew again and again by the same lines of code.

use super::scene::{Scene, called};
use super::{Known, Rule};
use crate::wording::count;
use memwhy_model::{ObjectId, SourcePlace};
use std::collections::HashMap;

/// So many classes from one place are not written by hand.
const MANY: usize = 100;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct DynamicClasses;

impl Rule for DynamicClasses {
    fn id(&self) -> &'static str {
        "dynamic-classes"
    }

    fn find(&self, scene: &Scene<'_>) -> Vec<Known> {
        let mut places: HashMap<SourcePlace<'_>, Vec<ObjectId>> = HashMap::new();
        for class in scene.classes() {
            if let Some(place) = scene.origin(class) {
                places.entry(place).or_default().push(class);
            }
        }
        places.into_iter().filter_map(|(place, classes)| known(scene, &place, &classes)).collect()
    }
}

fn known(scene: &Scene<'_>, place: &SourcePlace<'_>, classes: &[ObjectId]) -> Option<Known> {
    if classes.len() < MANY {
        return None;
    }
    let bytes = scene.retained_by(classes);
    let first = *classes.first()?;
    let mut holder = scene.holder(first, Some(*place));
    (holder.bytes, holder.objects) = (bytes, classes.len() as u64);
    let name = scene.preview(first).unwrap_or_else(|| "classes".into());
    Some(Known {
        rule: "dynamic-classes",
        sentence: format!(
            "{} like {name} with the same {}: {bytes}",
            count(classes.len() as u64, "class").replace("classs", "classes"),
            called(place)
        ),
        cure: format!("make the class of {} once, or keep it by its key", called(place)),
        holder,
    })
}

#[cfg(test)]
mod tests {
    use crate::holders::Known;
    use crate::holders::stage::Stage;
    use memwhy_model::ObjectId;

    /// So many classes, the methods of which are from one line.
    fn known(many: usize) -> Option<Known> {
        let mut stage = Stage::default();
        let made: Vec<ObjectId> = (0..many)
            .map(|n| {
                let class = stage.class(&format!("app.Row{n}"), 30);
                let own = stage.object("builtins.bytearray", 64, &[]);
                stage.refer(class, own);
                class
            })
            .collect();
        let made = stage.object("builtins.list", 0, &made);
        stage.name("MADE", made);
        stage.known("dynamic-classes")
    }

    #[test]
    fn classes_that_one_place_makes_again_and_again_are_named_with_it() {
        let known = known(150).expect("many");
        assert!(known.sentence.starts_with("150 classes like"), "{known:?}");
        assert_eq!((known.holder.line, known.holder.objects), (Some(30), 150));
    }

    #[test]
    fn a_program_has_some_classes_of_a_kind() {
        assert_eq!(known(90), None);
    }
}
