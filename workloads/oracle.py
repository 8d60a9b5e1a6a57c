"""Which objects does this process have, by its own account?

`write` lists every object that the garbage collector knows, and all that these refer to, with its
address, type and ``sys.getsizeof``. It is to be called in a forked copy of the process under
examination (`_protocol.py` does that): the copy has the same objects at the same addresses, and
what the walk itself allocates never comes to be in the original.

The list is a lower bound: no Python code can reach the names of a code object's local variables,
or an object that only C code holds. Everything on it exists. The largest such holder is the table of
interned strings; `interned` tells of strings whether they are in it.

The file, all numbers little-endian and of 8 bytes:

    "MWTRUTH1", objects, types, 1 if there are edges
    address of each object            (in no particular order)
    address of each object's type
    size of each object               (-1 where it cannot be had: __sizeof__ raised, type not ready)
    address of each type
    for each type: length of its name, name   (module.qualname, UTF-8)
    with edges: objects + 1 offsets, then the addresses that each object refers to, repeated as
                often as it refers to them
"""
from __future__ import print_function

import gc
import struct
import sys
import types
from array import array

if sys.version_info >= (3,):
    from sys import intern

# What a code object holds without telling the collector. Only plain members: computed attributes
# (co_code and co_varnames since 3.11, co_lnotab since 3.10) would make new objects, and cache them.
CODE = "co_consts co_names co_filename co_name".split()
if sys.version_info >= (3, 11):
    CODE += "co_qualname co_linetable co_exceptiontable".split()
else:
    CODE += "co_code co_varnames co_freevars co_cellvars".split()
    CODE += ["co_linetable" if sys.version_info >= (3, 10) else "co_lnotab"]

# Past any metaclass that has its own idea of attributes.
BASES, MRO, FLAGS, MODULE = [
    type.__dict__[name].__get__ for name in "__bases__ __mro__ __flags__ __module__".split()
]
QUALNAME = type.__dict__["__qualname__" if sys.version_info >= (3, 3) else "__name__"].__get__
HEAP_TYPE = 1 << 9
# "Q" and "q", which 2.7 does not have.
WORD, SIGNED = "L", "l"
assert array(WORD).itemsize == 8


def of_dict(mapping):
    """Keys, and for str keys nobody else reports them. Never obj.__dict__: that would make it."""
    return list(dict.__iter__(mapping))


def of_code(code):
    return [getattr(code, name) for name in CODE]


def of_type(kind):
    """What the collector does not ask static types for."""
    if FLAGS(kind) & HEAP_TYPE or MRO(kind) is None:
        return []
    return [BASES(kind), MRO(kind)]


def unreported(kind):
    """The function that gives what gc.get_referents leaves out for objects of type `kind`."""
    mro = MRO(kind) or ()  # a type that is not ready has none
    for base, more in ((dict, of_dict), (types.CodeType, of_code), (type, of_type)):
        if any(one is base for one in mro):
            return more
    return None


def without_calls(objects):
    """Leaves out the frames that the copy has and the original has not; also returns which.

    Up to 3.6 the collector knows of every call, and so of all that the walk itself holds.
    """
    calls = set()
    frame = sys._getframe(1) if sys.version_info < (3, 7) else None
    while frame is not None and frame.f_code.co_name != "in_a_copy":
        calls.add(id(frame))
        frame = frame.f_back
    return [obj for obj in objects if id(obj) not in calls], calls


def write(path, edges=False):
    """Writes the truth to `path` and returns how much there was of it."""
    gc.disable()
    objects = gc.get_objects()  # first of all, so that nothing of ours is among them
    objects, calls = without_calls(objects)
    get_referents, getsizeof, identity = gc.get_referents, sys.getsizeof, id
    addresses, kinds, sizes = array(WORD), array(WORD), array(SIGNED)
    offsets, targets = array(WORD, [0]), array(WORD)
    seen = set(map(identity, objects))
    seen |= calls
    getrefcount = sys.getrefcount
    exc_clear = getattr(sys, "exc_clear", None)  # 2.7
    # How often the loop below refers to a referent itself. One without any further reference is
    # dead, on a free list that some module shows to the collector (_asyncio of 3.12 does).
    for referent in [object()]:
        own = getrefcount(referent)
    unready = set()  # getsizeof would make these types ready, which allocates (up to 3.11)
    more_of = {}
    names = {}
    for obj in objects:  # grows while we go
        kind = type(obj)
        kind_id = identity(kind)
        if kind_id not in more_of:
            more_of[kind_id] = unreported(kind)
            if MRO(kind) is None:
                unready.add(kind_id)
            names[kind_id] = kind
            if kind_id not in seen:
                seen.add(kind_id)
                objects.append(kind)
        size = -1
        if kind_id not in unready:
            try:
                size = getsizeof(obj)
            except Exception:
                if exc_clear:  # sys would have it
                    exc_clear()
        addresses.append(identity(obj))
        kinds.append(kind_id)
        sizes.append(size)
        referents = get_referents(obj)
        more = more_of[kind_id]
        if more is not None:
            referents += more(obj)
        for referent in referents:
            address = identity(referent)
            if address not in seen:
                if getrefcount(referent) <= own:
                    continue
                seen.add(address)
                objects.append(referent)
            if edges:
                targets.append(address)
        offsets.append(len(targets))
    with open(path, "wb") as file:
        file.write(b"MWTRUTH1" + struct.pack("<QQQ", len(addresses), len(names), bool(edges)))
        for column in (addresses, kinds, sizes, array(WORD, names)):
            column.tofile(file)
        for kind in names.values():
            name = name_of(kind).encode("utf-8", "replace")
            file.write(struct.pack("<Q", len(name)) + name)
        if edges:
            offsets.tofile(file)
            targets.tofile(file)
    return {"path": path, "objects": len(addresses), "types": len(names), "edges": len(targets)}


def interned(path):
    """Which of the addresses in the file at `path`, one a line, are of strings in the table.

    To be called in a copy: what is no object, whoever thought so, ends the process that looks.
    """
    import ctypes

    with open(path) as file:
        addresses = [int(line, 16) for line in file]
    found, single, gone = [], [], []
    # An object begins with two links where references are traced (`Py_DEBUG`, up to 3.7).
    free_threaded = hasattr(sys, "_is_gil_enabled") and "t" in sys.abiflags
    basic = object.__basicsize__ if free_threaded else 16
    start = object.__basicsize__ - basic
    for address in addresses:
        # Freed since: then the link of a free list is where the reference count was. A count has
        # 32 bits, and from 3.14 on flags in the last 16. Without GIL the first word is a thread.
        count = ctypes.c_uint64.from_address(address + start).value
        if not free_threaded and (count & 0xFFFFFFFF == 0 or count >> 32 & 0xFFFF > 1):
            gone.append(address)
            continue
        if ctypes.c_uint64.from_address(address + start + basic - 8).value != id(str):
            gone.append(address)
            continue
        # What was never hashed is in no table, and may be a buffer that is half written.
        if ctypes.c_int64.from_address(address + start + basic + 8).value == -1:
            continue
        text = ctypes.cast(address, ctypes.py_object).value
        # An equal string of our own, exchanged for the one in the table. Of what has one character
        # or none there is only one: it would be put there by asking.
        if type(text) is str:
            ours = "".join(list(text))
            if ours is text:
                single.append(address)
            if intern(ours) is text:
                found.append(address)
    return {"interned": found, "single": single, "gone": gone}


def name_of(kind):
    """module.qualname, or what there is of it."""
    try:
        module = MODULE(kind)
    except AttributeError:
        module = None
    return "%s.%s" % (module, QUALNAME(kind)) if isinstance(module, str) else QUALNAME(kind)
