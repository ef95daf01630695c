"""What the last lines of a training say about why it ended: memory, disk, GPU, or that it cannot be trained."""

import re
from collections.abc import Sequence

from tuning_service.domain.trial import INFEASIBLE_CODE, Failure, FaultKind

_LAST_LINES = 20  # are searched where no line names the error
# The first that matches counts. GPU first, for CUDA's words for its memory say "memory" too.
_SIGNS: tuple[tuple[Failure, re.Pattern[str]], ...] = (
    (
        Failure.GPU_MEMORY,
        re.compile(
            r"CUDA out of memory|HIP out of memory|CUDA error: out of memory|CUDA_ERROR_OUT_OF_MEMORY"
            r"|cudaErrorMemoryAllocation|\btorch\.(?:cuda\.)?OutOfMemoryError|CUBLAS_STATUS_ALLOC_FAILED"
            r"|ResourceExhaustedError|RESOURCE_EXHAUSTED|OOM when allocating tensor"
        ),
    ),
    (
        Failure.MEMORY,
        re.compile(
            r"\bMemoryError\b|std::bad_alloc|Cannot allocate memory|can't allocate memory|out of shared memory"
            r"|java\.lang\.OutOfMemoryError|\bnot enough memory\b"
        ),
    ),
    (
        Failure.GPU,
        re.compile(
            r"uncorrectable ECC error|ECC_UNCORRECTABLE|GPU is lost|fallen off the bus|Unable to determine the device"
            r"|no CUDA-capable device|CUDA_ERROR_NO_DEVICE|No CUDA GPUs are available|Found no NVIDIA driver"
            r"|CUDA driver initialization failed|CUDA driver version is insufficient|NVML: Driver/library version"
            r"|CUDA-capable device\(s\) is/are busy or unavailable|CUDA_ERROR_SYSTEM_NOT_READY"
            r"|CUDA_ERROR_DEVICE_UNAVAILABLE|Failed to initialize NVML"
        ),
    ),
    (Failure.DISK, re.compile(r"No space left on device|Disk quota exceeded|\[Errno (?:28|122)\]")),
    (Failure.PREEMPTED, re.compile(r"SignalException: Process \d+ got signal: 15")),
)
_CLUSTERS = frozenset({Failure.DISK, Failure.PREEMPTED})
_SAID = re.compile(r"^(?:\[\w+\]:\s*)*infeasible:[ \t]*(?P<reason>.*)$", re.MULTILINE)
# torchrun ends with a code of its own, and says which its process had.
_CODE_OF_RANK = re.compile(rf"Root Cause[^\n]*\n(?:[^\n]*\n){{0,5}}?\s*exitcode\s*: {INFEASIBLE_CODE} ")


def recognised(errors: Sequence[str], log_tail: str, *, has_gpus: bool) -> tuple[FaultKind, Failure]:
    """Whose fault a crash was, and how it failed, by the lines that name errors, or else by the last lines.

    A GPU that cannot be used is the cluster's fault only where the trial was given one.
    """
    lines = errors or log_tail.splitlines()[-_LAST_LINES:]
    text = "\n".join(lines)
    for failure, sign in _SIGNS:
        if not sign.search(text) or (failure is Failure.GPU and not has_gpus):
            continue
        of_cluster = failure in _CLUSTERS or failure is Failure.GPU
        return FaultKind.CLUSTER if of_cluster else FaultKind.PROGRAM, failure
    return FaultKind.PROGRAM, Failure.CRASHED


def said_infeasible(code: int | None, log_tail: str) -> str:
    """Why the program says that its configuration cannot be trained; "" when it says no such thing."""
    if code != INFEASIBLE_CODE and not (code and _CODE_OF_RANK.search(log_tail)):
        return ""
    said = [found["reason"].strip() for found in _SAID.finditer(log_tail)]
    return (said[-1] if said else "") or f"the program says that this cannot be trained (exit code {INFEASIBLE_CODE})"
