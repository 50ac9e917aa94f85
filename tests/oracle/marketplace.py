"""The aggregates of the marketplace topology, written down again in SQL over its lake."""

from collections import namedtuple

from common import Distinct, ratio, rounded

Aggregate = namedtuple("Aggregate", "name windows contributions values row")

ZONE = "UTC"
# An event counts once for a key, however many of its items add to it.
EVENT = "(_incarnation, _partition, _offset)"


def kind(name, more="true"):
    return f"count(DISTINCT {EVENT}) FILTER (type = '{name}' AND {more})"


VENDOR = """
    SELECT _tenant AS tenant, '{"vendor_id":' || to_json(vendor_id)::TEXT || '}' AS row_by,
           _event_time, _incarnation, _partition, _offset, type, action, customer_id, total
    FROM marketplace_events
    WHERE vendor_id IS NOT NULL
"""


def vendor_row(product_views, profile_views, added, removed, cart_adds, orders, completed, revenue, buyers):
    return {
        "values": {
            "product_views": product_views,
            "profile_views": profile_views,
            "added": added,
            "removed": removed,
            "product_favorites": added - removed,
            "cart_adds": cart_adds,
            "orders": orders,
            "completed_orders": completed,
            "revenue": rounded(revenue or 0, 2),
            "buyers": Distinct(buyers),
            "average_order": ratio(revenue or 0, completed, 2),
            "conversion": ratio(orders, product_views, 4),
            "completion": ratio(completed, orders, 4),
        }
    }


# An order's events have products in their items; all others name one product themselves.
PRODUCT = """
    WITH seen AS (
        SELECT *, NULL::DECIMAL(38, 2) AS line, 1 AS element FROM (
            SELECT _tenant, product_id, vendor_id, type, action, _event_time, _incarnation, _partition, _offset
            FROM marketplace_events WHERE type IN ('ProductView', 'ProductFavorite', 'CartAdd'))
        UNION ALL
        SELECT _tenant, item.product_id, vendor_id, type, action, _event_time, _incarnation, _partition, _offset,
               item.price * item.quantity, element
        FROM (
            SELECT *, unnest(items) AS item, generate_subscripts(items, 1) AS element
            FROM marketplace_events WHERE type IN ('OrderCreated', 'OrderCompleted')))
    SELECT _tenant AS tenant, '{"product_id":' || to_json(product_id)::TEXT || '}' AS row_by, * EXCLUDE (_tenant, product_id)
    FROM seen WHERE product_id IS NOT NULL
"""


def product_row(views, added, removed, cart_adds, orders, revenue, vendor_id):
    return {
        "values": {
            "views": views,
            "added": added,
            "removed": removed,
            "favorites": added - removed,
            "cart_adds": cart_adds,
            "orders": orders,
            "revenue": rounded(revenue or 0, 2),
            "conversion": ratio(orders, views, 4),
        },
        "carry": {"vendor_id": vendor_id},
    }


AGGREGATES = [
    Aggregate(
        "vendor",
        ["day", "week", "month"],
        VENDOR,
        ", ".join(
            [
                kind("ProductView"),
                kind("VendorView"),
                kind("ProductFavorite", "action = 'added'"),
                kind("ProductFavorite", "action = 'removed'"),
                kind("CartAdd"),
                kind("OrderCreated"),
                kind("OrderCompleted"),
                "sum(total) FILTER (type = 'OrderCompleted')",
                "count(DISTINCT customer_id) FILTER (type = 'OrderCreated')",
            ]
        ),
        vendor_row,
    ),
    Aggregate(
        "product",
        ["day", "week", "month"],
        PRODUCT,
        ", ".join(
            [
                kind("ProductView"),
                kind("ProductFavorite", "action = 'added'"),
                kind("ProductFavorite", "action = 'removed'"),
                kind("CartAdd"),
                kind("OrderCreated"),
                "sum(line) FILTER (type = 'OrderCompleted')",
                "last(vendor_id ORDER BY _event_time, _incarnation, _partition, _offset, element)"
                " FILTER (vendor_id IS NOT NULL)",
            ]
        ),
        product_row,
    ),
]
