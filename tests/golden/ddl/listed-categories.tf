# The lake of the topology marketplace, for Athena (engine version 3). Ask the views: marketplace_events_files and
# marketplace_events_refused_files are the files as they lie. Times are UTC, to the millisecond.
# Partitions are computed from what a query names, so nothing has to be added when files come. What it does
# not name is listed, a request for each folder that there may be: so name all of the path, or a short span.
# Years 2020 to 2039 are seen, and no other; --from and --to say which. Unasked they are many, because
# nobody notices a year that is left out.
# A query names its tenants by tenant_id, as the path has it, or is refused: letters, digits, . _ and - stand
# for themselves (but not _ in front), every other byte is ! and two hex digits. The views decode it as _tenant,
# and a filter on that names nobody. For an id as it is:
#   tenant_id = regexp_replace(replace(replace(replace(
#     url_encode('a/b'), '+', '!20'), '*', '!2A'), '%', '!'), '^_', '!5F')
# Only categories that the topology lists are seen. An event of another one lies in the lake, unseen.

resource "aws_glue_catalog_database" "marketplace" {
  name = "marketplace"
}

resource "aws_glue_catalog_table" "marketplace_events_files" {
  name          = "marketplace_events_files"
  database_name = aws_glue_catalog_database.marketplace.name
  description   = "Files of events as they lie: every delivery, repeats included"
  table_type    = "EXTERNAL_TABLE"

  parameters = {
    "EXTERNAL"                   = "TRUE"
    "projection.enabled"         = "true"
    "projection.category.type"   = "enum"
    "projection.category.values" = "OrderCreated,Order!2C!20completed,!5Fx"
    "projection.tenant_id.type"  = "injected"
    "projection.year.type"       = "integer"
    "projection.year.range"      = "2020,2039"
    "projection.year.digits"     = "4"
    "projection.month.type"      = "integer"
    "projection.month.range"     = "1,12"
    "projection.month.digits"    = "2"
    "projection.day.type"        = "integer"
    "projection.day.range"       = "1,31"
    "projection.day.digits"      = "2"
    "projection.hour.type"       = "integer"
    "projection.hour.range"      = "0,23"
    "projection.hour.digits"     = "2"
    "storage.location.template"  = "s3://shop-lake/v1/marketplace_events/category=$${category}/tenant_id=$${tenant_id}/year=$${year}/month=$${month}/day=$${day}/hour=$${hour}/"
  }

  storage_descriptor {
    location      = "s3://shop-lake/v1/marketplace_events/"
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
      name = "event_id"
      type = "string"
    }

    columns {
      name = "ts"
      type = "timestamp"
    }

    columns {
      name = "type"
      type = "string"
    }

    columns {
      name = "vendor_id"
      type = "string"
    }

    columns {
      name = "customer_id"
      type = "string"
    }

    columns {
      name = "product_id"
      type = "string"
    }

    columns {
      name = "order_id"
      type = "string"
    }

    columns {
      name = "action"
      type = "string"
    }

    columns {
      name = "total"
      type = "decimal(18,2)"
    }

    columns {
      name = "items"
      type = "array<struct<product_id:string,quantity:bigint,price:decimal(18,2)>>"
    }

    columns {
      name = "metadata"
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

resource "aws_glue_catalog_table" "marketplace_events_refused_files" {
  name          = "marketplace_events_refused_files"
  database_name = aws_glue_catalog_database.marketplace.name
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
    "storage.location.template" = "s3://shop-lake/v1/marketplace_events_refused/year=$${year}/month=$${month}/day=$${day}/hour=$${hour}/"
  }

  storage_descriptor {
    location      = "s3://shop-lake/v1/marketplace_events_refused/"
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
  marketplace_events_view = {
    catalog = "awsdatacatalog"
    schema  = "marketplace"
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
      { name = "event_id", type = "varchar" },
      { name = "ts", type = "timestamp(3)" },
      { name = "type", type = "varchar" },
      { name = "vendor_id", type = "varchar" },
      { name = "customer_id", type = "varchar" },
      { name = "product_id", type = "varchar" },
      { name = "order_id", type = "varchar" },
      { name = "action", type = "varchar" },
      { name = "total", type = "decimal(18,2)" },
      { name = "items", type = "array(row(\"product_id\" varchar, \"quantity\" bigint, \"price\" decimal(18,2)))" },
      { name = "metadata", type = "varchar" },
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
        "event_id",
        "ts",
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
        "category",
        "tenant_id",
        "year",
        "month",
        "day",
        "hour",
        TRY_CAST(format('%04d-%02d-%02d %02d:00:00', "year", "month", "day", "hour") AS timestamp) AS "hour_start"
      FROM "marketplace"."marketplace_events_files"
    SQL
  }
}

resource "aws_glue_catalog_table" "marketplace_events" {
  name               = "marketplace_events"
  database_name      = aws_glue_catalog_database.marketplace.name
  owner              = "thalweg"
  table_type         = "VIRTUAL_VIEW"
  view_original_text = "/* Presto View: ${base64encode(jsonencode(local.marketplace_events_view))} */"
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
      name = "event_id"
      type = "string"
    }

    columns {
      name = "ts"
      type = "timestamp"
    }

    columns {
      name = "type"
      type = "string"
    }

    columns {
      name = "vendor_id"
      type = "string"
    }

    columns {
      name = "customer_id"
      type = "string"
    }

    columns {
      name = "product_id"
      type = "string"
    }

    columns {
      name = "order_id"
      type = "string"
    }

    columns {
      name = "action"
      type = "string"
    }

    columns {
      name = "total"
      type = "decimal(18,2)"
    }

    columns {
      name = "items"
      type = "array<struct<product_id:string,quantity:bigint,price:decimal(18,2)>>"
    }

    columns {
      name = "metadata"
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

# One row per _event_id: the first delivery by record time, then by place in the log. Rows of one folder are compared,
# so that filters on the path spare files. A repeat is filed with the first delivery unless their record times decide
# where: an event without a time of its own, or one that _filed_by marks. To compare those too, say row_number() OVER
# (PARTITION BY _event_id …) yourself, over a tenant and a span of time.
locals {
  marketplace_events_once_view = {
    catalog = "awsdatacatalog"
    schema  = "marketplace"
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
      { name = "event_id", type = "varchar" },
      { name = "ts", type = "timestamp(3)" },
      { name = "type", type = "varchar" },
      { name = "vendor_id", type = "varchar" },
      { name = "customer_id", type = "varchar" },
      { name = "product_id", type = "varchar" },
      { name = "order_id", type = "varchar" },
      { name = "action", type = "varchar" },
      { name = "total", type = "decimal(18,2)" },
      { name = "items", type = "array(row(\"product_id\" varchar, \"quantity\" bigint, \"price\" decimal(18,2)))" },
      { name = "metadata", type = "varchar" },
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
        "_tenant",
        "_category",
        "_event_id",
        "_filed_by",
        "event_id",
        "ts",
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
        "category",
        "tenant_id",
        "year",
        "month",
        "day",
        "hour",
        "hour_start"
      FROM (
        SELECT *, row_number() OVER (
          PARTITION BY "category", "tenant_id", "year", "month", "day", "hour", "_event_id"
          ORDER BY "_record_time", "_incarnation", "_partition", "_offset"
        ) AS "_delivery"
        FROM "marketplace"."marketplace_events"
      )
      WHERE "_delivery" = 1
    SQL
  }
}

resource "aws_glue_catalog_table" "marketplace_events_once" {
  name               = "marketplace_events_once"
  database_name      = aws_glue_catalog_database.marketplace.name
  owner              = "thalweg"
  table_type         = "VIRTUAL_VIEW"
  view_original_text = "/* Presto View: ${base64encode(jsonencode(local.marketplace_events_once_view))} */"
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
      name = "event_id"
      type = "string"
    }

    columns {
      name = "ts"
      type = "timestamp"
    }

    columns {
      name = "type"
      type = "string"
    }

    columns {
      name = "vendor_id"
      type = "string"
    }

    columns {
      name = "customer_id"
      type = "string"
    }

    columns {
      name = "product_id"
      type = "string"
    }

    columns {
      name = "order_id"
      type = "string"
    }

    columns {
      name = "action"
      type = "string"
    }

    columns {
      name = "total"
      type = "decimal(18,2)"
    }

    columns {
      name = "items"
      type = "array<struct<product_id:string,quantity:bigint,price:decimal(18,2)>>"
    }

    columns {
      name = "metadata"
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
  marketplace_events_refused_view = {
    catalog = "awsdatacatalog"
    schema  = "marketplace"
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
      FROM "marketplace"."marketplace_events_refused_files"
    SQL
  }
}

resource "aws_glue_catalog_table" "marketplace_events_refused" {
  name               = "marketplace_events_refused"
  database_name      = aws_glue_catalog_database.marketplace.name
  owner              = "thalweg"
  table_type         = "VIRTUAL_VIEW"
  view_original_text = "/* Presto View: ${base64encode(jsonencode(local.marketplace_events_refused_view))} */"
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
