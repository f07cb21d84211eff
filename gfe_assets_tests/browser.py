"""Headless Chromium, driven by what people see: buttons by their words, text by its presence. Screenshots to look at."""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException, WebDriverException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

SCREENSHOTS = Path(__file__).resolve().parents[1] / "screenshots"
"""Ignored by git."""
_WAIT_SECONDS = 60
_ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",  # tests may run as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1600,1100",
)


class NoBrowser(Exception):
    """This machine has no Chromium or no driver for it."""


class Page:
    """What is open in the browser."""

    def __init__(self, driver: webdriver.Chrome, url: str) -> None:
        self.driver, self.url = driver, url

    def open(self, path: str) -> "Page":
        self.driver.get(f"{self.url}{path}")
        return self

    def wait(self, what: str, look: Callable[[], object], seconds: float = _WAIT_SECONDS) -> object:
        """What `look` gives once it gives something true; elements that go away meanwhile do not matter."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                if found := look():
                    return found
            except (StaleElementReferenceException, IndexError):
                pass
            if time.monotonic() > deadline:
                self.shoot("failed")
                raise AssertionError(f"waited {seconds} s for {what} at {self.driver.current_url}; see screenshots/failed.png")
            time.sleep(0.3)

    def shown(self, xpath: str) -> list[WebElement]:
        """The elements of an XPath that people can see."""
        return [element for element in self.driver.find_elements(By.XPATH, xpath) if element.is_displayed()]

    def text(self, text: str, seconds: float = _WAIT_SECONDS) -> WebElement:
        """The innermost visible element that has this text, once there is one."""
        xpath = f"//*[contains(normalize-space(.), {_quoted(text)}) and not(*[contains(normalize-space(.), {_quoted(text)})])]"
        return self.wait(f"the text {text!r}", lambda: self.shown(xpath)[-1], seconds)  # type: ignore[return-value]

    def press(self, label: str) -> None:
        """Click the button whose words begin like this, once it is there and can be pressed."""

        def pressed() -> bool:
            buttons = [each for each in self.shown("//button | //a[@role='button']") if each.text.startswith(label)]
            try:
                buttons[-1].click()
            except WebDriverException:
                return False  # still covered or disabled
            return True

        self.wait(f"the button {label!r}", pressed)

    def click(self, xpath: str) -> None:
        """Click the last visible element of an XPath."""

        def clicked() -> bool:
            try:
                self.shown(xpath)[-1].click()
            except WebDriverException:
                return False
            return True

        self.wait(xpath, clicked)

    def choose(self, *options: str) -> None:
        """Tick entries of the list that is open, in this order."""
        for option in options:
            self.click(f"//*[not(*) and normalize-space(text())={_quoted(option)}]")
            time.sleep(0.3)

    def shoot(self, name: str, height: int | None = None) -> Path:
        """Write a screenshot, of a taller window if asked for."""
        SCREENSHOTS.mkdir(exist_ok=True)
        path = SCREENSHOTS / f"{name}.png"
        if height:
            self.driver.set_window_size(1600, height)
            time.sleep(1.5)
        self.driver.save_screenshot(str(path))
        if height:
            self.driver.set_window_size(1600, 1100)
        return path


@contextmanager
def chromium(url: str) -> Iterator[Page]:
    """A browser with a new profile, which is gone afterwards.

    Raises:
        NoBrowser: there is none.
    """
    program = shutil.which("chromium") or shutil.which("google-chrome")
    service = shutil.which("chromedriver")
    if not program or not service:
        raise NoBrowser("needs Chromium and chromedriver on the PATH (Debian: apt-get install chromium chromium-driver)")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = Options()
        options.binary_location = program
        for argument in (*_ARGUMENTS, f"--user-data-dir={profile}"):
            options.add_argument(argument)
        driver = webdriver.Chrome(options=options, service=Service(service))
        try:
            yield Page(driver, url)
        finally:
            driver.quit()


def _quoted(text: str) -> str:
    """A string literal of XPath."""
    return f"'{text}'" if "'" not in text else f'"{text}"'
