"""Many long-lived workers, each of which had one large request.

glibc gives every thread an arena of its own. Each worker fills its arena once, keeps the last
of its buffers, and frees the others: the process stays as large as the sum of all peaks, though
they were never there at the same time. malloc_trim cures it; so do fewer arenas.
"""
import threading

import _protocol

WORKERS = 16
BUFFERS = 480
SIZE = 48 * 1024

kept = []


def work(turn, done):
    turn.acquire()
    buffers = [bytearray(b"x") * SIZE for _ in range(BUFFERS)]
    kept.append(buffers.pop())
    del buffers
    done.release()
    turn.acquire()  # the next request, which never comes


done = threading.Semaphore(0)
turns = [threading.Semaphore(0) for _ in range(WORKERS)]
for number, turn in enumerate(turns):
    worker = threading.Thread(target=work, args=(turn, done), name="worker-%d" % number)
    worker.daemon = True
    worker.start()
for turn in turns:
    turn.release()
    done.acquire()

_protocol.serve(WORKERS * SIZE, "allocator-retention", "thread-arenas")
