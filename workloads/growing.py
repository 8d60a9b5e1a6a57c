"""Grows, or comes and goes, whenever it is told to: to be watched."""
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


def batch():
    for _ in range(8):
        record(BATCH)
    return {"lines": len(BATCH)}


def done():
    del BATCH[:]
    return {"lines": len(BATCH)}


_protocol.serve(0, "none", "growing", commands={"grow": grow, "batch": batch, "done": done})
