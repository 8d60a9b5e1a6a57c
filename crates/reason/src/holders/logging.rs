//! Rule: handlers added to one logger again and again, or a logger with a name of its own for each
//! request.

use super::scene::{Scene, called, in_brackets};
use super::{Known, Rule};
use crate::wording::count;
use memwhy_model::{ObjectId, SourcePlace};

/// Nobody has so many handlers on one logger. Of loggers a large program has as many as modules;
/// that they keep much is what tells these.
const MANY: u64 = 20;
const MANY_LOGGERS: usize = 100;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Logging;

impl Rule for Logging {
    fn id(&self) -> &'static str {
        "logging"
    }

    fn find(&self, scene: &Scene<'_>) -> Vec<Known> {
        let handlers = scene.heavy_of(&["list"]).filter_map(|list| handlers(scene, list));
        let mut found: Vec<Known> = handlers.collect();
        found.extend(loggers(scene));
        found
    }
}

/// A list of handlers of one logger.
fn handlers(scene: &Scene<'_>, list: ObjectId) -> Option<Known> {
    let way = scene.way(list);
    let logger =
        way.iter().rev().skip(1).take(2).find(|id| scene.kind(**id).ends_with("Logger"))?;
    let many = scene.len(list);
    if many < MANY {
        return None;
    }
    let class = scene.common_origin(scene.members(list), |_| 1);
    let adds = adds(scene, list);
    let place = adds.or(class);
    let name = name_of(scene, *logger);
    let holder = scene.holder(list, place);
    let by = adds.map_or_else(String::new, |place| format!("; {} adds them", called(&place)));
    Some(Known {
        rule: "logging",
        sentence: format!(
            "logger {name} has {}{}, {}: each line is written once for each of them{by}",
            count(many, "handler"),
            in_brackets(class.as_ref()),
            holder.bytes
        ),
        cure: format!("add a handler to {name} once, or remove it when done (removeHandler)"),
        holder,
    })
}

/// Who adds them: of all who add handlers, first those who also name the class of these.
fn adds<'a>(scene: &Scene<'a>, list: ObjectId) -> Option<SourcePlace<'a>> {
    let class = scene.members(list).first().map(|id| scene.kind(*id));
    let class = class.and_then(|name| name.rsplit('.').next()).unwrap_or_default();
    let makers = scene.users_of(class);
    let mut all = scene.users_of("addHandler");
    all.retain(|place| !scene.is_library(place));
    let both = all.iter().position(|place| makers.contains(place)).unwrap_or(0);
    all.get(both).copied()
}

fn name_of(scene: &Scene<'_>, logger: ObjectId) -> String {
    let attributes = scene.references(logger).iter().copied();
    let dict = scene.first_of(logger, &["dict"]);
    let all = attributes.chain(dict.into_iter().flat_map(|dict| scene.members(dict)));
    let mut names = all.filter(|id| scene.kind(*id) == "str");
    names.find_map(|id| scene.preview(id)).unwrap_or_else(|| "(no name)".into())
}

/// More loggers than a program has modules.
fn loggers(scene: &Scene<'_>) -> Option<Known> {
    let loggers = scene.all(|name| name.starts_with("logging.") && name.ends_with("Logger"));
    if loggers.len() < MANY_LOGGERS {
        return None;
    }
    let bytes = scene.retained_by(&loggers);
    let first = *loggers.get(loggers.len() / 2)?;
    let asks = scene.users_of("getLogger");
    let place = asks.into_iter().find(|p| !scene.is_library(p) && p.function != "<module>");
    let by = place.map_or_else(String::new, |place| format!("; {} asks for them", called(&place)));
    let mut holder = scene.holder(first, place);
    holder.path = Some("logging.root.manager.loggerDict".into());
    (holder.bytes, holder.objects) = (bytes, loggers.len() as u64);
    Some(Known {
        rule: "logging",
        sentence: format!(
            "{}, each with a name of its own such as {}, are kept by logging for ever: {bytes}{by}",
            count(loggers.len() as u64, "logger"),
            name_of(scene, first)
        ),
        cure: "name loggers after modules, and put what changes into the message".into(),
        holder,
    })
}

#[cfg(test)]
mod tests {
    use crate::holders::Known;
    use crate::holders::stage::Stage;
    use memwhy_model::ObjectId;

    fn known(many: usize) -> Option<Known> {
        let mut stage = Stage::default();
        stage.function("handle", 15, &["addHandler", "StreamHandler"]);
        let handlers: Vec<ObjectId> =
            stage.objects(many, "logging.StreamHandler", (8 << 10) / many as u64);
        let handlers = stage.object("builtins.list", 0, &handlers);
        let name = stage.word("app.requests");
        let attributes = stage.attributes(&[("name", name), ("handlers", handlers)]);
        let logger = stage.object("logging.Logger", 0, &[attributes]);
        stage.name("LOG", logger);
        stage.known("logging")
    }

    #[test]
    fn handlers_of_one_logger_are_named_with_who_adds_them() {
        let known = known(64).expect("nobody wants so many");
        assert!(known.sentence.starts_with("logger 'app.requests' has 64 handlers"), "{known:?}");
        assert!(known.sentence.ends_with("handle() (app.py:15) adds them"), "{known:?}");
    }

    #[test]
    fn a_logger_may_have_some_handlers() {
        assert_eq!(known(4), None);
    }
}
