"""A thread that waits in an `__init__` so often called that the interpreter takes a short cut to it."""
import sys
import threading
import time

import _protocol

GATE = threading.Lock()
GATE.acquire()


class Made(object):
    def __init__(self, wait):
        if wait:
            GATE.acquire()


def make(times):
    for n in range(times):
        Made(n == times - 1)


def calls():
    """Functions and lines of the thread, the innermost first."""
    at, found = sys._current_frames().get(thread.ident), []
    while at is not None:
        found.append([at.f_code.co_name, at.f_lineno])
        at = at.f_back
    return found


thread = threading.Thread(target=make, args=(5000,), name="maker")
thread.daemon = True
thread.start()
while not calls() or calls()[0][0] != "__init__" or calls()[0][1] != 15:
    time.sleep(0.01)
_protocol.serve(0, "none", "hot init", calls=calls(), thread="maker")
