# The lake of the topology flights, for Athena (engine version 3). Ask the views: flights_files and
# flights_refused_files are the files as they lie. Times are UTC, to the millisecond.
# Partitions are computed from what a query names, so nothing has to be added when files come. What it does
# not name is listed, a request for each folder that there may be: so name all of the path, or a short span.
# Years 1925 to 2039 are seen, and no other; --from and --to say which. Unasked they are many, because
# nobody notices a year that is left out.
# A query names its tenants by tenant_id, as the path has it, or is refused: letters, digits, . _ and - stand
# for themselves (but not _ in front), every other byte is ! and two hex digits. The views decode it as _tenant,
# and a filter on that names nobody. For an id as it is:
#   tenant_id = regexp_replace(replace(replace(replace(
#     url_encode('a/b'), '+', '!20'), '*', '!2A'), '%', '!'), '^_', '!5F')

resource "aws_glue_catalog_database" "flights" {
  name = "flights"
}

resource "aws_glue_catalog_table" "flights_files" {
  name          = "flights_files"
  database_name = aws_glue_catalog_database.flights.name
  description   = "Files of events as they lie: every delivery, repeats included"
  table_type    = "EXTERNAL_TABLE"

  parameters = {
    "EXTERNAL"                  = "TRUE"
    "projection.enabled"        = "true"
    "projection.tenant_id.type" = "injected"
    "projection.year.type"      = "integer"
    "projection.year.range"     = "1925,2039"
    "projection.year.digits"    = "4"
    "projection.month.type"     = "integer"
    "projection.month.range"    = "1,12"
    "projection.month.digits"   = "2"
    "projection.day.type"       = "integer"
    "projection.day.range"      = "1,31"
    "projection.day.digits"     = "2"
    "storage.location.template" = "s3://shop-lake/v1/flights/tenant_id=$${tenant_id}/year=$${year}/month=$${month}/day=$${day}/"
  }

  storage_descriptor {
    location      = "s3://shop-lake/v1/flights/"
    input_format  = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat"
    output_format = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat"

    ser_de_info {
      serialization_library = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
    }

    columns {
      name = "_topic"
      type = "string"
    }

    columns {
      name = "_incarnation"
      type = "string"
    }

    columns {
      name = "_partition"
      type = "int"
    }

    columns {
      name = "_offset"
      type = "bigint"
    }

    columns {
      name = "_record_time"
      type = "timestamp"
    }

    columns {
      name = "_event_time"
      type = "timestamp"
    }

    columns {
      name = "_tenant"
      type = "string"
    }

    columns {
      name = "_category"
      type = "string"
    }

    columns {
      name = "_event_id"
      type = "string"
    }

    columns {
      name = "_filed_by"
      type = "string"
    }

    columns {
      name = "time_hour"
      type = "timestamp"
    }

    columns {
      name = "origin"
      type = "string"
    }

    columns {
      name = "dest"
      type = "string"
    }

    columns {
      name = "carrier"
      type = "string"
    }

    columns {
      name = "flight"
      type = "bigint"
    }

    columns {
      name = "tailnum"
      type = "string"
    }

    columns {
      name = "dep_time"
      type = "bigint"
    }

    columns {
      name = "dep_delay"
      type = "bigint"
    }

    columns {
      name = "arr_delay"
      type = "bigint"
    }

    columns {
      name = "air_time"
      type = "bigint"
    }

    columns {
      name = "distance"
      type = "bigint"
    }

    columns {
      name = "local_hour"
      type = "bigint"
    }

    columns {
      name = "_rest"
      type = "string"
    }
  }

  partition_keys {
    name = "tenant_id"
    type = "string"
  }

  partition_keys {
    name = "year"
    type = "int"
  }

  partition_keys {
    name = "month"
    type = "int"
  }

  partition_keys {
    name = "day"
    type = "int"
  }
}

resource "aws_glue_catalog_table" "flights_refused_files" {
  name          = "flights_refused_files"
  database_name = aws_glue_catalog_database.flights.name
  description   = "Files of refused records as they lie, by record time"
  table_type    = "EXTERNAL_TABLE"

  parameters = {
    "EXTERNAL"                  = "TRUE"
    "projection.enabled"        = "true"
    "projection.year.type"      = "integer"
    "projection.year.range"     = "1925,2039"
    "projection.year.digits"    = "4"
    "projection.month.type"     = "integer"
    "projection.month.range"    = "1,12"
    "projection.month.digits"   = "2"
    "projection.day.type"       = "integer"
    "projection.day.range"      = "1,31"
    "projection.day.digits"     = "2"
    "projection.hour.type"      = "integer"
    "projection.hour.range"     = "0,23"
    "projection.hour.digits"    = "2"
    "storage.location.template" = "s3://shop-lake/v1/flights_refused/year=$${year}/month=$${month}/day=$${day}/hour=$${hour}/"
  }

  storage_descriptor {
    location      = "s3://shop-lake/v1/flights_refused/"
    input_format  = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat"
    output_format = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat"

    ser_de_info {
      serialization_library = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
    }

    columns {
      name = "_topic"
      type = "string"
    }

    columns {
      name = "_incarnation"
      type = "string"
    }

    columns {
      name = "_partition"
      type = "int"
    }

    columns {
      name = "_offset"
      type = "bigint"
    }

    columns {
      name = "_record_time"
      type = "timestamp"
    }

    columns {
      name = "reason"
      type = "string"
    }

    columns {
      name = "detail"
      type = "string"
    }

    columns {
      name = "payload"
      type = "binary"
    }

    columns {
      name = "payload_bytes"
      type = "bigint"
    }

    columns {
      name = "payload_hash"
      type = "string"
    }
  }

  partition_keys {
    name = "year"
    type = "int"
  }

  partition_keys {
    name = "month"
    type = "int"
  }

  partition_keys {
    name = "day"
    type = "int"
  }

  partition_keys {
    name = "hour"
    type = "int"
  }
}

# Every delivery of every event, repeats included.
locals {
  flights_view = {
    catalog = "awsdatacatalog"
    schema  = "flights"
    columns = [
      { name = "_topic", type = "varchar" },
      { name = "_incarnation", type = "varchar" },
      { name = "_partition", type = "integer" },
      { name = "_offset", type = "bigint" },
      { name = "_record_time", type = "timestamp(3)" },
      { name = "_event_time", type = "timestamp(3)" },
      { name = "_tenant", type = "varchar" },
      { name = "_category", type = "varchar" },
      { name = "_event_id", type = "varchar" },
      { name = "_filed_by", type = "varchar" },
      { name = "time_hour", type = "timestamp(3)" },
      { name = "origin", type = "varchar" },
      { name = "dest", type = "varchar" },
      { name = "carrier", type = "varchar" },
      { name = "flight", type = "bigint" },
      { name = "tailnum", type = "varchar" },
      { name = "dep_time", type = "bigint" },
      { name = "dep_delay", type = "bigint" },
      { name = "arr_delay", type = "bigint" },
      { name = "air_time", type = "bigint" },
      { name = "distance", type = "bigint" },
      { name = "local_hour", type = "bigint" },
      { name = "_rest", type = "varchar" },
      { name = "tenant_id", type = "varchar" },
      { name = "year", type = "integer" },
      { name = "month", type = "integer" },
      { name = "day", type = "integer" },
      { name = "day_start", type = "timestamp(3)" },
    ]
    originalSql = <<-SQL
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
      FROM "flights"."flights_files"
    SQL
  }
}

resource "aws_glue_catalog_table" "flights" {
  name               = "flights"
  database_name      = aws_glue_catalog_database.flights.name
  owner              = "thalweg"
  table_type         = "VIRTUAL_VIEW"
  view_original_text = "/* Presto View: ${base64encode(jsonencode(local.flights_view))} */"
  view_expanded_text = "/* Presto View */"

  parameters = {
    "presto_view" = "true"
    "comment"     = "Presto View"
  }

  storage_descriptor {
    ser_de_info {
      name                  = "-"
      serialization_library = "-"
    }

    columns {
      name = "_topic"
      type = "string"
    }

    columns {
      name = "_incarnation"
      type = "string"
    }

    columns {
      name = "_partition"
      type = "int"
    }

    columns {
      name = "_offset"
      type = "bigint"
    }

    columns {
      name = "_record_time"
      type = "timestamp"
    }

    columns {
      name = "_event_time"
      type = "timestamp"
    }

    columns {
      name = "_tenant"
      type = "string"
    }

    columns {
      name = "_category"
      type = "string"
    }

    columns {
      name = "_event_id"
      type = "string"
    }

    columns {
      name = "_filed_by"
      type = "string"
    }

    columns {
      name = "time_hour"
      type = "timestamp"
    }

    columns {
      name = "origin"
      type = "string"
    }

    columns {
      name = "dest"
      type = "string"
    }

    columns {
      name = "carrier"
      type = "string"
    }

    columns {
      name = "flight"
      type = "bigint"
    }

    columns {
      name = "tailnum"
      type = "string"
    }

    columns {
      name = "dep_time"
      type = "bigint"
    }

    columns {
      name = "dep_delay"
      type = "bigint"
    }

    columns {
      name = "arr_delay"
      type = "bigint"
    }

    columns {
      name = "air_time"
      type = "bigint"
    }

    columns {
      name = "distance"
      type = "bigint"
    }

    columns {
      name = "local_hour"
      type = "bigint"
    }

    columns {
      name = "_rest"
      type = "string"
    }

    columns {
      name = "tenant_id"
      type = "string"
    }

    columns {
      name = "year"
      type = "int"
    }

    columns {
      name = "month"
      type = "int"
    }

    columns {
      name = "day"
      type = "int"
    }

    columns {
      name = "day_start"
      type = "timestamp"
    }
  }
}

# One row per _event_id: the first delivery by record time, then by place in the log. Rows of one folder are compared,
# so that filters on the path spare files. A repeat is filed with the first delivery unless their record times decide
# where: an event without a time of its own, or one that _filed_by marks. To compare those too, say row_number() OVER
# (PARTITION BY _event_id …) yourself, over a tenant and a span of time.
locals {
  flights_once_view = {
    catalog = "awsdatacatalog"
    schema  = "flights"
    columns = [
      { name = "_topic", type = "varchar" },
      { name = "_incarnation", type = "varchar" },
      { name = "_partition", type = "integer" },
      { name = "_offset", type = "bigint" },
      { name = "_record_time", type = "timestamp(3)" },
      { name = "_event_time", type = "timestamp(3)" },
      { name = "_tenant", type = "varchar" },
      { name = "_category", type = "varchar" },
      { name = "_event_id", type = "varchar" },
      { name = "_filed_by", type = "varchar" },
      { name = "time_hour", type = "timestamp(3)" },
      { name = "origin", type = "varchar" },
      { name = "dest", type = "varchar" },
      { name = "carrier", type = "varchar" },
      { name = "flight", type = "bigint" },
      { name = "tailnum", type = "varchar" },
      { name = "dep_time", type = "bigint" },
      { name = "dep_delay", type = "bigint" },
      { name = "arr_delay", type = "bigint" },
      { name = "air_time", type = "bigint" },
      { name = "distance", type = "bigint" },
      { name = "local_hour", type = "bigint" },
      { name = "_rest", type = "varchar" },
      { name = "tenant_id", type = "varchar" },
      { name = "year", type = "integer" },
      { name = "month", type = "integer" },
      { name = "day", type = "integer" },
      { name = "day_start", type = "timestamp(3)" },
    ]
    originalSql = <<-SQL
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
      WHERE "_delivery" = 1
    SQL
  }
}

resource "aws_glue_catalog_table" "flights_once" {
  name               = "flights_once"
  database_name      = aws_glue_catalog_database.flights.name
  owner              = "thalweg"
  table_type         = "VIRTUAL_VIEW"
  view_original_text = "/* Presto View: ${base64encode(jsonencode(local.flights_once_view))} */"
  view_expanded_text = "/* Presto View */"

  parameters = {
    "presto_view" = "true"
    "comment"     = "Presto View"
  }

  storage_descriptor {
    ser_de_info {
      name                  = "-"
      serialization_library = "-"
    }

    columns {
      name = "_topic"
      type = "string"
    }

    columns {
      name = "_incarnation"
      type = "string"
    }

    columns {
      name = "_partition"
      type = "int"
    }

    columns {
      name = "_offset"
      type = "bigint"
    }

    columns {
      name = "_record_time"
      type = "timestamp"
    }

    columns {
      name = "_event_time"
      type = "timestamp"
    }

    columns {
      name = "_tenant"
      type = "string"
    }

    columns {
      name = "_category"
      type = "string"
    }

    columns {
      name = "_event_id"
      type = "string"
    }

    columns {
      name = "_filed_by"
      type = "string"
    }

    columns {
      name = "time_hour"
      type = "timestamp"
    }

    columns {
      name = "origin"
      type = "string"
    }

    columns {
      name = "dest"
      type = "string"
    }

    columns {
      name = "carrier"
      type = "string"
    }

    columns {
      name = "flight"
      type = "bigint"
    }

    columns {
      name = "tailnum"
      type = "string"
    }

    columns {
      name = "dep_time"
      type = "bigint"
    }

    columns {
      name = "dep_delay"
      type = "bigint"
    }

    columns {
      name = "arr_delay"
      type = "bigint"
    }

    columns {
      name = "air_time"
      type = "bigint"
    }

    columns {
      name = "distance"
      type = "bigint"
    }

    columns {
      name = "local_hour"
      type = "bigint"
    }

    columns {
      name = "_rest"
      type = "string"
    }

    columns {
      name = "tenant_id"
      type = "string"
    }

    columns {
      name = "year"
      type = "int"
    }

    columns {
      name = "month"
      type = "int"
    }

    columns {
      name = "day"
      type = "int"
    }

    columns {
      name = "day_start"
      type = "timestamp"
    }
  }
}

# Every record that was refused, filed under its record time.
locals {
  flights_refused_view = {
    catalog = "awsdatacatalog"
    schema  = "flights"
    columns = [
      { name = "_topic", type = "varchar" },
      { name = "_incarnation", type = "varchar" },
      { name = "_partition", type = "integer" },
      { name = "_offset", type = "bigint" },
      { name = "_record_time", type = "timestamp(3)" },
      { name = "reason", type = "varchar" },
      { name = "detail", type = "varchar" },
      { name = "payload", type = "varbinary" },
      { name = "payload_bytes", type = "bigint" },
      { name = "payload_hash", type = "varchar" },
      { name = "year", type = "integer" },
      { name = "month", type = "integer" },
      { name = "day", type = "integer" },
      { name = "hour", type = "integer" },
      { name = "hour_start", type = "timestamp(3)" },
    ]
    originalSql = <<-SQL
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
      FROM "flights"."flights_refused_files"
    SQL
  }
}

resource "aws_glue_catalog_table" "flights_refused" {
  name               = "flights_refused"
  database_name      = aws_glue_catalog_database.flights.name
  owner              = "thalweg"
  table_type         = "VIRTUAL_VIEW"
  view_original_text = "/* Presto View: ${base64encode(jsonencode(local.flights_refused_view))} */"
  view_expanded_text = "/* Presto View */"

  parameters = {
    "presto_view" = "true"
    "comment"     = "Presto View"
  }

  storage_descriptor {
    ser_de_info {
      name                  = "-"
      serialization_library = "-"
    }

    columns {
      name = "_topic"
      type = "string"
    }

    columns {
      name = "_incarnation"
      type = "string"
    }

    columns {
      name = "_partition"
      type = "int"
    }

    columns {
      name = "_offset"
      type = "bigint"
    }

    columns {
      name = "_record_time"
      type = "timestamp"
    }

    columns {
      name = "reason"
      type = "string"
    }

    columns {
      name = "detail"
      type = "string"
    }

    columns {
      name = "payload"
      type = "binary"
    }

    columns {
      name = "payload_bytes"
      type = "bigint"
    }

    columns {
      name = "payload_hash"
      type = "string"
    }

    columns {
      name = "year"
      type = "int"
    }

    columns {
      name = "month"
      type = "int"
    }

    columns {
      name = "day"
      type = "int"
    }

    columns {
      name = "hour"
      type = "int"
    }

    columns {
      name = "hour_start"
      type = "timestamp"
    }
  }
}
