"""Files that a training leaves reach the service, within bounds, and never cost a trial its outcome."""

import os
import threading

import pytest

from tuning_service.domain.state import Decision, TaskStatus
from tuning_service.runner import artifacts
from tuning_service.runner.run import run_ticket

LEAVES = """
import os, pathlib
folder = pathlib.Path(os.environ["TUNING_ARTIFACTS_DIR"])
(folder / "deep" / "er").mkdir(parents=True)
(folder / "model.pt").write_bytes(b"weights" * 1000)
(folder / "deep" / "er" / "grün & blau.txt").write_text("x")
(folder / "empty").touch()
print("loss=1")
"""


def test_what_is_left_arrives_whole_under_its_path_before_the_outcome(run, room):
    outcome = run(LEAVES)
    assert outcome.status is TaskStatus.SUCCEEDED
    assert outcome.explanation == ""
    assert room.artifacts == {"model.pt": b"weights" * 1000, "deep/er/grün & blau.txt": b"x", "empty": b""}
    assert room.requests[-1] == ("POST", "/v1/tasks/task_1/report")


def test_a_training_that_failed_leaves_its_files_too(run, room):
    assert run(LEAVES + "raise ValueError('bad')").status is TaskStatus.FAILED
    assert "model.pt" in room.artifacts


def test_a_training_that_leaves_nothing_asks_for_nothing_more(run, room):
    run("import os; print('loss=1', os.listdir(os.environ['TUNING_ARTIFACTS_DIR']))")
    assert room.log == "loss=1 []\n"
    assert not [path for _, path in room.requests if "artifacts" in path]


def test_results_of_older_scripts_are_kept_as_well(run, room):
    run("import os; open(os.environ['RESULT_DIR'] + '/curve.csv', 'w').write('1,2'); print('loss=1')")
    assert room.artifacts == {"result/curve.csv": b"1,2"}


def test_snapshots_of_caffe_are_kept_where_the_program_wrote_them(run, room, tmp_path, monkeypatch):
    # Not those that were uploaded with the program.
    (tmp_path / "program").mkdir()
    (tmp_path / "program" / "old.caffemodel").write_bytes(b"old")
    caffe = tmp_path / "bin" / "caffe"
    caffe.parent.mkdir()
    caffe.write_text("#!/bin/sh\nmkdir s\necho new > s/net_iter_10.caffemodel\necho x > s/other\necho loss=1\n")
    caffe.chmod(0o755)
    monkeypatch.setenv("PATH", f"{caffe.parent}:{os.environ['PATH']}")
    run("", argv=("caffe", "train"))
    assert room.artifacts == {"s/net_iter_10.caffemodel": b"new\n"}


def test_links_devices_and_names_that_cannot_be_kept_are_left_out_and_named(run, room, tmp_path):
    (tmp_path / "secret").write_text("of another")
    outcome = run(
        LEAVES + f"(folder / 'stolen').symlink_to({str(tmp_path / 'secret')!r})\n"
        "(folder / 'way').symlink_to('/etc')\n"
        "(folder / 'latest.pt').symlink_to('model.pt')\n"
        "os.mkfifo(folder / 'pipe')\n"
        "(folder / 'back\\\\slash').touch()\n"
        "open(os.fsencode(folder) + b'/\\xff', 'w').close()\n"
    )
    assert outcome.status is TaskStatus.SUCCEEDED
    assert set(room.artifacts) == {"model.pt", "deep/er/grün & blau.txt", "empty", "latest.pt"}
    assert room.artifacts["latest.pt"] == room.artifacts["model.pt"]
    lines = outcome.explanation.splitlines()
    assert lines[0] == "Artifacts that were not kept:"
    assert "'stolen': it is a link to somewhere else" in lines
    assert "'pipe': it is no plain file" in lines
    assert any("back" in line and "characters" in line for line in lines)
    assert any("udcff" in line and "not UTF-8" in line for line in lines)


def test_beyond_the_limits_the_newest_are_kept_and_the_rest_is_named(run, room):
    room.room_left = {"bytes": 10, "files": 2, "why": "the limit of a trial is 10 bytes"}
    outcome = run(
        "import os, pathlib\n"
        "folder = pathlib.Path(os.environ['TUNING_ARTIFACTS_DIR'])\n"
        "for age, (name, size) in enumerate({'new': 4, 'big': 7, 'mid': 6, 'old': 0}.items()):\n"
        "    (folder / name).write_bytes(b'x' * size)\n"
        "    os.utime(folder / name, (1e9 - age, 1e9 - age))\n"
        "print('loss=1')"
    )
    assert set(room.artifacts) == {"new", "mid"}
    assert outcome.explanation.splitlines()[1:] == [
        "'big': 7 bytes; the limit of a trial is 10 bytes",
        "'old': a trial may leave 1000 files",
    ]


def test_very_many_names_are_not_all_told(run, room):
    room.room_left = {"bytes": 0, "files": 1000, "why": "full"}
    folder = "os.environ['TUNING_ARTIFACTS_DIR']"
    code = f"import os\nfor i in range(50): open({folder} + f'/{{i}}', 'w').write('x')\nprint('loss=1')"
    lines = run(code).explanation.splitlines()
    assert len(lines) == 22
    assert lines[-1] == "and 30 more"


def test_a_service_that_is_away_for_a_moment_gets_them_and_one_that_stays_away_costs_no_outcome(run, room, monkeypatch):
    failures = iter(range(3))
    room.trouble = lambda method, path, _: (
        (503, b"{}") if "artifacts" in path and next(failures, None) is not None else None
    )
    assert run(LEAVES).explanation == ""
    assert len(room.artifacts) == 3
    room.artifacts.clear()
    room.trouble = lambda method, path, _: (None, b"") if method == "PUT" else None
    monkeypatch.setattr(artifacts, "_PATIENCE_S", 0.3)
    outcome = run(LEAVES)
    assert outcome.status is TaskStatus.SUCCEEDED
    assert "'model.pt': the service could not be reached" in outcome.explanation


@pytest.mark.parametrize(("status", "told"), [(404, "did not take it: HTTP 404"), (403, "HTTP 403: over quota")])
def test_a_service_that_wants_none_is_not_asked_again(run, room, status, told):
    room.trouble = lambda method, path, _: (status, b"over quota") if "artifacts" in path else None
    outcome = run(LEAVES)
    assert outcome.status is TaskStatus.SUCCEEDED
    assert told in outcome.explanation
    assert len([path for _, path in room.requests if "artifacts" in path]) == 1


def test_a_slow_upload_is_cut_off_and_heartbeats_go_on_meanwhile(run, room, monkeypatch):
    monkeypatch.setenv("TUNING_ARTIFACTS_S", "1.5")
    room.lock = Always()  # so that the slow one holds up nobody else

    over = threading.Event()

    def slow(method, path, body):
        if method == "PUT":
            over.wait(60)

    room.trouble = slow
    outcome = run(LEAVES, heartbeat_s=0.1)
    over.set()
    assert outcome.status is TaskStatus.SUCCEEDED
    assert "no time for more than 1.5 s of uploading" in outcome.explanation
    assert len(room.reports) > 5


class Always:
    """A lock that anybody has."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


def test_a_stopped_training_leaves_nothing_and_a_stop_ends_the_upload(prepare, room):
    prepare(LEAVES + "import time; print('loss=1', flush=True); time.sleep(60)")
    room.trouble = lambda *_: stop() if room.measurements else None

    def stop():
        room.decision = Decision.STOP

    run_ticket(room.ticket(), 0, ())
    assert room.outcome.status is TaskStatus.STOPPED
    assert not room.artifacts


def test_a_file_that_cannot_be_read_leaves_the_others(run, room, monkeypatch):
    plain = artifacts.Service.put_artifact

    def vanish(self, task, token, path, place, size):
        if path == "model.pt":
            os.truncate(place, 10)
        plain(self, task, token, path, place, size)

    monkeypatch.setattr(artifacts.Service, "put_artifact", vanish)
    outcome = run(LEAVES)
    assert "'model.pt': it could not be read: it became shorter meanwhile" in outcome.explanation
    assert "empty" in room.artifacts
