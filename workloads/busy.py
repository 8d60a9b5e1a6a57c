"""A few threads that compute: large because it is working, and not otherwise."""
import threading

import _protocol

progress = [0, 0, 0]


def crunch(slot):
    while True:
        table = {n: n * n for n in range(2000)}
        progress[slot] += sum(table.values()) % 2 + 1


for slot in range(len(progress)):
    worker = threading.Thread(target=crunch, args=(slot,), name="crunch-%d" % slot)
    worker.daemon = True
    worker.start()

# No copy of a process that never rests can stand for it: `truth` and `hold` are not for this one.
_protocol.serve(0, "busy", "busy")
