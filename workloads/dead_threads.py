"""A table by thread, from which nobody removes the threads that ended."""
import threading

import _protocol

CONTEXTS = {}
THREADS = 300


def work():
    """Puts something aside for its thread."""
    CONTEXTS[threading.current_thread()] = ["context %d" % n for n in range(1000)]


for number in range(THREADS):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
del thread

_protocol.serve(
    THREADS * 1000 * 68,
    "python-objects",
    "dead-threads",
    expected=_protocol.planted("dead-threads", work),
)
