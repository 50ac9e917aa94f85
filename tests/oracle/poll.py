"""Watches a lake while somebody writes it: polls the documented globs and says whether readers were ever misled.

    poll.py EVENTS_GLOB REFUSED_GLOB STOP_FILE [EVERY_SECONDS]

Until STOP_FILE appears, and once more after it: no coordinate is seen twice, rows only grow, no object changes or
vanishes, every file is whole. Prints one JSON verdict; exit 1 if anything was wrong or nothing was seen. What would
be the verdict so far stands in STOP_FILE.so-far.
"""

import glob
import hashlib
import json
import os
import sys
import time

import duckdb
import pyarrow.parquet

COLUMNS = "_incarnation, _partition, _offset"


class Watch:
    def __init__(self, globs):
        self.globs = globs
        self.seen = {}  # path → (size, time of change, hash)
        self.counted = {}  # path → rows, by pyarrow
        self.rows = 0
        self.grew = 0  # how often there were more rows than before
        self.polls = 0
        self.faults = []

    def poll(self, thorough=False):
        self.polls += 1
        self.objects(thorough)
        self.coordinates()

    def objects(self, thorough):
        """What was there before is still there, byte for byte."""
        for path, (size, changed, digest) in list(self.seen.items()):
            try:
                now = os.stat(path)
            except FileNotFoundError:
                self.faults.append(f"vanished: {path}")
                del self.seen[path]
                continue
            touched = (now.st_size, now.st_mtime_ns) != (size, changed)
            if (touched or thorough) and digest_of(path) != digest:
                self.faults.append(f"changed: {path}")
        for path in self.files():
            if path not in self.seen:
                self.take(path)

    def files(self):
        return sorted(path for pattern in self.globs for path in glob.glob(pattern, recursive=True))

    def take(self, path):
        before = os.stat(path)
        self.seen[path] = (before.st_size, before.st_mtime_ns, digest_of(path))
        try:
            # The second reader, so that no one engine's luck decides.
            self.counted[path] = pyarrow.parquet.read_table(path, columns=["_offset"], partitioning=None).num_rows
        except Exception as error:
            self.faults.append(f"not whole: {path}: {error}")

    def coordinates(self):
        """What a reader with a plain glob sees at this instant."""
        there = [pattern for pattern in self.globs if glob.glob(pattern, recursive=True)]
        if not there:
            return
        tables = " UNION ALL ".join(
            f"SELECT {COLUMNS} FROM read_parquet('{pattern}', union_by_name = true)" for pattern in there
        )
        try:
            rows, different = duckdb.execute(f"SELECT count(*), count(DISTINCT ({COLUMNS})) FROM ({tables})").fetchone()
        except Exception as error:
            self.faults.append(f"poll {self.polls}: {error}")
            return
        if rows != different:
            self.faults.append(f"poll {self.polls}: {rows} rows, but {different} coordinates")
        if rows < self.rows:
            self.faults.append(f"poll {self.polls}: {rows} rows after {self.rows}")
        self.grew += rows > self.rows
        self.rows = rows

    def so_far(self):
        return {"polls": self.polls, "files": len(self.seen), "rows": self.rows, "grew": self.grew, "faults": self.faults}

    def verdict(self):
        if sum(self.counted.values()) != self.rows:
            self.faults.append(f"DuckDB counts {self.rows} rows, pyarrow {sum(self.counted.values())}")
        return self.so_far()


def digest_of(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tell(what, path):
    """Whoever reads it finds all of it or what was there before."""
    with open(path + ".part", "w", encoding="utf-8") as file:
        json.dump(what, file)
    os.replace(path + ".part", path)


def main():
    events, refused, stop, *every = sys.argv[1:]
    every = float(every[0]) if every else 1.0
    watch = Watch([events, refused])
    while not os.path.exists(stop):
        began = time.monotonic()
        watch.poll()
        tell(watch.so_far(), stop + ".so-far")
        time.sleep(max(0.0, every - (time.monotonic() - began)))
    watch.poll(thorough=True)
    verdict = watch.verdict()
    print(json.dumps(verdict))
    sys.exit(1 if verdict["faults"] or not verdict["rows"] else 0)


if __name__ == "__main__":
    main()
