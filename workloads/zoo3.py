"""What zoo.py has under Python 3 only."""
import abc
import asyncio
import datetime
import enum
import functools
import gc
import ipaddress
import os
import pathlib
import sys
import types
import typing
from concurrent import futures

try:
    import contextvars
    import dataclasses
except ImportError:  # 3.6
    contextvars = dataclasses = None


class Shape(abc.ABC):
    @abc.abstractmethod
    def area(self):
        """Never asked."""


class Colour(enum.Enum):
    RED = 1
    GREEN = "green"


class Bits(enum.IntFlag):
    ONE = 1
    TWO = 2


class Typed(typing.NamedTuple):
    name: str
    size: int = 0


class WithMeta(metaclass=abc.ABCMeta):
    pass


def callables():
    held = [1, 2, 3]
    counter = 0

    def closure(a, b=2, *rest, c=3, **more):
        nonlocal counter
        counter += 1
        return held, a

    def annotated(a: int, b: "str" = "x") -> typing.List[int]:
        """Documented."""
        return [a]

    @functools.lru_cache(maxsize=None)
    def unbounded(number):
        return [number]

    @functools.lru_cache(maxsize=50)
    def bounded(number, other=None):
        return (number, other)

    @functools.singledispatch
    def single(value):
        return value

    single.register(int, lambda value: value + 1)
    for number in range(200):
        unbounded(number)
        bounded(number, other="x")
    return [
        closure, annotated, unbounded, bounded, single, functools.partial(closure, 1, c=[4]),
        functools.partialmethod(closure, 1),
    ]


def generator(first, *rest):
    local = {"of": "a generator", "first": first}
    try:
        received = yield local
        while True:
            received = yield [received, rest]
    finally:
        del local


def delegating():
    result = yield from generator("inner", 1, 2)
    return result


@types.coroutine
def pause():
    yield "paused"


async def coroutine(number):
    data = [number] * 10
    await pause()
    return data


async def outer(number):
    text = "awaiting %d" % number
    await coroutine(number)
    return text


async def asynchronous():
    for number in range(3):
        yield number


def suspended():
    inner = delegating()
    next(inner)
    running = outer(1)
    running.send(None)
    agen = asynchronous()
    step = agen.__anext__()
    return [
        inner, running, outer(2), agen, step, running.cr_await, coroutine(3).__await__(),
    ]


def failures():
    def deep(level):
        local = "level %d" % level
        if level:
            return deep(level - 1)
        return {}[local]

    made = [ImportError("i", name="n", path="p")]
    try:
        try:
            deep(5)
        except KeyError as error:
            raise RuntimeError("chained") from error
    except RuntimeError as error:
        made.append(error)
        made.append(error.__cause__.__traceback__)
        made.append(error.__cause__.__traceback__.tb_next.tb_frame)
    if sys.version_info >= (3, 11):
        made.append(ExceptionGroup("group", [ValueError(1), TypeError(2)]))  # noqa: F821
    return made


def values():
    made = [
        datetime.datetime.now(datetime.timezone.utc), datetime.timezone.utc,
        ipaddress.ip_network("10.0.0.0/8"), pathlib.PurePosixPath("a/b/c"),
        Colour.RED, Colour, Bits.ONE | Bits.TWO, Shape, Typed("t"), WithMeta(),
        typing.List[int], typing.Union[int, str, None], typing.TypeVar("T"), futures.Future(),
        os.scandir("/"),
    ]
    if sys.version_info >= (3, 9):
        made.append(list[int])
    if contextvars:
        made += [contextvars.ContextVar("variable", default=[1]), contextvars.copy_context()]
    return made


def records():
    if not dataclasses:
        return []

    @dataclasses.dataclass
    class Record:
        name: str
        tags: list = dataclasses.field(default_factory=list)
        limit: typing.Optional[int] = None

    @dataclasses.dataclass(frozen=True)
    class Frozen:
        key: int

    return [Record("r", ["t"]), Frozen(1)]


def cached():
    if sys.version_info < (3, 8):
        return []

    class Cached:
        @functools.cached_property
        def once(self):
            return [1, 2, 3]

    one = Cached()
    one.once
    return [one, Cached.__dict__["once"]]


def tasks():
    """An event loop that stopped with tasks and futures unfinished."""
    loop = asyncio.new_event_loop()

    async def sleeper(number):
        await asyncio.sleep(3600, result=number)

    async def start():
        pending = [asyncio.ensure_future(sleeper(number)) for number in range(20)]
        done = asyncio.ensure_future(asyncio.sleep(0, "result"))
        await asyncio.sleep(0.01)
        return pending, done, asyncio.Queue(), asyncio.Event()

    started = loop.run_until_complete(start())
    return [loop, started, loop.create_future()]


def specimens():
    """Every specimen under its name. The collector is not to run meanwhile."""
    assert not gc.isenabled()
    kinds = (callables, suspended, failures, values, records, cached, tasks)
    return {"of 3: " + make.__name__: make() for make in kinds}
