"""A service that grew and did not shrink again. Why?

Requests are served by a pool of threads. Each builds a response out of many buffers, sends it, and
frees them. At the end almost nothing is in use, yet the process stays large.

It then waits and answers on stdin: ping, trim, quit.
"""
import ctypes
import json
import os
import sys
import threading

try:
    import queue
except ImportError:  # 2.7
    import Queue as queue

WORKERS = 16
REQUESTS = 160
ROWS = 450
ROW = b"<tr><td>the same row, again and again</td></tr>\n" * 1000

requests = queue.Queue()
sessions = {}  # what each worker remembers of its last request: one row
pings = []


def serve():
    """One worker of the pool."""
    while True:
        if requests.get() == "ping":
            pings.append(threading.current_thread().name)
        else:
            response = [bytearray(ROW) for _ in range(ROWS)]
            sessions[threading.current_thread().name] = response[-1]
            del response
        requests.task_done()


def rss_mib():
    with open("/proc/self/smaps_rollup") as file:
        return sum(int(line.split()[1]) for line in file if line.startswith("Rss:")) // 1024


def say(text):
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def tell(text):
    sys.stderr.write(text)
    sys.stderr.flush()


def announce():
    live = sum(map(len, sessions.values()))
    tell("all responses freed, %d KiB still in use, RSS %d MiB\n" % (live // 1024, rss_mib()))
    expected = {"cause": "allocator-retention", "class": "thread-arenas"}
    ready = {"pid": os.getpid(), "rss_kib": rss_mib() * 1024, "live_bytes": live}
    say("READY " + json.dumps(dict(ready, expected=expected)))


def answer(command):
    if command == "ping":
        requests.put(command)
        requests.join()
        return {"beats": len(pings)}
    if command == "trim":
        before = rss_mib()
        ctypes.CDLL(None).malloc_trim(0)
        return {"before_rss_kib": before * 1024, "after_rss_kib": rss_mib() * 1024}
    return {"error": "unknown command: " + command}


for number in range(WORKERS):
    worker = threading.Thread(target=serve, name="worker-%d" % number)
    worker.daemon = True
    worker.start()
for served in range(0, REQUESTS, WORKERS):
    for _ in range(WORKERS):
        requests.put("page")
    requests.join()
    tell("\r%d requests, %d threads, RSS %d MiB  " % (served + WORKERS, WORKERS, rss_mib()))
tell("\n")
announce()
for line in iter(sys.stdin.readline, ""):
    if line.strip() == "quit":
        break
    say(json.dumps(answer(line.strip())))
