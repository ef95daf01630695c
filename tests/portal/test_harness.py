"""What holds the pages to their promises does notice when one breaks them."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import expect

from tests.portal.browser import Pages, check_accessibility
from tests.portal.install_browser import find_browser

POLICY = "default-src 'none'; script-src 'self'; connect-src 'self' http://elsewhere.test; img-src 'self' data:"
TEMPLATE = (
    '<!doctype html><html lang="en"><head><title>A page</title><link rel="icon" href="data:,"></head>'
    "<body><main><h1>A page</h1>{}</main></body></html>"
)


@contextmanager
def served(body: str, script: str = "") -> Iterator[str]:
    """The address of a page with a strict policy."""
    answers = {"/": ("text/html", TEMPLATE.format(body)), "/a.js": ("text/javascript", script)}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            kind, text = answers.get(self.path, ("", ""))
            self.send_response(200 if kind else 404)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Security-Policy", POLICY)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


SCRIPT = '<script src="/a.js"></script>'


@pytest.mark.parametrize(
    ("body", "script", "complaint"),
    [
        (SCRIPT, "console.error('something is off')", "something is off"),
        (SCRIPT, "throw new Error('thrown')", "thrown"),
        (SCRIPT, "Promise.reject(new Error('never caught'))", "never caught"),
        (SCRIPT, "fetch('/missing')", "404"),
        (SCRIPT, "fetch('http://elsewhere.test/x').catch(() => {})", "another host"),
        ("<script>document.title = 'inline'</script>", "", "script-src"),
        ('<img alt="" src="http://elsewhere.test/x.png">', "", "Content-Security-Policy: img-src"),
    ],
)
def test_a_page_that_complains_fails_its_test(browser, body, script, complaint):
    pages = Pages(browser)
    with served(body, script) as url:
        page = pages.open(url)
        page.goto("/")
        page.wait_for_load_state("networkidle")
        pages.close()
    with pytest.raises(pytest.fail.Exception, match=complaint):
        pages.watch.check()
    pages.watch.allow(".")
    pages.watch.check()


def test_a_page_without_fault_passes(pages):
    with served(f"<p>Fine.</p>{SCRIPT}", "document.querySelector('p').textContent += ' Run.'") as url:
        page = pages.open(url)
        page.goto("/")
        expect(page.get_by_text("Fine. Run.")).to_be_visible()
        check_accessibility(page)


def test_grave_findings_of_axe_fail_the_test(pages):
    with served('<button></button><p style="opacity: 1">Text</p>') as url:
        pages.watch.allow("style")
        page = pages.open(url)
        page.goto("/")
        with pytest.raises(pytest.fail.Exception, match=r"button-name \(critical\)"):
            check_accessibility(page)
        check_accessibility(page, within="p")


def test_a_browser_is_looked_for_on_the_path_and_with_playwright(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    bundled = tmp_path / "playwright" / "chrome"
    assert find_browser() is None
    assert find_browser(str(bundled)) is None
    for path in (bundled, tmp_path / "google-chrome"):
        path.parent.mkdir(exist_ok=True)
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
        assert find_browser(str(bundled)) == str(path)
