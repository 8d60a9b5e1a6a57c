"""Threads that make what others free, and that end: what mimalloc does with their heaps.

For free-threaded builds. Workers make objects and hand them over; the main thread frees most of
them, so that blocks come back to heaps that are not its own. On `end` half of the workers
end, and their pages stay behind with what is still in use; not before, because any thread that
starts takes over what was left behind. One block is larger than a segment.
"""
import queue
import threading

import _protocol

WORKERS = 8
MADE = 40000

made = queue.Queue()
rest = [threading.Event(), threading.Event()]
KEPT = []
LARGE = [None] * (5 * 1024 * 1024)


def work(half):
    """Makes objects that somebody else frees."""
    made.put([{number: str(number)} for number in range(MADE)])
    rest[half].wait()


def end():
    """Ends half of the workers."""
    rest[0].set()
    for worker in workers[::2]:
        worker.join()
    return {"ended": len(workers[::2])}


workers = [
    threading.Thread(target=work, args=(number % 2,), daemon=True)
    for number in range(WORKERS)
]
for worker in workers:
    worker.start()
for _ in workers:
    objects = made.get()
    KEPT.append(objects[::100])
    del objects

_protocol.serve(0, "python-objects", "mimalloc-threads", commands={"end": end})
