# Says where its threads are, then keeps them there. Runs on Python 2.7 and every Python 3.
import functools
import json
import sys
import threading
import time

# Waiting for a lock is one call: an Event of 2.7 looks at its watch all the time.
NEVER = threading.Lock()
NEVER.acquire()


class Walker(object):
    def __init__(self, depth):
        self.depth = depth

    def walk(self, left, label=u"na\xefve \u20ac"):
        total = [left,
                 self.depth]
        if left == 0:
            return self.rest(
                total,
                label
            )
        return self.walk(left - 1)

    def rest(self, *args, **kwargs):
        seen = dict(kwargs)

        def inner(value):
            try:
                for item in steps(value, seen):
                    pass
            finally:
                kwargs.clear()

        inner(args)


def steps(value, seen):
    yield 1
    sorted([2], key=lambda number: block(number, value, seen))
    yield 2


def block(number, *rest):
    # Far from the first line, so that one step of a line table does not reach it.
    #
    #
    #
    while number:
        number = functools.partial(wait, number, rest)()



def wait(number, rest):
    unset = None
    del unset
    return NEVER.acquire()


def spin():
    while True:
        pass


def report():
    time.sleep(0.3)
    threads = {}
    for ident, frame in sys._current_frames().items():
        if ident == threading.current_thread().ident:
            continue
        stack = []
        while frame is not None:
            code = frame.f_code
            known = None
            if code.co_flags & 1:
                known = dict((name, id(value)) for name, value in frame.f_locals.items())
            name = getattr(code, "co_qualname", code.co_name)
            stack.append([name, code.co_filename, frame.f_lineno, known])
            frame = frame.f_back
        threads[str(ident)] = stack
    names = dict((str(thread.ident), thread.name) for thread in threading.enumerate())
    print(json.dumps({"threads": threads, "names": names}))
    sys.stdout.flush()
    time.sleep(1000)


if sys.argv[1] == "spin":
    print("{}")
    sys.stdout.flush()
    spin()
WALKERS = [threading.Thread(target=Walker(3).walk, args=(3,), name="walker"),
           threading.Thread(target=Walker(200).walk, args=(200,)),
           threading.Thread(target=report, name="reporter")]
for thread in WALKERS:
    thread.daemon = True
    thread.start()
[wait(number, None) for number in range(3)]
