"""A Django site in one file, with a page that needs much memory and pages that keep some.

    gunicorn app:application -w 2 -k gthread --threads 8 -b 127.0.0.1:8000

/             says that it is there
/page         builds a page of 12 MB out of many rows, and frees it all but the last row
/leak         the same, and remembers every visit in a list that nobody empties
/leak/NAME    one of the ways in leaks.py
"""
import threading

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path

import leaks

settings.configure(
    DEBUG=False,
    SECRET_KEY="for a demonstration on loopback only",
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=[],
)

ROWS = 400
CELL = "<td>the same cell, again and again</td>"

last_rows = threading.local()
VISITS = []


def home(request):
    return HttpResponse("here\n")


def page(request):
    """The rows are there all at once, as they are when a template renders a long table."""
    rows = ["<tr>%d%s</tr>\n" % (number, CELL * 800) for number in range(ROWS)]
    last_rows.value = rows[-1]
    return HttpResponse("%d rows, %d characters\n" % (len(rows), sum(map(len, rows))))


def leak(request):
    VISITS.append({"path": request.path, "meta": dict(request.META), "notes": list(range(5000))})
    return page(request)


def leak_by(request, name):
    return HttpResponse("%s\n" % leaks.LEAKS[name](request))


urlpatterns = [
    path("", home), path("page", page), path("leak", leak), path("leak/<name>", leak_by),
]
application = get_wsgi_application()
