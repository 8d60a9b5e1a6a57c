"""Greenlets of gevent that wait, each some calls deep, with the truth by greenlet's own account."""
import json
import os
import sys

import gevent
import gevent.event

never = gevent.event.Event()


def innermost(number):
    label = "greenlet %d" % number
    never.wait()
    return label


def middle(number):
    return innermost(number)


def outer(number):
    return middle(number) if number else gevent.sleep(3600)


def chain(greenlet):
    frame, frames = greenlet.gr_frame, []
    while frame is not None:
        frames.append([frame.f_code.co_name, frame.f_lineno])
        frame = frame.f_back
    return frames


made = [gevent.spawn(outer, number) for number in range(4)]
gevent.sleep(0.01)
done = gevent.spawn(len, "text")
done.join()
truth = [{"address": hex(id(one)), "chain": chain(one)} for one in made]
print("READY " + json.dumps({"pid": os.getpid(), "greenlets": truth, "done": hex(id(done))}))
sys.stdout.flush()
sys.stdin.read()
os._exit(0)
