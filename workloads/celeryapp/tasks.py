"""A celery worker with tasks that keep what they should let go.

    celery -A tasks worker --pool solo -l warning     (the jobs are in a folder, ./queue)
"""
import functools
import logging

from celery import Celery

app = Celery("tasks", broker="filesystem://", backend="cache+memory://")
app.conf.broker_transport_options = {"data_folder_in": "queue", "data_folder_out": "queue"}
app.conf.task_ignore_result = True

SEEN = {}
FAILED = []


def rows(number):
    """What a task works on: 60 KB."""
    return ["row %d of %d" % (row, number) for row in range(800)]


@app.task
def module_cache(number):
    """Remembers every job by its number."""
    SEEN[number] = rows(number)


class Invoice(object):
    """What a task makes for one job."""

    def __init__(self, number):
        self.rows = rows(number)

    @functools.lru_cache(maxsize=None)
    def total(self, column):
        """Remembered for every invoice there ever was."""
        return sum(map(len, self.rows)) + column


@app.task
def lru_method(number):
    """A cache on a method holds every self."""
    Invoice(number).total(3)


def parse(number):
    """Fails with much in its variables."""
    found = rows(number)
    return int(found[-1])


@app.task
def stored_error(number):
    """Remembers why it failed, and with that everything it had."""
    try:
        parse(number)
    except ValueError as error:
        FAILED.append(error)


@app.task
def logger_per_job(number):
    """Asks for a logger that nobody will ask for again."""
    log = logging.getLogger("jobs.%d" % number)
    log.job = rows(number)
    log.debug("done")
