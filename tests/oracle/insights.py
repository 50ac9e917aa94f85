"""The aggregate of the tenant insights topology, written down again in SQL over its lake."""

from collections import namedtuple
from fractions import Fraction

from common import rounded

Aggregate = namedtuple("Aggregate", "name windows contributions values row")

ZONE = "UTC"

METRIC = """
    SELECT _tenant AS tenant,
           '{"category":' || to_json(_category)::TEXT || ',"name":' || to_json(member.key)::TEXT || '}' AS row_by,
           _event_time, _incarnation, _partition, _offset, element, member.value AS value
    FROM (
        SELECT *, unnest(map_entries(metric)) AS member, generate_subscripts(map_entries(metric), 1) AS element
        FROM tenant_insights)
    WHERE _category IS NOT NULL
"""


def metric_row(last, total, least, most, reports):
    return {
        "values": {
            "last": rounded(last, 6),
            "sum": rounded(total, 6),
            "min": rounded(least, 6),
            "max": rounded(most, 6),
            "mean": rounded(Fraction(total) / reports, 6),
            "reports": reports,
        }
    }


AGGREGATES = [
    Aggregate(
        "metric",
        ["hour", "day", "month", "ever"],
        METRIC,
        "last(value ORDER BY _event_time, _incarnation, _partition, _offset, element), "
        "sum(value), min(value), max(value), count(*)",
        metric_row,
    )
]
