"""A healthy program with much memory of C: arrays, documents, contexts, certificates, a database.

What the libraries count themselves is announced, so that the table of holders can be compared.
"""
import concurrent.futures
import ctypes
import datetime
import sqlite3
import ssl
import threading
import tracemalloc

import _protocol

import numpy
import pandas
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from lxml import etree

ROWS = 600
DOCUMENTS = 40


def traced(domain):
    """What was taken in a domain of tracemalloc; NumPy's is 389047."""
    traces = tracemalloc.take_snapshot().filter_traces([tracemalloc.DomainFilter(True, domain)])
    return sum(trace.size for trace in traces.traces)


tracemalloc.start()
arrays = [numpy.full(50000, n, dtype="f8") for n in range(40)]
frame = pandas.DataFrame({"a": range(40000), "b": [str(n % 100) for n in range(40000)]})
sums = frame.groupby("b").sum()
arrays_bytes = traced(389047)
# Up to 3.13 it loses the tracebacks that it has: few, as it has not seen much.
tracemalloc.stop()
text = "<all>" + "<row n='1'><cell>some text</cell></row>" * ROWS + "</all>"
documents = [etree.fromstring(text) for _ in range(DOCUMENTS)]
cells = [cell for cell in documents[0].iterfind(".//cell")]
contexts = [ssl.create_default_context() for _ in range(3)]
base = sqlite3.connect(":memory:", check_same_thread=False)
base.execute("create table rows (n integer, text text)")
base.executemany("insert into rows values (?, ?)", [(n, "row %d" % n * 20) for n in range(20000)])
counted = base.execute("select count(*), max(text) from rows").fetchall()


def certificate(n):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "host-%d" % n)])
    day = datetime.datetime(2020, 1, 1)
    builder = x509.CertificateBuilder(name, name, key.public_key(), n + 1, day, day)
    return builder.sign(key, hashes.SHA256())


certificates = [certificate(n) for n in range(50)]


def work(n):
    """In a thread that stays: what it keeps is in its arena, on its stack, in its storage."""
    tree = etree.fromstring(text)
    array = numpy.arange(20000) * n
    barrier.wait()
    return tree, array.sum()


barrier = threading.Barrier(6)
pool = concurrent.futures.ThreadPoolExecutor(6)
results = list(pool.map(work, range(6)))


sqlite = ctypes.CDLL("libsqlite3.so.0").sqlite3_memory_used
sqlite.restype = ctypes.c_longlong

_protocol.serve(
    0,
    "none",
    "healthy",
    arrays_bytes=arrays_bytes,
    sqlite_bytes=sqlite(),
    nodes=(DOCUMENTS + 6) * (1 + 3 * ROWS),
)
