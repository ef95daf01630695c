"""The whole life of one task on an executor. `run_ticket` is what a Spark task calls."""

import contextlib
import logging
import os
import socket
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from tuning_service.domain.state import Decision, TaskStatus
from tuning_service.domain.trial import FaultKind, LaunchPlan, Outcome
from tuning_service.runner import service as connections
from tuning_service.runner import training as supervisors
from tuning_service.runner.artifacts import SNAPSHOTS, VARIABLE, Folder, with_artifacts
from tuning_service.runner.bundle import BadBundle, digest
from tuning_service.runner.caffe import COMMAND, with_caffe
from tuning_service.runner.contract import SEARCHED, merge_objects, script_environment, script_folders
from tuning_service.runner.environment import command, training_environment
from tuning_service.runner.follow import Follower
from tuning_service.runner.helper import probe_archive
from tuning_service.runner.interpreter import EnvironmentFault, check_modules, interpreter_of
from tuning_service.runner.protocol import Claim, TaskTicket
from tuning_service.runner.reporter import Backoff, Reporter, delivery_s
from tuning_service.runner.service import Gone, Parked, Refused, Service, Unreachable
from tuning_service.runner.sources import Sources
from tuning_service.runner.spool import Spool
from tuning_service.runner.templates import fill
from tuning_service.runner.training import CouldNotStart, SupervisorProcess, Training
from tuning_service.runner.verdict import lost, not_here, not_started, unusable, without_environment, without_module
from tuning_service.runner.workspace import ProgramCache, Workspace, root

_log = logging.getLogger(__name__)


class _Ended(Exception):
    """The execution ended before or without a training; carries the outcome."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.reason)
        self.outcome = outcome


def run_ticket(ticket: TaskTicket, attempt: int, gpus: tuple[str, ...]) -> None:
    """Claim the task, train, report; returns when all of that is over and nothing is left behind.

    `attempt` is Spark's attemptNumber(), `gpus` the addresses that Spark assigned; the ticket's own go before them.
    Never raises for a training that fails, nor for a service that is away.
    """
    gpus = gpus if ticket.gpus is None else ticket.gpus
    service = connections.borrow(ticket.service_url)
    try:
        plan = _claim(service, ticket, attempt, gpus)
        if plan is not None:
            _execute(service, plan, gpus)
    finally:
        connections.give_back(service)


def _claim(service: Service, ticket: TaskTicket, attempt: int, gpus: tuple[str, ...]) -> LaunchPlan | None:
    """The plan, whose task and token may be others than the ticket's; None when there is nothing to do."""
    claim = Claim(attempt=attempt, nonce=os.urandom(8).hex(), host=socket.gethostname(), gpus=gpus)
    deadline = time.monotonic() + delivery_s()
    backoff = Backoff()
    while True:
        try:
            return service.claim(ticket.task_id, ticket.token, claim)
        except Gone:
            return None
        except Parked as park:
            _log.info("waits with %s: %s", ticket.task_id, park)
            time.sleep(park.seconds)
            deadline, backoff = time.monotonic() + delivery_s(), Backoff()
        except Refused as error:
            _log.error("claim of %s refused: %s", ticket.task_id, error)
            return None
        except Unreachable as error:
            if time.monotonic() >= deadline:
                _log.error("gave up claiming %s: %s", ticket.task_id, error)
                return None
            time.sleep(backoff.pause_s())


def _execute(service: Service, plan: LaunchPlan, gpus: tuple[str, ...]) -> None:
    try:
        workspace = Workspace()
    except OSError as error:
        outcome = not_here("no working folder could be made on the executor", error)
        _deliver(Reporter(service, plan, Spool(None)), outcome, plan)
        return
    spool = Spool(workspace.spool)
    try:
        reporter = Reporter(service, plan, spool)
        try:
            outcome = _train(plan, gpus, workspace, reporter, service.url)
        except _Ended as ended:
            outcome = ended.outcome
        except Gone:
            return
        _deliver(reporter, outcome, plan)
    finally:
        spool.close()
        workspace.remove()


def _deliver(reporter: Reporter, outcome: Outcome, plan: LaunchPlan) -> None:
    try:
        reporter.deliver(outcome)
    except Gone:
        _log.info("nobody wants the outcome of %s any more", plan.task_id, extra=dict(plan.context))


def _train(plan: LaunchPlan, gpus: tuple[str, ...], workspace: Workspace, reporter: Reporter, url: str) -> Outcome:
    bundle = _program(plan, reporter, url)
    try:
        workspace.fill(bundle, plan.files)
        fill(workspace.program, plan.templates, plan.values)
        for told in merge_objects(workspace.program, plan.merged):
            reporter.log.feed(f"tuning-service: {told}\n".encode())
        folders = script_folders(workspace.folder)
        left = _left_by(plan, workspace, folders["RESULT_DIR"])
    except (BadBundle, UnicodeDecodeError) as error:
        raise _Ended(unusable(str(error))) from error
    except OSError as error:
        raise _Ended(not_here("the program could not be written on the executor", error)) from error
    beat = partial(_heartbeat, reporter)
    with contextlib.ExitStack() as stack:
        try:
            interpreter = stack.enter_context(interpreter_of(plan, workspace, _told_once(reporter, beat)))
            added = {**plan.environment, **script_environment(os.environ, plan.environment, folders, plan.context)}
            environment = training_environment(os.environ, added, gpus, workspace.folder, interpreter)
            environment |= _helper(environment, workspace)
            # With the environment from before, which is the same for all tasks: what was found out is remembered.
            plan, with_runtime = with_caffe(plan, environment, workspace.folder)
            check_modules(plan, interpreter, environment, workspace, beat)
        except EnvironmentFault as error:
            raise _Ended(without_environment(error)) from error
        except (OSError, EOFError, CouldNotStart) as error:
            raise _Ended(not_here("the environment could not be made here", error)) from error
        sources = Sources(plan.parser, [("", workspace.program), *((f"${name}/", folders[name]) for name in SEARCHED)])
        sources.start()
        follower = Follower(plan, reporter, sources, gpus=gpus)
        outcome = _follow(plan, command(plan.argv, interpreter), with_runtime, workspace, follower)
    outcome = without_module(outcome, plan.imports, interpreter)
    return with_artifacts(plan, outcome, left, reporter, url)


def _left_by(plan: LaunchPlan, workspace: Workspace, results: Path) -> list[Folder]:
    """Where the training will leave files, to be called before it starts. Raises OSError."""
    workspace.artifacts.mkdir()
    folders = [Folder(path=workspace.artifacts), Folder(path=results, prefix="result/")]
    if plan.argv[0] == COMMAND:
        # Caffe knows no variables: what was not there before is its own.
        begun = workspace.artifacts.stat().st_mtime_ns
        folders.append(Folder(path=workspace.program, suffixes=SNAPSHOTS, since_ns=begun))
    return folders


def _helper(environment: Mapping[str, str], workspace: Workspace) -> dict[str, str]:
    """What lets a training import `tuning_service.probe`, and that find the training's files."""
    paths = [environment.get("PYTHONPATH", ""), str(probe_archive(root()))]
    return {
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "TUNING_PROGRAM_DIR": str(workspace.program),
        VARIABLE: str(workspace.artifacts),
    }


def _follow(
    plan: LaunchPlan, argv: list[str], environment: dict[str, str], workspace: Workspace, follower: Follower
) -> Outcome:
    supervisor, training = _start(plan, argv, environment, workspace)
    reusable = False
    try:
        outcome, end = follower.follow(training)
        reusable = end.code is not None
    except Gone:
        reusable = True
        raise
    finally:
        training.close()
        # A supervisor that is let go of, as when Spark interrupts this task, ends its training first.
        supervisors.give_back(supervisor) if reusable else supervisor.close()
    return outcome


def _start(
    plan: LaunchPlan, argv: list[str], environment: dict[str, str], workspace: Workspace
) -> tuple[SupervisorProcess, Training]:
    for attempt in range(2):
        supervisor = supervisors.borrow()
        try:
            training = supervisor.start(
                argv,
                environment,
                str(workspace.program),
                time_limit_s=plan.time_limit_s,
                remove=str(workspace.folder),
            )
        except CouldNotStart as error:
            supervisors.give_back(supervisor)
            raise _Ended(not_started(plan.argv, error)) from error
        except (EOFError, OSError) as error:
            # It was killed since it served last: another one will do.
            supervisor.close()
            if attempt:
                raise _Ended(not_here("no process could be started", error)) from error
        else:
            return supervisor, training
    raise AssertionError("unreachable")


def _program(plan: LaunchPlan, reporter: Reporter, url: str) -> bytes:
    """The bundle, from this executor's cache or from the service, with its content checked."""
    cache = ProgramCache(root() / "programs")
    data = cache.get(plan.program)
    if data is not None:
        return data
    service = Service(url)  # its own, because heartbeats go on meanwhile
    backoff = Backoff()
    deadline = time.monotonic() + delivery_s()
    try:
        while True:
            try:
                data = service.program(plan.task_id, plan.token, lambda: _heartbeat(reporter))
            except Unreachable as error:
                problem = str(error)
            except Refused as error:
                raise _Ended(lost(FaultKind.SERVICE, f"the program could not be fetched: {error}")) from error
            else:
                if digest(data) == plan.program:
                    cache.put(plan.program, data)
                    return data
                problem = "what came is not what was uploaded"
            if time.monotonic() >= deadline:
                raise _Ended(lost(FaultKind.SERVICE, f"the program could not be fetched: {problem}"))
            _wait(reporter, backoff.pause_s())
    finally:
        service.close()


def _heartbeat(reporter: Reporter) -> None:
    reporter.pump()
    if reporter.decision is not Decision.CONTINUE:
        raise _Ended(Outcome(status=TaskStatus.STOPPED, reason="stopped by the service before it began"))


def _told_once(reporter: Reporter, beat: Callable[[], None]) -> Callable[[], None]:
    """`beat`, which is called while an environment is made; the first call tells of that in the trial's log."""
    told = False

    def beat_and_tell() -> None:
        nonlocal told
        if not told:
            told = True
            host = socket.gethostname()
            reporter.log.feed(f"tuning-service: its Python environment is being made on {host}\n".encode())
        beat()

    return beat_and_tell


def _wait(reporter: Reporter, seconds: float) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(left, 0.2))
        _heartbeat(reporter)
