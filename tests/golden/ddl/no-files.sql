-- The lake of the topology flights, for DuckDB 1.1 and later.
-- Times are UTC. year, month, day and hour are what a row is filed under: its event time, or the
-- time named by _filed_by. Filters on them, on their start and on tenant and category skip files.

-- flights has no files yet: run this again once it has.

-- flights_refused has no files: nothing was refused so far.
