"""How does a workload talk with whoever examines it?

A workload brings itself into its state, prints ``READY {json}`` and then serves commands: one line
on stdin, one line of JSON on stdout. Between commands it waits in ``read`` and changes nothing, so
what is seen from outside can be compared with what it says of itself:

    ping               a counter that only another thread can advance
    trim               malloc_trim(0), with RSS before and after (summed from smaps)
    collect            gc.collect(), then malloc_trim(0), with RSS before and after both
    mallinfo2          glibc's own count of its heap
    counters           the same, what gc says of itself, and how much each free list gives up when it
                       is told to, where Python has functions for that: to be asked of a copy
    allocatedblocks    how many blocks CPython's allocator has handed out
    debugmallocstats   CPython's own count of its small-object allocator
    stats-into FIFO    the same as text, written to FIFO by this process itself: answers once the
                       pipe is full, so that it stands still in its first write until somebody
                       reads, and answers again when all is written; the cache of types is empty
    truth PATH [edges=1]   every object of this process, written to PATH (see oracle.py)
    interned PATH      which of the addresses in PATH are of interned strings, asked of a copy
    hold COMMAND ...   answers COMMAND (one that only looks) from a forked copy and then stays
                       as it was at the fork, byte for byte, until the next line, which is `resume`
    quit

A workload may know commands of its own besides.

The end of stdin is `quit` too, so no workload outlives its parent.
"""
from __future__ import print_function

import ctypes
import gc
import json
import os
import re
import sys
import tempfile
import threading
import time

import oracle

LIBC = ctypes.CDLL(None)
# Not os.fork: that warns where there are threads (which allocates), and its after-fork handlers
# clear the other threads out of the child. PyDLL keeps the GIL, so the copy is the very same heap.
FORK = ctypes.PyDLL(None).fork

MALLINFO = ("arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost").split()


class Mallinfo2(ctypes.Structure):
    """struct mallinfo2 of glibc 2.33 and later; usmblks is always 0 and not part of the answer."""

    _fields_ = [(name, ctypes.c_size_t) for name in MALLINFO]


class Mallinfo(ctypes.Structure):
    """struct mallinfo, the only one before: the same, as long as heaps are below 2 GiB."""

    _fields_ = [(name, ctypes.c_int) for name in MALLINFO]


try:
    MALLINFO2 = LIBC.mallinfo2
    MALLINFO2.restype = Mallinfo2
except AttributeError:
    MALLINFO2 = getattr(LIBC, "mallinfo", None)
    if MALLINFO2 is not None:
        MALLINFO2.restype = Mallinfo


def serve(live_bytes, cause, shape, **more):
    """Announces the state and answers commands until told to quit. Never returns.

    live_bytes: what the workload knows it holds. cause: the id of the verdict it deserves.
    shape: which of the workloads' shapes it is, in words. more: joined to the announcement, but for
    `commands`: functions by the names of the commands that only this workload knows.
    """
    commands = more.pop("commands", {})
    settle()
    ready = {
        "pid": os.getpid(),
        "rss_kib": status_rss_kib(),
        "live_bytes": live_bytes,
        "python": "%d.%d.%d" % sys.version_info[:3],
        "expected": {"cause": cause, "class": shape},
    }
    ready["expected"].update(more.pop("expected", {}))
    ready.update(more)
    heart = Heart()
    pending = []
    write(b"READY " + json.dumps(ready, sort_keys=True).encode() + b"\n")
    while True:
        words = read_line(pending).split()
        if not words:
            continue
        if words[0] == "stats-into" and len(words) == 2:
            say(lambda: stats_into(words[1]))
            continue
        hold = words[0] == "hold"
        asked = words[hold:] or [""]
        answer = commands.get(asked[0]) or answer_to(asked, heart)
        if answer is None:
            os._exit(0)
        if hold or words[0] in ("truth", "interned"):
            in_a_copy(answer, hold, pending)
        else:
            say(answer)


def planted(rule, function, **more):
    """What is expected of a workload whose memory is held by what `function` did.

    rule: the id of the rule that knows such holders. The place is where `function` begins.
    """
    code = getattr(function, "__code__", function)
    place = {"file": os.path.basename(code.co_filename), "line": code.co_firstlineno}
    return dict(more, rule=rule, place=place)


def settle():
    """Waits until threads that were joined are gone for the kernel too, with their stacks."""
    for _ in range(1000):
        if len(os.listdir("/proc/self/task")) <= threading.active_count():
            return
        time.sleep(0.005)


def answer_to(words, heart):
    """The function whose result answers a command, None for `quit`."""
    name, rest = words[0] if words else "", words[1:]
    if name == "quit":
        return None
    if name == "ping":
        return heart.beat
    if name == "trim":
        return trim
    if name == "collect":
        return collect
    if name == "mallinfo2":
        return mallinfo2
    if name == "counters":
        return lambda: dict(mallinfo2(), collector=collector(), cleared=cleared())
    if name == "allocatedblocks":
        return lambda: {"blocks": sys.getallocatedblocks()}
    if name == "debugmallocstats":
        return debugmallocstats
    if name == "guppy":
        return guppy
    if name == "truth" and rest:
        return lambda: oracle.write(rest[0], "edges=1" in rest[1:])
    if name == "interned" and rest:
        return lambda: oracle.interned(rest[0])
    return lambda: {"error": "unknown command: " + " ".join(words)}


def guppy():
    """What guppy3 finds in this process, and what it costs; for benchmarks."""
    from guppy import hpy

    before, cpu, wall = status_rss_kib(), time.process_time(), time.perf_counter()
    heap = hpy().heap()
    return {
        "objects": heap.count,
        "bytes": heap.size,
        "cpu_s": time.process_time() - cpu,
        "wall_s": time.perf_counter() - wall,
        "rss_before_kib": before,
        "rss_after_kib": status_rss_kib(),
    }


def in_a_copy(answer, hold, pending):
    """Lets a forked copy answer, while this process waits with its heap as at the fork."""
    wait_for_other_threads()
    child = FORK()
    if child == 0:
        try:
            say(answer)
            if hold:
                read_line(pending)
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    if status:
        say(lambda: {"error": "the copy ended with status %d" % status})
    elif hold:
        say(lambda: {"resumed": True})


def wait_for_other_threads():
    """Until they sleep. Without GIL one of them may be running Python code just now: the copy would
    not have the thread, and its collector would wait for it for ever.
    """
    if getattr(sys, "_is_gil_enabled", lambda: True)():
        return
    tasks = set(os.listdir("/proc/self/task")) - {str(threading.get_native_id())}
    while any(is_running(task) for task in tasks):
        time.sleep(0.001)


def is_running(task):
    try:
        return slurp("/proc/self/task/%s/stat" % task).rsplit(") ", 1)[1].startswith("R")
    except EnvironmentError:  # it has ended
        return False


class Heart(object):
    """A thread that works when asked, and at no other time: idle must mean unchanged."""

    def __init__(self):
        self.beats = 0
        self.wanted = threading.Semaphore(0)
        self.done = threading.Semaphore(0)
        thread = threading.Thread(target=self.run, name="heart")
        thread.daemon = True
        thread.start()

    def run(self):
        while True:
            self.wanted.acquire()
            self.beats += 1
            self.done.release()

    def beat(self):
        self.wanted.release()
        self.done.acquire()
        return {"beats": self.beats}


def say(answer):
    """Calls `answer` and sends what it returns, or how it failed."""
    try:
        result = answer()
    except Exception as error:
        result = {"error": "%s: %s" % (type(error).__name__, error)}
    write(json.dumps(result, sort_keys=True).encode() + b"\n")


def write(data):
    while data:
        data = data[os.write(1, data):]


def read_line(pending):
    """One line of stdin without its end. Unbuffered, so that a copy can read the next one."""
    while True:
        data = os.read(0, 4096)
        if not data:
            os._exit(0)
        pending.append(data)
        if data.endswith(b"\n"):
            line = b"".join(pending)
            del pending[:]
            return line.decode()


def slurp(path):
    with open(path) as file:
        return file.read()


def status_rss_kib():
    return int(re.search(r"VmRSS:\s+(\d+)", slurp("/proc/self/status")).group(1))


def smaps_rss_kib():
    """RSS as summed from smaps: the counters behind statm and status lag by some pages."""
    rollup = "/proc/self/smaps_rollup"
    text = slurp(rollup if os.path.exists(rollup) else "/proc/self/smaps")
    return sum(int(kib) for kib in re.findall(r"(?m)^Rss:\s+(\d+)", text))


def trim():
    before = smaps_rss_kib()
    returned = LIBC.malloc_trim(0)
    return {"before_rss_kib": before, "after_rss_kib": smaps_rss_kib(), "returned": returned}


def collect():
    before = smaps_rss_kib()
    gc.collect()
    collected = smaps_rss_kib()
    return {
        "before_rss_kib": before, "collected_rss_kib": collected,
        "after_rss_kib": trim()["after_rss_kib"],
    }


def collector():
    state = {
        "enabled": gc.isenabled(),
        "thresholds": gc.get_threshold(),
        "counts": gc.get_count(),
        "debug": gc.get_debug(),
        "garbage": id(gc.garbage),
    }
    if hasattr(gc, "get_freeze_count"):
        state["frozen"] = gc.get_freeze_count()
    if sys.version_info >= (3, 8):
        state["generations"] = [len(gc.get_objects(generation=n)) for n in range(3)]
    return state


def cleared():
    functions = {
        "tuple": "PyTuple_ClearFreeList", "frame": "PyFrame_ClearFreeList",
        "method": "PyMethod_ClearFreeList", "builtin method": "PyCFunction_ClearFreeList",
        "unicode": "PyUnicode_ClearFreelist",
    }
    found = {}
    for kind in functions:
        function = getattr(ctypes.pythonapi, functions[kind], None)
        if function is not None and sys.version_info < (3, 9):
            found[kind] = function()
    return found


def mallinfo2():
    if MALLINFO2 is None:
        return {"error": "this libc has neither mallinfo2 nor mallinfo"}
    info = MALLINFO2()
    return {name: getattr(info, name) for name in MALLINFO if name != "usmblks"}


def stats_into(path):
    """sys._debugmallocstats() by a process that cannot go on.

    What it counts is what was there while it stood: it allocates nothing, but `debugmallocstats`
    does before it gets there, and so is off by its own few objects.
    """
    pipe = os.open(path, os.O_WRONLY)
    stderr = os.dup(2)
    os.set_blocking(pipe, False)
    junk = b"." * 4095 + b"\n"  # one slot of the pipe each
    filled = 0
    try:
        while True:
            filled += os.write(pipe, junk)
    except BlockingIOError:
        pass
    os.set_blocking(pipe, True)
    write(json.dumps({"filled": filled}).encode() + b"\n")
    ctypes.pythonapi.PyType_ClearCache()
    os.dup2(pipe, 2)
    try:
        sys._debugmallocstats()
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(pipe)
    return {"written": True}


def debugmallocstats():
    """sys._debugmallocstats() as numbers. It writes to C's stderr, hence the temporary file."""
    with tempfile.TemporaryFile() as file:
        stderr = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            sys._debugmallocstats()
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
        file.seek(0)
        text = file.read().decode()

    def number(pattern):
        found = re.search(pattern, text)
        return int(found.group(1).replace(",", "")) if found else None

    def after(label):
        return number("# " + label + r"\s*=\s*([\d,]+)")

    classes = re.findall(r"(?m)^ +\d+ +(\d+) +(\d+) +(\d+) +(\d+)\s*$", text)
    columns = ("block", "pools", "used", "free")
    return {
        "arenas": after("arenas allocated current"),
        "arena_bytes": number(r"arenas \* (\d+) bytes/arena"),
        "pools": sum(int(row[1]) for row in classes),
        "unused_pools": number(r"(\d+) unused pools"),
        "pool_bytes": number(r"unused pools \* (\d+) bytes"),
        "allocated_bytes": after("bytes in allocated blocks"),
        "available_bytes": after("bytes in available blocks"),
        "header_bytes": after("bytes lost to pool headers"),
        "quantization_bytes": after("bytes lost to quantization"),
        "alignment_bytes": after("bytes lost to arena alignment"),
        "classes": [dict(zip(columns, map(int, row))) for row in classes],
    }
