"""What guppy and objgraph say of this very heap, beside which memwhy is put.

Both run in a forked copy, which has the heap of this process and what they add themselves; this
process has never imported them. Needs an interpreter with guppy3 and objgraph: scripts/guppy-venv.
"""
from __future__ import print_function

import collections
import json
import os
import sys

import _protocol

PAYLOAD = 20000


class Payload(bytearray):
    """A buffer of its own that nothing else refers to."""


class Session(object):
    __slots__ = ("body",)


LAST = {"body": [Payload(PAYLOAD) for _ in range(3)], "other": {}}
STORE = [Session() for _ in range(500)]
for session in STORE:
    session.body = Payload(PAYLOAD)
QUEUE = collections.deque(Payload(PAYLOAD) for _ in range(200))
HIDDEN = Payload(PAYLOAD)


def peers():
    import guppy
    import objgraph

    hpy = guppy.hpy()
    # First of all: whatever is looked at later is held by who looks.
    domisize = {
        "LAST": hpy.iso(LAST).domisize,
        "STORE": hpy.iso(STORE).domisize,
        "QUEUE": hpy.iso(QUEUE).domisize,
    }
    heap = hpy.heap()
    kinds = {}
    for cls in (Payload, Session):
        part = heap & cls
        kinds[cls.__name__] = [part.count, part.size]
    wanted = LAST["body"][1]
    chain = objgraph.find_backref_chain(LAST["body"], objgraph.is_proper_module)
    return {
        "guppy": kinds,
        "domisize": domisize,
        "shpaths": str(hpy.iso(wanted).shpaths),
        "byrcs": str((heap & Payload).byrcs),
        "objgraph": {name: objgraph.count(name) for name in ("Session", "deque")},
        "most_common": dict(objgraph.most_common_types(limit=40)),
        "chain": [type(step).__name__ for step in chain],
        "refs": sorted(type(one).__name__ for one in objgraph.at(id(LAST)).values()),
    }


def in_a_copy(answer):
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            with os.fdopen(write, "w") as pipe:
                json.dump(answer(), pipe)
            status = 0
        finally:
            os._exit(status)
    os.close(write)
    with os.fdopen(read) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    return json.loads(text)


del session
_protocol.serve(
    704 * PAYLOAD,
    "python-objects",
    "beside guppy and objgraph",
    peers=in_a_copy(peers),
    payload=PAYLOAD,
    queue=id(QUEUE),
)
