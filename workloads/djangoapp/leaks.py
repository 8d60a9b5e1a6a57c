"""Ways in which views keep what they should let go, each once per request."""
import atexit
import functools
import itertools
import logging
import weakref

RESULTS = {}
FAILED = []
LISTENERS = []


number_of_request = itertools.count()


def rows(request):
    """What a page works on: 60 KB."""
    visit = next(number_of_request)
    return ["%s: row %d of visit %d" % (request.path, row, visit) for row in range(600)]


def module_cache(request):
    """A cache by a key that never comes again."""
    RESULTS[len(RESULTS)] = rows(request)
    return "kept"


class Report(object):
    """What a view makes for one request."""

    def __init__(self, request):
        self.rows = rows(request)

    @functools.lru_cache(maxsize=None)
    def width(self, margin):
        """Remembered for every report there ever was."""
        return max(map(len, self.rows)) + margin

    def close(self):
        self.rows = []


def lru_method(request):
    """A cache on a method holds every self."""
    return str(Report(request).width(3))


class Handler(logging.Handler):
    """Writes for one request."""

    def __init__(self, request):
        logging.Handler.__init__(self)
        self.rows = rows(request)

    def emit(self, record):
        pass


def logging_handler(request):
    """Adds a handler, and never takes it back."""
    logging.getLogger("app.requests").addHandler(Handler(request))
    return "logged"


def parse(request):
    """Fails with much in its variables."""
    found = rows(request)
    return int(found[-1])


def stored_error(request):
    """Remembers why it failed, and with that everything it had."""
    try:
        return parse(request)
    except ValueError as error:
        FAILED.append(error)
        return "failed"


def callback(request):
    """Registers a function that has captured the request's data."""
    found = rows(request)

    def changed(event):
        return found, event

    LISTENERS.append(changed)
    return "subscribed"


def at_exit(request):
    """Closes its report when the process ends, which is long after the request has."""
    atexit.register(Report(request).close)
    return "registered"


def finalizer(request):
    """A bound method keeps what it is to finalize, which is then never due."""
    report = Report(request)
    weakref.finalize(report, report.close)
    return "finalized"


LEAKS = {
    "module-cache": module_cache,
    "lru-method": lru_method,
    "logging-handler": logging_handler,
    "stored-error": stored_error,
    "callback": callback,
    "at-exit": at_exit,
    "finalizer": finalizer,
}
