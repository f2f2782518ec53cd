# ruff: noqa: S310 - it asks the address below
"""Sends the examples of the model's signature to a fresh service and compares the answers.

    docker exec --interactive NAME python - < deploy/smoke.py

It runs in the container, with a token of its own, and exits with 1 and a sentence if a prediction
is missing or differs. Its predictions stay in the database: do not use it in production.
"""

import json
import math
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

ADDRESS = "http://127.0.0.1:8000"
TIMEOUT_S = 60  # until the service is ready


def main() -> None:
    wait_until_ready()
    examples = json.loads(Path("models/signature.json").read_text("utf-8"))["examples"]
    token = nb("token", "new", "smoke", "--scope", "predict")
    try:
        answers = ask([example["inputs"] for example in examples], token)
    finally:
        nb("token", "revoke", "smoke")
    for example, answer in zip(examples, answers, strict=True):
        if not is_same(example["predicted"], answer["predicted"]):
            expected = example["predicted"]
            sys.exit(f"error: it predicts {answer['predicted']!r} instead of {expected!r}")
    print(f"model {answers[0]['model_version']} predicts the pipeline's {len(examples)} examples")


def wait_until_ready() -> None:
    ends = time.monotonic() + TIMEOUT_S
    while True:
        try:
            urlopen(f"{ADDRESS}/health/ready", timeout=5).close()
            return
        except OSError as error:
            if time.monotonic() > ends:
                what = f"the service is not ready after {TIMEOUT_S} seconds ({error})"
                sys.exit(f"error: {what} → docker logs NAME")
            time.sleep(0.5)


def nb(*arguments: str) -> str:
    done = subprocess.run(["nb", *arguments], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(done.returncode)  # it has printed why
    return done.stdout.strip()


def ask(rows: list[dict[str, Any]], token: str) -> list[dict[str, Any]]:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    request = Request(f"{ADDRESS}/predict", json.dumps(rows).encode(), headers)
    try:
        with urlopen(request, timeout=TIMEOUT_S) as answer:
            found: list[dict[str, Any]] = json.load(answer)
            return found
    except OSError as error:
        sys.exit(f"error: no prediction: {error} → docker logs NAME")


def is_same(expected: str | float, found: str | float) -> bool:
    if isinstance(expected, str) or isinstance(found, str):
        return expected == found
    return math.isclose(expected, found, rel_tol=1e-4, abs_tol=1e-4)


if __name__ == "__main__":
    main()
