"""Threads of C that entered Python and did not say when they left: what threading.local has for them stays.

Each is started with pthread_create, and calls PyGILState_Ensure without PyGILState_Release, as
extensions do that forget it: CPython's state of the thread, and so its values, outlive the thread.
"""
import ctypes
import threading
import time

import _protocol

LOCAL = threading.local()
THREADS = 200
LIBC = ctypes.CDLL(None)
ENTERED = []
GO = threading.Lock()


@ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)
def work(_):
    """What the library calls back."""
    ctypes.pythonapi.PyGILState_Ensure()
    put_aside()
    ENTERED.append(1)
    # All at once: 2.7 takes a thread for an earlier one that had the same stack.
    GO.acquire()
    GO.release()


def put_aside():
    """Keeps something for its thread."""
    here = len(ENTERED)
    LOCAL.rows = ["row %d of %d" % (n, here) for n in range(1500)]


GO.acquire()
threads = [ctypes.c_ulong() for number in range(THREADS)]
for thread in threads:
    LIBC.pthread_create(ctypes.byref(thread), None, work, None)
while len(ENTERED) < THREADS:
    time.sleep(0.01)
GO.release()
for thread in threads:
    LIBC.pthread_join(thread, None)
del threads, thread

_protocol.serve(
    THREADS * 1500 * 62,
    "python-objects",
    "thread-locals",
    expected=_protocol.planted("thread-locals", put_aside),
)
