"""Plug-ins that misbehave, in real processes: each is told clearly, and nobody else notices."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.machine import is_running
from tests.plugins import plugin_files, prepared, write
from tests.search.test_host import search, setup
from tests.waiting import wait_for
from tuning_service.domain.errors import GiveUp, TryAgain
from tuning_service.domain.job import AlgorithmChoice
from tuning_service.domain.space import Space
from tuning_service.domain.trial import Recommendation
from tuning_service.search.host import AlgorithmFailed, AlgorithmHost, AlgorithmSetup
from tuning_service.search.plugins import process
from tuning_service.search.plugins.limits import PluginLimits

LIMITS = PluginLimits(memory_bytes=2**30, answer_s=30, pause_s=0.01)


@pytest.fixture
def host():
    with Opened(LIMITS) as host:
        yield host


class Opened:
    def __init__(self, limits):
        self.host = AlgorithmHost(children=1, timeout_s=60, plugin_limits=limits)

    def __enter__(self):
        return self.host

    def __exit__(self, *_):
        pids = self.host.pids()
        self.host.close()
        assert not [pid for pid in pids if is_running(pid)]


def plugin_setup(name="mine"):
    base = setup()
    choice = AlgorithmChoice(name=name, version="1.0.0")
    return AlgorithmSetup(space=base.space, objectives=base.objectives, algorithm=choice, seed=3)


@pytest.fixture
def session(host, tmp_path):
    """Opens a session of a plug-in whose `_suggest` begins with the given statements."""

    def make(statements="pass", host=host, **options):
        plugin = prepared(write(tmp_path / "plugin", plugin_files(statements, **options)))
        return host.open("job", plugin_setup(), lambda: plugin)

    return make


def failure(session, count=1, history=()):
    with pytest.raises(AlgorithmFailed) as caught:
        session.ask(count, history, []).result(60)
    assert caught.value.message.startswith("Plug-in mine 1.0.0 failed: ")
    return caught.value


def test_a_plugin_searches_as_a_built_in_algorithm_does(session, host):
    ours = search(host.open("built-in", setup(seed=3)), 5)
    assert search(session(), 5) == ours


def test_an_exception_is_told_with_the_lines_of_the_plugin(session):
    error = failure(session("raise ZeroDivisionError('by nought')"))
    assert error.message.endswith("failed: ZeroDivisionError: by nought")
    assert 'File "mine.py", line 15, in _suggest' in error.explanation
    assert "raise ZeroDivisionError" in error.explanation
    assert "tuning_service/search" not in error.explanation


def test_words_that_no_database_takes_are_told_without_them(session):
    error = failure(session("print(chr(0)); raise ValueError('sad \\ud800 \\x00 end')"))
    assert error.message.endswith("ValueError: sad ?  end")
    assert "\0" not in error.explanation + error.detail
    source = "Suggestion(params={'lr': 0.1, 'optimizer': 'adam'}, source='by \\udfff\\x00')"
    (suggestion,) = session(f"return [{source}]").ask(1, [], []).result(60)
    assert suggestion.source == "by ?"


RUBBISH = [
    ("return None", "its _suggest returned a NoneType, not a list of Suggestions"),
    ("return [{'lr': 0.1}]", "its _suggest returned a list with a dict in it"),
    ("return [Suggestion(params={'lr': float('nan'), 'optimizer': 'adam'})]", "params.lr: nan is outside the space"),
    ("return [Suggestion(params={'lr': 9.0, 'optimizer': 'adam'})]", "9.0 is outside the space"),
    ("return [Suggestion(params={'lr': 0.1})]", "params.optimizer: is missing"),
    ("import numpy; return [Suggestion(params={'lr': numpy.float64(0.1)})]", "a float64; convert it with .item()"),
    ("return super()._suggest(count + 3, pending)", "returned 10 suggestions where 7 were asked for"),
    ("[0] * 10**10", "MemoryError (its memory is limited)"),
    ("raise ValueError('e' * 10**7)", "ValueError: eee"),
    ("return [Suggestion(params=None)]", "its suggestion's params are a NoneType, not {name: value}"),
    ("return [Suggestion(params={1: 0.1})]", "it suggested a value for 1, which is no name"),
]


def test_rubbish_is_told_each_time_by_the_same_process(session, host):
    one = session("\n".join(f"if count == {i}: {does}" for i, (does, _) in enumerate(RUBBISH, 1)))
    for count, (_, told) in enumerate(RUBBISH, 1):
        assert told in failure(one, count).message
    assert len(one.ask(12, [], []).result(60)) == 12
    assert len(host.pids()) == 1


def test_values_are_made_exact(host, tmp_path):
    files = plugin_files("return [Suggestion(params={'x': 0.1 + 0.2, 'y': 1})]")
    space = {"x": {"type": "float", "min": 0, "max": 1, "step": 0.1}, "y": {"type": "float", "min": 0, "max": 1}}
    chosen = replace(plugin_setup(), space=Space.from_dict(space))
    plugin = prepared(write(tmp_path, files))
    (suggestion,) = host.open("job", chosen, lambda: plugin).ask(1, [], []).result(60)
    assert repr(suggestion.params) == "{'x': 0.3, 'y': 1.0}"


def test_what_overrides_the_services_part_is_told(host, tmp_path):
    files = plugin_files()
    files["mine.py"] = files["mine.py"].replace("def _observe(", "def observe(")
    plugin = prepared(write(tmp_path, files))
    message = failure(host.open("job", plugin_setup(), lambda: plugin)).message
    assert message.endswith("Mine defines observe, which is the service's own; define _observe")


def test_a_constructor_that_forgets_its_base_is_told(host, tmp_path):
    files = plugin_files()
    files["mine.py"] = files["mine.py"].replace("super().__init__(*arguments, **named)", "pass")
    plugin = prepared(write(tmp_path, files))
    assert "call super().__init__ first" in failure(host.open("job", plugin_setup(), lambda: plugin)).message


def test_too_few_end_the_search(session):
    assert len(session("return super()._suggest(1, pending)").ask(3, [], []).result(60)) == 1


def test_a_plugin_that_always_dies_has_three_chances_and_leaves_its_last_words(session, tmp_path):
    count = tmp_path / "starts"
    top = f"open({str(count)!r}, 'a').write('x')"
    error = failure(session("print('out of luck'); os._exit(7)", top=top))
    assert "its process died three times: it ended with exit code 7." in error.message
    assert "out of luck" in error.explanation
    assert count.read_text() == "xxx"


def test_a_plugin_that_died_once_goes_on_as_if_nothing_had_happened(session, tmp_path):
    undisturbed = search(session(), 4)
    flag = tmp_path / "died"
    dying = session(f"if self.seen and not os.path.exists({str(flag)!r}): open({str(flag)!r}, 'w'); os.kill(0, 9)")
    assert search(dying, 4) == undisturbed
    assert flag.exists()


def test_a_hanging_plugin_is_ended_and_says_where_it_hung(tmp_path):
    with Opened(PluginLimits(answer_s=2, pause_s=0.01)) as host:
        plugin = prepared(write(tmp_path, plugin_files("while True: pass")))
        error = failure(host.open("job", plugin_setup(), lambda: plugin))
    assert "it gave no answer within 2 s, twice." in error.message
    assert "mine.py" in error.explanation
    assert "in _suggest" in error.explanation


def test_a_hundred_megabytes_are_read_and_the_end_is_kept(session):
    line = "'x' * 999 + chr(10)"
    noisy = session(
        f"for _ in range(100_000): sys.stdout.write({line})\nprint('the end')\nif len(self.seen) > 1: 1 / 0"
    )
    history = search(noisy, 2)
    error = failure(noisy, history=history)
    assert error.explanation.endswith("the end")
    assert "bytes before this" in error.explanation
    assert len(error.explanation) < 10_000


@pytest.mark.parametrize("then", ["pass", "while True: pass"])
def test_a_plugin_that_fills_its_folder_is_ended_and_the_folder_is_gone(tmp_path, then):
    fills = f"for i in range(40): open(f'cache{{i}}', 'wb').write(bytes(2**20))\nprint(os.getcwd())\n{then}"
    with Opened(PluginLimits(answer_s=30, pause_s=0.01, folder_bytes=2**25)) as host:
        plugin = prepared(write(tmp_path, plugin_files(fills)))
        error = failure(host.open("job", plugin_setup(), lambda: plugin))
        assert "its process died three times: its files had more than 0.0312 GiB." in error.message
        assert not Path(error.explanation.splitlines()[-1]).exists()


@pytest.mark.parametrize("statements", ["sys.stdout.close(); sys.stderr.close()", "os.close(1); os.close(2)"])
def test_closed_standard_streams_do_no_harm(session, statements):
    assert len(search(session(f"if not self.seen: {statements}"), 3)) == 3


def test_a_plugin_that_stops_its_supervisor_is_ended_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(process, "_END_S", 0.5)
    pids = tmp_path / "pids"
    stops = (
        f"open({str(pids)!r}, 'a').write(f'{{os.getpid()}} {{os.getppid()}} ')\nos.kill(os.getppid(), signal.SIGSTOP)"
    )
    with Opened(PluginLimits(answer_s=1, pause_s=0.01)) as host:
        plugin = prepared(write(tmp_path / "plugin", plugin_files(f"{stops}\nwhile True: pass")))
        assert "it gave no answer within 1 s" in failure(host.open("job", plugin_setup(), lambda: plugin)).message
    assert not [pid for pid in pids.read_text().split() if is_running(int(pid))]


def test_closing_all_its_files_ends_it(session):
    assert "its process died three times" in failure(session("os.closerange(3, 100)")).message


def test_a_fork_that_comes_back_ends_and_changes_nothing(session):
    forking = session("os.fork()")
    assert len(search(forking, 3)) == 3


def test_children_of_a_plugin_end_with_it_wherever_they_hide(session, tmp_path):
    pids = tmp_path / "pids"
    script = f"trap '' TERM; echo $$ >> {pids}; sleep 600"
    forking = session(f"if not self.seen: subprocess.Popen(['sh', '-c', {script!r}], start_new_session=True)")
    search(forking, 2)
    wait_for(lambda: pids.exists() and pids.read_text().strip())
    pid = int(pids.read_text())
    assert is_running(pid)
    forking.close()
    wait_for(lambda: not is_running(pid), within_s=10)


# Finds its channel to the service, sends what it likes, and is gone.
SHOUT = """
import stat
def shout(line):
    for fd in range(3, 12):
        try:
            if stat.S_ISSOCK(os.fstat(fd).st_mode):
                os.write(fd, line + b'\\n')
                break
        except OSError:
            pass
    os._exit(0)
"""


@pytest.mark.parametrize("line", ["b'rubbish'", "b'[' * 100_000"])
def test_what_it_sends_besides_answers_is_no_answer(session, line):
    sends = session(f"shout({line})", top=SHOUT)
    assert "its process died three times: what it sent is no answer" in failure(sends).message


@pytest.mark.parametrize("line", ["{}", '{"recommendation":[0,NaN]}'])
def test_a_recommendation_that_is_none_is_told(session, line):
    one = session(f"type(self).recommend = lambda self: shout(b'{line}')", top=SHOUT)
    history = search(one, 2)
    with pytest.raises(AlgorithmFailed, match="failed: what it sent is no recommendation"):
        one.recommend(history).result(60)


def test_a_recommendation_may_have_numpys_numbers(session):
    recommends = "Recommendation(number=numpy.int64(1), loss=numpy.float32(0.5))"
    top = "import numpy\nfrom tuning_service.domain.trial import Recommendation"
    one = session(f"type(self).recommend = lambda self: {recommends}", top=top)
    history = search(one, 2)
    assert one.recommend(history).result(60) == Recommendation(number=1, loss=0.5)


def test_others_are_untouched_while_a_plugin_hangs_and_dies(session, host):
    good = host.open("good", setup())
    first = good.ask(1, [], []).result(60)
    bad = session("if self.seen: time.sleep(600)\nos.kill(os.getpid(), 9)")
    future = bad.ask(1, [], [])
    assert good.ask(1, [], []).result(60) == first
    with pytest.raises(AlgorithmFailed, match="SIGKILL"):
        future.result(60)


def test_a_closed_session_ends_its_process_in_the_middle_of_an_answer(session, host):
    hanging = session("if self.seen: time.sleep(600)")
    history = search(hanging, 1)
    (pid,) = [p for p in host.pids() if is_running(p)]
    future = hanging.ask(1, history, [])
    wait_for(future.running)
    hanging.close()
    with pytest.raises(TryAgain):
        future.result(20)
    wait_for(lambda: not is_running(pid), within_s=10)
    with pytest.raises(TryAgain):
        hanging.ask(1, history, []).result(1)


def test_what_cannot_be_made_ready_fails_with_its_words(host):
    def source():
        raise GiveUp("The requirements could not be installed.\nERROR: No matching distribution found for nothing")

    error = failure(host.open("job", plugin_setup(), source))
    assert error.message.endswith("The requirements could not be installed.")
    assert "No matching distribution" in error.explanation


def test_a_plugin_sees_none_of_the_services_secrets_and_a_folder_of_its_own(session, monkeypatch, tmp_path):
    monkeypatch.setenv("TUNING_SERVICE_DATABASE_URL", "postgresql://secret@db")
    seen = tmp_path / "seen"
    look = f"import json; json.dump([dict(os.environ), os.getcwd(), sys.stdin.read()], open({str(seen)!r}, 'w'))"
    one = session(look)
    search(one, 1)

    environment, folder, stdin = json.loads(seen.read_text())
    assert "secret" not in json.dumps(environment)
    assert environment["HOME"] == environment["TMPDIR"] == folder
    assert stdin == ""
    assert Path(folder).is_dir()
    one.close()
    wait_for(lambda: not Path(folder).exists(), within_s=10)
