"""/v1/tuning-jobs/{job}/trials/{number}/log/search: a text in what a training printed."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from tuning_service.api.deps import LogSearch, Who
from tuning_service.api.errors import responses
from tuning_service.api.schemas import Out
from tuning_service.api.trials import Number, TaskNumber
from tuning_service.manager.log_search import LogMatches

router = APIRouter(prefix="/v1/tuning-jobs/{job_id}/trials/{number}/log/search", tags=["trials"])

_FARTHEST = 2**53
Text = Annotated[str, Query(min_length=1, max_length=200, description="The text, as it is; within one line")]
Place = Annotated[int | None, Query(ge=0, lt=_FARTHEST)]


class LogMatchOut(Out):
    offset: int = Field(description="First byte of the line's first match in the log", examples=[20480])
    line: int = Field(description="From 1", examples=[311])
    text: str = Field(
        description="The line, or 400 bytes of it around the match", examples=["epoch 9 val_accuracy=0.983"]
    )
    text_offset: int = Field(description="Where in the log that begins", examples=[20472])


class LogMatchesOut(Out):
    matches: list[LogMatchOut]
    total: int = Field(description="Lines that hold the text, of what was searched")
    searched: int = Field(description="Bytes that were searched, from the log's beginning")
    size: int = Field(description="Bytes that the log has")
    stopped_early: bool = Field(description="true: the log is longer than what is searched at most, 128 MiB")
    complete: bool = Field(description="The execution has ended, so that no more will come")

    @classmethod
    def of(cls, found: LogMatches) -> "LogMatchesOut":
        return cls(
            matches=[
                LogMatchOut(offset=m.offset, line=m.line, text=m.text, text_offset=m.text_offset) for m in found.matches
            ],
            total=found.total,
            searched=found.searched,
            size=found.size,
            stopped_early=found.searched < found.size,
            complete=found.complete,
        )


@router.get("", responses=responses(404, 422))
def search_log(
    job_id: str,
    number: Number,
    who: Who,
    searches: LogSearch,
    q: Text,
    task: TaskNumber = None,
    match_case: Annotated[bool, Query(description="Capitals count")] = False,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    after: Annotated[Place, Query(description="Only matches behind this byte: `offset` of the last one seen")] = None,
    before: Annotated[Place, Query(description="The last matches ahead of this byte")] = None,
) -> LogMatchesOut:
    """Find a text in one execution's log: the lines that hold it, and how many those are."""
    found = searches.search(
        who, job_id, number, q, task=task, match_case=match_case, limit=limit, after=after, before=before
    )
    return LogMatchesOut.of(found)
