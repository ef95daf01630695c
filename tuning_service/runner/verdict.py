"""From how a process ended to what that means for its trial."""

import dataclasses
import errno
import re
import signal
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tuning_service.domain.state import Decision, TaskStatus
from tuning_service.domain.trial import Failure, FaultKind, Outcome
from tuning_service.runner.environment import Interpreter
from tuning_service.runner.environments import EnvironmentFault
from tuning_service.runner.failures import recognised, said_infeasible
from tuning_service.runner.training import CouldNotStart, Exit

_TRACEBACK = "Traceback (most recent call last):"
_ERROR_LINE = re.compile(r"[A-Za-z_][\w.]*(?:Error|Exception|Interrupt|Warning|Exit)(?::.*)?")
# What glog's users, such as Caffe, say last, whatever a launcher puts before it.
_FATAL = re.compile(r"(?<!\w)F\d{4} \d\d:\d\d:\d\d\.\d{6}\s{1,9}\d{1,10} [\w.+-]{1,60}:\d{1,6}\] (?P<text>.*\S)")
# In the summary that torchrun prints at its end.
_ROOT_CAUSE = re.compile(
    r"Root Cause[^\n]*\n(?:[^\n]*\n){0,4}?\s*rank\s*: (?P<rank>\d+) [^\n]*\n\s*exitcode\s*: (?P<code>-?\d+) "
)
_RANK = re.compile(r"\[(?:default|rank)(?P<rank>\d+)\]:")
_LAUNCHER = "torch.distributed.elastic."
# Python's words between the tracebacks of errors that led to one another.
_CHAIN = ("During handling of the above exception,", "was the direct cause of the following exception:")
_NO_MODULE = re.compile(r": ModuleNotFoundError: No module named '(?P<name>\w+)'")


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """What is known of a training that ended."""

    exit: Exit
    decision: Decision
    missing: Sequence[str]  # required metrics that were never printed
    never_finite: Sequence[str]  # those that were, and never with a finite value
    explain: Callable[[str], str]  # why a metric was not found
    log_tail: str
    elapsed_s: float
    time_limit_s: float | None
    has_gpus: bool = False
    peak_memory_bytes: int | None = None
    oom_killed: bool = False  # meanwhile the kernel has killed a process for want of memory


def judge(training: Training) -> Outcome:
    """The outcome to report."""
    if training.decision is not Decision.CONTINUE:
        return _outcome(training, TaskStatus.STOPPED, FaultKind.NONE, "stopped by the service")
    code = training.exit.code
    if code is None:
        reason = "the process that supervises it was killed"
        return _outcome(training, TaskStatus.LOST, FaultKind.CLUSTER, reason, Failure.EXECUTOR)
    fault = FaultKind.PROGRAM
    if training.exit.timed_out:
        reason, failure = f"timed out after {training.time_limit_s:g} s", Failure.TIMED_OUT
    elif said := said_infeasible(code, training.log_tail):
        fault, reason, failure = FaultKind.INFEASIBLE, said, Failure.INFEASIBLE
    elif code:
        fault, reason, failure = _crash(code, training)
    elif training.missing:
        reason, failure = f"the program ended without printing {_listed(training.missing)}", Failure.NO_METRIC
    elif training.never_finite:
        reason = f"{_listed(training.never_finite)} {_was(training.never_finite)} never a finite number"
        failure = Failure.NAN
    else:
        return _outcome(training, TaskStatus.SUCCEEDED, FaultKind.NONE, "")
    status = TaskStatus.LOST if fault is FaultKind.CLUSTER else TaskStatus.FAILED
    return _outcome(training, status, fault, reason, failure)


def _outcome(
    training: Training, status: TaskStatus, fault: FaultKind, reason: str, failure: Failure = Failure.NONE
) -> Outcome:
    # What of a log was not found explains nothing where the training never got there by no doing of its own.
    missing = training.missing if fault is FaultKind.PROGRAM else ()
    return Outcome(
        status=status,
        fault=fault,
        failure=str(failure),
        exit_code=training.exit.code,
        reason=reason[:500],
        explanation="\n\n".join(filter(None, [*map(training.explain, missing), _peak(training, status, failure)])),
        log_tail=training.log_tail,
        elapsed_s=training.elapsed_s,
    )


def _peak(training: Training, status: TaskStatus, failure: Failure) -> str:
    """How much memory it had, where that may be what ended it."""
    killed = training.exit.code in {-signal.SIGKILL, 128 + signal.SIGKILL} and not training.exit.timed_out
    memory = killed or failure in {Failure.MEMORY, Failure.GPU_MEMORY}
    if status is not TaskStatus.FAILED or not memory or not training.peak_memory_bytes:
        return ""
    gib = training.peak_memory_bytes / 2**30
    size = f"{gib:.1f} GiB" if gib >= 1 else f"{training.peak_memory_bytes / 2**20:.0f} MiB"
    return f"At its peak it used {size} of the executor's memory, with all processes that it started."


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _was(names: Sequence[str]) -> str:
    return "was" if len(names) == 1 else "were"


def _crash(code: int, training: Training) -> tuple[FaultKind, str, Failure]:
    """Of a program that ended with a code other than 0, or by a signal (negative): fault, reason, failure."""
    # A shell says so when what it ran was ended by a signal.
    number = -code if code < 0 else code - 128
    if number == signal.SIGKILL and training.oom_killed:
        return FaultKind.PROGRAM, f"{_ended(code)}: the memory ran out", Failure.MEMORY
    if number == signal.SIGTERM:
        # Nobody here sends it before a training was told to end; pre-empting clusters do.
        return FaultKind.CLUSTER, f"{_ended(code)}: the executor is being ended or pre-empted", Failure.PREEMPTED
    if code < 0:
        # An abort is how glog ends a program that has said why.
        told = _fatal(training.log_tail) if number == signal.SIGABRT else ""
        return FaultKind.PROGRAM, _killed(code) + (f": {told}" if told else ""), Failure.CRASHED
    hint = " (a process it started was killed; the memory may have run out)" if number == signal.SIGKILL else ""
    error = _last_error(training.log_tail)
    errors = _chained(training.log_tail) if _TRACEBACK in training.log_tail else ()
    fault, failure = recognised([*errors, error] if error else (), training.log_tail, has_gpus=training.has_gpus)
    word = "" if failure is Failure.CRASHED or error else f" ({failure})"
    return fault, f"exit code {code}{hint or word}" + (f": {error}" if error else ""), failure


def _ended(code: int) -> str:
    """How a process ended that did so by a signal, or a shell that says it of what it ran."""
    if code > 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


def _killed(code: int) -> str:
    """The same of a process that a signal ended, with what that may mean."""
    return _ended(code) + ("; the memory may have run out" if -code == signal.SIGKILL else "")


def _chained(log_tail: str) -> list[str]:
    """The errors that led to the last one, by Python's account."""
    if not any(words in log_tail for words in _CHAIN):
        return []
    lines = log_tail.splitlines()
    return [error.text for i, line in enumerate(lines) if line.endswith(_TRACEBACK) and (error := _of(lines, i))]


def _last_error(log_tail: str) -> str:
    """The line of the last traceback that names the error, or the last line that looks like one."""
    lines = log_tail.splitlines()
    errors = [error for index, line in enumerate(lines) if line.endswith(_TRACEBACK) and (error := _of(lines, index))]
    if errors:
        first = _ROOT_CAUSE.search(log_tail)
        if first is None:
            return errors[-1].text
        return _first_failure(first["rank"], int(first["code"]), errors, lines)
    return _error_line(lines) or _fatal(log_tail)


def _first_failure(rank: str, code: int, errors: Sequence["_Error"], lines: Sequence[str]) -> str:
    """Of several processes, torchrun ends the others when one has failed, of `rank` with `code`, and then fails itself.

    What the others say then, of connections that were closed, is no reason.
    """
    if code < 0:
        return f"process {rank} was {_killed(code)}"
    programs = [error for error in errors if not error.text.startswith(_LAUNCHER)]
    if of_rank := [error for error in programs if error.rank == rank]:
        return of_rank[-1].text
    if code == 1:  # Python's own, and some errors come without a traceback: in the syntax
        end = next(index for index, line in enumerate(lines) if line.endswith(_TRACEBACK))
        if said := _error_line(lines[:end]) or "".join(error.text for error in programs[:1]):
            return said
    return f"process {rank} ended with exit code {code}"


def _error_line(lines: Sequence[str]) -> str:
    """The last line that looks like an error, without what torchrun writes before it."""
    for line in reversed(lines):
        text = _RANK.sub("", line).lstrip()
        if _ERROR_LINE.fullmatch(text):
            return text[:300]
    return ""


def _fatal(log_tail: str) -> str:
    """The last line that a program logged as fatal in glog's form."""
    found = [match["text"] for match in _FATAL.finditer(log_tail)]
    return found[-1][:300] if found else ""


class _Error(NamedTuple):
    """The last line of a traceback, and what a process of torchrun's writes before each line."""

    prefix: str
    text: str

    @property
    def rank(self) -> str:
        """Of the process that wrote it; the first one's output has no prefix of its own."""
        found = _RANK.search(self.prefix)
        return found["rank"] if found else "0"


def _of(lines: Sequence[str], begin: int) -> _Error | None:
    prefix = lines[begin].removesuffix(_TRACEBACK)
    for line in lines[begin + 1 :]:
        text = line.removeprefix(prefix)
        if text.strip() and not text[0].isspace():
            return _Error(prefix, text[:300])
    return None


def not_started(argv: tuple[str, ...], error: CouldNotStart) -> Outcome:
    """The outcome of a program that the operating system would not start."""
    if error.number in {errno.ENOMEM, errno.EAGAIN, errno.ENFILE, errno.EMFILE}:
        return lost(FaultKind.CLUSTER, f"the executor could not start a process: {error}", Failure.EXECUTOR)
    hint = {
        errno.ENOENT: "there is no such program here, nor is there the interpreter that its first line may name",
        errno.EACCES: "it is not executable: chmod +x it, or name its interpreter in the command",
        errno.ENOEXEC: "it is no program: begin a script with #! and its interpreter, or name that in the command",
    }.get(error.number, str(error))
    reason = f"could not start {argv[0]}: {hint}"
    return unusable(reason)


def unusable(reason: str) -> Outcome:
    """The outcome of a program that could not even begin, by its own fault."""
    return Outcome(status=TaskStatus.FAILED, fault=FaultKind.PROGRAM, failure=str(Failure.CRASHED), reason=reason[:500])


def without_environment(fault: EnvironmentFault) -> Outcome:
    """The outcome of an execution whose program could not be given what it needs: nothing of it has run."""
    _, failure = recognised([], f"{fault}\n{fault.explanation}", has_gpus=False)
    if failure is Failure.DISK:  # elsewhere there may be room
        return lost(FaultKind.CLUSTER, f"the environment could not be made here: the disk is full: {fault}", failure)
    return Outcome(
        status=TaskStatus.LOST,
        fault=FaultKind.ENVIRONMENT,
        reason=str(fault)[:500],
        explanation=fault.explanation,
    )


def without_module(outcome: Outcome, modules: Collection[str], interpreter: Interpreter) -> Outcome:
    """`outcome`, unless the program ended because its framework, one of `modules`, is not installed."""
    missing = _NO_MODULE.search(outcome.reason) if outcome.fault is FaultKind.PROGRAM else None
    if missing is None or missing["name"] not in modules:
        return outcome
    reason = interpreter.lacks(missing["name"])[:500]
    return dataclasses.replace(outcome, status=TaskStatus.LOST, fault=FaultKind.ENVIRONMENT, reason=reason)


def lost(fault: FaultKind, reason: str, failure: Failure = Failure.NONE) -> Outcome:
    """The outcome of an execution that failed without its program's doing."""
    return Outcome(status=TaskStatus.LOST, fault=fault, failure=str(failure), reason=reason[:500])


def not_here(what: str, error: Exception) -> Outcome:
    """The outcome of an execution that the executor's own trouble prevented; `what` ends before a colon."""
    full = isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}
    return lost(FaultKind.CLUSTER, f"{what}: {error}", Failure.DISK if full else Failure.EXECUTOR)
