"""What guppy and objgraph say of this very heap, beside which memwhy is put.

Both run in a forked copy, which has the heap of this process and what they add themselves; this
process has never imported them. PEERS in the environment is the folder that has them, where the
interpreter has not; where guppy3 does not run, objgraph alone is asked.
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


if "PEERS" in os.environ:
    sys.path.append(os.environ["PEERS"])

LAST = {"body": [Payload(PAYLOAD) for _ in range(3)], "other": {}}
STORE = [Session() for _ in range(500)]
for session in STORE:
    session.body = Payload(PAYLOAD)
QUEUE = collections.deque(Payload(PAYLOAD) for _ in range(200))
HIDDEN = Payload(PAYLOAD)


def found_by_objgraph():
    """Chains from modules, as addresses: of containers, of what is in them, of code and classes."""
    import objgraph

    # Only what the collector tracks has referrers that it can tell.
    samples = [LAST, LAST["body"], STORE, STORE[7], QUEUE, Payload, Session, in_a_copy, json.loads,
               _protocol.Heart]
    chains = []
    for sample in samples:
        chain = objgraph.find_backref_chain(sample, objgraph.is_proper_module)
        chains.append([id(step) for step in chain])
        del chain
    return {
        "chains": chains,
        "objgraph": {name: objgraph.count(name) for name in ("Session", "deque")},
    }


def peers():
    answer = found_by_objgraph()
    try:
        import guppy
    except ImportError:
        return answer
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
    return dict(answer, **{
        "guppy": kinds,
        "domisize": domisize,
        "shpaths": str(hpy.iso(wanted).shpaths),
        "byrcs": str((heap & Payload).byrcs),
        "most_common": dict(objgraph.most_common_types(limit=40)),
        "chain": [type(step).__name__ for step in chain],
        "refs": sorted(type(one).__name__ for one in objgraph.at(id(LAST)).values()),
    })


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
