"""Threads at work that can be parked at any line, to tell all their frames and variables.

`park` has every thread wait where it happens to be: at a random event of the interpreter's tracing,
a line, a call, a return or an exception. The answer is what `sys._current_frames` says of them:
function, line, and every variable with its `repr` where that is a plain value. `go` lets them work
on. Runs on Python 2.7 and every Python 3.
"""
from __future__ import print_function

import dis
import json
import os
import random
import sys
import threading
import time

PLAIN = (int, float, bool, str, bytes, type(None), type(u""), complex)
parking = False
parked = set()
gate = threading.Lock()


def trace(frame, event, argument):
    if parking and frame.f_code.co_filename == trace.__code__.co_filename and random.random() < 0.05:
        me = threading.current_thread().ident
        parked.add(me)
        gate.acquire()
        gate.release()
        parked.discard(me)
    return trace


def numbers(start, stop, step=1):
    at = start
    while at < stop:
        received = yield at
        if received is not None:
            at = received
        at += step


def closure(first, *rest, **named):
    total, label = first, u"na\xefve"
    kept = [first, label]

    def add(number, times=2):
        scaled = number * times
        inner = [total + part
                 for part in rest
                 if part != scaled]
        return sum(inner) + len(kept) + len(named)

    for position, value in enumerate(rest):
        part = add(value,
                   times=position)
        kept.append(part)
    return len(kept)


class Account(object):
    rate = 1.5

    def __init__(self, owner):
        self.owner = owner
        self.history = []

    def deposit(self, amount, note=b"cash"):
        before = len(self.history)
        interest = amount * self.rate
        try:
            if amount % 3 == 0:
                raise ValueError("thirds", amount)
            self.history.append(amount)
        except ValueError as error:
            reason = error.args[0]
            self.history.append(reason)
        finally:
            after = len(self.history)
        del before
        return after, interest

    def __enter__(self):
        opened = self.owner
        return self if opened else None

    def __exit__(self, kind, value, traceback):
        closed = kind is None
        return closed


def recursive(depth, path=()):
    big, empty = 10 ** 30 + depth, ""
    if depth == 0:
        return [name for name in path if name]
    pair = (depth, empty)
    return recursive(depth - 1, path + (str(depth),)) + [big, pair]


def once(number):
    account = Account(owner="owner-%d" % number)
    flag = number % 2 == 0
    with account as opened:
        for amount in numbers(0, 5):
            after, interest = opened.deposit(amount)
            ratio = interest / after
    squares = dict((n, n * n) for n in range(4))
    evens = [n for n in squares if n % 2 == 0]
    found = closure(number, *evens, flag=flag)
    deep = recursive(number % 7)
    key = (lambda value, shift=number: value + shift)(found)
    ordered = sorted(deep, key=lambda item: str(item))
    chained = complex(ratio, key)
    return len(ordered), chained


def work(seed):
    number = seed
    while True:
        number = (number + 1) % 1000
        once(number)


def plain(value):
    if type(value) in PLAIN:
        return repr(value)
    if type(value) in (list, tuple) and all(type(part) in PLAIN for part in value):
        return repr(value)
    return None


def line_of(frame):
    """Up to 3.9 `f_lineno` of a frame that is traced is that of its last event, which lags behind
    where a generator goes on: then it is the line of the instruction, by the code's own table."""
    if frame.f_trace is None or sys.version_info >= (3, 10):
        return frame.f_lineno
    line = frame.f_code.co_firstlineno
    for start, number in dis.findlinestarts(frame.f_code):
        if start > frame.f_lasti:
            break
        line = number
    return line


def told(frame):
    frames = []
    while frame is not None:
        code = frame.f_code
        variables = None
        # Those of a function: others have a namespace.
        if code.co_flags & 1:
            variables = dict((name, [hex(id(value)), plain(value)])
                             for name, value in frame.f_locals.items())
        name = getattr(code, "co_qualname", code.co_name)
        frames.append([name, code.co_filename, line_of(frame), variables])
        frame = frame.f_back
    return frames


threading.settrace(trace)
workers = []
for seed in range(4):
    worker = threading.Thread(target=work, args=(seed * 100,), name="parked-%d" % seed)
    worker.daemon = True
    worker.start()
    workers.append(worker)

print("READY " + json.dumps({"pid": os.getpid()}))
sys.stdout.flush()
while True:
    line = sys.stdin.readline()
    if not line:
        os._exit(0)
    answer = {}
    if line.strip() == "park":
        gate.acquire()
        parking = True
        while len(parked) < len(workers):
            time.sleep(0.001)
        # Who has said so is about to wait.
        time.sleep(0.01)
        current = sys._current_frames()
        answer = dict((worker.name, told(current[worker.ident])) for worker in workers)
    else:
        parking = False
        gate.release()
        while parked:
            time.sleep(0.001)
    print(json.dumps(answer))
    sys.stdout.flush()
