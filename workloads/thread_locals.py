"""Threads that ended and are still on a list: what _threading_local has for them stays.

That one, which serves where threads are replaced by something else, waits for the end of the Thread
object, not of the thread. 2.7 has the values in that object itself.
"""
import threading
from _threading_local import local

import _protocol

LOCAL = local()
STARTED = []
THREADS = 200


def work():
    """Keeps something for its thread."""
    here = threading.current_thread()
    LOCAL.rows = ["row %d of %d" % (n, id(here)) for n in range(1500)]


for number in range(THREADS):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    STARTED.append(thread)

_protocol.serve(
    THREADS * 1500 * 62,
    "python-objects",
    "thread-locals",
    expected=_protocol.planted("thread-locals", work),
)
