"""A loop of asyncio with tasks that come, go and wait for each other, to be stopped at any moment.

`stop` stops it wherever it is: in a handler of a signal, which tells what asyncio says of all tasks
and then waits for `go`. Runs on Python 3.6 and later.
"""
import asyncio
import json
import os
import random
import signal
import sys
import threading

from _coroutines import chain, coroutine_of

go_on = threading.Event()


def runs(task):
    coroutine = coroutine_of(task)
    return getattr(coroutine, "cr_running", False) or getattr(coroutine, "gi_running", False)


def told(number, frame):
    every = getattr(asyncio, "all_tasks", None) or asyncio.Task.all_tasks
    say({"tasks": [
        {"address": hex(id(task)), "runs": bool(runs(task)), "chain": chain(task)}
        for task in every(loop) if not task.done()
    ]})
    go_on.wait()
    go_on.clear()
    say({})


def say(answer, label=""):
    # A file of Python's must not be entered again by the handler.
    os.write(1, (label + json.dumps(answer) + "\n").encode())


def listen():
    main = threading.main_thread().ident
    for line in sys.stdin:
        if line.strip() == "stop":
            signal.pthread_kill(main, signal.SIGUSR1)
        else:
            go_on.set()
    os._exit(0)


async def leaf(future, depth):
    if depth:
        return await leaf(future, depth - 1)
    return await future


def old(future):
    """A generator that is a coroutine, up to 3.7."""
    return (yield from future)


if sys.version_info < (3, 8):
    old = asyncio.coroutine(old)


async def sleeper():
    for _ in range(random.randrange(1, 4)):
        await asyncio.sleep(random.choice([0, 0.001, 0.003]))
    return sum(n * n for n in range(random.randrange(20000)))


async def holder(lock):
    async with lock:
        await asyncio.sleep(0.002)
        total = 0
        for n in range(20000):
            total += n
        return total


async def consumer(queue):
    while True:
        item = await queue.get()
        if item is None:
            return
        await leaf(item, 3)


async def parent():
    children = [asyncio.ensure_future(sleeper()) for _ in range(4)]
    await asyncio.gather(*children)
    children = [asyncio.ensure_future(sleeper()) for _ in range(3)]
    await asyncio.wait(children)
    try:
        await asyncio.wait_for(sleeper(), timeout=0.002)
    except asyncio.TimeoutError:
        pass


async def group_parent():
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(sleeper())


async def producer(queue, lock):
    while True:
        future = loop.create_future()
        await queue.put(future)
        made = [asyncio.ensure_future(parent()), asyncio.ensure_future(holder(lock))]
        if sys.version_info < (3, 8):
            made.append(asyncio.ensure_future(old(future)))
        if hasattr(asyncio, "TaskGroup"):
            made.append(asyncio.ensure_future(group_parent()))
        await asyncio.sleep(0.001)
        future.set_result(None)
        for task in made:
            await task


async def begin():
    queue, lock = asyncio.Queue(2), asyncio.Lock()
    tasks = [asyncio.ensure_future(consumer(queue)) for _ in range(3)]
    tasks += [asyncio.ensure_future(producer(queue, lock)) for _ in range(6)]
    await asyncio.sleep(0.05)
    say({"pid": os.getpid()}, "READY ")
    await asyncio.gather(*tasks)


signal.signal(signal.SIGUSR1, told)
threading.Thread(target=listen, daemon=True).start()
loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
loop.run_until_complete(begin())
