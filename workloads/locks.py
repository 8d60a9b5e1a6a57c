"""Lock scenarios, each with a known truth: `SCENARIO=two_locks locks.py`, or `locks.py two_locks`.

The program brings itself into the state, says READY with what is true of it, and stays. Threads
are named after what they do. Scenarios with a C library have it in LIBRARY: c/mutexes.c, compiled.

`SCENARIO=two_locks,event` has both in one process: each in a module of its own, which its names and
those of its threads begin with, and READY has the truth of each.
"""
import ctypes
import json
import logging
import os
import sys
import threading
import time

try:
    import queue
except ImportError:
    import Queue as queue

WAIT = 0.15  # until a started thread has surely gone to sleep
TOGETHER = None  # the truth of all scenarios so far, where they are several
MODULE = "__main__"


class Skipped(Exception):
    """One of several scenarios is not for this release."""


def called(name):
    return name if TOGETHER is None else MODULE + "/" + name


def start(target, name, *args):
    thread = threading.Thread(target=target, name=called(name), args=args)
    thread.daemon = True
    thread.start()
    return thread


def ready(**truth):
    truth["pid"] = os.getpid()
    truth["module"] = MODULE
    for names in ["threads", "holders"]:
        if names in truth:
            truth[names] = [called(name) for name in truth[names]]
    for by_name in ["waits", "held_by", "says", "calls"]:
        if by_name in truth:
            truth[by_name] = {called(name): what for name, what in truth[by_name].items()}
    for name, holders in truth.get("held_by", {}).items():
        truth["held_by"][name] = [called(holder) for holder in holders]
    if TOGETHER is not None:
        TOGETHER[MODULE] = truth
        return
    time.sleep(WAIT)
    sys.stdout.write("READY " + json.dumps(truth) + "\n")
    sys.stdout.flush()


def stay():
    if TOGETHER is None:
        sys.stdin.read()
        os._exit(0)


def skip():
    """This release has no such thing."""
    ready(skip=True)
    stay()
    raise Skipped


def together(names):
    """Several scenarios, one after the other."""
    global TOGETHER
    all_of_them = {}
    with open(__file__) as file:
        code = compile(file.read(), __file__, "exec")
    for name in names:
        module = type(sys)(name)
        sys.modules[name] = module
        module.__file__ = __file__
        exec(code, module.__dict__)
        module.TOGETHER, module.MODULE = all_of_them, name
    # Nothing is imported any more: one of them may keep the lock that imports need.
    for module in [sys.modules[name] for name in names]:
        try:
            getattr(module, module.MODULE)()
        except module.Skipped:
            pass
    ready(together=all_of_them)
    stay()


def no_gil():
    return not getattr(sys, "_is_gil_enabled", lambda: True)()


class Account(object):
    def __init__(self, lock):
        self.lock = lock
        self.value = 0


def two_locks():
    return cycle([threading.Lock(), threading.Lock()])


def three_locks():
    return cycle([threading.Lock(), threading.Lock(), threading.Lock()])


def rlock_cycle():
    return cycle([threading.RLock(), threading.RLock()])


def cycle(locks):
    """Everybody has one lock and wants the next."""
    global accounts
    accounts = [Account(lock) for lock in locks]
    taken = [threading.Event() for _ in locks]

    def transfer(number):
        other = (number + 1) % len(accounts)
        with accounts[number].lock:
            taken[number].set()
            taken[other].wait()
            with accounts[other].lock:
                pass

    for number in range(len(accounts)):
        start(transfer, "transfer-%d" % number, number)
    for event in taken:
        event.wait()
    ready(deadlock="cycle", threads=["transfer-%d" % n for n in range(len(locks))],
          name="accounts[0].lock")
    stay()


class Cache(object):
    def __init__(self):
        self.lock = threading.Lock()

    def refresh(self):
        with self.lock:
            return self.get()

    def get(self):
        with self.lock:
            return 1


def itself():
    """A method that holds a plain lock calls another one that takes it."""
    global cache
    cache = Cache()
    start(cache.refresh, "refresher")
    ready(deadlock="itself", threads=["refresher"], name="cache.lock", says={"refresher": "self.lock"})
    stay()


def fork_logging():
    """A thread writes to the log when another one forks; the child logs."""
    global handler

    class Slow(logging.Handler):
        def createLock(self):
            # As handlers do that lock across processes; from 3.7 on the child's locks of logging's
            # own are made anew.
            self.lock = threading.RLock()

        def emit(self, record):
            entered.set()
            go_on.wait()

    entered, go_on = threading.Event(), threading.Event()
    handler = Slow()
    logging.getLogger().addHandler(handler)
    start(lambda: logging.warning("slow disk"), "log-writer")
    entered.wait()
    child = os.fork()
    if child:
        ready(child=child, deadlock=None)
        stay_with(child)
    handler.emit = lambda record: None
    stay_when_orphaned()
    logging.warning("in the child")


def fork_handler():
    """The same with a handler as it comes: from 3.7 on the child has locks of its own."""
    global handler

    class Disk(object):
        def write(self, text):
            entered.set()
            go_on.wait()

        def flush(self):
            pass

    entered, go_on = threading.Event(), threading.Event()
    handler = logging.StreamHandler(Disk())
    logging.getLogger().addHandler(handler)
    start(lambda: logging.warning("slow disk"), "log-writer")
    entered.wait()
    child = os.fork()
    if child:
        ready(child=child, deadlock=None, made_anew=sys.version_info >= (3, 7))
        stay_with(child)
    stay_when_orphaned()
    handler.stream = open(os.devnull, "w")
    logging.warning("in the child")
    rest()


def rest():
    time.sleep(600)


def fork_plain():
    """The same with a plain lock, which does not say who has it."""
    global cache
    cache = Cache()
    entered, go_on = threading.Event(), threading.Event()

    def work():
        with cache.lock:
            entered.set()
            go_on.wait()

    start(work, "cache-filler")
    entered.wait()
    child = os.fork()
    if child:
        ready(child=child, deadlock=None)
        stay_with(child)
    stay_when_orphaned()
    cache.get()


def stay_with(child):
    if TOGETHER is not None:
        return
    sys.stdin.read()
    os.kill(child, 9)
    os._exit(0)


def stay_when_orphaned():
    """The child ends with its parent, whatever that dies of."""
    ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)


def died_holding():
    global cache
    cache = Cache()
    cache.lock = threading.RLock()

    left = threading.Event()

    def survive():
        left.wait()
        cache.get()

    # Begun before: a thread that begins later may get the number of the one that has ended.
    start(survive, "survivor")
    start(lambda: cache.lock.acquire(), "short-lived").join()
    left.set()
    ready(deadlock="ended", threads=["survivor"], name="cache.lock", says={"survivor": "self.lock"})
    stay()


def not_notified():
    global changed
    changed = threading.Condition()

    def work():
        with changed:
            changed.wait()

    start(work, "listener")
    ready(deadlock=None, waits={"listener": "condition"}, name="changed", says={"listener": "changed"})
    stay()


def event():
    global stopped
    stopped = threading.Event()
    start(stopped.wait, "listener")
    ready(deadlock=None, waits={"listener": "event"}, name="stopped")
    stay()


def barrier():
    global barrier_
    if not hasattr(threading, "Barrier"):
        skip()
    barrier_ = threading.Barrier(3)
    start(barrier_.wait, "runner-1")
    start(barrier_.wait, "runner-2")
    ready(deadlock=None, waits={"runner-1": "barrier", "runner-2": "barrier"}, name="barrier_")
    stay()


class Pipeline(object):
    def __init__(self):
        self.queue = queue.Queue()
        self.lock = threading.Lock()
        self.other = threading.Lock()

    def consume(self):
        while True:
            item = self.queue.get()
            with self.lock:
                taken[0].set()
                taken[1].wait()
                with self.other:
                    item()

    def flush(self):
        with self.other:
            taken[1].set()
            taken[0].wait()
            with self.lock:
                pass


def stuck_consumer():
    """A queue grows because the thread that empties it is in a deadlock."""
    global pipeline, taken
    taken = [threading.Event(), threading.Event()]
    pipeline = Pipeline()
    for _ in range(50001):
        pipeline.queue.put(time.time)
    start(pipeline.consume, "consumer")
    start(pipeline.flush, "flusher")
    ready(deadlock="cycle", threads=["consumer", "flusher"], name="pipeline.lock",
          queue="pipeline.queue", items=50000, consumer="consumer")
    stay()


def full_queue():
    global jobs
    jobs = queue.Queue(2)

    def produce():
        while True:
            jobs.put(1)

    start(produce, "producer")
    ready(deadlock=None, waits={"producer": "queue"}, name="jobs", items=2, says={"producer": "jobs"})
    stay()


def simple_queue():
    """A queue that is written in C, with nothing in it."""
    global letters
    if not hasattr(queue, "SimpleQueue"):
        skip()
    letters = queue.SimpleQueue()
    start(lambda: letters.get(), "reader")
    ready(deadlock=None, waits={"reader": "simple-queue"}, name="letters", says={"reader": "letters"})
    stay()


def forking():
    """Where processes are not forked, as from 3.14 on, every lock is told to one more process, which
    starts `sys.executable`: that need not run where somebody else has loaded this program."""
    import multiprocessing
    get_context = getattr(multiprocessing, "get_context", None)
    return get_context("fork") if get_context else multiprocessing


def process_lock():
    """One thread has a lock that processes share, another one wants it."""
    global shared
    shared = forking().Lock()
    taken, never = threading.Event(), threading.Event()

    def keep():
        with shared:
            taken.set()
            never.wait()

    def want():
        with shared:
            pass

    start(keep, "keeper")
    taken.wait()
    start(want, "wanter")
    ready(deadlock=None, waits={"wanter": "process-lock", "keeper": "event"}, name="shared",
          held_by={"wanter": ["keeper"]}, says={"wanter": "shared", "keeper": "never"})
    stay()


def process_queue():
    """Nothing is in a queue between processes: one thread reads its pipe, another one waits for that."""
    global parcels
    parcels = forking().Queue()
    start(lambda: parcels.get(), "first")
    time.sleep(2 * WAIT)
    start(lambda: parcels.get(), "second")
    ready(deadlock=None, waits={"second": "process-lock"}, held_by={"second": ["first"]},
          name="parcels._rlock", says={"second": "parcels"}, calls={"first": ["read", "pipe:["]})
    stay()


def sockets():
    """Waiting for others on the network: no lock, but it is told whom for."""
    import socket

    def listening():
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        return listener, listener.getsockname()

    def named(address):
        return "127.0.0.1:%d" % address[1]

    global kept
    quiet, quiet_at = listening()
    client = socket.create_connection(quiet_at)
    server, client_at = quiet.accept()
    # No room for more than one that nobody has accepted.
    full, full_at = listening()
    kept = [quiet, client, full, socket.create_connection(full_at)]
    start(lambda: server.recv(1), "receiver")
    start(quiet.accept, "acceptor")
    start(lambda: socket.create_connection(full_at), "connector")
    ready(deadlock=None, calls={
        "receiver": ["recvfrom", "tcp %s to %s" % (named(quiet_at), named(client_at))],
        "acceptor": ["accept", "tcp listens at " + named(quiet_at)],
        "connector": ["connect", " to " + named(full_at)]})
    stay()


def semaphore():
    """All places of a semaphore are taken by threads that wait for something else."""
    global slots
    slots = threading.BoundedSemaphore(2)
    never = threading.Event()

    def work():
        with slots:
            never.wait()

    for number in range(3):
        start(work, "worker-%d" % number)
        time.sleep(WAIT)
    ready(deadlock=None, waits={"worker-2": "semaphore", "worker-0": "event"}, name="slots",
          holders=["worker-0", "worker-1"], says={"worker-2": "slots", "worker-0": "never"})
    stay()


def joined():
    """Two threads wait for each other: one for a lock, one for the other's end."""
    global cache
    cache = Cache()

    def work():
        with cache.lock:
            inner.start()
            inner.join()

    inner = threading.Thread(target=cache.get, name=called("inner"))
    inner.daemon = True
    start(work, "outer")
    ready(deadlock="cycle", threads=["inner", "outer"], name="cache.lock",
          says={"inner": "self.lock", "outer": "inner"})
    stay()


def import_lock():
    """A module starts a thread that imports the module, and waits for that thread."""
    import shutil
    import tempfile
    folder = tempfile.mkdtemp()
    with open(os.path.join(folder, "selfish.py"), "w") as out:
        out.write("import threading\n"
                  "def work():\n"
                  "    import selfish\n"
                  "    selfish.done\n"
                  "thread = threading.Thread(target=work, name='%s')\n"
                  "thread.daemon = True\n"
                  "thread.start()\n"
                  "thread.join()\n"
                  "done = True\n" % called("importer"))
    sys.path.insert(0, folder)
    start(lambda: __import__("selfish"), "main-importer")
    time.sleep(2 * WAIT)
    shutil.rmtree(folder)
    ready(deadlock="cycle", threads=["importer", "main-importer"])
    stay()


def gil():
    """A C function that keeps the GIL sleeps; all others wait for it."""
    if no_gil():
        return skip()
    wanted = threading.Event()

    def want():
        while True:
            wanted.set()

    libc = ctypes.PyDLL(None)
    start(want, "waiter")
    wanted.wait()
    start(lambda: libc.usleep(900000), "keeper")
    sys.stdout.write("READY " + json.dumps(
        {"pid": os.getpid(), "deadlock": None, "gil": "keeper", "waits": {"waiter": "gil"}}) + "\n")
    sys.stdout.flush()
    # From here on somebody sleeps with the GIL nearly always. Ends with whoever started it.
    parent = os.getppid()
    while os.getppid() == parent:
        libc.usleep(900000)


def file_lock():
    """Another process has the lock on a file."""
    import fcntl
    lock_of_another_process("whole", fcntl.flock)


def record_lock():
    """Another process has the lock on a part of a file."""
    import fcntl
    lock_of_another_process("part", lambda out, how: fcntl.lockf(out, how, 10, 5))


def lock_of_another_process(what, lock):
    import fcntl
    import tempfile
    path = os.path.join(tempfile.gettempdir(), "memwhy-%s-%d.lock" % (what, os.getpid()))
    taken, tell = os.pipe()
    child = os.fork()
    out = open(path, "w")
    if child == 0:
        stay_when_orphaned()
        lock(out, fcntl.LOCK_EX)
        os.write(tell, b"x")
        time.sleep(600)
        os._exit(0)
    os.read(taken, 1)
    start(lambda: lock(out, fcntl.LOCK_EX), "locker")
    os.remove(path)
    ready(deadlock=None, waits={"locker": "file"}, name=path + " (deleted)", holder_pid=child,
          child=child)
    stay_with(child)


def future():
    try:
        from concurrent.futures import Future
    except ImportError:
        skip()
    global answer
    answer = Future()
    start(answer.result, "asker")
    ready(deadlock=None, waits={"asker": "future"}, name="answer")
    stay()


def mutex():
    """Two mutexes of a C library, taken in opposite order."""
    library = ctypes.CDLL(os.environ["LIBRARY"])
    start(lambda: library.take_both(0), "forth")
    start(lambda: library.take_both(1), "back")
    time.sleep(3 * WAIT)
    ready(deadlock="cycle", threads=["back", "forth"])
    stay()


def mutex_and_gil():
    """C code wants the GIL while it has a mutex, and somebody with the GIL wants the mutex."""
    if no_gil():
        return skip()
    library = ctypes.CDLL(os.environ["LIBRARY"])
    keeps = ctypes.PyDLL(os.environ["LIBRARY"])
    callback = ctypes.CFUNCTYPE(None)(lambda: None)
    start(lambda: library.call_with_mutex(callback), "caller")
    # Said before: nobody gets the GIL afterwards.
    ready(deadlock="cycle", threads=["caller", "keeper"])
    threading.current_thread().name = "keeper"
    keeps.take_slowly()


def rwlock():
    library = ctypes.CDLL(os.environ["LIBRARY"])
    start(library.write_for_ever, "writer")
    time.sleep(WAIT)
    start(library.read_once, "reader")
    ready(deadlock=None, waits={"reader": "rw-lock"}, held_by={"reader": ["writer"]})
    stay()


def rwlock_of_readers():
    """Those who read a lock are counted in it and not named."""
    library = ctypes.CDLL(os.environ["LIBRARY"])
    start(library.read_for_ever, "first")
    start(library.read_for_ever, "second")
    time.sleep(WAIT)
    start(library.write_once, "writer")
    ready(deadlock=None, waits={"writer": "rw-lock"}, held_by={"writer": []})
    stay()


if __name__ == "__main__":
    scenarios = (os.environ.get("SCENARIO") or sys.argv[1]).split(",")
    if len(scenarios) > 1:
        together(scenarios)
    globals()[scenarios[0]]()
