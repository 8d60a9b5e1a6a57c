"""Many threads that called deep once and wait now.

A stack stays as large as its deepest call: through C, as sorting with a function of Python's does.
`cure` ends the threads.
"""
import ctypes
import threading

import _protocol

THREADS = 64

libc = ctypes.CDLL(None)
COMPARE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
libc.qsort.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t, COMPARE]
pair = (ctypes.c_int * 2)(1, 2)
first = ctypes.addressof(pair)
local = threading.local()


def deep(a, b):
    """From C to Python to C, until it is deep enough."""
    here = ctypes.c_int(0)
    local.levels -= 1
    if local.levels > 0:
        libc.qsort(first, 2, 4, compare)
    return 0


compare = COMPARE(deep)
go = threading.Semaphore(0)
done = threading.Semaphore(0)


def work():
    local.levels = LEVELS
    libc.qsort(first, 2, 4, compare)
    done.release()
    go.acquire()


LEVELS = 300
threads = [threading.Thread(target=work, name="deep-%d" % n) for n in range(THREADS)]
for thread in threads:
    thread.daemon = True
    thread.start()
    done.acquire()


def cure():
    before = _protocol.smaps_rss_kib()
    for _ in threads:
        go.release()
    for thread in threads:
        thread.join()
    _protocol.settle()
    return {"before_rss_kib": before, "after_rss_kib": _protocol.smaps_rss_kib()}


_protocol.serve(0, "thread-stacks", "thread-stacks", commands={"cure": cure})
