"""200 threads deep in calls that wait, beside 64 MiB of data. Runs on Python 2.7 and every Python 3."""
import threading

import _protocol

THREADS = 200
DEPTH = 10
NEVER = threading.Lock()
NEVER.acquire()
HERE = threading.Semaphore(0)


def deep(left, label="label", *rest, **named):
    kept = [left, label]
    if left:
        return deep(left - 1, *kept)
    HERE.release()
    return NEVER.acquire()


DATA = [bytearray(64 << 10) for _ in range(1024)]
for number in range(THREADS):
    thread = threading.Thread(target=deep, args=(DEPTH,), name="waiting-%d" % number)
    thread.daemon = True
    thread.start()
for _ in range(THREADS):
    HERE.acquire()
_protocol.serve(sum(len(block) for block in DATA), "none", "many threads that wait")
