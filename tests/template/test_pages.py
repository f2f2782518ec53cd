"""The pages, in a browser: predict, label, look back; by keyboard, on a phone, with a token."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from conftest import BUILD, Run
from playwright.sync_api import Browser, Page, expect
from servers import Service, serving

pytestmark = pytest.mark.slow
TRAFFIC = Path(__file__).with_name("traffic.py")
SCREENSHOTS = BUILD / "screenshots"
PHONE = {"width": 360, "height": 740}
DESK = {"width": 1200, "height": 900}


@contextmanager
def opened(browser: Browser, service: Service, size: dict[str, int], name: str) -> Iterator[Page]:
    """A browser of its own; at the end a picture is taken, and nothing may have been refused by the pages' policy."""
    complaints: list[str] = []
    with browser.new_page(viewport=size, base_url=service.address) as page:  # type: ignore[arg-type]
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        yield page
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)
    assert [one for one in complaints if not re.search("status of (401|404|422)", one)] == []


def faults(page: Page) -> list[str]:
    """What axe finds serious or critical."""
    found: list[dict[str, Any]] = Axe().run(page).response["violations"]
    return [f"{one['id']}: {one['nodes'][0]['html']}" for one in found if one["impact"] in {"serious", "critical"}]


def test_a_person_predicts_labels_and_looks_back(worked: Path, environment: dict[str, str], browser: Browser) -> None:
    with serving(worked, environment, NB_SAMPLE="0") as service:  # a random sample has cards of its own
        with opened(browser, service, DESK, "predict") as page:
            page.goto("/")
            page.get_by_label("alcohol", exact=True).fill("much")
            page.keyboard.press("Enter")
            expect(page.get_by_role("alert")).to_contain_text("alcohol: the value is not a number (for example 12.5)")
            page.get_by_role("alert").get_by_role("link").click()
            expect(page.get_by_label("alcohol", exact=True)).to_be_focused()
            page.keyboard.press("Control+A")
            page.keyboard.type("14.2")
            page.keyboard.press("Enter")
            answer = page.get_by_role("status")
            expect(answer).to_contain_text(re.compile("Barolo|Barbera|Grignolino"))
            expect(answer.get_by_role("meter")).to_have_count(3)
            page.get_by_role("button", name="Predict", exact=True).click()  # the same once more
            page.get_by_label("alcohol", exact=True).fill("14.3")
            page.get_by_role("button", name="Predict", exact=True).click()
        assert [one["inputs"]["alcohol"] for one in service.ask("/predictions").json["predictions"]] == [
            14.3,
            14.2,
            14.2,
        ]
        with opened(browser, service, DESK, "label") as page:
            page.goto("/label")
            expect(page.get_by_text("0 of 3 predictions have a label")).to_be_visible()
            cards = page.get_by_role("region")
            expect(cards).to_have_count(2)  # what was asked twice is labelled once
            cards.filter(has_text="to 2 predictions with these values").get_by_role("button", name="Barbera").press(
                "Enter"
            )
            expect(page.get_by_role("status")).to_have_text("Saved: Barbera.")
            expect(page.get_by_text("2 of 3 predictions have a label")).to_be_visible()
        with opened(browser, service, DESK, "history") as page:
            page.goto("/history")
            expect(page.get_by_role("row")).to_have_count(4)
            page.get_by_label("Label").select_option("not labelled")
            page.get_by_role("button", name="Filter").click()
            expect(page.get_by_role("row")).to_have_count(2)
            page.get_by_label("Label").select_option("label differs")
            page.get_by_role("button", name="Filter").click()
            expect(page.get_by_role("row")).to_have_count(3)
            page.get_by_role("link", name="Barbera").first.press("Enter")
            expect(page.get_by_text("by local on")).to_contain_text("A new label replaces it.")
            page.get_by_role("button", name="Grignolino").press("Enter")
            expect(page).to_have_url(re.compile("/history"))
            expect(page.get_by_role("row").filter(has_text="Grignolino")).to_have_count(1)
            page.goto("/label?id=nobody")
            expect(page.get_by_role("alert")).to_contain_text("no such prediction")
            page.goto("/history?since=tomorrow")
            expect(page.get_by_role("alert")).to_contain_text("is not a date")
        with opened(browser, service, DESK, "card") as page:
            page.goto("/card")
            expect(page.get_by_role("heading", name="Evaluation")).to_be_visible()
            plots = page.get_by_role("img")
            expect(plots).not_to_have_count(0)
            shown = "images => images.every(image => image.complete && image.naturalWidth > 100)"
            assert plots.evaluate_all(shown)


def test_the_pages_are_fit_for_phones_and_screen_readers(
    worked: Path, run: Run, environment: dict[str, str], browser: Browser
) -> None:
    made = run(worked, "python", str(TRAFFIC), "6", "4")
    assert made.returncode == 0, made.stderr
    assert run(worked, "nb", "monitor").returncode == 3  # its page has an alarm
    with serving(worked, environment) as service:
        one = service.ask("/openapi.json").json["components"]["schemas"]["Row"]["examples"]
        assert service.ask("/predict", one).status == 200
        for path in ("/", "/label", "/history", "/monitor", "/card", "/login"):
            name = path.strip("/") or "predict"
            for scheme, size in (("light", DESK), ("dark", PHONE)):
                with opened(browser, service, size, f"{name}-{scheme}") as page:
                    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
                    page.goto(path)
                    assert faults(page) == [], (path, scheme)
                    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), (path, scheme)


def test_who_signs_in_labels_under_their_name(
    worked: Path, run: Run, environment: dict[str, str], browser: Browser
) -> None:
    token = run(worked, "nb", "token", "new", "anna", "--scope", "predict", "--scope", "feedback").stdout.strip()
    closed = serving(worked, environment, NB_OPEN="false")
    with closed as service, opened(browser, service, PHONE, "login") as page:
        page.goto("/label")
        expect(page).to_have_url(re.compile("/login"))
        page.get_by_label("Your token").fill("wrong")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_contain_text("token is unknown")
        page.get_by_label("Your token").fill(token)
        page.get_by_role("button", name="Sign in").click()
        page.goto("/")
        page.get_by_role("button", name="Predict", exact=True).click()
        page.get_by_role("status").get_by_role("button", name="Barolo").click()
        bearer = {"authorization": f"Bearer {token}"}
        assert service.ask("/predictions", **bearer).json["predictions"][0]["labelled_by"] == "anna"
        assert "httponly" in service.ask("/login", f"token={token}".encode()).headers["set-cookie"].lower()
        page.get_by_role("button", name="Sign out").click()
        page.goto("/history")
        expect(page).to_have_url(re.compile("/login"))
