//! A heap made by hand, and where snapshots of it go.

use memwhy_model::{
    Addr, Case, Details, Finalizer, Flags, HeapBuilder, HeapGraph, Label, ObjectId, PreviewLength,
    Root, RootKind, TypeId, TypeRow,
};
use memwhy_store::{Values, write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Answers as a process would.
#[derive(Debug)]
pub(super) struct Answers;

/// What holds one of each way to refer.
pub(super) const HOLDER: ObjectId = ObjectId(0);
/// A function with two captured variables.
pub(super) const FUNCTION: ObjectId = ObjectId(1);

/// How `HOLDER` refers to what it does.
pub(super) fn labels() -> Vec<Label> {
    vec![
        Label::Attribute("rows".into()),
        Label::IsKey,
        Label::Key("'body'".into()),
        Label::IsKey,
        Label::Key("'ada@example.org'".into()),
        Label::Index(70_000),
        Label::Element,
        Label::Local("request".into()),
        Label::Captured("size".into()),
        Label::Field("__dict__".into()),
        Label::Word(48),
    ]
}

impl Details for Answers {
    fn preview(
        &self,
        _heap: &HeapGraph,
        object: ObjectId,
        length: PreviewLength,
    ) -> Option<String> {
        let long = "x".repeat(150);
        let more = if object.0.is_multiple_of(2) { long.as_str() } else { "" };
        let text = format!("'secret {} {more}'", object.0);
        (object != HOLDER).then(|| text.chars().take(length.characters()).collect())
    }

    fn labels(&self, _heap: &HeapGraph, object: ObjectId) -> Vec<Label> {
        if object == HOLDER { labels() } else { Vec::new() }
    }

    fn captured(&self, _heap: &HeapGraph, function: ObjectId) -> Vec<String> {
        if function == FUNCTION { vec!["size".into(), "rows".into()] } else { Vec::new() }
    }
}

/// `objects` objects: one that refers in every way, a function, and strings, of which each refers
/// to the one before.
pub(super) fn heap(objects: u32) -> HeapGraph {
    let mut heap = HeapBuilder::default();
    for n in 0..objects {
        let ty = TypeId(n.min(2));
        let flags = if n % 3 == 0 { Flags::TRACKED } else { Flags::default() };
        heap.push(Addr(0x7f00_0000_0000 + u64::from(n) * 48), ty, 48, flags);
    }
    heap.seal_objects();
    for n in 0..objects {
        // One beyond what 32 bits hold.
        let buffers = if n == 3 { 5 << 30 } else { 0 };
        heap.set_size(ObjectId(n), 48, 41 + u64::from(n % 7), buffers);
        if n % 2 == 0 {
            heap.set_reference_count(ObjectId(n), u64::from(n % 5));
        }
        if n == 0 {
            heap.push_references((0..labels().len()).map(|_| ObjectId(objects - 1)));
        } else {
            heap.push_references((n > 2).then(|| ObjectId(n - 1)));
        }
    }
    heap.roots([
        Root {
            kind: RootKind::Modules,
            name: "sys.modules['app'].ROWS".into(),
            object: HOLDER,
            file: Some("/srv/app.py".into()),
            line: Some(7),
        },
        Root {
            kind: RootKind::CGlobal,
            name: "libapp.so: cache".into(),
            object: ObjectId(objects - 1),
            file: None,
            line: None,
        },
    ]);
    let ty = |name: &str, addr: u64| TypeRow {
        addr: Addr(addr),
        name: name.into(),
        collected: true,
        ..TypeRow::default()
    };
    let finalizer = Some(Finalizer::Del);
    let library = Some("/usr/lib/app.so".into());
    heap.finish(vec![
        TypeRow { finalizer, library, ..ty("app.Holder", 0x10) },
        ty("builtins.function", 0x20),
        ty("builtins.str", 0x30),
    ])
}

/// `case` with a heap of so many objects.
pub(super) fn with_heap(case: Case, objects: u32) -> Case {
    Case { heap: Some(heap(objects)), details: Some(Arc::new(Answers)), ..case }
}

/// A folder that is gone when this is dropped.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("memwhy-store-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a folder can be made");
        Self(path)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes `case` there.
    pub(super) fn snapshot(&self, name: &str, case: &Case, values: Values) -> PathBuf {
        let path = self.path(name);
        write(case, &path, values).expect("a snapshot can be written");
        path
    }

    pub(super) fn as_path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).expect("it is still there");
    }
}
