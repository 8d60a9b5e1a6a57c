"""Asyncio tasks in every state, with the truth by asyncio's own account.

The truth of a task is what `cr_await` leads to: the functions and lines of the coroutines that
await each other, the innermost first. 2.7 has no asyncio.

TASKS says which ones: `c` (the usual), `python` (asyncio's own without its part in C), `eager` (that
begin before they are scheduled, from 3.12 on), `uvloop` (the usual on uvloop's loop).
"""
import json
import os
import sys
import threading

from _coroutines import chain

try:
    import asyncio
except ImportError:
    sys.stdout.write("READY " + json.dumps({"skip": True, "pid": os.getpid()}) + "\n")
    sys.stdout.flush()
    sys.stdin.read()
    os._exit(0)

which = os.environ.get("TASKS", "c")

# Python 2 cannot even read this.
SOURCE = r'''
async def innermost(future):
    await future


async def middle(future):
    await innermost(future)


async def outer(future):
    await middle(future)


async def sleeper():
    await asyncio.sleep(3600)


async def gatherer(tasks):
    await asyncio.gather(*tasks)


async def quick():
    return 1


async def waits_for(task):
    await task


async def getter(queue):
    await queue.get()


async def putter(queue):
    await queue.put(1)
    await queue.put(2)


async def locker(lock):
    async with lock:
        await asyncio.sleep(1000)


async def waiter(tasks):
    await asyncio.wait(tasks, timeout=3600)


async def group_owner(future, members):
    async with asyncio.TaskGroup() as group:
        members.append(group.create_task(innermost(future)))
        members.append(group.create_task(innermost(future)))
        group.create_task(quick())


def main(loop):
    async def begin():
        future = loop.create_future()
        made = [loop.create_task(outer(future)) for _ in range(3)]
        made.append(loop.create_task(sleeper()))
        made.append(loop.create_task(gatherer(made[:2])))
        made.append(loop.create_task(waits_for(made[2])))
        queue, full, lock = asyncio.Queue(), asyncio.Queue(1), asyncio.Lock()
        made.append(loop.create_task(getter(queue)))
        made.append(loop.create_task(waiter(made[:2])))
        members = []
        if hasattr(asyncio, "TaskGroup"):
            made.append(loop.create_task(group_owner(future, members)))
        sharers = [loop.create_task(putter(full))]
        sharers += [loop.create_task(locker(lock)) for _ in range(2)]
        made += sharers
        done = loop.create_task(quick())
        for _ in range(5):
            await asyncio.sleep(0.01)
        truth = {
            "pid": os.getpid(),
            "tasks": [{"address": hex(id(task)), "chain": chain(task)} for task in made],
            "done": hex(id(done)),
            "sleeper": hex(id(made[3])),
            "gatherer": hex(id(made[4])),
            "children": [hex(id(task)) for task in made[:2]],
            "waits_for": [hex(id(made[5])), hex(id(made[2]))],
            "waiter": hex(id(made[7])),
            "group_owner": hex(id(made[8])) if members else None,
            "members": [hex(id(task)) for task in members],
            "shared": [
                [hex(id(made[6])), hex(id(queue)), "Item"],
                [hex(id(sharers[0])), hex(id(full)), "Room"],
                [hex(id(sharers[2])), hex(id(lock)), "Turn"],
            ],
        }
        # From 3.14 on those in C are on lists of their own, and `all_tasks` knows only them.
        every = getattr(asyncio, "all_tasks", None) or type(made[0]).all_tasks
        if which == "python":
            every = getattr(asyncio.tasks, "_py_all_tasks", every)
        truth["lists"] = sys.version_info >= (3, 14)
        truth["type"] = type(made[0]).__module__ + "." + type(made[0]).__name__
        truth["all"] = sorted(hex(id(task)) for task in every() if not task.done())
        sys.stdout.write("READY " + json.dumps(truth) + "\n")
        sys.stdout.flush()
        await loop.create_future()
        return done

    loop.run_until_complete(begin())
'''
exec(compile(SOURCE, __file__, "exec"))


def stop():
    sys.stdin.read()
    os._exit(0)


watcher = threading.Thread(target=stop)
watcher.daemon = True
watcher.start()
if which == "uvloop":
    import uvloop
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
loop = asyncio.new_event_loop()
if which == "python":
    loop.set_task_factory(lambda loop, coroutine, **more:
                          asyncio.tasks._PyTask(coroutine, loop=loop, **more))
elif which == "eager":
    if not hasattr(asyncio, "eager_task_factory"):
        sys.stdout.write("READY " + json.dumps({"skip": True, "pid": os.getpid()}) + "\n")
        sys.stdout.flush()
        stop()
    loop.set_task_factory(asyncio.eager_task_factory)
main(loop)
