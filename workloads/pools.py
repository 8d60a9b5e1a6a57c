"""Pools that are well: idle and working threads, processes, an executor of asyncio.

Whoever waits here waits for work, or for somebody who works: nothing of it is a deadlock.
"""
import ctypes
import json
import multiprocessing
import os
import sys
import threading
import time

try:
    import queue
except ImportError:
    import Queue as queue


def spin(lock):
    """Short turns with a lock that all want."""
    while True:
        with lock:
            sum(range(2000))
        time.sleep(0.001)


def start(target, *args):
    thread = threading.Thread(target=target, args=args)
    thread.daemon = True
    thread.start()


def take(jobs):
    while True:
        jobs.get()
        time.sleep(0.002)
        jobs.task_done()


def give(jobs):
    while True:
        jobs.put(1)


def end_with_parent():
    """A child ends with its parent, whatever that dies of."""
    ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)


def snooze(seconds):
    time.sleep(seconds)
    return seconds


def main():
    # The processes first: they are forked.
    pool = multiprocessing.Pool(3, end_with_parent)
    pool.map(snooze, [0.01] * 3)
    pending = [pool.apply_async(snooze, (600,))]
    children = [child.pid for child in multiprocessing.active_children()]

    lock = threading.Lock()
    recursive = threading.RLock()
    for _ in range(3):
        start(spin, lock)
        start(spin, recursive)
    jobs = queue.Queue(4)
    for _ in range(2):
        start(take, jobs)
        start(give, jobs)
    start(jobs.join)
    idle = queue.Queue()
    for _ in range(3):
        start(take, idle)
    slots = threading.Semaphore(2)
    for _ in range(4):
        start(spin, slots)
    never = threading.Event()
    start(never.wait)
    start(never.wait, 600)
    try:
        from concurrent.futures import ThreadPoolExecutor
        executor = ThreadPoolExecutor(4)
        pending += [executor.submit(snooze, 600) for _ in range(2)]
        start(pending[-1].result)
        import asyncio
        loop = asyncio.new_event_loop()
        start(loop.run_forever)
        loop.call_soon_threadsafe(lambda: loop.run_in_executor(None, snooze, 600))
    except ImportError:
        pass
    time.sleep(0.3)
    sys.stdout.write("READY " + json.dumps({"pid": os.getpid(), "children": children}) + "\n")
    sys.stdout.flush()
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    if sys.version_info >= (3, 4):
        multiprocessing.set_start_method("fork")
    main()
