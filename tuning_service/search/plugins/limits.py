"""What one plug-in's process may take."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginLimits:
    """Set by the deployment; `memory_bytes` and `answer_s` by its settings."""

    memory_bytes: int = 2 * 2**30  # address space
    answer_s: float = 120.0
    start_s: float = 60.0  # until it has connected; its own imports count to the first answer
    file_bytes: int = 2**30  # of one file that it writes
    folder_bytes: int = 2**31  # of all files in its folder, where temporary ones go too
    pause_s: float = 0.5  # before a plug-in that died or hung is asked again; longer the second time
    output_bytes: int = 16_384  # of what it prints that are kept
