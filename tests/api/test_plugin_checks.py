"""Whether a plug-in passes the suite of the service's own algorithms, told over REST."""

import threading
import time
from pathlib import Path

import pytest

from tests.plugins import plugin_files, waiting_files, zipped
from tests.rest_service import Service
from tests.waiting import wait_for
from tuning_service.client import TuningApiError
from tuning_service.domain.errors import TryAgain


def test_the_results_of_a_check_are_served(service: Service) -> None:
    files = plugin_files("if count > 3: return []")  # what the trial after an upload does not find
    with service.client() as client, service.http(service.keys["vision/viewer"]) as viewer:
        service.plugins.upload(service.principal(), zipped(files))
        wait_for(lambda: client.plugin("mine", "1.0.0")["status"] == "ready")
        path = "/v1/plugins/mine/1.0.0/check"
        with pytest.raises(TuningApiError, match="not been checked yet"):
            client.plugin_check("mine", "1.0.0")
        assert viewer.post(path).status_code == 403
        done = client.check_plugin("mine", "1.0.0")
        assert done["passed"] is False
        assert done["results"][0] == {"name": "loads and suggests", "ok": True, "detail": ""}
        wrong = [result for result in done["results"] if not result["ok"]]
        assert wrong
        assert all(result["detail"] for result in wrong)
        assert any(result["ok"] for result in done["results"][1:])
        assert viewer.get(path).json() == client.plugin_check("mine", "1.0.0") == done
        client.delete_plugin("mine", "1.0.0")
        assert viewer.get(path).status_code == 404


def test_what_is_not_installed_is_not_checked(service: Service) -> None:
    with service.client() as client:
        service.plugins.upload(service.principal(), zipped(plugin_files("raise ValueError('no')")))
        wait_for(lambda: client.plugin("mine", "1.0.0")["status"] == "failed")
        with pytest.raises(TuningApiError, match="is failed") as refused:
            client.check_plugin("mine", "1.0.0")
        assert refused.value.status == 409


def test_a_check_that_runs_is_known_to_every_manager_and_ends_with_its_own(service: Service, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    gate.touch()
    service.plugins.upload(service.principal(), zipped(waiting_files(gate)))
    path = "/v1/plugins/mine/1.0.0/check"
    with service.client() as client, service.http() as http:
        wait_for(lambda: client.plugin("mine", "1.0.0")["status"] == "ready")
        gate.unlink()
        asked = threading.Thread(target=lambda: client.check_plugin("mine", "1.0.0"))
        asked.start()
        try:
            running = wait_for(lambda: (answer := http.get(path)).is_success and answer.json())
            assert running["running_since"]
            assert (running["at"], running["passed"], running["results"]) == (None, False, [])
            other = service.another_checker()
            with pytest.raises(TryAgain, match="being checked already"):
                other.check(service.principal(), "mine", "1.0.0")
            # As is seen a minute after its process had died.
            late = service.another_checker(clock=lambda: time.time() + 60).last(service.principal(), "mine", "1.0.0")
            assert late.running_since is None
            assert late.interrupted
        finally:
            gate.write_text("wrongly")
            asked.join()
        done = http.get(path).json()
        assert done["running_since"] is None
        assert done["interrupted"] is False
        assert [(line["name"], line["ok"]) for line in done["results"]] == [("loads and suggests", False)]
