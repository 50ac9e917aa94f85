"""Queries to a Trino over its HTTP protocol, with nothing but the standard library."""

import json
import time
import urllib.error
import urllib.request
from collections import namedtuple

PATIENCE_SECONDS = 60

# `rows_read`: of files, before any filter.
Answer = namedtuple("Answer", "rows rows_read")


class Refused(Exception):
    """The engine's own name for what is wrong, and its sentence."""


class Trino:
    def __init__(self, url, catalog, schema):
        self.url = url
        # Whatever zone the machine is in, no answer may depend on it.
        self.headers = {
            "X-Trino-User": "reader",
            "X-Trino-Catalog": catalog,
            "X-Trino-Schema": schema,
            "X-Trino-Time-Zone": "Pacific/Apia",
        }

    def ask(self, sql):
        rows, page = [], self._request(f"{self.url}/v1/statement", sql.encode())
        while True:
            if "error" in page:
                raise Refused(f"{page['error']['errorName']}: {page['error']['message']}")
            rows += page.get("data") or []
            if "nextUri" not in page:
                return Answer(rows, page["stats"]["physicalInputBytes"] and page["stats"]["processedRows"])
            page = self._request(page["nextUri"])

    def rows(self, sql):
        return self.ask(sql).rows

    def value(self, sql):
        [[value]] = self.rows(sql)
        return value

    def wait_until_ready(self):
        """It says that it is before its one node is known to whoever plans queries."""
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return self.rows("SELECT 1")
            except Refused:
                if time.monotonic() > until:
                    raise
                time.sleep(0.2)

    def _request(self, url, body=None):
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                request = urllib.request.Request(url, data=body, headers=self.headers)
                with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
                    return json.load(answer)
            except urllib.error.HTTPError as error:
                # Its way to say "again, in a moment".
                if error.code not in (429, 502, 503, 504) or time.monotonic() > until:
                    raise
                time.sleep(0.1)


def text(value):
    """A literal of any text. Beyond what a keyboard has, letters are given by number."""
    if value.isascii() and value.isprintable():
        return "'" + value.replace("'", "''") + "'"
    letter = lambda c: c if c.isascii() and c.isprintable() and c not in "'\\" else f"\\+{ord(c):06X}"
    return "U&'" + "".join(map(letter, value)) + "'"
