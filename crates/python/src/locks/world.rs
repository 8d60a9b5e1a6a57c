//! What do all readers of locks and tasks need: memory, layouts, objects by address, attributes?

use crate::frames::Stacks;
use crate::heap::Heap;
use crate::layout::Layouts;
use crate::{attributes, dict, int, text};
use memwhy_model::{Addr, Frame, ObjectId, Problems};
use memwhy_native::locks::Sleep;
use memwhy_target::{FileLock, Memory};
use rustc_hash::FxHashMap;
use std::cell::RefCell;
use std::ops::Deref;

/// Instances with more attributes are not those of locks.
const MOST_ATTRIBUTES: usize = 256;
/// Names are compared up to this length.
const LONGEST_NAME: usize = 128;

/// What can be read of a process without knowing its heap.
pub(crate) struct Sight<'a> {
    pub(crate) memory: &'a dyn Memory,
    pub(crate) layouts: &'a Layouts,
    stacks: RefCell<Stacks<'a>>,
}

/// The process, as locks and tasks are read from it: all of that, and the heap.
pub(crate) struct World<'a> {
    sight: Sight<'a>,
    pub(crate) heap: &'a Heap,
}

impl<'a> Deref for World<'a> {
    type Target = Sight<'a>;

    fn deref(&self) -> &Sight<'a> {
        &self.sight
    }
}

/// A thread, as far as it matters to locks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Runner {
    /// Its number in our pid namespace.
    pub(crate) tid: u32,
    /// Its number in its own pid namespace.
    pub(crate) inner_tid: u32,
    /// Its `pthread_t`, which is its `threading.get_ident()`.
    pub(crate) ident: u64,
    /// Its thread state, if it has one.
    pub(crate) state: Option<Addr>,
    /// What it sleeps at.
    pub(crate) sleep: Option<Sleep>,
    /// For how long it has been asleep, where the kernel tells.
    pub(crate) asleep_s: Option<f64>,
    /// The lock on a file that it waits for.
    pub(crate) file_lock: Option<FileLock>,
    /// Its calls, the innermost first.
    pub(crate) calls: Vec<Call>,
}

/// One running call of Python code.
#[derive(Clone, Debug, Default)]
pub(crate) struct Call {
    /// Its `_PyInterpreterFrame`, up to 3.10 its frame object.
    pub(crate) at: Addr,
    /// What is told of it.
    pub(crate) frame: Frame,
}

impl Call {
    /// The object that a variable refers to.
    pub(crate) fn local(&self, name: &str) -> Option<Addr> {
        self.frame.locals.iter().find(|local| local.name == name).map(|local| local.value)
    }

    /// Whether it is of the function `name` in the file `file` of the standard library.
    pub(crate) fn is(&self, file: &str, name: &str) -> bool {
        let base = self.frame.file.rsplit('/').next().unwrap_or_default();
        let function = self.frame.function.rsplit('.').next().unwrap_or_default();
        function == name && base.strip_suffix('c').unwrap_or(base) == file
    }
}

impl<'a> Sight<'a> {
    pub(crate) fn new(memory: &'a dyn Memory, layouts: &'a Layouts) -> Self {
        Self { memory, layouts, stacks: RefCell::new(Stacks::new(memory, layouts)) }
    }

    /// The call whose frame is at `at`; `None` for an entry into the interpreter.
    pub(crate) fn call(&self, at: Addr) -> Option<Call> {
        let frame = self.stacks.borrow_mut().frame(at).ok()??;
        Some(Call { at, frame })
    }

    /// The calls of the thread whose state is at `thread`, the innermost first.
    pub(crate) fn calls(&self, thread: Addr, most: usize) -> Vec<Call> {
        // What cannot be read was noted when the stacks were.
        let mut noted = Problems::default();
        let frames = self.stacks.borrow().frame_addresses(thread, most, &mut noted);
        frames.into_iter().filter_map(|at| self.call(at)).collect()
    }

    /// Whether C calls the type of `object` so.
    fn is_a(&self, object: Addr, name: &str) -> bool {
        self.stacks.borrow().codes().is_a(object, name)
    }

    /// The attributes of an instance, also of 2.7's instances of classes without a type.
    pub(crate) fn attributes(&self, object: Addr) -> Attributes {
        let (memory, layouts) = (self.memory, self.layouts);
        let old_style = || {
            let fields = layouts.instance?;
            self.is_a(object, "instance").then_some(())?;
            fields.in_dict.read(memory, object).ok()?
        };
        let pairs = match old_style() {
            Some(members) => dict::entries(memory, layouts, members, MOST_ATTRIBUTES),
            None => attributes::attributes(memory, layouts, object, MOST_ATTRIBUTES),
        };
        let named = |(key, value): (Addr, Addr)| {
            text::read(memory, layouts, key, LONGEST_NAME).ok().map(|name| (name, value))
        };
        Attributes(pairs.unwrap_or_default().into_iter().filter_map(named).collect())
    }

    /// The number that an object is.
    pub(crate) fn number(&self, object: Option<Addr>) -> Option<i64> {
        let number = int::read(self.memory, self.layouts, object?).ok()??;
        i64::try_from(number).ok()
    }

    /// The text that an object is.
    pub(crate) fn text(&self, object: Option<Addr>) -> Option<String> {
        text::read(self.memory, self.layouts, object?, LONGEST_NAME).ok()
    }

    /// The length of an object that has one.
    pub(crate) fn length(&self, container: Addr) -> Option<u64> {
        // 2.7's deques count by themselves.
        let own = self.layouts.deque.and_then(|deque| deque.len);
        let is_deque = own.is_some() && self.is_a(container, "collections.deque");
        let field = own.filter(|_| is_deque).unwrap_or(self.layouts.var_object.ob_size);
        let size = field.read(self.memory, container).ok()?;
        u64::try_from(size).ok().filter(|size| *size < 1 << 40)
    }
}

impl<'a> World<'a> {
    pub(crate) fn new(memory: &'a dyn Memory, layouts: &'a Layouts, heap: &'a Heap) -> Self {
        Self { sight: Sight::new(memory, layouts), heap }
    }

    /// The object at exactly `addr`.
    pub(crate) fn find(&self, addr: Addr) -> Option<ObjectId> {
        self.heap.index.find(&self.heap.graph, addr)
    }

    /// The name of the type of the object at `addr`.
    pub(crate) fn type_name(&self, addr: Addr) -> Option<&str> {
        let id = self.find(addr)?;
        self.heap.types.get(self.heap.graph.type_of(id).0 as usize).map(|info| &*info.name)
    }

    /// What a list, deque, tuple or set refers to.
    pub(crate) fn elements(&self, container: Addr) -> impl Iterator<Item = Addr> + '_ {
        let id = self.find(container);
        let rows = id.map(|id| self.heap.graph.references(id)).unwrap_or_default();
        rows.iter().map(|id| self.heap.graph.addr(*id))
    }
}

/// Names and values of one instance's attributes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attributes(Vec<(String, Addr)>);

impl Attributes {
    /// The value of the first of `names` that there is. Python 2.7 has private names where later
    /// releases have protected ones: `_Condition__lock`, `_lock`.
    pub(crate) fn get(&self, names: &[&str]) -> Option<Addr> {
        names.iter().find_map(|name| {
            self.0.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
        })
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, Addr)> {
        self.0.iter().map(|(name, value)| (name.as_str(), *value))
    }
}

/// Which thread has an identity: by what Python calls it, or by its descriptor.
#[derive(Debug, Default)]
pub(crate) struct Identities {
    by_ident: FxHashMap<u64, u32>,
    by_inner: FxHashMap<u32, u32>,
    main: u32,
}

impl Identities {
    pub(crate) fn of(runners: &[Runner]) -> Self {
        let by_ident = runners.iter().filter(|r| r.ident != 0).map(|r| (r.ident, r.tid)).collect();
        let by_inner = runners.iter().map(|r| (r.inner_tid, r.tid)).collect();
        // The kernel numbers the main thread first.
        let main = runners.iter().min_by_key(|runner| runner.inner_tid);
        Self { by_ident, by_inner, main: main.map_or(0, |runner| runner.tid) }
    }

    /// The main thread.
    pub(crate) const fn main(&self) -> u32 {
        self.main
    }

    /// The thread that `threading.get_ident()` calls so.
    pub(crate) fn ident(&self, ident: u64) -> Option<u32> {
        self.by_ident.get(&ident).copied()
    }

    /// The thread that has this number in the process's own pid namespace.
    pub(crate) fn inner(&self, inner: u32) -> Option<u32> {
        self.by_inner.get(&inner).copied()
    }
}
