"""Two bursts of short-lived threads, all busy at once.

The threads share glibc's arenas, free what they used, leave one small result each, and exit. What
lies below the results, in arenas that nobody is attached to any more, stays resident. malloc_trim
cures it; fewer arenas make it worse, because then the results of some lie above the buffers of
others.
"""
import threading

import _protocol

THREADS = 24
FIRST = 40
REST = 400
SIZE = 40 * 1024
RESULT = 20000

results = []


def work(everyone):
    buffers = [bytearray(b"x") * SIZE for _ in range(FIRST)]
    everyone.wait()
    results.append(bytearray(b"r") * RESULT)
    everyone.wait()
    buffers += [bytearray(b"x") * SIZE for _ in range(REST)]
    everyone.wait()
    while buffers:
        buffers.pop()


for burst in range(2):
    everyone = threading.Barrier(THREADS)
    threads = [threading.Thread(target=work, args=(everyone,)) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
del threads, thread, everyone

_protocol.serve(len(results) * RESULT, "allocator-retention", "burst-threads")
