"""What a Terraform text makes, in an emulated Glue: by Terraform itself, or by reading the text.

Terraform applies it where THALWEG_TERRAFORM_PLUGINS names a folder with its provider for AWS (as `terraform providers
mirror` makes one) and `terraform` is on the path. Elsewhere the text is parsed, its few references are put in, and the
same tables are made through the API of Glue.
"""

import base64
import json
import os
import re
import subprocess
import tempfile
import textwrap

import boto3
import hcl2

PLUGINS = "THALWEG_TERRAFORM_PLUGINS"

# Keys of anybody: the emulated Glue asks nobody who he is.
PROVIDER = """
provider "aws" {{
  region                      = "{region}"
  access_key                  = "tests"
  secret_key                  = "tests"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
  endpoints {{
    glue = "{url}"
    sts  = "{url}"
  }}
}}
"""


def client(url, region):
    keys = {"aws_access_key_id": "tests", "aws_secret_access_key": "tests"}
    return boto3.client("glue", endpoint_url=url, region_name=region, **keys)


def make(path, url, region):
    """Makes the tables of a text, and says who did."""
    plugins = os.environ.get(PLUGINS)
    if plugins:
        _apply(path, url, region, plugins)
        return "terraform"
    with open(path, encoding="utf-8") as file:
        _create(file.read(), client(url, region))
    return "the parsed text"


def _apply(path, url, region, plugins):
    environment = {key: value for key, value in os.environ.items() if key != "TF_CLI_CONFIG_FILE"}
    environment |= {"CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1"}
    with tempfile.TemporaryDirectory() as folder, open(path, encoding="utf-8") as file:
        with open(f"{folder}/lake.tf", "w", encoding="utf-8") as lake:
            lake.write(file.read())
        with open(f"{folder}/provider.tf", "w", encoding="utf-8") as provider:
            provider.write(PROVIDER.format(url=url, region=region))
        for arguments in (
            ["fmt", "-check", "-diff", "lake.tf"],
            ["init", "-input=false", f"-plugin-dir={plugins}"],
            ["apply", "-input=false", "-auto-approve"],
            # What was applied is what is wanted: nothing is left to change.
            ["plan", "-input=false", "-detailed-exitcode"],
        ):
            command = ["terraform", *arguments, "-no-color"]
            ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
            assert ran.returncode == 0, f"terraform {arguments[0]}: {ran.stdout}{ran.stderr}"


def _create(text, glue):
    options = hcl2.SerializationOptions(strip_string_quotes=True, explicit_blocks=False)
    parsed = hcl2.loads(text, serialization_options=options)
    views = {name: value for block in parsed["locals"] for name, value in block.items()}
    made = [pair for block in parsed["resource"] for pair in block.items()]
    of_kind = lambda wanted: {label: body for kind, labels in made if kind == wanted for label, body in labels.items()}
    databases = of_kind("aws_glue_catalog_database")
    for database in databases.values():
        glue.create_database(DatabaseInput={"Name": database["name"]})
    for body in of_kind("aws_glue_catalog_table").values():
        _create_table(body, databases, views, glue)


def _create_table(body, databases, views, glue):
    database = databases[_inside(r"\$\{aws_glue_catalog_database\.(\w+)\.name\}", body["database_name"])]
    [storage] = body["storage_descriptor"]
    [serde] = storage["ser_de_info"]
    descriptor = {
        "Columns": [_column(column) for column in storage["columns"]],
        "SerdeInfo": {"SerializationLibrary": serde["serialization_library"]},
    }
    for key, name in (("location", "Location"), ("input_format", "InputFormat"), ("output_format", "OutputFormat")):
        if key in storage:
            descriptor[name] = _plain(storage[key])
    table = {
        "Name": body["name"],
        "TableType": body["table_type"],
        "Parameters": {key: _plain(value) for key, value in body["parameters"].items()},
        "StorageDescriptor": descriptor,
        "PartitionKeys": [_column(column) for column in body.get("partition_keys", [])],
    }
    for key, name in (("description", "Description"), ("owner", "Owner"), ("view_expanded_text", "ViewExpandedText")):
        if key in body:
            table[name] = _plain(body[key])
    if "view_original_text" in body:
        table["ViewOriginalText"] = _view_text(body["view_original_text"], views)
    glue.create_table(DatabaseName=database["name"], TableInput=table)


def _view_text(text, views):
    reference = r"\$\{base64encode\(jsonencode\(local\.(\w+)\)\)\}"
    view = dict(views[_inside(reference, text)])
    heredoc = view["originalSql"].removeprefix("<<-SQL\n").removesuffix("SQL")
    view["originalSql"] = textwrap.dedent(heredoc.rstrip(" ")).rstrip(" ")
    return re.sub(reference, base64.b64encode(json.dumps(view).encode()).decode(), text)


def _column(column):
    return {"Name": column["name"], "Type": column["type"]}


def _plain(text):
    """Text with nothing to put in: what looks like it is escaped."""
    assert not re.search(r"(?<!\$)\$\{|(?<!%)%\{", text), f"not put in: {text}"
    return text.replace("$${", "${").replace("%%{", "%{")


def _inside(pattern, text):
    found = re.search(pattern, text)
    assert found, f"{text} has no {pattern}"
    return found.group(1)
