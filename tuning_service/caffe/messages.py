"""Small questions to protobuf messages of prototxt files."""

from typing import Any


def choice(message: Any, field: str) -> str:
    """The name of the value of an enumeration's field, as "MAX"."""
    values = message.DESCRIPTOR.fields_by_name[field].enum_type.values_by_number
    return str(values[getattr(message, field)].name)
