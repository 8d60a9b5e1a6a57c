"""A table of Arrow of 200 MB and a frame of polars: memory that no malloc sees.

FRAMES_POOL chooses Arrow's pool. `drop` lets go of three quarters of the table, `release` has the pool
give back what is free; `drop_frame` lets go of the frame.
"""
import os

import _protocol

import numpy
import polars
import pyarrow

POOLS = {
    "mimalloc": pyarrow.mimalloc_memory_pool,
    "jemalloc": pyarrow.jemalloc_memory_pool,
    "system": pyarrow.system_memory_pool,
}
pool = POOLS[os.environ.get("FRAMES_POOL", "mimalloc")]()
pyarrow.set_memory_pool(pool)

# Each part is computed, so that it is in the pool's own memory and not in NumPy's.
parts = []
for n in range(100):
    numbers = pyarrow.array(numpy.arange(250000) + n)
    parts.append(pyarrow.concat_arrays([numbers.slice(0, 100000), numbers.slice(100000)]))
del numbers
batches = [pyarrow.RecordBatch.from_arrays([part], ["n"]) for part in parts]
del parts
table = pyarrow.Table.from_batches(batches)
frame = polars.select(polars.int_range(0, 8000000).alias("a")).with_columns(
    (polars.col("a") * 2).alias("b")
)


def drop():
    global table, batches
    batches = batches[::4]
    table = pyarrow.Table.from_batches(batches)
    return {"bytes": pool.bytes_allocated()}


def release():
    pool.release_unused()
    return {"bytes": pool.bytes_allocated()}


def drop_frame():
    global frame
    frame = None
    return {"bytes": 0}


_protocol.serve(
    0,
    "library-allocator",
    "frames",
    commands={"drop": drop, "release": release, "drop_frame": drop_frame},
    table_bytes=pool.bytes_allocated(),
    frame_bytes=frame.estimated_size(),
)
