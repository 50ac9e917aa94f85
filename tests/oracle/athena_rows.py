"""A value of DuckDB's as Trino's JSON has it: exact numbers and times as text, a struct as a list."""

import datetime
import decimal


def comparable(value):
    match value:
        case decimal.Decimal():
            return str(value)
        case datetime.datetime():
            # Trino reads milliseconds.
            rounded = value + datetime.timedelta(microseconds=500)
            return rounded.strftime("%Y-%m-%d %H:%M:%S.") + f"{rounded.microsecond // 1000:03}"
        case datetime.date():
            return value.isoformat()
        case bytes():
            return value.hex()
        case list():
            # A struct lies in lists only; whatever else has members is a map.
            return [comparable(list(item.values()) if isinstance(item, dict) else item) for item in value]
        case dict():
            return {key: comparable(item) for key, item in value.items()}
    return value
