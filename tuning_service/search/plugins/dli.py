"""The older interface: `class PluginOptimizer(BasePluginOptimizer)` with `search(number_samples, last_exp_results)`.

Such an optimizer keeps a state of its own and knows neither conditions nor running trials. `Adapted` drives one as an
`HPTAlgorithm`: in the request form that it knows, with values cast back and checked.
"""

import base64
import contextlib
import logging
import math
import pickle
import random
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import islice
from types import ModuleType
from typing import Any, ClassVar

import numpy as np

from tuning_service.domain.job import Goal
from tuning_service.domain.parameters import FloatParameter, IntParameter, Parameter, ParamValue
from tuning_service.domain.trial import Observation, Suggestion
from tuning_service.search.base import HPTAlgorithm, PendingTrial
from tuning_service.search.plugins.errors import BadPlugin
from tuning_service.search.plugins.manifest import as_text

_MOST_STATE = 2**20
_NEARLY = 1e-9  # of a range: what rounding may put a value outside of it


class BasePluginOptimizer:
    """What optimizers of the older interface derive from, known to them as `plugins.core.base_plugin_opt`."""

    def __init__(self, name: str, hyper_parameters: list[dict[str, Any]], **kwargs: str) -> None:
        self.name = name
        self.hyper_parameters = hyper_parameters
        self.kwargs = kwargs

    def search(self, number_samples: int, last_exp_results: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The next `number_samples` sets of hyper-parameters, {name: value}; none when there are no more."""
        raise NotImplementedError(f"{type(self).__name__} has no search")

    def get_state(self) -> dict[str, Any]:
        """What `set_state` of a new one needs to go on from here."""
        return {}

    def set_state(self, state_dict: dict[str, Any]) -> None:
        """Go on from where `get_state` was called."""


def provide_modules() -> None:
    """The imports of the older interface work in this process from now on."""
    if "plugins.core.base_plugin_opt" in sys.modules:
        return
    logger = logging.getLogger("plugin")
    if not logger.handlers:
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    for name in ("plugins", "plugins.core"):
        package = ModuleType(name)
        package.__path__ = []
        sys.modules[name] = package
    for name, what in (("logger", logger), ("base_plugin_opt", BasePluginOptimizer)):
        module = ModuleType(f"plugins.core.{name}")
        setattr(module, "logger" if name == "logger" else "BasePluginOptimizer", what)
        sys.modules[module.__name__] = module
        setattr(sys.modules["plugins.core"], name, module)


def adapted(optimizer: type) -> "type[Adapted]":
    """An algorithm that drives optimizers of that class. Raises BadPlugin when it has no `search`."""
    if not callable(getattr(optimizer, "search", None)):
        raise BadPlugin(f"{optimizer.__name__} has no method search(number_samples, last_exp_results)")
    return type("AdaptedOptimizer", (Adapted,), {"optimizer": optimizer})


class Adapted(HPTAlgorithm):
    """Not a function of its history alone, as other algorithms are: `snapshot` and `restore` carry the rest."""

    optimizer: ClassVar[type]

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        random.seed(self.seed)
        np.random.seed(self.seed % 2**32)  # noqa: NPY002  # what optimizers of that time draw from
        options = {name: as_text(value) for name, value in self.options.model_dump().items()}
        self._columns = {p.name: p for p in self.space.topological}
        form = [_form(p) for p in self.space.topological]
        self._optimizer: Any = self.optimizer(self.name, form, **options)
        self._unseen: list[Observation] = []
        self._ready: deque[dict[str, ParamValue]] = deque()  # what it gave beyond what was asked for
        self._shown = 0  # how many observations it was shown, in all its lives
        self._to_skip = 0  # how many of those that will come it knows already
        self._is_fresh = True

    def _observe(self, observations: Sequence[Observation]) -> None:
        known = min(self._to_skip, len(observations))
        self._to_skip -= known
        self._unseen += observations[known:]

    def _suggest(self, count: int, pending: Sequence[PendingTrial]) -> list[Suggestion]:
        if self._is_fresh:
            self._catch_up(self.next_number(pending))
        found: list[dict[str, ParamValue]] = []
        while len(found) < count:
            if not self._ready:
                self._ready += self._search(count - len(found), len(self._unseen))
            if not self._ready:
                return [Suggestion(params=p) for p in found] + self._last_one(found, pending)
            found.append(self._ready.popleft())
        return [Suggestion(params=p) for p in found]

    def _catch_up(self, trials: int) -> None:
        """A new optimizer goes the way that one before it has gone, as far as the history tells it."""
        earlier = sum(1 for o in self._unseen if o.job)
        for number in range(trials):
            if not self._ready:
                self._ready += self._search(1, earlier + number - self._shown)
            if not self._ready:
                break
            self._ready.popleft()
        self._is_fresh = False

    def _search(self, count: int, results: int) -> list[dict[str, ParamValue]]:
        shown, self._unseen = self._unseen[:results], self._unseen[results:]
        self._shown += len(shown)
        answer = self._optimizer.search(count, [self._result(o) for o in shown])
        if answer is None:
            answer = []
        if not isinstance(answer, (list, tuple)):
            raise BadPlugin(f"its search returned a {type(answer).__name__}, not a list of {{name: value}}")
        return [self._params(item) for item in answer]

    def _last_one(self, found: Sequence[Mapping[str, ParamValue]], pending: Sequence[PendingTrial]) -> list[Suggestion]:
        """The one configuration that is left when it says that there are no more: grids are known to end one short."""
        taken = self._tried | {self.transform.key(p) for p in [*found, *(t.params for t in pending)]}
        left = list(islice((p for p in self.transform.enumerate() if self.transform.key(p) not in taken), 2))
        return [Suggestion(params=left[0], source="last untried")] if len(left) == 1 else []

    def _result(self, observation: Observation) -> dict[str, Any]:
        objective = self.objectives[0]
        value = observation.loss
        if value is not None and objective.goal is Goal.MAXIMIZE:
            value = -value
        params = {name: _outward(self._columns[name], v) for name, v in observation.params.items()}
        metric = {"name": objective.metric, "min": value, "max": value, "latest": value}
        return {
            "id": observation.number,
            "hyperParams": params,
            "metricVal": value,
            "state": "FAILED" if value is None else "FINISHED",
            "metrics": [] if value is None else [metric],
        }

    def _params(self, item: Any) -> dict[str, ParamValue]:
        if not isinstance(item, Mapping):
            raise BadPlugin(f"its search returned a list with a {type(item).__name__} in it: {item!r:.200}")
        unknown = sorted(str(name) for name in item if name not in self._columns)
        missing = [name for name in self._columns if name not in item]
        if unknown or missing:
            wrong = [f"lacks {', '.join(missing)}"] * bool(missing) + [f"holds unknown {', '.join(unknown)}"] * bool(
                unknown
            )
            raise BadPlugin(f"its search returned a set of hyper-parameters that {' and '.join(wrong)}: {item!r:.200}")
        return {name: _inward(parameter, item[name]) for name, parameter in self._columns.items()}

    # -- from one process to the next

    def snapshot(self) -> str:
        """What `restore` of a new one needs, as text; "" when the optimizer keeps nothing, too much, or what stays in
        its process: a new one is then led the way that this one has gone.
        """
        if getattr(type(self._optimizer), "get_state", None) is BasePluginOptimizer.get_state:
            return ""
        whole = (
            self._optimizer.get_state(),
            self._shown,
            list(self._ready),
            random.getstate(),
            np.random.get_state(),  # noqa: NPY002
        )
        try:
            data = pickle.dumps(whole)
        except (pickle.PicklingError, TypeError, AttributeError, RecursionError):
            return ""
        return base64.b64encode(data).decode() if len(data) <= _MOST_STATE else ""

    def restore(self, text: str) -> None:
        """Go on from a snapshot of this very plug-in; the history is shown again from its beginning."""
        # Written by this plug-in, read in a process of this plug-in alone.
        state, self._shown, ready, python, numpy = pickle.loads(base64.b64decode(text))  # noqa: S301
        self._optimizer.set_state(state)
        self._ready = deque(ready)
        self._to_skip, self._is_fresh = self._shown, False
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002


def _form(parameter: Parameter) -> dict[str, Any]:
    """The parameter as an entry of the older request's `hyperParams`."""
    entry: dict[str, Any] = {"name": parameter.name}
    if _is_listed(parameter):
        values = [_outward(parameter, c) for c in parameter.choices or ()]
        data_type, key = _list_type(values)
        return entry | {"type": "Discrete", "dataType": data_type, key: values}
    assert isinstance(parameter, (FloatParameter, IntParameter))
    kind, low, high = _INT if isinstance(parameter, IntParameter) else _DOUBLE
    entry |= {"type": "Range", "dataType": kind, low: parameter.min, high: parameter.max}
    if parameter.step is not None:
        entry["step"] = repr(parameter.step)
    return entry | ({"power": "10"} if parameter.scale == "log" else {})


def _is_listed(parameter: Parameter) -> bool:
    """True for all but plain ranges: an optimizer that ignores steps proposes values that there are."""
    if parameter.choices is None:
        return False
    return not isinstance(parameter, IntParameter) or parameter.scale == "pow2" or parameter.step not in {None, 1}


_INT = ("INT", "minIntVal", "maxIntVal")
_DOUBLE = ("DOUBLE", "minDbVal", "maxDbVal")


def _list_type(values: Sequence[ParamValue]) -> tuple[str, str]:
    if all(type(v) is int for v in values):
        return "INT", "discreteIntVal"
    if all(type(v) in {int, float} for v in values):
        return "DOUBLE", "discreteDbVal"
    return "STR", "discreateStrVal"  # written so in the product


def _outward(parameter: Parameter, value: ParamValue) -> ParamValue:
    """A value of ours as the optimizer knows it: lists that are not all numbers are texts to it."""
    choices = parameter.choices
    if choices is None or all(type(c) in {int, float} for c in choices):
        return value
    return as_text(value)


def _inward(parameter: Parameter, raw: Any) -> ParamValue:
    """The parameter's own value that `raw` means: optimizers give numpy's numbers, and texts. Raises BadPlugin."""
    if hasattr(raw, "item") and getattr(raw, "shape", None) == ():
        raw = raw.item()
    value: ParamValue | None = None
    choices = parameter.choices
    if choices is not None:
        value = next((c for c in choices if type(c) is type(raw) and c == raw), None)
        if value is None:
            text = as_text(raw)
            value = next((c for c in choices if as_text(c) == text), None)
        if value is None:
            value = _nearest(choices, raw)
    elif isinstance(parameter, (FloatParameter, IntParameter)):
        value = _number(parameter, raw)
    if value is None or not parameter.contains(value):
        raise BadPlugin(f"its search returned {parameter.name} = {raw!r:.200}, which the space does not allow")
    return value


def _number(parameter: FloatParameter | IntParameter, raw: Any) -> ParamValue | None:
    number = math.nan
    with contextlib.suppress(TypeError, ValueError, OverflowError):
        number = math.nan if isinstance(raw, bool) else float(raw)
    slack = _NEARLY * (parameter.max - parameter.min)
    if not parameter.min - slack <= number <= parameter.max + slack:
        return None
    if isinstance(parameter, IntParameter):
        whole = raw if isinstance(raw, int) else round(number)
        if abs(number - whole) > _NEARLY * max(1.0, abs(number)):
            return None
        return whole if parameter.step is None else parameter.value_at(round((whole - parameter.min) / parameter.step))
    if parameter.step is not None:
        return parameter.value_at(parameter.index_of(number))
    return min(float(parameter.max), max(float(parameter.min), number))


def _nearest(choices: Sequence[ParamValue], raw: Any) -> ParamValue | None:
    """The number among the choices that `raw` is, to rounding."""
    numbers = [c for c in choices if not isinstance(c, (bool, str))]
    try:
        number = math.nan if isinstance(raw, bool) else float(raw)
    except (TypeError, ValueError, OverflowError):
        return None
    value = min(numbers, key=lambda c: abs(number - c), default=None)
    return None if value is None or not abs(number - value) <= _NEARLY * abs(value) else value
