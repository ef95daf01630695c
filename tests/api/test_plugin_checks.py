"""Whether a plug-in passes the suite of the service's own algorithms, told over REST."""

import pytest

from tests.plugins import plugin_files, zipped
from tests.rest_service import Service
from tests.waiting import wait_for
from tuning_service.client import TuningApiError


def test_the_results_of_a_check_are_served(service: Service) -> None:
    files = plugin_files("if count > 3: return []")  # what the trial after an upload does not find
    with service.client() as client, service.http(service.keys["vision/viewer"]) as viewer:
        service.plugins.upload(service.principal(), zipped(files))
        wait_for(lambda: client.plugin("mine", "1.0.0")["status"] == "ready")
        path = "/v1/plugins/mine/1.0.0/check"
        with pytest.raises(TuningApiError, match="not checked yet"):
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
