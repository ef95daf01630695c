"""Whatever the space, what is suggested is valid in it and new."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.search.spaces import spaces
from tuning_service.domain.errors import InvalidRequest
from tuning_service.domain.job import Goal, Objective
from tuning_service.search import conformance_spaces
from tuning_service.search.base import algorithms
from tuning_service.search.transform import SpaceTransform


# bayesian takes seconds for each space: its conformance tests have to do.
@pytest.mark.parametrize("name", sorted(algorithms().keys() - {"auto", "bayesian"}))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_suggestions_in_any_space_are_valid_and_new(name, data):
    space = data.draw(spaces(finite=data.draw(st.booleans())))
    cls = algorithms()[name]
    try:
        cls.check_space(space)
    except InvalidRequest:
        return
    algorithm = cls(space, [Objective(metric="loss", goal=Goal.MINIMIZE)], cls.options_type(), 3)
    known = conformance_spaces.history(space, 30, failing=True)
    algorithm.observe(known)
    suggestions = algorithm.suggest(5, [])

    transform = SpaceTransform(space)
    keys = [transform.key(s.params) for s in suggestions]
    assert len(set(keys)) == len(keys)
    assert not set(keys) & {transform.key(o.params) for o in known}
    for suggestion in suggestions:
        space.check(suggestion.params)
        assert list(suggestion.params) == list(space.active_part(suggestion.params))
