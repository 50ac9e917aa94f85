# The lake of the topology tenant-insights, for Athena (engine version 3). Ask the views: tenant_insights_files and
# tenant_insights_refused_files are the files as they lie. Times are UTC, to the millisecond.
# Partitions are computed from what a query names, so nothing has to be added when files come. What it does
# not name is listed, a request for each folder that there may be: so name all of the path, or a short span.
# Years 2020 to 2039 are seen, and no other; --from and --to say which. Unasked they are many, because
# nobody notices a year that is left out.
# A query names its tenants by tenant_id, as the path has it, or is refused: letters, digits, . _ and - stand
# for themselves (but not _ in front), every other byte is ! and two hex digits. The views decode it as _tenant,
# and a filter on that names nobody. For an id as it is:
#   tenant_id = regexp_replace(replace(replace(replace(
#     url_encode('a/b'), '+', '!20'), '*', '!2A'), '%', '!'), '^_', '!5F')
# The topology lists no categories, so a query names these too: by category, in the same form.

resource "aws_glue_catalog_database" "tenant_insights" {
  name = "tenant_insights"
}

resource "aws_glue_catalog_table" "tenant_insights_files" {
  name          = "tenant_insights_files"
  database_name = aws_glue_catalog_database.tenant_insights.name
  description   = "Files of events as they lie: every delivery, repeats included"
  table_type    = "EXTERNAL_TABLE"

  parameters = {
    "EXTERNAL"                  = "TRUE"
    "projection.enabled"        = "true"
    "projection.category.type"  = "injected"
    "projection.tenant_id.type" = "injected"
    "projection.year.type"      = "integer"
    "projection.year.range"     = "2020,2039"
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
    "storage.location.template" = "s3://shop-lake/v1/tenant_insights/category=$${category}/tenant_id=$${tenant_id}/year=$${year}/month=$${month}/day=$${day}/hour=$${hour}/"
  }

  storage_descriptor {
    location      = "s3://shop-lake/v1/tenant_insights/"
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
      name = "metric"
      type = "map<string,decimal(18,6)>"
    }

    columns {
      name = "service"
      type = "string"
    }

    columns {
      name = "domain"
      type = "string"
    }

    columns {
      name = "route"
      type = "string"
    }

    columns {
      name = "request_id"
      type = "string"
    }

    columns {
      name = "_rest"
      type = "string"
    }
  }

  partition_keys {
    name = "category"
    type = "string"
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

  partition_keys {
    name = "hour"
    type = "int"
  }
}

resource "aws_glue_catalog_table" "tenant_insights_refused_files" {
  name          = "tenant_insights_refused_files"
  database_name = aws_glue_catalog_database.tenant_insights.name
  description   = "Files of refused records as they lie, by record time"
  table_type    = "EXTERNAL_TABLE"

  parameters = {
    "EXTERNAL"                  = "TRUE"
    "projection.enabled"        = "true"
    "projection.year.type"      = "integer"
    "projection.year.range"     = "2020,2039"
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
    "storage.location.template" = "s3://shop-lake/v1/tenant_insights_refused/year=$${year}/month=$${month}/day=$${day}/hour=$${hour}/"
  }

  storage_descriptor {
    location      = "s3://shop-lake/v1/tenant_insights_refused/"
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
  tenant_insights_view = {
    catalog = "awsdatacatalog"
    schema  = "tenant_insights"
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
      { name = "metric", type = "map(varchar, decimal(18,6))" },
      { name = "service", type = "varchar" },
      { name = "domain", type = "varchar" },
      { name = "route", type = "varchar" },
      { name = "request_id", type = "varchar" },
      { name = "_rest", type = "varchar" },
      { name = "category", type = "varchar" },
      { name = "tenant_id", type = "varchar" },
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
        "_event_time",
        url_decode(replace("tenant_id", '!', '%')) AS "_tenant",
        url_decode(replace("category", '!', '%')) AS "_category",
        "_event_id",
        "_filed_by",
        "metric",
        "service",
        "domain",
        "route",
        "request_id",
        "_rest",
        "category",
        "tenant_id",
        "year",
        "month",
        "day",
        "hour",
        TRY_CAST(format('%04d-%02d-%02d %02d:00:00', "year", "month", "day", "hour") AS timestamp) AS "hour_start"
      FROM "tenant_insights"."tenant_insights_files"
    SQL
  }
}

resource "aws_glue_catalog_table" "tenant_insights" {
  name               = "tenant_insights"
  database_name      = aws_glue_catalog_database.tenant_insights.name
  owner              = "thalweg"
  table_type         = "VIRTUAL_VIEW"
  view_original_text = "/* Presto View: ${base64encode(jsonencode(local.tenant_insights_view))} */"
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
      name = "metric"
      type = "map<string,decimal(18,6)>"
    }

    columns {
      name = "service"
      type = "string"
    }

    columns {
      name = "domain"
      type = "string"
    }

    columns {
      name = "route"
      type = "string"
    }

    columns {
      name = "request_id"
      type = "string"
    }

    columns {
      name = "_rest"
      type = "string"
    }

    columns {
      name = "category"
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
      name = "hour"
      type = "int"
    }

    columns {
      name = "hour_start"
      type = "timestamp"
    }
  }
}

# The id of an event is its coordinate, so no event repeats another: the same rows.
locals {
  tenant_insights_once_view = {
    catalog = "awsdatacatalog"
    schema  = "tenant_insights"
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
      { name = "metric", type = "map(varchar, decimal(18,6))" },
      { name = "service", type = "varchar" },
      { name = "domain", type = "varchar" },
      { name = "route", type = "varchar" },
      { name = "request_id", type = "varchar" },
      { name = "_rest", type = "varchar" },
      { name = "category", type = "varchar" },
      { name = "tenant_id", type = "varchar" },
      { name = "year", type = "integer" },
      { name = "month", type = "integer" },
      { name = "day", type = "integer" },
      { name = "hour", type = "integer" },
      { name = "hour_start", type = "timestamp(3)" },
    ]
    originalSql = <<-SQL
      SELECT *
      FROM "tenant_insights"."tenant_insights"
    SQL
  }
}

resource "aws_glue_catalog_table" "tenant_insights_once" {
  name               = "tenant_insights_once"
  database_name      = aws_glue_catalog_database.tenant_insights.name
  owner              = "thalweg"
  table_type         = "VIRTUAL_VIEW"
  view_original_text = "/* Presto View: ${base64encode(jsonencode(local.tenant_insights_once_view))} */"
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
      name = "metric"
      type = "map<string,decimal(18,6)>"
    }

    columns {
      name = "service"
      type = "string"
    }

    columns {
      name = "domain"
      type = "string"
    }

    columns {
      name = "route"
      type = "string"
    }

    columns {
      name = "request_id"
      type = "string"
    }

    columns {
      name = "_rest"
      type = "string"
    }

    columns {
      name = "category"
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
      name = "hour"
      type = "int"
    }

    columns {
      name = "hour_start"
      type = "timestamp"
    }
  }
}

# Every record that was refused, filed under its record time.
locals {
  tenant_insights_refused_view = {
    catalog = "awsdatacatalog"
    schema  = "tenant_insights"
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
      FROM "tenant_insights"."tenant_insights_refused_files"
    SQL
  }
}

resource "aws_glue_catalog_table" "tenant_insights_refused" {
  name               = "tenant_insights_refused"
  database_name      = aws_glue_catalog_database.tenant_insights.name
  owner              = "thalweg"
  table_type         = "VIRTUAL_VIEW"
  view_original_text = "/* Presto View: ${base64encode(jsonencode(local.tenant_insights_refused_view))} */"
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
