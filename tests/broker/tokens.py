"""Whoever issues tokens: keys for brokers in FOLDER/jwks.json, and a token in FOLDER/token for each line that is read.

A line is JSON with the claims that differ from those that brokers expect; "lifetime" is in seconds from now, and
"key": "stranger" signs with a key that no broker knows. Each token is answered by a line that holds it."""

import base64
import json
import os
import sys
import time

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa


def text(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value):
    return text(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def public(key):
    numbers = key.public_key().public_numbers()
    return {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "one", "n": number(numbers.n), "e": number(numbers.e)}


def token(key, claims):
    header = {"alg": "RS256", "typ": "JWT", "kid": "one"}
    signed = ".".join(text(json.dumps(part).encode()) for part in (header, claims))
    return signed + "." + text(key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))


def main():
    folder = sys.argv[1]
    keys = {name: rsa.generate_private_key(public_exponent=65537, key_size=2048) for name in ("ours", "stranger")}
    with open(os.path.join(folder, "jwks.json"), "w") as file:
        json.dump({"keys": [public(keys["ours"])]}, file)
    print("ready", flush=True)
    for line in sys.stdin:
        claims = {"iss": "https://issuer.test", "aud": "kafka", "sub": "thalweg", "scope": "kafka"}
        claims.update(json.loads(line))
        key = keys[claims.pop("key", "ours")]
        now = time.time()
        claims["exp"] = round(now + claims.pop("lifetime"), 3)
        claims["iat"] = int(now) - 60
        made = token(key, claims)
        # Renamed, so that nobody ever reads a half of one.
        path = os.path.join(folder, "token")
        with open(path + ".new", "w") as file:
            file.write(made + "\n")
        os.replace(path + ".new", path)
        print(made, flush=True)


main()
