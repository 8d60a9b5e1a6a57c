"""A small program that waits: nothing is wrong with it, and nothing in it changes."""
from __future__ import print_function

import threading

import _protocol


class Node(object):
    """One of a ring of objects with a dict, a list and text of its own."""

    def __init__(self, n):
        self.name = "node %d" % n
        self.values = [n, float(n), (n, self.name)]
        self.seen = {"first": n, n: self.name}
        self.next = None


ring = [Node(n) for n in range(500)]
for one, other in zip(ring, ring[1:] + ring[:1]):
    one.next = other
del one, other

lock = threading.Lock()
lock.acquire()
waiter = threading.Thread(target=lock.acquire, name="waiter")
waiter.daemon = True
waiter.start()

_protocol.serve(0, "none", "ring")
