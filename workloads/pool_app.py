"""A service of several workers that all read one table, made before they were forked.

    gunicorn pool_app:application --preload --workers 3 --bind unix:FILE
"""
import hashlib

TABLE = {n: hashlib.sha256(b"%d" % n).hexdigest() * 4 for n in range(100000)}


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [TABLE[1].encode()]
