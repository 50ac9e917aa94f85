-- The lake of the topology flights, for Athena (engine version 3). Ask the views: flights_files and
-- flights_refused_files are the files as they lie. Times are UTC, to the millisecond.
-- Partitions are computed from what a query names, so nothing has to be added when files come. What it does
-- not name is listed, a request for each folder that there may be: so name all of the path, or a short span.
-- Years 1925 to 2039 are seen, and no other; --from and --to say which. Unasked they are many, because
-- nobody notices a year that is left out.
-- A query names its tenants by tenant_id, as the path has it, or is refused: letters, digits, . _ and - stand
-- for themselves (but not _ in front), every other byte is ! and two hex digits. The views decode it as _tenant,
-- and a filter on that names nobody. For an id as it is:
--   tenant_id = regexp_replace(replace(replace(replace(
--     url_encode('a/b'), '+', '!20'), '*', '!2A'), '%', '!'), '^_', '!5F')

CREATE DATABASE IF NOT EXISTS `flights`;

CREATE EXTERNAL TABLE IF NOT EXISTS `flights`.`flights_files` (
  `_topic` string,
  `_incarnation` string,
  `_partition` int,
  `_offset` bigint,
  `_record_time` timestamp,
  `_event_time` timestamp,
  `_tenant` string,
  `_category` string,
  `_event_id` string,
  `_filed_by` string,
  `time_hour` timestamp,
  `origin` string,
  `dest` string,
  `carrier` string,
  `flight` bigint,
  `tailnum` string,
  `dep_time` bigint,
  `dep_delay` bigint,
  `arr_delay` bigint,
  `air_time` bigint,
  `distance` bigint,
  `local_hour` bigint,
  `_rest` string
)
COMMENT 'Files of events as they lie: every delivery, repeats included'
PARTITIONED BY (
  `tenant_id` string,
  `year` int,
  `month` int,
  `day` int
)
STORED AS PARQUET
LOCATION 's3://shop-lake/v1/flights/'
TBLPROPERTIES (
  'projection.enabled' = 'true',
  'projection.tenant_id.type' = 'injected',
  'projection.year.type' = 'integer',
  'projection.year.range' = '1925,2039',
  'projection.year.digits' = '4',
  'projection.month.type' = 'integer',
  'projection.month.range' = '1,12',
  'projection.month.digits' = '2',
  'projection.day.type' = 'integer',
  'projection.day.range' = '1,31',
  'projection.day.digits' = '2',
  'storage.location.template' = 's3://shop-lake/v1/flights/tenant_id=${tenant_id}/year=${year}/month=${month}/day=${day}/'
);

CREATE EXTERNAL TABLE IF NOT EXISTS `flights`.`flights_refused_files` (
  `_topic` string,
  `_incarnation` string,
  `_partition` int,
  `_offset` bigint,
  `_record_time` timestamp,
  `reason` string,
  `detail` string,
  `payload` binary,
  `payload_bytes` bigint,
  `payload_hash` string
)
COMMENT 'Files of refused records as they lie, by record time'
PARTITIONED BY (
  `year` int,
  `month` int,
  `day` int,
  `hour` int
)
STORED AS PARQUET
LOCATION 's3://shop-lake/v1/flights_refused/'
TBLPROPERTIES (
  'projection.enabled' = 'true',
  'projection.year.type' = 'integer',
  'projection.year.range' = '1925,2039',
  'projection.year.digits' = '4',
  'projection.month.type' = 'integer',
  'projection.month.range' = '1,12',
  'projection.month.digits' = '2',
  'projection.day.type' = 'integer',
  'projection.day.range' = '1,31',
  'projection.day.digits' = '2',
  'projection.hour.type' = 'integer',
  'projection.hour.range' = '0,23',
  'projection.hour.digits' = '2',
  'storage.location.template' = 's3://shop-lake/v1/flights_refused/year=${year}/month=${month}/day=${day}/hour=${hour}/'
);

-- Every delivery of every event, repeats included.
CREATE OR REPLACE VIEW "flights"."flights" AS
SELECT
  "_topic",
  "_incarnation",
  "_partition",
  "_offset",
  "_record_time",
  "_event_time",
  url_decode(replace("tenant_id", '!', '%')) AS "_tenant",
  "_category",
  "_event_id",
  "_filed_by",
  "time_hour",
  "origin",
  "dest",
  "carrier",
  "flight",
  "tailnum",
  "dep_time",
  "dep_delay",
  "arr_delay",
  "air_time",
  "distance",
  "local_hour",
  "_rest",
  "tenant_id",
  "year",
  "month",
  "day",
  TRY_CAST(format('%04d-%02d-%02d 00:00:00', "year", "month", "day") AS timestamp) AS "day_start"
FROM "flights"."flights_files";

-- One row per _event_id: the first delivery by record time, then by place in the log. Rows of one folder are compared,
-- so that filters on the path spare files. A repeat is filed with the first delivery unless their record times decide
-- where: an event without a time of its own, or one that _filed_by marks. To compare those too, say row_number() OVER
-- (PARTITION BY _event_id …) yourself, over a tenant and a span of time.
CREATE OR REPLACE VIEW "flights"."flights_once" AS
SELECT
  "_topic",
  "_incarnation",
  "_partition",
  "_offset",
  "_record_time",
  "_event_time",
  "_tenant",
  "_category",
  "_event_id",
  "_filed_by",
  "time_hour",
  "origin",
  "dest",
  "carrier",
  "flight",
  "tailnum",
  "dep_time",
  "dep_delay",
  "arr_delay",
  "air_time",
  "distance",
  "local_hour",
  "_rest",
  "tenant_id",
  "year",
  "month",
  "day",
  "day_start"
FROM (
  SELECT *, row_number() OVER (
    PARTITION BY "tenant_id", "year", "month", "day", "_event_id"
    ORDER BY "_record_time", "_incarnation", "_partition", "_offset"
  ) AS "_delivery"
  FROM "flights"."flights"
)
WHERE "_delivery" = 1;

-- Every record that was refused, filed under its record time.
CREATE OR REPLACE VIEW "flights"."flights_refused" AS
SELECT
  "_topic",
  "_incarnation",
  "_partition",
  "_offset",
  "_record_time",
  "reason",
  "detail",
  "payload",
  "payload_bytes",
  "payload_hash",
  "year",
  "month",
  "day",
  "hour",
  TRY_CAST(format('%04d-%02d-%02d %02d:00:00', "year", "month", "day", "hour") AS timestamp) AS "hour_start"
FROM "flights"."flights_refused_files";
