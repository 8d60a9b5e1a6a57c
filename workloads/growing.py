"""Grows, or comes and goes, whenever it is told to: to be watched."""
import gc

import _protocol

JOURNAL = []
BATCH = []


def record(lines):
    """A million bytes or so of lines."""
    start = len(lines) * 7919
    lines.extend("line %d of the journal %s" % (start + n, "." * 60) for n in range(8000))


def grow():
    record(JOURNAL)
    return {"lines": len(JOURNAL)}


def generations():
    """How many objects the collector says are in each generation, some thousands in the youngest."""
    gc.disable()
    gc.collect()
    JOURNAL.extend([] for _ in range(5000))
    counted = [[id(one) for one in gc.get_objects(generation=number)] for number in range(3)]
    return {"counts": [len(ids) for ids in counted]}


def batch():
    for _ in range(8):
        record(BATCH)
    return {"lines": len(BATCH)}


def done():
    del BATCH[:]
    return {"lines": len(BATCH)}


_protocol.serve(0, "none", "growing", commands={
    "grow": grow, "batch": batch, "done": done, "generations": generations,
})
