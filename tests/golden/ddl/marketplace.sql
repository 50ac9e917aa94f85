-- The lake of the topology marketplace, for DuckDB 1.1 and later.
-- Times are UTC. year, month, day and hour are what a row is filed under: its event time, or the
-- time named by _filed_by. Filters on them, on their start and on tenant and category skip files.

-- Every delivery of every event, repeats included.
CREATE OR REPLACE VIEW "marketplace_events" AS
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
  "event_id",
  make_timestamp(epoch_us("ts")) AS "ts",
  "type",
  "vendor_id",
  "customer_id",
  "product_id",
  "order_id",
  "action",
  "total",
  "items",
  "metadata",
  "_rest",
  url_decode(replace("category", '!', '%')) AS "category",
  url_decode(replace("tenant_id", '!', '%')) AS "tenant_id",
  "year",
  "month",
  "day",
  "hour",
  make_timestamp("year", "month", "day", "hour", 0, 0) AS "hour_start"
FROM read_parquet(
  '/var/lib/it''s a [[]lake]/marketplace_events/**/*.parquet',
  hive_partitioning = true,
  hive_types = {"category": VARCHAR, "tenant_id": VARCHAR, "year": INTEGER, "month": INTEGER, "day": INTEGER, "hour": INTEGER},
  union_by_name = true
);

-- One row per _event_id: the first delivery by record time, then by place in the log. It compares
-- all rows before any filter; to ask often, make a table of it.
CREATE OR REPLACE VIEW "marketplace_events_once" AS
SELECT * FROM "marketplace_events"
QUALIFY row_number() OVER (
  PARTITION BY _event_id ORDER BY _record_time, _incarnation, _partition, _offset
) = 1;

-- Every record that was refused, filed under its record time.
CREATE OR REPLACE VIEW "marketplace_events_refused" AS
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
  '/var/lib/it''s a [[]lake]/marketplace_events_refused/**/*.parquet',
  hive_partitioning = true,
  hive_types = {"year": INTEGER, "month": INTEGER, "day": INTEGER, "hour": INTEGER},
  union_by_name = true
);

