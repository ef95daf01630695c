"""/v1/tuning-jobs/{job}/trials/{number}/log: what a training printed, in pieces or as it comes."""

import re
from collections.abc import AsyncIterator
from threading import Event
from typing import Annotated

import anyio
import anyio.to_thread
from fastapi import APIRouter, Query, Request
from starlette.responses import Response, StreamingResponse

from tuning_service.api.deps import Counts, Reader, Stopping, Tuning, Who
from tuning_service.api.errors import responses
from tuning_service.api.trials import Number, TaskNumber
from tuning_service.api.welcome import Welcome
from tuning_service.domain.errors import NotFound
from tuning_service.domain.principal import Principal
from tuning_service.domain.state import OPEN_TRIALS
from tuning_service.manager.model_tuning_mgr import ModelTuningMgr
from tuning_service.manager.views import LogPiece

router = APIRouter(prefix="/v1/tuning-jobs/{job_id}/trials/{number}/log", tags=["trials"])

MEDIA_TYPE = "text/plain; charset=utf-8"
LARGEST_PIECE = 8 * 2**20
_STREAMED_PIECE = 256 * 1024
_POLL_S = 0.25
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_FARTHEST = 2**53

Start = Annotated[int, Query(gt=-_FARTHEST, lt=_FARTHEST, description="First byte; negative: from the end")]
Length = Annotated[int, Query(ge=0, le=LARGEST_PIECE, description="At most so many bytes")]


@router.get(
    "",
    response_class=Response,
    responses={
        **responses(404, 422),
        200: {
            "description": "Bytes of the log from `start`. X-Log-Start, X-Log-Total and X-Log-Complete (true: the"
            " execution has ended, so no more will come) say where in the log they are",
            "content": {"text/plain": {"schema": {"type": "string"}, "example": "epoch 1 val_accuracy=0.91\n"}},
        },
        206: {"description": "The bytes that the Range header asks for"},
        416: {"description": "The log has no such bytes"},
    },
)
async def read_log(
    request: Request,
    job_id: str,
    number: Number,
    who: Who,
    tuning: Tuning,
    welcome: Reader,
    stopping: Stopping,
    counts: Counts,
    task: TaskNumber = None,
    start: Start = 0,
    length: Length = LARGEST_PIECE,
    follow: Annotated[bool, Query(description="Keep sending what comes until the execution has ended")] = False,
    download: Annotated[bool, Query(description="All that there is so far, as a file, however long")] = False,
) -> Response:
    """Read one execution's log: a piece of it (`start` and `length`, or a Range header), all, or all as it comes."""
    reader = _Reader(tuning, who, job_id, number, task)
    if download:
        await reader.settle_on_task()
        total = (await reader.piece(0, 0)).total
        request.state.stream = True
        headers = {"Content-Disposition": f'attachment; filename="trial-{number}.log"'}
        return StreamingResponse(_whole(reader, total), media_type=MEDIA_TYPE, headers=headers)
    if follow:
        await reader.piece(0, 0)  # so that what is not found is a 404 and no broken stream
        request.state.stream = True
        return StreamingResponse(_followed(reader, start, welcome, stopping, counts), media_type=MEDIA_TYPE)
    wanted = _RANGE.fullmatch(request.headers.get("range", "").replace(" ", ""))
    if wanted is None or wanted.group(0) == "bytes=-":
        piece = await reader.piece(start, length)
        return Response(piece.data, media_type=MEDIA_TYPE, headers=_headers(piece))
    return await _ranged(reader, *wanted.groups())


async def _ranged(reader: "_Reader", first: str, last: str) -> Response:
    if not first:
        piece = await reader.piece(-int(last), min(int(last), LARGEST_PIECE)) if int(last) else None
    else:
        wanted = int(last) - int(first) + 1 if last else LARGEST_PIECE
        piece = await reader.piece(int(first), min(wanted, LARGEST_PIECE)) if wanted > 0 else None
    if piece is None or not piece.data:
        total = (piece or await reader.piece(0, 0)).total
        return Response(status_code=416, headers={"Content-Range": f"bytes */{total}"})
    end = piece.start + len(piece.data) - 1
    # A log that grows has no length yet, which "*" says.
    total_text = str(piece.total) if piece.complete else "*"
    headers = _headers(piece) | {"Content-Range": f"bytes {piece.start}-{end}/{total_text}"}
    return Response(piece.data, status_code=206, media_type=MEDIA_TYPE, headers=headers)


def _headers(piece: LogPiece) -> dict[str, str]:
    return {
        "Accept-Ranges": "bytes",
        "X-Log-Start": str(piece.start),
        "X-Log-Total": str(piece.total),
        "X-Log-Complete": str(piece.complete).lower(),
    }


class _Reader:
    """Pieces of one execution's log, read in threads."""

    def __init__(self, tuning: ModelTuningMgr, who: Principal, job_id: str, number: int, task: int | None) -> None:
        self._tuning = tuning
        self._who = who
        self._job_id = job_id
        self._number = number
        self._task = task

    async def piece(self, start: int, length: int) -> LogPiece:
        return await anyio.to_thread.run_sync(self._read, start, length)

    def _read(self, start: int, length: int) -> LogPiece:
        return self._tuning.log(self._who, self._job_id, self._number, task=self._task, start=start, length=length)

    async def settle_on_task(self) -> bool:
        """Whether there is an execution, or one to come; from the first True with `has_task` it stays the one read."""
        if self._task is None:
            view = await anyio.to_thread.run_sync(self._tuning.trial, self._who, self._job_id, self._number)
            if not view.tasks:
                return view.trial.status in OPEN_TRIALS
            self._task = view.tasks[-1].number
        return True

    @property
    def has_task(self) -> bool:
        return self._task is not None


async def _whole(reader: _Reader, total: int) -> AsyncIterator[bytes]:
    position = 0
    while position < total:
        piece = await reader.piece(position, min(_STREAMED_PIECE, total - position))
        if not piece.data:
            return
        yield piece.data
        position += len(piece.data)


async def _followed(
    reader: _Reader, start: int, welcome: Welcome, stopping: Event, counts: Counts
) -> AsyncIterator[bytes]:
    counts.open_streams.inc()
    try:
        position = start
        while not stopping.is_set() and await welcome.lasts() and await reader.settle_on_task():
            piece = await reader.piece(position, _STREAMED_PIECE) if reader.has_task else None
            if piece is not None:
                # Also settles what a negative start counts from.
                position = piece.start + len(piece.data)
                if piece.data:
                    yield piece.data
                    continue
                if piece.complete:
                    return
            await anyio.sleep(_POLL_S)
    except NotFound:
        return  # deleted meanwhile
    finally:
        counts.open_streams.dec()
