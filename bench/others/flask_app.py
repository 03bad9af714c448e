"""Flask: one handler that looks a prediction up by key, and nothing around it. gunicorn_front.py starts it."""

import os
import threading

import psycopg2
from flask import Flask, abort, jsonify

_STATEMENT = """
SELECT id, prediction, probability, model_version, carrier, distance, late FROM bench_web.history
WHERE batch = %s AND input_batch = %s AND id = %s::bigint ORDER BY id LIMIT 101
"""
app, _here = Flask(__name__), threading.local()


@app.get("/<int:key>")
def look_up(key):
    if not hasattr(_here, "connection"):
        _here.connection = psycopg2.connect(os.environ["BENCH_URL"])
        _here.connection.autocommit = True
    with _here.connection.cursor() as cursor:
        cursor.execute(_STATEMENT, (os.environ["BENCH_BATCH"], os.environ["BENCH_INPUT"], key))
        line = cursor.fetchone()
        if line is None:
            abort(404)
        return jsonify(dict(zip([one.name for one in cursor.description], line, strict=True)))
