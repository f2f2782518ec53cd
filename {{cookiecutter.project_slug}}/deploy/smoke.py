# ruff: noqa: S310 - it asks the address below
"""Asks a fresh service what the pipeline asked its model: docker exec --interactive NAME python - < deploy/smoke.py

It runs in the container, with a token made for the occasion, and ends with 1 and a sentence where an answer is missing
or another than the pipeline's. Its predictions stay in the database: do not ask a service that is in use.
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
PATIENCE = 60  # seconds until the service is ready


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
            sys.exit(f"error: it says {answer['predicted']!r} where the pipeline said {example['predicted']!r}")
    print(f"model {answers[0]['model_version']} gives the pipeline's {len(examples)} answers")


def wait_until_ready() -> None:
    ends = time.monotonic() + PATIENCE
    while True:
        try:
            urlopen(f"{ADDRESS}/health/ready", timeout=5).close()
            return
        except OSError as error:
            if time.monotonic() > ends:
                sys.exit(f"error: the service is not ready after {PATIENCE} seconds ({error}) → docker logs NAME")
            time.sleep(0.5)


def nb(*arguments: str) -> str:
    done = subprocess.run(["nb", *arguments], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(done.returncode)  # it said why
    return done.stdout.strip()


def ask(rows: list[dict[str, Any]], token: str) -> list[dict[str, Any]]:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    request = Request(f"{ADDRESS}/predict", json.dumps(rows).encode(), headers)
    try:
        with urlopen(request, timeout=PATIENCE) as answer:
            found: list[dict[str, Any]] = json.load(answer)
            return found
    except OSError as error:
        sys.exit(f"error: no prediction: {error} → docker logs NAME")


def is_same(expected: str | float, said: str | float) -> bool:
    if isinstance(expected, str) or isinstance(said, str):
        return expected == said
    return math.isclose(expected, said, rel_tol=1e-4, abs_tol=1e-4)


if __name__ == "__main__":
    main()
