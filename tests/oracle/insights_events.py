"""Writes seeded tenant insights events: free numeric fields, some of them as floating point prints them.

    insights_events.py OUT.ndjson EVENTS SEED
"""

import json
import random
import sys
import uuid

FIELDS = ["month", "year", "starting-mrr", "new-biz-mrr", "churned-mrr", "ending-customers", "gross-margin"]


def number(chance):
    """Integers, cents, and the long tails that sums of floats leave behind."""
    match chance.randrange(4):
        case 0:
            return chance.randrange(-1_000, 1_000_000)
        case 1:
            return chance.randrange(-100_000, 100_000_000) / 100
        case 2:
            return chance.random() * 100 - 50
        case _:
            return sum(chance.randrange(1, 100) / 100 for _ in range(7))


def event(chance, tenants):
    metric = {name: number(chance) for name in chance.sample(FIELDS, chance.randrange(1, len(FIELDS)))}
    if chance.randrange(20) == 0:
        metric["note"] = "not a number"
    return {
        "tenantId": chance.choice(tenants),
        "category": chance.choice(["sales", "support", "größe/umsatz"]),
        "metric": metric,
        "metadata": {"service": "billing", "domain": "finance", "route": "/v1/mrr", "requestId": f"r{chance.getrandbits(48):x}"},
    }


def main():
    out, events, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    chance = random.Random(seed)
    tenants = [str(uuid.UUID(int=chance.getrandbits(128), version=4)) for _ in range(12)]
    with open(out, "w", encoding="utf-8") as file:
        for _ in range(events):
            file.write(json.dumps(event(chance, tenants), ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
