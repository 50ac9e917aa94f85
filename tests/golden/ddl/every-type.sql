-- The lake of the topology every-type, for DuckDB 1.1 and later.
-- Times are UTC. year, month, day and hour are what a row is filed under: its event time, or the
-- time named by _filed_by. Filters on them, on their start and on tenant and category skip files.

-- Every delivery of every event, repeats included.
CREATE OR REPLACE VIEW "table" AS
SELECT
  "_topic",
  "_incarnation",
  "_partition",
  "_offset",
  make_timestamp(epoch_us("_record_time")) AS "_record_time",
  make_timestamp(epoch_us("_event_time")) AS "_event_time",
  "_tenant",
  "_category",
  "_event_id",
  "_filed_by",
  "order",
  "group",
  make_timestamp(epoch_us("select")) AS "select",
  "item",
  "amount",
  "share",
  "is_new",
  "born",
  "extra",
  "names",
  [make_timestamp(epoch_us(_item)) FOR _item IN "times"] AS "times",
  [{"from": _item."from", "at": make_timestamp(epoch_us(_item."at")), "on": _item."on", "price": _item."price", "new": _item."new", "required_one": _item."required_one"} FOR _item IN "lines"] AS "lines",
  "counts",
  map_from_entries([{'key': _item.key, 'value': make_timestamp(epoch_us(_item.value))} FOR _item IN map_entries("seen")]) AS "seen",
  "_rest",
  url_decode(replace("category", '!', '%')) AS "category",
  "year",
  "month",
  make_timestamp("year", "month", 1, 0, 0, 0) AS "month_start"
FROM read_parquet(
  '/lake/table/**/*.parquet',
  hive_partitioning = true,
  hive_types = {"category": VARCHAR, "year": INTEGER, "month": INTEGER},
  union_by_name = true
);

-- One row per _event_id: the first delivery by record time, then by place in the log. It compares
-- all rows before any filter; to ask often, make a table of it.
CREATE OR REPLACE VIEW "table_once" AS
SELECT * FROM "table"
QUALIFY row_number() OVER (
  PARTITION BY _event_id ORDER BY _record_time, _incarnation, _partition, _offset
) = 1;

-- Every record that was refused, filed under its record time.
CREATE OR REPLACE VIEW "table_refused" AS
SELECT
  "_topic",
  "_incarnation",
  "_partition",
  "_offset",
  make_timestamp(epoch_us("_record_time")) AS "_record_time",
  "reason",
  "detail",
  "payload",
  "payload_bytes",
  "payload_hash",
  "year",
  "month",
  "day",
  "hour",
  make_timestamp("year", "month", "day", "hour", 0, 0) AS "hour_start"
FROM read_parquet(
  '/lake/table_refused/**/*.parquet',
  hive_partitioning = true,
  hive_types = {"year": INTEGER, "month": INTEGER, "day": INTEGER, "hour": INTEGER},
  union_by_name = true
);

