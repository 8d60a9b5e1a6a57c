"""Objects that are held in one known way each: paths, owners and retained sizes must be exact.

The announcement has for each of them its address and the path that leads to it; `checks` are
expressions with the object that they mean, `retained` says what would be freed with an object.
"""
from __future__ import print_function

import collections
import functools
import sys
import threading

import _protocol

PAYLOAD = 50000


class Payload(bytearray):
    """A buffer of its own that nothing else refers to."""


def payload():
    return Payload(PAYLOAD)


class Service(object):
    """Has a cache in an attribute."""

    registry = collections.OrderedDict()

    def __init__(self):
        self.cache = {}
        self.last = None

    def handle(self, request):
        return request


class Slotted(object):
    __slots__ = ("first", "second")


class Node(object):
    def __init__(self, value, after):
        self.value = value
        self.after = after


LAST = {"body": [payload(), payload(), payload()], 7: payload(), ("a", 1): payload()}
APP = Service()
APP.cache = dict(("session-%d" % n, [payload()]) for n in range(100))
Service.registry["one"] = payload()
QUEUE = collections.deque()
for _ in range(200):
    QUEUE.append(payload())
SLOTTED = Slotted()
SLOTTED.second = payload()


def counter():
    seen = [payload()]

    def count():
        return len(seen)

    return count


COUNT = counter()
PARTIAL = functools.partial(max, payload())
METHOD = Node(payload(), None).__init__


def suspended(rows):
    total = payload()
    yield rows
    yield total


GENERATOR = suspended([payload()])
next(GENERATOR)

try:
    raise ValueError(payload(), "and more")
except ValueError as error:
    STORED = error

CHAIN = None
for _ in range(50):
    CHAIN = Node(payload(), CHAIN)

ready = threading.Event()
done = threading.Event()


def worker():
    rows = [payload()]
    ready.set()
    done.wait()
    return rows


thread = threading.Thread(target=worker, name="worker-3")
thread.daemon = True
thread.start()
ready.wait()

MODULE = "sys.modules['__main__']"
held = collections.OrderedDict()
held[MODULE + ".LAST['body'][1]"] = LAST["body"][1]
held[MODULE + ".LAST[7]"] = LAST[7]
held[MODULE + ".LAST[('a', 1)]"] = LAST[("a", 1)]
held[MODULE + ".APP.cache['session-42'][0]"] = APP.cache["session-42"][0]
held[MODULE + ".Service.registry['one']"] = Service.registry["one"]
held[MODULE + ".QUEUE[150]"] = QUEUE[150]
held[MODULE + ".SLOTTED.second"] = SLOTTED.second
held[MODULE + ".COUNT captured 'seen'[0]"] = COUNT.__closure__[0].cell_contents[0]
held[MODULE + ".PARTIAL.args[0]"] = PARTIAL.args[0]
held[MODULE + ".METHOD.__self__.value"] = METHOD.__self__.value
held[MODULE + ".CHAIN.after.after.value"] = CHAIN.after.after.value
held[MODULE + ".STORED.args[0]"] = STORED.args[0]
frame = GENERATOR.gi_frame
inside = "" if sys.version_info >= (3, 11) else ".gi_frame"
held[MODULE + ".GENERATOR" + inside + " local 'total'"] = frame.f_locals["total"]
held[MODULE + ".GENERATOR" + inside + " local 'rows'[0]"] = frame.f_locals["rows"][0]
del frame
held["worker-3: worker() local 'rows'[0]"] = None
held = [(path, None if value is None else id(value)) for path, value in held.items()]
retained = [
    (MODULE + ".LAST", 5 * PAYLOAD),
    (MODULE + ".LAST['body']", 3 * PAYLOAD),
    (MODULE + ".APP.cache", 100 * PAYLOAD),
    (MODULE + ".QUEUE", 200 * PAYLOAD),
    (MODULE + ".CHAIN", 50 * PAYLOAD),
    (MODULE + ".CHAIN.after.after", 48 * PAYLOAD),
    (MODULE + ".COUNT", PAYLOAD),
    ("worker-3: worker() local 'rows'", PAYLOAD),
]
_protocol.serve(
    380 * PAYLOAD, "python-objects", "retained", held=held, retained=retained, payload=PAYLOAD
)
