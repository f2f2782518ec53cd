"""An alarm is sent to a webhook once: what was sent, and what failed, stands in the audit."""

from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from threading import Thread

from bakebook.database.store import Store
from bakebook.lifecycle import audit
from bakebook.lifecycle.audit import Decision

CONNECT_TIMEOUT_S = 3.0
READ_TIMEOUT_S = 5.0
TOTAL_S = 30.0  # with all retries
RETRIES = 3
BACKOFF_S = 0.5  # doubled from try to try
AGAIN = (429, 503)  # the answers after which it is sent again
UNKNOWN = (502, 504)  # of a gateway: what is behind it may have the request


def send(store: Store, webhook: str, model: str, text: str) -> None:
    """Sends an alarm about a model that was not sent yet, or whose sending failed, to an address
    that may be empty.

    A server that took the request and did not answer may have it: it is not sent again.
    """
    last = audit.find(store, "alert", model, text)
    if not webhook or (last and last["outcome"] != "failed"):
        return
    sent = Decision("alert", "done", model, "", text)
    audit.record(store, sent)
    if reason := _failure(webhook, {"text": text, "model": model}):
        audit.record(store, replace(sent, outcome="failed", details={audit.REFUSED: reason}))


def _failure(url: str, content: Mapping[str, str]) -> str:
    """Posts JSON; why it certainly did not arrive, or nothing. What does not end in time, since
    every byte of the answer comes alone, goes on by itself, and ends with this process.
    """
    reasons: list[str] = []
    sending = Thread(target=lambda: reasons.append(_posted(url, content)), daemon=True)
    sending.start()
    sending.join(TOTAL_S)
    return reasons[0] if reasons else ""


def _posted(url: str, content: Mapping[str, str]) -> str:
    """As _failure, in any time. An address may hold a secret, so no message repeats it."""
    import urllib3
    from urllib3 import exceptions

    retry = urllib3.Retry(
        total=RETRIES,
        read=0,
        backoff_factor=BACKOFF_S,
        status_forcelist=AGAIN,
        allowed_methods=None,
        raise_on_status=False,
        respect_retry_after_header=False,
    )
    timeout = urllib3.Timeout(connect=CONNECT_TIMEOUT_S, read=READ_TIMEOUT_S)
    try:
        with urllib3.PoolManager() as pool:
            answer = pool.request(
                "POST",
                url,
                json=content,
                timeout=timeout,
                retries=retry,
                redirect=False,
            )
    except exceptions.LocationValueError:
        return "NB_WEBHOOK is not an address"
    except exceptions.MaxRetryError as error:
        if isinstance(error.reason, exceptions.ConnectTimeoutError):
            return "nothing answers at the address"
        is_insecure = isinstance(error.reason, exceptions.SSLError)
        return "its certificate cannot be verified" if is_insecure else ""
    except exceptions.HTTPError:
        return ""
    may_have_arrived = answer.status < HTTPStatus.MULTIPLE_CHOICES or answer.status in UNKNOWN
    return "" if may_have_arrived else f"it answered {answer.status}"
