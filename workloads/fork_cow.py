"""Workers that were forked from a parent with a large heap, and collected garbage since.

The parent makes two heaps of about the same size: lists, which the collector tracks, and strings,
which it does not. Each child runs the collector once; that writes to every tracked object, and so
to a copy of its page. After gc.freeze() in the parent (HOW=freeze in the environment) it
writes to none of them. With HOW=read a child uses every object instead, which writes to the counts of
references of all of them.
"""
import gc
import os

import _protocol

CHILDREN = 2
HOW = os.environ.get("HOW", "collect")

gc.disable()
records = [[number] for number in range(500000)]
names = ["name of record number %d, and then some" % number for number in range(400000)]
gc.collect()
if HOW == "freeze":
    gc.freeze()

children = []
pipes = []
for _ in range(CHILDREN):
    done, say = os.pipe()
    end, keep = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(keep)
        if HOW == "read":
            for record in records:
                len(record)
            for name in names:
                len(name)
        elif HOW != "nothing":
            gc.collect()
        os.write(say, b"x")
        os.read(end, 1)  # until the parent ends
        os._exit(0)
    os.close(end)
    os.read(done, 1)
    children.append(child)
    pipes.append(keep)  # closed with this process


def private_kib():
    """What each child has that nobody else does."""
    def of(pid):
        text = _protocol.slurp("/proc/%d/smaps_rollup" % pid)
        lines = (line.split() for line in text.splitlines())
        return sum(int(line[1]) for line in lines if line[0].startswith("Private_"))

    return {"private_kib": [of(child) for child in children]}


_protocol.serve(
    0, "python-objects", "fork-cow", children=children, commands={"private": private_kib}
)
