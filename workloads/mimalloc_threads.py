"""Threads that make what others free, and that end: what mimalloc does with their heaps.

For free-threaded builds. Workers make objects and hand them over; the main thread frees most of
them, so that blocks come back to heaps that are not its own. Half of the workers then end, and
their pages stay behind with what is still in use. One block is larger than a segment.
"""
import queue
import threading

import _protocol

WORKERS = 8
MADE = 40000

made = queue.Queue()
rest = threading.Event()
KEPT = []
LARGE = [None] * (5 * 1024 * 1024)


def work(ends):
    """Makes objects that somebody else frees."""
    made.put([{number: str(number)} for number in range(MADE)])
    if not ends:
        rest.wait()


workers = [
    threading.Thread(target=work, args=(number % 2 == 0,), daemon=True)
    for number in range(WORKERS)
]
for worker in workers:
    worker.start()
for _ in workers:
    objects = made.get()
    KEPT.append(objects[::100])
    del objects
for worker in workers[::2]:
    worker.join()
# Whoever needs a segment takes over one that was left behind; of this thread nobody does.
worker = threading.Thread(target=work, args=(True,))
worker.start()
worker.join()
KEPT.append(made.get()[::100])
del worker, workers

_protocol.serve(0, "python-objects", "mimalloc-threads")
