"""How numbers are told to people."""

import pytest

from tuning_service.domain.texts import counted


@pytest.mark.parametrize(
    ("number", "told"), [(0, "0 GPUs"), (1, "1 GPU"), (1.0, "1 GPU"), (0.5, "0.5 GPUs"), (1200, "1,200 GPUs")]
)
def test_a_number_and_its_noun_agree(number: float, told: str) -> None:
    assert counted(number, "GPU") == told
