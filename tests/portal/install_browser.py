"""`python -m tests.portal.install_browser`: there is a Chromium for the portal's tests, installed if need be."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
HELP = (
    "The portal's tests need Chromium, and none was found. Install one of:\n"
    "  apt-get install chromium                      (Debian, as root)\n"
    "  python -m playwright install chromium         (elsewhere; the environment's own Python)\n"
    f"Any of {', '.join(NAMES)} on the PATH is taken."
)


def find_browser(bundled: str = "") -> str | None:
    """The path of a Chromium: one on the PATH, else `bundled` (where Playwright keeps its own) if it is there."""
    on_path = next(filter(None, map(shutil.which, NAMES)), None)
    return on_path or (bundled if bundled and Path(bundled).is_file() else None)


def _bundled() -> str:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        return playwright.chromium.executable_path


def _as_root() -> list[str] | None:
    """What goes before a command so that root runs it; None where that cannot be."""
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") and subprocess.run(["sudo", "-n", "true"], capture_output=True).returncode == 0:
        return ["sudo", "-n"]
    return None


def main() -> None:
    """Ends with status 1 and says what to do where no browser can be installed."""
    if find_browser() or find_browser(_bundled()):
        return
    before = _as_root()
    if before is None or not shutil.which("apt-get"):
        sys.exit(HELP)
    print("Installing chromium, which the portal's tests need.", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    if before:
        before = [*before, "DEBIAN_FRONTEND=noninteractive"]
    subprocess.run([*before, "apt-get", "update", "-qq"], env=environment)
    subprocess.run(
        [*before, "apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium", "fonts-dejavu-core"],
        env=environment,
    )
    if not find_browser():
        sys.exit(HELP)


if __name__ == "__main__":
    main()
