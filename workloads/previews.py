# -*- coding: utf-8 -*-
"""What does repr() say of one value of nearly every kind?

The announcement lists expression, address, repr() and the law that a preview made from outside has
to keep (see crates/memwhy/tests/previews.rs).
"""
from __future__ import print_function

import array
import collections
import ctypes
import datetime
import functools
import gc
import operator
import sys
import threading
import types
import weakref

import _protocol

EXACT = """
None; True; False; Ellipsis; NotImplemented; 0; 1; -1; 255; 2 ** 30; -2 ** 30; 2 ** 31; 2 ** 60;
2 ** 62 - 1; 2 ** 63; -2 ** 63; 2 ** 64; 10 ** 40; -10 ** 40; 3 ** 1000; 10 ** 100 + 7; 2 ** 4000;
0.0; -0.0; 1.0; 0.1; 1e16; 1e15; 1.5; 123456789.125; 1e-4; 1e-5; 5e-324; 1.7976931348623157e308;
float('inf'); float('-inf'); float('nan'); 3.141592653589793; 2.5e-8; 100000.0; 1e22;
1j; 1+2j; -1.5-2.5j; complex(0.0, -2); complex(-0.0, 1); complex(float('nan'), float('inf'));
'abc'; ''; "it's"; 'say "hi"'; 'both \\' and "'; 'tab\\tnew\\nreturn\\r\\\\'; '\\x00\\x7f\\x1b';
u'\\xe9t\\xe9'; u'\\u20ac uro'; u'\\U0001f40d snake'; u'\\xa0\\xad'; u'\\u200b\\u2028'; u'a\\u0301';
u'\\ud800 alone'; u'\\u0378'; u'mixed \\xff \\u1234 \\U0001f600'; 'x' * 500; u'\\u4e2d' * 300;
b'bytes'; b''; b"it's"; b'\\x00\\xff\\n'; b'x' * 400; bytearray(b'ab\\x00'); bytearray();
bytearray(b"it's"); bytearray(b'y' * 100);
[]; [1]; [1, 2, 3]; [[1, [2, [3]]], 'x']; list(range(300)); (); (1,); (1, 2); ((1,), [2], {3: 4});
{}; {1: 2}; {'a': 1, 'b': [2], 'c': {'d': None}}; dict((n, n) for n in range(5)); {(1, 2): 'x'};
set(); {1}; {1, 2, 3}; frozenset(); frozenset([1, 2]); {'a'}; set(range(40)); emptied(set(range(9)));
dict.fromkeys('abc'); emptied_dict(); split_dict(); mixed_dict();
collections.deque(); collections.deque([1, 2]); collections.deque([1], 5);
collections.deque(range(200)); collections.deque(range(200), 70); rotated();
collections.defaultdict(list); collections.defaultdict(None, {1: 2});
collections.defaultdict(int, {'a': 1}); collections.OrderedDict() if three else {};
collections.OrderedDict([('z', 1), ('a', 2)]) if three else {}; moved() if three else {};
len; [].append; {}.get; 'x'.join; sys.exit; str.upper; list.append; dict.fromkeys;
int.__add__; (5).__add__; type.__dict__['__mro__']; Slotted.__dict__['left'];
dict.__dict__['fromkeys']; types.FunctionType.__dict__['__code__'];
function; lambda: 1; nested(); Plain.method; Plain(3).bound; function.__code__;
int; type; Plain; Old; collections.OrderedDict; ValueError; object; Meta; WithMeta;
ValueError('x'); ValueError(); KeyError('k', 2); Exception([1]); OwnError('mine', 5);
slice(1, 2, 3); slice(None); range(10); range(1, 10); range(0, 10, 2); range(2 ** 70);
xrange(10); xrange(1, 10); xrange(0, 10, 3); xrange(10, 0, -2);
datetime.datetime(2026, 11, 24, 10, 9); datetime.datetime(2026, 1, 2, 3, 4, 5, 678);
datetime.date(2026, 11, 24); datetime.time(1, 2); datetime.time(1, 2, 3, 4); datetime.time(0);
datetime.timedelta(1, 2, 3); datetime.timedelta(0); datetime.timedelta(-1, 5);
datetime.timedelta(5); datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc);
datetime.timezone.utc; datetime.timezone(datetime.timedelta(hours=2));
datetime.timezone(datetime.timedelta(hours=2), 'X'); datetime.datetime(2026, 1, 2, fold=1);
array.array('i', [1, -2, 3]); array.array('d', [1.5, 2]); array.array('B'); array.array('q', [2**40]);
array.array('u', u'ab\\u20ac') if three else 0; array.array('H', range(100));
ctypes.c_int(5); ctypes.c_double(2.5); ctypes.c_bool(True); ctypes.c_char(b'x');
ctypes.c_ubyte(200); ctypes.c_int64(-5); ctypes.c_void_p(None);
functools.partial(function, 1, c=[4]) if three else 0; functools.partial(len) if three else 0;
types.MappingProxyType({'a': 1}); threading.Lock() if three else 0; locked() if three else 0;
threading.RLock() if three else 0; held_rlock() if three else 0;
Point(1, 'y'); Colour.RED; Colour.GREEN; ListChild([1, 2]); DictChild(a=1); StrChild('s');
IntChild(7) if three else 0; [Plain] * 3; {'k': function}; frozendict(a=1); Deep;
"""

BEGINS = """
simple_generator(); started_generator(); finished_generator(); traceback_of(); property(function);
cached(); memoryview(b'abcdef'); weakref.ref(WEAK_DEAD()); function.__closure__; dead_cell();
full_cell(); coroutine(); Struct(1, 2.0); numpy_array();
"""

# The pieces in order, instead of what repr() says: a class in Python may say anything.
HOLDS = [
    ("Plain(5)", ["<__main__.Plain", " value=5", ">"]),
    ("Plain(5)", ["<__main__.Plain", " name='n'", ">"]),
    ("Slotted(1, [2])", ["<__main__.Slotted", " left=1", " right=[2]", ">"]),
    ("SlottedDict(1, 2)", ["<__main__.SlottedDict", " left=1", " right=2", " extra='x'", ">"]),
    ("Rude()", ["<__main__.Rude", " a=1", ">"]),
    ("OwnRepr([1, 2])", ["<__main__.OwnRepr ", "[1, 2]", ">"]),
    ("Empty()", ["<__main__.Empty object at 0x", ">"]),
    ("Old(5)", ["<__main__.Old", " value=5", ">"]),
    ("Old(5).method", ["<bound method ", "Old.method of <__main__.Old", " value=5"]),
    ("Plain(6).method", ["<bound method ", "Plain.method of <__main__.Plain", " value=6"]),
    ("itself()", ["[1, ", u"\u2026", "]"]),
    ("dict_itself()", ["{'self': ", u"\u2026", "}"]),
    ("parent()", ["<__main__.Plain", " child=<__main__.Plain", u" parent=\u2026"]),
    ("10 ** 20000", ["0x", u"\u2026"]),
    ("weakref.ref(ALIVE)", ["<weakref at 0x", "; to <__main__.Plain", " value=1"]),
    ("weakref.proxy(ALIVE)", ["<weakproxy at 0x", "; to <__main__.Plain"]),
    ("sys", ["<module 'sys'", ">"]),
    ("collections", ["<module 'collections' from '", "collections", "'>"]),
    ("cached()", [" of twice hits=1 misses=2 maxsize=50 currsize=2>"]),
    ("memoryview(b'abcdef')", [" 6 B of ", " at 0x"]),
    ("started_generator()", [" suspended line ", ">"]),
    ("finished_generator()", [" finished>"]),
    ("task()", ["<Task pending", " coro=<coroutine object sleeper"]),
    ("task_done()", ["<Task finished", " coro=<coroutine object sleeper", " finished>"]),
    ("future()", ["<Future pending"]),
    ("frame_of()", ["<frame ", "at 0x", ", file '", "previews.py'", ", line ", ", code frame_of>"]),
    ("record()", ["<__main__.Record", " x=1"]),
    ("Bits.ONE | Bits.TWO", ["Bits", "3>"]),
    ("ctypes.py_object([1])", ["<ctypes.py_object py_object([1])>"]),
    ("numpy_array()", ["<numpy.ndarray shape=(3, 4) dtype=float64 96 B>"]),
    ("numpy_array()[1:]", ["<numpy.ndarray shape=(2, 4) dtype=float64 64 B view of <numpy.ndarray"]),
    ("staticmethod(function)", ["<staticmethod", "function"]),
    ("object.__init__", ["<slot wrapper '__init__'"]),
    ("super(Plain, Plain(1))", ["<super"]),
    ("numpy.float64(2.5)", ["2.5"]),
]

three = sys.version_info >= (3,)
if three:
    import asyncio
    import enum
try:
    import numpy
except ImportError:
    numpy = None


class Plain(object):
    def __init__(self, value):
        self.value = value
        self.name = "n"

    def method(self):
        return self

    bound = len


class Old:
    def __init__(self, value):
        self.value = value

    def method(self):
        return self


class Slotted(object):
    __slots__ = ("left", "right")

    def __init__(self, left, right):
        self.left, self.right = left, right


class SlottedDict(Slotted):
    def __init__(self, left, right):
        Slotted.__init__(self, left, right)
        self.extra = "x"


class Rude(object):
    def __init__(self):
        self.a = 1

    def __repr__(self):
        return "what it likes"


class OwnRepr(list):
    def __repr__(self):
        return "OwnRepr"


class OwnError(ValueError):
    pass


class Empty(object):
    pass


class ListChild(list):
    pass


class DictChild(dict):
    pass


class StrChild(str):
    pass


class IntChild(int):
    pass


class Meta(type):
    pass


WithMeta = Meta("WithMeta", (object,), {})
Point = collections.namedtuple("Point", "x y")
Deep = [[[["four"]]]]


class Struct(ctypes.Structure):
    _fields_ = [("a", ctypes.c_int), ("b", ctypes.c_double)]


if three:

    class Colour(enum.Enum):
        RED = 1
        GREEN = "green"

    class Bits(enum.IntFlag):
        ONE = 1
        TWO = 2


def function(a=1, *b, **c):
    return WEAK_DEAD, a


def closure_of():
    kept = [1]

    def inner():
        return kept
    return inner


def nested():
    def inner():
        pass
    return inner


def simple_generator():
    yield 1


def started_generator():
    it = simple_generator()
    next(it)
    return it


def finished_generator():
    it = simple_generator()
    list(it)
    return it


def traceback_of():
    try:
        {}["none"]
    except KeyError:
        return sys.exc_info()[2]


def frame_of():
    return sys._getframe()


def twice(n):
    return n * 2


if three:
    twice = functools.lru_cache(maxsize=50)(twice)


def cached():
    twice.cache_clear()
    for n in (1, 2, 1):
        twice(n)
    return twice


def full_cell():
    return closure_of().__closure__[0]


def dead_cell():
    if False:
        unset = 1
    return (lambda: unset).__closure__[0]


def WEAK_DEAD():
    return Plain(0)


def emptied(made):
    for n in (1, 3, 5):
        made.discard(n)
    return made


def emptied_dict():
    made = dict((n, n) for n in range(100))
    for n in range(99):
        del made[n]
    return made


def split_dict():
    one = Plain(1)
    return one.__dict__


def mixed_dict():
    made = {"a": 1}
    made[2] = "b"
    del made["a"]
    return made


def rotated():
    made = collections.deque(range(100))
    made.rotate(37)
    made.popleft()
    return made


def moved():
    made = collections.OrderedDict((n, n) for n in "abc")
    made.move_to_end("a")
    return made


def locked():
    made = threading.Lock()
    made.acquire()
    return made


def held_rlock():
    made = threading.RLock()
    made.acquire()
    made.acquire()
    return made


def itself():
    made = [1]
    made.append(made)
    return made


def dict_itself():
    made = {}
    made["self"] = made
    return made


def parent():
    made = Plain(1)
    made.child = Plain(2)
    made.child.parent = made
    return made


def numpy_array():
    return numpy.zeros((3, 4))


ALIVE = Plain(1)
if three:
    LOOP = asyncio.new_event_loop()
    exec("async def sleeper(): await asyncio.sleep(0)\nasync def forever(): pass")


def task():
    return asyncio.new_event_loop().create_task(sleeper())  # noqa: F821


def task_done():
    made = LOOP.create_task(sleeper())  # noqa: F821
    LOOP.run_until_complete(made)
    return made


def future():
    return LOOP.create_future()


def coroutine():
    return sleeper()  # noqa: F821


def record():
    import dataclasses
    made = dataclasses.make_dataclass("Record", ["x"], namespace={"__module__": "__main__"})
    made.__module__ = "__main__"
    return made(1)


def text(value):
    said = repr(value)
    return said if isinstance(said, str) and three else said.decode("latin-1")


def evaluated(expression):
    try:
        return [eval(expression, globals())]
    except (NameError, AttributeError, ImportError, TypeError, ValueError, SyntaxError,
            OverflowError):
        return []  # not of this release


KEPT = []
LISTED = []
gc.disable()
for law, expressions in (("exact", EXACT), ("begins", BEGINS)):
    for expression in expressions.replace("\n", " ").split("; "):
        for value in evaluated(expression.strip(" ;")):
            KEPT.append(value)
            LISTED.append([expression.strip(" ;"), id(value), text(value), law])
for expression, pieces in HOLDS:
    for value in evaluated(expression):
        KEPT.append(value)
        LISTED.append([expression, id(value), pieces, "holds"])
_protocol.serve(0, "none", "previews", objects=LISTED)
