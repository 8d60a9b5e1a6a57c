"""Tasks that wait for an answer which never comes."""
import asyncio

import _protocol

REQUESTS = 6000

loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
ANSWERS = []


async def ask(number):
    """Waits for ever with its request in a variable."""
    request = ("request %d " % number) * 200
    answer = loop.create_future()
    ANSWERS.append(answer)
    await answer
    return request


tasks = [loop.create_task(ask(number)) for number in range(REQUESTS)]
loop.run_until_complete(asyncio.sleep(0))
del tasks

_protocol.serve(
    REQUESTS * 200 * 13,
    "python-objects",
    "asyncio-pending",
    expected=_protocol.planted("tasks", ask, place_is_near=True),
)
