-- The lake of the topology every-type, for Athena (engine version 3). Ask the views: table_files and
-- table_refused_files are the files as they lie. Times are UTC, to the millisecond.
-- Partitions are computed from what a query names, so nothing has to be added when files come. What it does
-- not name is listed, a request for each folder that there may be: so name all of the path, or a short span.
-- Years 2020 to 2039 are seen, and no other; --from and --to say which. Unasked they are many, because
-- nobody notices a year that is left out.
-- Only categories that the topology lists are seen. An event of another one lies in the lake, unseen.

CREATE DATABASE IF NOT EXISTS `every_type`;

CREATE EXTERNAL TABLE IF NOT EXISTS `every_type`.`table_files` (
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
  `order` bigint,
  `group` string,
  `select` timestamp,
  `item` string,
  `amount` decimal(18,3),
  `share` double,
  `is_new` boolean,
  `born` date,
  `extra` string,
  `names` array<string>,
  `times` array<timestamp>,
  `lines` array<struct<`from`:string,`at`:timestamp,`on`:date,`price`:decimal(18,2),`new`:boolean,`required_one`:bigint>>,
  `counts` map<string,bigint>,
  `seen` map<string,timestamp>,
  `_rest` string
)
COMMENT 'Files of events as they lie: every delivery, repeats included'
PARTITIONED BY (
  `category` string,
  `year` int,
  `month` int
)
STORED AS PARQUET
LOCATION 's3://shop-lake/v1/table/'
TBLPROPERTIES (
  'projection.enabled' = 'true',
  'projection.category.type' = 'enum',
  'projection.category.values' = 'a,b',
  'projection.year.type' = 'integer',
  'projection.year.range' = '2020,2039',
  'projection.year.digits' = '4',
  'projection.month.type' = 'integer',
  'projection.month.range' = '1,12',
  'projection.month.digits' = '2',
  'storage.location.template' = 's3://shop-lake/v1/table/category=${category}/year=${year}/month=${month}/'
);

CREATE EXTERNAL TABLE IF NOT EXISTS `every_type`.`table_refused_files` (
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
LOCATION 's3://shop-lake/v1/table_refused/'
TBLPROPERTIES (
  'projection.enabled' = 'true',
  'projection.year.type' = 'integer',
  'projection.year.range' = '2020,2039',
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
  'storage.location.template' = 's3://shop-lake/v1/table_refused/year=${year}/month=${month}/day=${day}/hour=${hour}/'
);

-- Every delivery of every event, repeats included.
CREATE OR REPLACE VIEW "every_type"."table" AS
SELECT
  "_topic",
  "_incarnation",
  "_partition",
  "_offset",
  "_record_time",
  "_event_time",
  "_tenant",
  url_decode(replace("category", '!', '%')) AS "_category",
  "_event_id",
  "_filed_by",
  "order",
  "group",
  "select",
  "item",
  "amount",
  "share",
  "is_new",
  "born",
  "extra",
  "names",
  "times",
  "lines",
  "counts",
  "seen",
  "_rest",
  "category",
  "year",
  "month",
  TRY_CAST(format('%04d-%02d-01 00:00:00', "year", "month") AS timestamp) AS "month_start"
FROM "every_type"."table_files";

-- One row per _event_id: the first delivery by record time, then by place in the log. Rows of one folder are compared,
-- so that filters on the path spare files. A repeat is filed with the first delivery unless their record times decide
-- where: an event without a time of its own, or one that _filed_by marks. To compare those too, say row_number() OVER
-- (PARTITION BY _event_id …) yourself, over a tenant and a span of time.
CREATE OR REPLACE VIEW "every_type"."table_once" AS
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
  "order",
  "group",
  "select",
  "item",
  "amount",
  "share",
  "is_new",
  "born",
  "extra",
  "names",
  "times",
  "lines",
  "counts",
  "seen",
  "_rest",
  "category",
  "year",
  "month",
  "month_start"
FROM (
  SELECT *, row_number() OVER (
    PARTITION BY "category", "year", "month", "_event_id"
    ORDER BY "_record_time", "_incarnation", "_partition", "_offset"
  ) AS "_delivery"
  FROM "every_type"."table"
)
WHERE "_delivery" = 1;

-- Every record that was refused, filed under its record time.
CREATE OR REPLACE VIEW "every_type"."table_refused" AS
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
FROM "every_type"."table_refused_files";
