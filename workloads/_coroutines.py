"""Where a task is by its coroutine's own account."""


def coroutine_of(task):
    return task.get_coro() if hasattr(task, "get_coro") else task._coro


def chain(task):
    """Functions and lines, the innermost first."""
    at, frames = coroutine_of(task), []
    while at is not None:
        frame = getattr(at, "cr_frame", None) or getattr(at, "gi_frame", None)
        if frame is None:
            break
        frames.append([frame.f_code.co_name, frame.f_lineno])
        at = getattr(at, "cr_await", None) or getattr(at, "gi_yieldfrom", None)
    return frames[::-1]
