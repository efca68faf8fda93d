"""Serves the orders on port 8080. Ends at once when the database's schema is older than what it was written for."""
import json
import os
import signal
import sys
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psycopg2

SCHEMA = int(os.environ["SCHEMA"])
COLUMNS = "what, price" if SCHEMA >= 2 else "what"


def rows(query):
    with open("/run/secrets/db_password") as file:
        password = file.read().strip()
    link = psycopg2.connect(host="db", user="app", dbname="postgres", password=password, connect_timeout=3)
    try:
        with link.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchall()
    finally:
        link.close()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        orders = rows(f"SELECT {COLUMNS} FROM orders ORDER BY id")
        body = json.dumps({"schema": SCHEMA, "orders": orders}).encode() + b"\n"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if sys.argv[1:] == ["check"]:
    urllib.request.urlopen("http://127.0.0.1:8080/", timeout=2)
else:
    (newest,) = rows("SELECT max(number) FROM migrations")[0]
    if newest < SCHEMA:
        sys.exit(f"the schema is at {newest}, and this needs {SCHEMA}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    ThreadingHTTPServer(("", 8080), Handler).serve_forever()
