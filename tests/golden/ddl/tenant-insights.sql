-- The lake of the topology tenant-insights, for DuckDB 1.1 and later.
-- Times are UTC. year, month, day and hour are what a row is filed under: its event time, or the
-- time named by _filed_by. Filters on them, on their start and on tenant and category skip files.

-- Every delivery of every event, repeats included.
CREATE OR REPLACE VIEW "tenant_insights" AS
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
  "metric",
  "service",
  "domain",
  "route",
  "request_id",
  "_rest",
  url_decode(replace("category", '!', '%')) AS "category",
  url_decode(replace("tenant_id", '!', '%')) AS "tenant_id",
  "year",
  "month",
  "day",
  "hour",
  make_timestamp("year", "month", "day", "hour", 0, 0) AS "hour_start"
FROM read_parquet(
  '/var/lib/it''s a [[]lake]/tenant_insights/**/*.parquet',
  hive_partitioning = true,
  hive_types = {"category": VARCHAR, "tenant_id": VARCHAR, "year": INTEGER, "month": INTEGER, "day": INTEGER, "hour": INTEGER},
  union_by_name = true
);

-- The id of an event is its coordinate, so no event repeats another: the same rows.
CREATE OR REPLACE VIEW "tenant_insights_once" AS
SELECT * FROM "tenant_insights";

-- Every record that was refused, filed under its record time.
CREATE OR REPLACE VIEW "tenant_insights_refused" AS
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
  '/var/lib/it''s a [[]lake]/tenant_insights_refused/**/*.parquet',
  hive_partitioning = true,
  hive_types = {"year": INTEGER, "month": INTEGER, "day": INTEGER, "hour": INTEGER},
  union_by_name = true
);

