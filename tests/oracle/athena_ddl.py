"""Athena's statements in Trino's words.

Athena writes tables in Hive's language and asks in Trino's. So a `CREATE EXTERNAL TABLE` is rewritten here, word by
word, and a view is left as it is. The table's properties go over as they stand: both engines keep them in the catalog
and read `projection.…` and `storage.location.template` from there. What is not known here is an error.
"""

import sqlglot
from sqlglot import expressions as e


def statements(text):
    """A statement ends with a `;` at a line's end; a comment has none there."""
    for part in text.split(";\n"):
        lines = [line for line in part.splitlines() if line.strip() and not line.startswith("--")]
        if lines:
            yield "\n".join(lines)


def to_trino(statement):
    tree = sqlglot.parse_one(statement, read="athena")
    kind = tree.args.get("kind") if isinstance(tree, e.Create) else None
    if kind == "VIEW":
        return statement
    if kind in ("DATABASE", "SCHEMA"):
        return f"CREATE SCHEMA {_if_absent(tree)}{_name(tree.this.this)}"
    if kind == "TABLE":
        return _table(tree)
    raise ValueError(f"not a statement of ours: {statement[:80]}")


def _if_absent(tree):
    return "IF NOT EXISTS " if tree.args.get("exists") else ""


def _name(identifier):
    return '"' + identifier.name.lower().replace('"', '""') + '"'


def _text(value):
    return "'" + value.replace("'", "''") + "'"


def _column(column):
    if not isinstance(column, e.ColumnDef) or column.args.get("kind") is None:
        raise ValueError(f"a column without a type: {column.sql('athena')}")
    return f"{_name(column.this)} {column.args['kind'].sql('trino')}"


def _table(tree):
    columns = [_column(column) for column in tree.this.expressions]
    comment, parts, options, properties, is_external = "", [], {}, {}, False
    for clause in tree.args["properties"].expressions:
        if isinstance(clause, e.ExternalProperty):
            is_external = True
        elif isinstance(clause, e.SchemaCommentProperty):
            comment = f" COMMENT {_text(clause.this.name)}"
        elif isinstance(clause, e.PartitionedByProperty):
            parts = clause.this.expressions
        elif isinstance(clause, e.FileFormatProperty):
            options["format"] = _text(clause.this.name.upper())
        elif isinstance(clause, e.LocationProperty):
            options["external_location"] = _text(clause.this.name)
        elif type(clause) is e.Property:
            _keep(properties, clause)
        else:
            raise ValueError(f"not a clause of ours: {clause.sql('athena')}")
    if not is_external or set(options) != {"format", "external_location"} or not parts:
        raise ValueError("EXTERNAL, PARTITIONED BY, STORED AS and LOCATION belong to a table of ours")
    columns += [_column(part) for part in parts]
    options["partitioned_by"] = "ARRAY[" + ", ".join(_text(part.name.lower()) for part in parts) + "]"
    rows = ", ".join(f"ROW({_text(key)}, {_text(value)})" for key, value in properties.items())
    options["extra_properties"] = f"map_from_entries(ARRAY[{rows}])"
    name = ".".join(_name(part) for part in (tree.this.this.args["db"], tree.this.this.this))
    body = ",\n  ".join(columns)
    said = ",\n  ".join(f"{key} = {value}" for key, value in options.items())
    return f"CREATE TABLE {_if_absent(tree)}{name} (\n  {body}\n){comment}\nWITH (\n  {said}\n)"


def _keep(properties, clause):
    key, value = clause.this, clause.args["value"]
    if not (isinstance(key, e.Literal) and isinstance(value, e.Literal) and value.is_string):
        raise ValueError(f"a property that is no text: {clause.sql('athena')}")
    if key.name in properties:
        raise ValueError(f"a property twice: {key.name}")
    properties[key.name] = value.name
