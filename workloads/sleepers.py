"""Threads asleep in every system call that a stop might disturb, each counting the errors it got.

Answers `counts` with what each thread has seen: how often its call came back, and every error. Up to
Python 3.4 a call that is interrupted is an exception in the program: PEP 475 came with 3.5.
"""
from __future__ import print_function

import ctypes
import errno
import fcntl
import json
import os
import select
import signal
import socket
import struct
import sys
import tempfile
import threading
import time

libc = ctypes.CDLL(None, use_errno=True)
errors = {}
returns = {}
begun = []


def check(result):
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def forever(name, step):
    errors[name], returns[name] = [], 0

    def run():
        begun.append(name)
        while True:
            try:
                step()
            except (OSError, IOError, select.error, socket.error) as error:
                errors[name].append(errno.errorcode.get(error.args[0], repr(error)))
            returns[name] += 1

    thread = threading.Thread(target=run, name=name)
    thread.daemon = True
    thread.start()


def silent():
    """A descriptor that nothing ever comes from."""
    ends = socket.socketpair()
    kept.append(ends)
    return ends[0]


kept = []
quiet = silent()


def polled(source):
    poll = select.epoll()
    poll.register(source.fileno(), select.EPOLLIN)
    kept.append(poll)
    return poll


never = polled(quiet)
forever("epoll", lambda: never.poll())
briefly = polled(silent())
forever("epoll for a moment", lambda: briefly.poll(0.01))
long_wait = polled(silent())
forever("epoll with a limit", lambda: long_wait.poll(3600))

pipe, filled = os.pipe()
woken = select.epoll()
woken.register(pipe, select.EPOLLIN)


def take():
    for descriptor, _ in woken.poll():
        os.read(descriptor, 1)


def give():
    time.sleep(0.001)
    os.write(filled, b"x")


forever("epoll that wakes", take)
forever("giver", give)

polls = [select.poll(), select.poll()]
for poll in polls:
    poll.register(silent().fileno(), select.POLLIN)
forever("poll", lambda: polls[0].poll())
forever("poll with a limit", lambda: polls[1].poll(3600000))
forever("select", lambda: select.select([quiet], [], []))
forever("select with a limit", lambda: select.select([quiet], [], [], 3600))
forever("sleep", lambda: time.sleep(3600))
forever("nap", lambda: time.sleep(0.002))
blocking = silent()
forever("recv", lambda: blocking.recv(1))
limited = silent()
limited.settimeout(3600)
forever("recv with a limit", lambda: limited.recv(1))
by_kernel = silent()
by_kernel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 3600, 0))
forever("recv with the kernel's limit", lambda: by_kernel.recv(1))
server = socket.socket()
server.bind(("127.0.0.1", 0))
server.listen(1)
forever("accept", lambda: server.accept())
empty, kept_open = os.pipe()
forever("read of a pipe", lambda: os.read(empty, 1))
lock = threading.Lock()
lock.acquire()
forever("lock", lambda: lock.acquire())
event = threading.Event()
forever("event with a limit", lambda: event.wait(3600))
child = os.fork()
if child == 0:
    libc.prctl(1, signal.SIGKILL, 0, 0, 0)
    taken = open(os.path.join(tempfile.gettempdir(), "memwhy-%d.lock" % os.getppid()), "w")
    fcntl.flock(taken, fcntl.LOCK_EX)
    fcntl.lockf(taken, fcntl.LOCK_EX)
    open(taken.name + ".taken", "w").close()
    while True:
        signal.pause()
path = os.path.join(tempfile.gettempdir(), "memwhy-%d.lock" % os.getpid())
while not os.path.exists(path + ".taken"):
    time.sleep(0.01)
wanted = open(path, "w")
os.remove(path + ".taken")
os.remove(path)
forever("flock", lambda: fcntl.flock(wanted, fcntl.LOCK_EX))
forever("lockf", lambda: fcntl.lockf(wanted, fcntl.LOCK_EX))
forever("waitpid", lambda: os.waitpid(child, 0))
semaphore = libc.semget(0, 1, 0o600)
queue = libc.msgget(0, 0o600)


class Operation(ctypes.Structure):
    _fields_ = [("number", ctypes.c_ushort), ("by", ctypes.c_short), ("flags", ctypes.c_short)]


forever("semop", lambda: check(libc.semop(semaphore, ctypes.byref(Operation(0, -1, 0)), 1)))
message = ctypes.create_string_buffer(64)
forever("msgrcv", lambda: check(libc.msgrcv(queue, message, 8, 0, 0)))
signals = ctypes.create_string_buffer(128)
libc.sigemptyset(signals)
libc.sigaddset(signals, signal.SIGRTMIN if hasattr(signal, "SIGRTMIN") else 35)
libc.pthread_sigmask(signal.SIG_BLOCK if hasattr(signal, "SIG_BLOCK") else 0, signals, None)
forever("sigwaitinfo", lambda: check(libc.sigwaitinfo(signals, None)))
forever("pause", lambda: check(libc.pause()))
watched = libc.inotify_init()
forever("read of inotify", lambda: os.read(watched, 4096))
counter = libc.eventfd(0, 0)
forever("read of an eventfd", lambda: os.read(counter, 8))

while len(begun) < len(errors):
    time.sleep(0.01)
time.sleep(0.3)
print("READY " + json.dumps({"pid": os.getpid()}))
sys.stdout.flush()
while True:
    line = sys.stdin.readline()
    if not line:
        break
    seen = dict((name, {"errors": list(errors[name]), "returns": returns[name]}) for name in errors)
    print(json.dumps(seen))
    sys.stdout.flush()
libc.semctl(semaphore, 0, 0)
libc.msgctl(queue, 0, None)
os.kill(child, signal.SIGKILL)
os._exit(0)
