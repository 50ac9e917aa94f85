"""Whether tokens are what Amazon MSK takes: each line is one, and botocore signs the same request once more.

Arguments: the region. The keys come from the environment, and nothing else of them is known here."""

import base64
import os
import sys
from datetime import datetime, timedelta, timezone
from unittest import mock
from urllib.parse import parse_qsl, urlsplit

from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

KEYS = Credentials(*(os.environ[f"AWS_{name}"] for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN")))
SIGNED = "%Y%m%dT%H%M%SZ"


def signed(url, region, time):
    request = AWSRequest(method="GET", url=url, params={"Action": "kafka-cluster:Connect"})
    with mock.patch.object(auth, "get_current_datetime", lambda *_: time):
        auth.SigV4QueryAuth(KEYS, "kafka-cluster", region, expires=900).add_auth(request)
    return dict(parse_qsl(urlsplit(request.url).query, strict_parsing=True))


def check(token, region):
    url = urlsplit(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode())
    said = dict(parse_qsl(url.query, strict_parsing=True))
    assert said.pop("User-Agent").startswith("thalweg/"), url
    time = datetime.strptime(said["X-Amz-Date"], SIGNED)
    assert abs(datetime.now(timezone.utc) - time.replace(tzinfo=timezone.utc)) < timedelta(minutes=5), time
    place = f"{url.scheme}://{url.netloc}{url.path}"
    assert place == f"https://kafka.{region}.amazonaws.com/", place
    expected = signed(place, region, time)
    assert said == expected, f"{said} and not {expected}"


tokens = sys.stdin.read().split()
for token in tokens:
    check(token, sys.argv[1])
print(f"{len(tokens)} tokens are right")
