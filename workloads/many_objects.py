"""Ten million objects, or as many as OBJECTS in the environment says: orders as a shop has them in memory.

For benchmarks. What is in it varies, so that a copy of it does not shrink more than others do, and
objects refer to each other in both directions.
"""
import os
import random
import time

import _protocol

OBJECTS = int(os.environ.get("OBJECTS", 10000000))

CUSTOMERS = {}
ORDERS = []
chance = random.Random(1)


class Customer(object):
    def __init__(self, number):
        self.name = "%x" % chance.getrandbits(80)
        self.number = number + 10 ** 6
        self.orders = []


class Line(object):
    __slots__ = ("order", "article", "count", "price")

    def __init__(self, order):
        self.order = order
        self.article = "A-%d" % chance.getrandbits(40)
        self.count = chance.randrange(1000, 9000)
        self.price = chance.random()


class Order(object):
    def __init__(self, number):
        self.key = (number, chance.random())
        customer = number // 20
        self.customer = CUSTOMERS.get(customer) or CUSTOMERS.setdefault(customer, Customer(customer))
        self.customer.orders.append(self)
        self.lines = [Line(self) for _ in range(3)]
        self.state = {"paid": chance.random(), "note": "%x" % chance.getrandbits(200)}


# An order is 21 objects with what belongs to it, and a twentieth of a customer.
for number in range(OBJECTS * 20 // 406):
    ORDERS.append(Order(number))


def measured(look):
    """What it costs to have this process look at itself."""
    before, cpu, wall = _protocol.status_rss_kib(), time.process_time(), time.perf_counter()
    answer = look()
    return {
        "answer": answer,
        "cpu_s": time.process_time() - cpu,
        "wall_s": time.perf_counter() - wall,
        "rss_before_kib": before,
        "rss_after_kib": _protocol.status_rss_kib(),
    }


def objgraph():
    import objgraph

    return measured(lambda: dict(objgraph.most_common_types(limit=10)))


def domisize():
    from guppy import hpy

    return measured(lambda: hpy().iso(ORDERS, CUSTOMERS).domisize)


_protocol.serve(
    OBJECTS * 60,
    "python-objects",
    "many-objects",
    commands={"objgraph": objgraph, "domisize": domisize},
)
