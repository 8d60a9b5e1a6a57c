"""A program that does everything at once that makes acting on it hard.

The main thread never waits: it runs bytecode, allocates, and takes a signal every few milliseconds.
Beside it threads allocate, compress without the GIL, fork, sleep, and start and end other threads.
Each counts what it did, so that whoever disturbs one of them is found out; a line on stdin is
answered with the counts. Ends with its stdin. The argument `no-signals` leaves the signals out.
"""
from __future__ import print_function

import json
import os
import signal
import sys
import threading
import time
import zlib

counts = dict.fromkeys(["main", "signals", "allocate", "compress", "fork", "sleep", "spawn"], 0)
errors = []


def forever(name, step):
    def loop():
        while True:
            try:
                step()
            except Exception as error:
                errors.append("%s: %r" % (name, error))
                time.sleep(0.1)
            counts[name] += 1

    thread = threading.Thread(target=loop, name=name)
    thread.daemon = True
    thread.start()


def fork():
    child = os.fork()
    if child == 0:
        os._exit(0)
    while True:
        try:
            os.waitpid(child, 0)
            break
        except OSError as error:
            # 2.7: a wait that is interrupted says so.
            if error.errno != 4:
                raise
    time.sleep(0.02)


def spawn():
    thread = threading.Thread(target=lambda: None)
    thread.start()
    thread.join()
    time.sleep(0.002)


def on_signal(number, frame):
    counts["signals"] += 1


def end_with_stdin():
    while True:
        try:
            if not os.read(0, 4096):
                os._exit(0)
            print(json.dumps(dict(counts, errors=len(errors))))
            sys.stdout.flush()
        except OSError as error:
            # 2.7 again: any thread may be the one that the signal interrupts.
            if error.errno != 4:
                raise


kept = [None] * 64
data = os.urandom(65536)
forever("allocate", lambda: kept.__setitem__(counts["allocate"] % 64, bytearray(1 << 16)))
forever("compress", lambda: zlib.compress(data, 6))
forever("fork", fork)
forever("sleep", lambda: time.sleep(0.003))
forever("spawn", spawn)
watcher = threading.Thread(target=end_with_stdin, name="stdin")
watcher.daemon = True
watcher.start()
if "no-signals" in sys.argv:
    del counts["signals"]
else:
    signal.signal(signal.SIGALRM, on_signal)
    signal.setitimer(signal.ITIMER_REAL, 0.007, 0.007)

print("READY " + json.dumps({"pid": os.getpid()}))
sys.stdout.flush()
while True:
    counts["main"] += 1
    [str(number) for number in range(50)]
