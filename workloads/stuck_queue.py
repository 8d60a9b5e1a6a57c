"""A queue whose only consumer waits for a lock that nobody gives back."""
import threading

import _protocol

try:
    import queue
except ImportError:
    import Queue as queue

JOBS = 10000

work = queue.Queue()
licence = threading.Lock()
licence.acquire()
began = threading.Event()


def consume():
    """Takes a job, and then waits for ever."""
    while True:
        work.get()
        began.set()
        licence.acquire()


thread = threading.Thread(target=consume, name="consumer")
thread.daemon = True
thread.start()
for number in range(JOBS):
    work.put(("job %d " % number) * 300)
began.wait()

_protocol.serve(
    JOBS * 300 * 9,
    "python-objects",
    "stuck-queue",
    expected=_protocol.planted("queue", consume, place_is_near=True),
)
