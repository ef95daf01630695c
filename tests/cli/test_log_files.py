"""tuning-service logs explain: what is read from a log file, without a service."""

import json
import subprocess
import sys

from tests.logs.corpus.samples import HERE


def run(*arguments, stdin=b""):
    command = [sys.executable, "-m", "tuning_service", "logs", *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=60)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def test_log_of_keras_is_shown_with_what_was_read():
    log = str(HERE / "keras_verbose_1.log")
    code, shown, _ = run("explain", log, "--framework", "tensorflow", "--metric", "val_loss")
    assert code == 0
    row = next(line for line in shown.splitlines() if line.startswith("val_loss"))
    assert row.split()[:4] == ["val_loss", "2", "1-2", "0.6829"]
    assert "keras" in row


def test_metric_that_is_not_there_is_explained_and_the_code_tells():
    log = str(HERE / "pytorch_example.log")
    code, shown, _ = run("explain", log, "--framework", "pytorch", "--metric", "val_accuracy", "--metric", "loss")
    assert code == 1
    assert "If test_accuracy is what you mean" in shown
    pattern = r"Accuracy: %{INT}/%{INT} \(%{INT:val_accuracy}%\)"
    code, shown, _ = run("explain", log, "--metric", "val_accuracy", "--pattern", pattern)
    assert code == 0
    row = next(line for line in shown.splitlines() if line.startswith("val_accuracy"))
    assert (row.split()[1], row.split()[4]) == ("3", "86")


def test_that_a_file_is_no_text_is_said():
    events = HERE.parents[1] / "runner" / "events" / "torch" / "events.out.tfevents.1"
    code, shown, _ = run("explain", str(events), "--metric", "loss")
    assert code == 1
    assert "This file is no text" in shown
    _, shown, _ = run("explain", str(HERE / "pytorch_example.log"))
    assert "no text" not in shown


def test_standard_input_and_json():
    code, shown, _ = run("explain", "-", "--json", "--metric", "accuracy", stdin=b"epoch 3 loss=nan\nloss=1\r\n")
    answer = json.loads(shown)
    assert code == 1
    [loss] = answer["metrics"]
    assert (loss["metric"], loss["values"], loss["first"]["value"], loss["last"]["value"]) == ("loss", 2, "nan", 1.0)
    assert "No line of the output" in answer["not_found"]["accuracy"]


def test_wrong_use_is_refused():
    code, _, complaint = run("explain", "-", "--framework", "jax")
    assert (code, "Known: pytorch" in complaint) == (2, True)
    code, _, complaint = run("explain", "-", "--pattern", "%{FLAOT:x}")
    assert (code, "--pattern 1" in complaint, "column 1" in complaint) == (2, True, True)
    code, _, complaint = run("explain", "no-such-file.log")
    assert (code, "no-such-file.log" in complaint) == (2, True)
