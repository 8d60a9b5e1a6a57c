"""One of everything: a process whose objects are of as many kinds as the standard library has.

There is nothing wrong with it. It exists to be listed by `truth` and compared, object by object,
with what is found from outside. ``ZOO`` holds every specimen under its name. What only Python 3
has, or can parse, is in zoo3.py.
"""
from __future__ import print_function

import array
import collections
import ctypes
import datetime
import decimal
import fractions
import functools
import gc
import io
import itertools
import json
import operator
import random
import re
import socket
import struct
import sys
import threading
import types
import uuid
import weakref
import zlib

import _protocol

if sys.version_info >= (3,):
    import zoo3
    from sys import intern

INSTANCES = 20000

# PR_SET_THP_DISABLE: the kernel makes huge pages of small ones behind the back of a process that
# waits, and this one is looked at many times and compared.
_protocol.LIBC.prctl(41, 1, 0, 0, 0)


def where_there_is(*makers):
    """What the makers make, without what this release does not have."""
    made = []
    for make in makers:
        try:
            made.append(make())
        except (AttributeError, NameError, OverflowError, TypeError):
            pass
    return made


class OldStyle:
    """In 2.7 neither a type nor an instance of one."""

    def __init__(self, number):
        self.number = number
        self.items = [number]


class OldChild(OldStyle):
    def method(self):
        return self.items


class Plain(object):
    """A dict of its own, or inline values."""

    def __init__(self, number):
        self.number = number
        self.name = "plain-%d" % number
        self.pair = (number, self.name)


class Slotted(object):
    __slots__ = ("left", "right", "empty")

    def __init__(self, left, right):
        self.left, self.right = left, right


class SlottedWeak(object):
    __slots__ = ("value", "__weakref__")


class SlottedDict(Slotted):
    __slots__ = ("__dict__",)


class Child(Plain):
    """More attributes than its parent, some with names that are not identifiers."""

    def __init__(self, number):
        super(Child, self).__init__(number)
        self.more = [number]
        setattr(self, "not an identifier", number)


class Many(object):
    """More attributes than shared keys take."""

    def __init__(self):
        for number in range(40):
            setattr(self, "field_%d" % number, number + 1000)


class Text(str):
    pass


class Wide(type(u"")):
    pass


class Number(int):
    pass


class Big(type(2 ** 80)):
    pass


class Real(float):
    pass


class Pair(tuple):
    pass


class Items(list):
    pass


class Mapping(dict):
    pass


class Blob(bytes):
    pass


class Bag(set):
    pass


class Meta(type):
    """A metaclass that lies about attributes."""

    def __getattribute__(cls, name):
        if name in ("__module__", "__qualname__"):
            raise AttributeError(name)
        return super(Meta, cls).__getattribute__(name)


Lied = Meta("Lied", (), {})


class Rude(object):
    """Fails at whatever one might ask of it."""

    def __sizeof__(self):
        raise RuntimeError("no")

    def __eq__(self, other):
        raise RuntimeError("no")

    __hash__ = None

    def __getattribute__(self, name):
        raise RuntimeError("no")


class Point(ctypes.Structure):
    _fields_ = [("x", ctypes.c_int), ("y", ctypes.c_double), ("name", ctypes.c_char * 30)]


Row = collections.namedtuple("Row", "first second third")


class Finalized(object):
    def __del__(self):
        pass


class Descriptor(object):
    def __get__(self, instance, owner):
        return 1

    def __set__(self, instance, value):
        pass


class Described(object):
    field = Descriptor()

    @property
    def half(self):
        return 0.5

    @classmethod
    def make(cls):
        return cls()

    @staticmethod
    def nothing():
        return None


def numbers():
    return [
        0, 1, -1, 255, 256, 257, -5, -6, 2 ** 15, 2 ** 30 - 1, 2 ** 30, -(2 ** 30), 2 ** 60,
        2 ** 64,
        2 ** 1000, -(3 ** 5000), True, False, 0.0, 1.5, float("inf"), float("nan"), 1 + 2j,
        Number(7), Big(2 ** 80), Number(0), Real(2.5), fractions.Fraction(1, 3),
        decimal.Decimal("3.14159265358979323846264338327950288419716939937510"), decimal.Decimal(1),
        decimal.Decimal(10) ** 500, decimal.Decimal("NaN"), decimal.Context(prec=50),
    ] + [number * 1000003 for number in range(3000)] + [number / 7.0 for number in range(3000)]


def texts():
    grown = ""
    for number in range(50):
        grown += chr(97 + number % 26)
    encoded = u"utf8 cached: \u00e9\u20ac" * 3
    json.dumps(encoded)
    open_name = u"/nonexistent-\u20ac"
    try:
        open(open_name)
    except (EnvironmentError, UnicodeError):
        pass
    return [
        "", "a", u"\u00e9", u"\u20ac", u"\U0001f40d", "plain ascii", u"", u"a", u"plain",
        u"latin \u00e9\u00e8",
        u"bmp \u20ac\u4e2d",
        u"astral \U0001f40d\U0001f980", "x" * 100000, u"\u00e9" * 5000, u"\u20ac" * 5000,
        u"\U0001f40d" * 5000, grown, encoded,
        intern("an interned text, made at run time %d" % 7),
        Text("subclass"), Wide(u"\u20ac" * 300), Text(""), b"decoded".decode("ascii"),
        b"", b"b", b"bytes", b"x" * 100000, Blob(b"subclass"), bytearray(), bytearray(b"abc"),
        bytearray(b"x" * 70000), bytearray(b"front removed" * 30)[5:],
    ] + ["text number %d" % number for number in range(3000)] + [
        u"wide \u20ac number %d" % number for number in range(1000)
    ]


def containers():
    deleted = {number: number for number in range(1000)}
    for number in range(10, 1000):
        del deleted[number]
    emptied = {number: number for number in range(1000)}
    emptied.clear()
    popped = list(range(1000))
    del popped[10:]
    mixed = {"a": 1}
    mixed[2] = "b"
    shared = Plain(1).__dict__
    unshared = Plain(2).__dict__
    del unshared["name"]
    unshared["other"] = 1
    dirty = set(range(1000))
    for number in range(10, 1000):
        dirty.discard(number)
    recursive = []
    recursive.append(recursive)
    looped = {}
    looped["self"] = looped
    return [
        {}, {"a": 1}, {1: 2}, {(1, 2): [3]}, mixed, deleted, emptied, shared, unshared,
        {"key %d" % n: n for n in range(5000)}, {n: str(n) for n in range(5000)},
        {"key %d" % n: n for n in range(70000)}, dict.fromkeys("abcdef"), Mapping(a=1, b=[2]),
        collections.defaultdict(list, {"x": [1], 2: [3]}), collections.Counter("mississippi"),
        collections.OrderedDict((str(n), n) for n in range(100)),
        {}.keys(), {"v": 1}.values(), {"i": 1}.items(),
        [], [1], [1, 2, 3], list(range(10000)), popped, Items([1, 2]), recursive, looped,
        [None] * 500,
        (), (1,), (1, "two", [3]), tuple(range(3000)), Pair((1, 2)), Row(1, 2, 3),
        set(), {1, 2}, set(range(5000)), {"s%d" % n for n in range(500)}, dirty, Bag([1, "x"]),
        frozenset(), frozenset([1]), frozenset("word%d" % n for n in range(300)),
        collections.deque(), collections.deque([1, 2], maxlen=5), collections.deque(range(1000)),
        array.array("d", range(1000)), array.array("b"), array.array("L", [1]),
        range(10), slice(1, None, 2), Ellipsis, NotImplemented,
        iter([1, 2]), iter((1,)), iter({1: 2}), iter({1}),
        iter("s"),
        iter(range(3)), iter(b"b"), reversed([1]), enumerate([1]), zip([1], [2]),
        map(str, [1]), filter(None, [1]), iter(int, 1), iter(collections.deque([1])),
        sys.version_info, sys.flags, struct.Struct("<QIdd10s"),
        struct.unpack("<QId", b"\0" * 20),
        {}.copy, [].sort, memoryview(b"viewed"),
    ] + where_there_is(
        lambda: collections.ChainMap({"a": 1}, {}), lambda: collections.UserDict(a=1),
        lambda: collections.UserList([1]), lambda: collections.UserString("u"),
        lambda: types.MappingProxyType({"p": 1}), lambda: range(0, 2 ** 70, 3),
        lambda: types.SimpleNamespace(a=1, b=[2]), lambda: reversed({1: 2}),
        lambda: buffer(b"of 2.7", 2), lambda: xrange(10),  # noqa: F821
        lambda: long(3), lambda: [long(n) for n in range(1000)],  # noqa: F821
        lambda: {}.viewkeys(), lambda: {1: 2}.viewitems(), lambda: frozendict(a=1),  # noqa: F821
    )


def callables():
    held = [1, 2, 3]

    def closure(a, b=2, *rest, **more):
        return held, a

    def documented(a, b="x"):
        """Documented."""
        return [a]

    documented.attribute = ["of a function"]

    return [
        closure, documented, lambda: held, lambda *a, **k: (a, k),
        functools.partial(closure, 1, c=[4]),
        len, "".join, [].append, dict.fromkeys, str.upper, int.__add__, (5).__add__,
        object.__init__,
        Plain(1).__init__, Described.make, Described.nothing, Described.__dict__["make"],
        Described.__dict__["nothing"], Described.__dict__["half"], OldChild(1).method, OldStyle,
        Slotted.__dict__["left"], types.FunctionType.__dict__["__code__"], type.__dict__["__mro__"],
        operator.itemgetter(1, 2), operator.attrgetter("a.b"), operator.methodcaller("m", 1, k=2),
        functools.cmp_to_key(lambda a, b: 0)(1), super(Child, Child(1)), random.Random(1),
        random.random,
        closure.__code__, closure.__closure__, compile("a = 1\nprint(a)\n", "made", "exec"),
        types.MethodType(closure, 1), staticmethod(closure), classmethod(closure),
        property(closure),
    ]


def iterators():
    return [
        itertools.count(1), itertools.count(2 ** 70, 3), itertools.cycle([1]),
        itertools.repeat("r", 5),
        itertools.chain([1], [2]), itertools.islice(range(10), 3), itertools.product([1, 2], "ab"),
        itertools.permutations(range(4)), itertools.combinations(range(4), 2),
        itertools.groupby([1, 1, 2]),
        itertools.starmap(pow, [(1, 2)]),
        itertools.takewhile(bool, [1]),
        itertools.compress([1], [1]), itertools.dropwhile(bool, [1]),
        itertools.combinations_with_replacement(range(3), 2),
    ] + list(itertools.tee(iter(range(100)), 2)) + where_there_is(
        lambda: itertools.accumulate([1, 2]), lambda: itertools.zip_longest([1], [2, 3]),
        lambda: itertools.izip([1], [2]), lambda: itertools.imap(str, [1]),
        lambda: itertools.filterfalse(bool, [0]), lambda: itertools.ifilterfalse(bool, [0]),
        lambda: itertools.pairwise([1, 2, 3]), lambda: itertools.batched([1, 2, 3], 2),
    )


def generator(first, *rest):
    local = {"of": "a generator", "first": first}
    try:
        received = yield local
        while True:
            received = yield [received, rest]
    finally:
        del local


def suspended():
    fresh = generator("fresh")
    started = generator("started", 5, 6)
    next(started)
    started.send("sent")
    finished = generator("finished")
    next(finished)
    finished.close()
    expression = ([n, "expr"] for n in range(5))
    next(expression)
    return [
        fresh, started, finished, expression, started.gi_frame,
    ]


def failures():
    def deep(level):
        local = "level %d" % level
        if level:
            return deep(level - 1)
        return {}[local]

    made = [ValueError("plain"), KeyError(), OSError(2, "No such file", "name"), SystemExit(3)]
    made.append(EnvironmentError(3, "x"))
    made.append(UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"))
    made += [StopIteration(5), ImportError("i")]
    made.append(SyntaxError("s", ("f", 1, 2, "t")))
    try:
        deep(5)
    except KeyError as error:
        made.append(error)
        made.append(sys.exc_info()[2])
        made.append(sys.exc_info()[2].tb_next.tb_frame)
    return made


def streams():
    text = io.TextIOWrapper(io.BytesIO(b"line\nline\n"), encoding="utf-8")
    text.readline()
    file = open(__file__, "rb")
    file.read(10)
    source = io.open(__file__, encoding="utf-8")
    source.readline()
    strings = io.StringIO()
    strings.write(u"written" * 1000)
    unread = io.StringIO(u"initial " * 1000)
    taken = io.BytesIO(b"shared" * 1000)
    left, right = socket.socketpair()
    data = bytearray(b"viewed" * 100)
    return [
        text, file, source, strings, unread, taken, io.BytesIO(), io.open(__file__, "rb"),
        io.open("/dev/null", "wb"), io.open("/dev/null", "r+b", buffering=0),
        io.BufferedRWPair(io.BytesIO(), io.BytesIO()), left, right, data,
        memoryview(data), memoryview(data)[3:9], zlib.compressobj(), zlib.decompressobj(),
    ] + where_there_is(
        lambda: io.BytesIO(b"x" * 9000).getbuffer(), lambda: memoryview(b"m").cast("B"),
        lambda: memoryview(array.array("d", [1])),
    )


def values():
    return [
        datetime.datetime(2020, 1, 2, 3, 4, 5), datetime.datetime.now(),
        datetime.date(2020, 1, 1), datetime.time(1, 2), datetime.timedelta(3),
        uuid.uuid4(),
        re.compile(r"(?P<name>\w+)\s+(\d+)[a-z]*"), re.match(r"(a)(b)?", "abc"),
        re.compile(u"\u20ac|[\U0001f40d-\U0001f980]+"), re.finditer("a", "aaa"),
        re.compile(b"bytes"),
        Point(1, 2.0, b"name"), (Point * 50)(), ctypes.pointer(Point()), ctypes.c_int(5),
        ctypes.create_string_buffer(1000),
        ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(lambda n: n),
        ctypes.c_char_p(b"pointed at"), ctypes.py_object([1]), ctypes.byref(ctypes.c_int()),
        threading.Lock(), threading.RLock(), threading.Condition(), threading.Event(),
        threading.local(),
        json.JSONEncoder(), json.JSONDecoder(), object(), type("Empty", (), {}),
    ]


def weak():
    class Target(object):
        pass

    targets = [Target() for _ in range(50)]
    table = weakref.WeakValueDictionary(enumerate(targets))
    keyed = weakref.WeakKeyDictionary((target, [1]) for target in targets)
    slotted = SlottedWeak()
    slotted.value = 5
    return [
        targets, table, keyed, weakref.WeakSet(targets), weakref.ref(targets[0]),
        weakref.ref(targets[1], print), weakref.proxy(targets[2]),
        slotted, weakref.ref(slotted),
        weakref.ref(Target()), weakref.ref(numbers), weakref.ref({1}),
    ] + where_there_is(
        lambda: weakref.WeakMethod(Plain(1).__init__),
        lambda: weakref.finalize(targets[3], print, "gone"),
    )


def classes():
    made = [
        type("Made%d" % n, (Plain,), {"number": n, "method": lambda self: n, "__doc__": "Made."})
        for n in range(200)
    ]
    return made + [Lied, Lied(), Rude(), Rude, Finalized(), Described(), Many()]


def instances():
    made = []
    for number in range(INSTANCES // 4):
        made += [Plain(number), Slotted(number, [number]), Child(number)]
        made += [{"n": number, "of": (number,)}, OldStyle(number)]
    for number in range(0, 1000, 5):
        made[number].__dict__  # some have been asked for their dict
    mixed = SlottedDict(1, 2)
    mixed.extra = "in the dict"
    made += [mixed, Described(), OldChild(1), SlottedWeak()]
    return made + [Slotted.__new__(Slotted), Plain.__new__(Plain)]


def cycles():
    """Garbage that only the collector could find, and that is not looked for any more."""
    for number in range(500):
        one = Plain(number)
        other = [one]
        one.other = other
    return []


gc.collect()
gc.disable()
ZOO = {
    make.__name__: make()
    for make in (
        numbers, texts, containers, callables, iterators, suspended, failures, streams, values,
        weak, classes, instances, cycles,
    )
}
if sys.version_info >= (3,):
    ZOO.update(zoo3.specimens())

_protocol.serve(0, "none", "zoo")
