"""A plug-in's session: a child of its own, nothing believed, and failures told to the tenant whose code it is."""

import contextlib
import math
from typing import Any, ClassVar

from tuning_service.domain.errors import GiveUp, NotFound, TryAgain
from tuning_service.domain.texts import storable
from tuning_service.domain.trial import Observation, Recommendation, Suggestion
from tuning_service.search.host import (
    AlgorithmFailed,
    AlgorithmHost,
    AlgorithmProcess,
    AlgorithmSession,
    AlgorithmSetup,
    Worker,
)
from tuning_service.search.plugins.limits import PluginLimits

_MOST_STATE = 2**21
_MOST_EXPLAINED = 4000
_MOST_SOURCE = 200


class PluginSession(AlgorithmSession):
    """As `AlgorithmSession`, except that a plug-in that died or hung has some more chances, with pauses between them,
    and that `close` ends its process at once.
    """

    _most_deaths: ClassVar[int] = 2
    _most_silences: ClassVar[int] = 1

    def __init__(
        self, host: AlgorithmHost, worker: Worker, key: str, setup: AlgorithmSetup, limits: PluginLimits
    ) -> None:
        super().__init__(host, worker, key, setup, limits.answer_s)
        self._pause_s = limits.pause_s
        self._state = ""  # what an optimizer of the older interface goes on from

    def close(self) -> None:
        """The process ends; questions without an answer fail with TryAgain. May be called twice."""
        if not self._is_closed:
            self._is_closed = True
            self._host.release(self._worker)
            self._worker.close()

    def _converse(
        self, process: AlgorithmProcess, question: dict[str, Any], history: list[Observation]
    ) -> dict[str, Any]:
        try:
            answer = super()._converse(process, question, history)
        except (GiveUp, NotFound) as error:
            reason, _, words = error.message.partition("\n")
            raise self._failed(reason, detail=words) from None
        self._keep(answer.get("state"))
        return answer

    def _opening(self) -> dict[str, Any]:
        return super()._opening() | {"state": self._state}

    def _keep(self, state: object) -> None:
        if isinstance(state, str) and len(state) <= _MOST_STATE:
            self._state = state

    def _send(self, process: AlgorithmProcess, question: dict[str, Any]) -> dict[str, Any]:
        answer = process.ask(question, self._answer_s)
        if "error" not in answer:
            return answer
        self._opened_in = 0
        error = answer["error"]
        reason, detail = "it sent an error without words", ""
        with contextlib.suppress(TypeError, KeyError):
            reason, detail = str(error["reason"])[:_MOST_EXPLAINED], str(error["detail"])
        printed = process.last_words()
        raise self._failed(reason, detail="\n".join(filter(None, [detail, printed and f"It printed:\n{printed}"])))

    def _suggestions(self, answer: dict[str, Any], count: int) -> list[Suggestion]:
        with contextlib.suppress(TypeError, KeyError, ValueError, AttributeError):
            suggestions = super()._suggestions(answer, count)
            return [Suggestion(params=s.params, source=storable(str(s.source)[:_MOST_SOURCE])) for s in suggestions]
        raise self._failed("what it sent is no list of suggestions.")

    def _recommendation(self, answer: dict[str, Any]) -> Recommendation | None:
        with contextlib.suppress(TypeError, KeyError, IndexError):
            found = super()._recommendation(answer)
            if found is None:
                return None
            if type(found.number) is int and type(found.loss) is float and math.isfinite(found.loss):
                return found
        raise self._failed("what it sent is no recommendation.")

    def _failed(self, reason: str, *, detail: str = "") -> AlgorithmFailed:
        if self._worker.is_closed:
            raise TryAgain("The search for this job is closed.")
        algorithm = self._setup.algorithm
        return AlgorithmFailed(
            storable(f"Plug-in {algorithm.name} {algorithm.version} failed: {reason[:_MOST_EXPLAINED]}"),
            detail=storable(detail),
            explanation=storable(_shortened(detail)),
        )


def _shortened(text: str) -> str:
    """Its end says most of a traceback, its beginning of pip's words."""
    if len(text) <= _MOST_EXPLAINED:
        return text
    half = _MOST_EXPLAINED // 2
    return f"{text[:half]}\n[…]\n{text[-half:]}"
