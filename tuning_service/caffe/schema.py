"""The messages of `schema.proto` as classes, under their public names.

The descriptors are built when this is imported, in a pool of their own: no generated code, which would bind us to the
protobuf release that made it (an executor may have any from 5 on), and no clash with a `caffe.proto` in one process.
"""

import re
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_TOKEN = re.compile(r'//[^\n]*|"[^"]*"|[-+\w.]+|[{}\[\]=;]')
_FIELD = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    name: getattr(_FIELD, f"TYPE_{name.upper()}")
    for name in ("bool", "bytes", "double", "float", "int32", "int64", "string", "uint32")
}
_LABELS = {"optional": _FIELD.LABEL_OPTIONAL, "repeated": _FIELD.LABEL_REPEATED}


class _Reader:
    """Reads the part of the proto2 language that `schema.proto` uses."""

    def __init__(self, text: str) -> None:
        self._tokens: Iterator[str] = (t for t in _TOKEN.findall(text) if not t.startswith("//"))

    def file(self) -> Any:
        made = descriptor_pb2.FileDescriptorProto(name="tuning_service/caffe/schema.proto")
        for word in self._tokens:
            if word == "message":
                self._message(made.message_type.add())
            elif word == "enum":
                self._enum(made.enum_type.add())
            elif word == "package":
                made.package = self._statement()[0]
            else:  # syntax
                self._statement()
        return made

    def _message(self, made: Any) -> None:
        made.name = next(self._tokens)
        next(self._tokens)  # {
        while (word := next(self._tokens)) != "}":
            if word == "enum":
                self._enum(made.enum_type.add())
            else:
                kind, name, _, number, *options = self._statement()
                field = made.field.add(name=name, number=int(number), label=_LABELS[word])
                if kind in _SCALARS:
                    field.type = _SCALARS[kind]
                else:
                    field.type_name = kind  # the pool finds out whether it is a message or an enum
                self._options(field, options)

    @staticmethod
    def _options(field: Any, options: list[str]) -> None:
        if "packed" in options:
            field.options.packed = True
        elif "default" in options:
            field.default_value = options[-2].strip('"')

    def _enum(self, made: Any) -> None:
        made.name = next(self._tokens)
        next(self._tokens)  # {
        while (word := next(self._tokens)) != "}":
            made.value.add(name=word, number=int(self._statement()[1]))

    def _statement(self) -> list[str]:
        words = []
        while (word := next(self._tokens)) != ";":
            words.append(word)
        return words


def _build() -> dict[str, Any]:
    made = _Reader(files(__package__).joinpath("schema.proto").read_text(encoding="utf-8")).file()
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(made.SerializeToString())
    found = [pool.FindMessageTypeByName(f"{made.package}.{message.name}") for message in made.message_type]
    return {descriptor.name: message_factory.GetMessageClass(descriptor) for descriptor in found}


MESSAGES: dict[str, Any] = _build()

BlobProto = MESSAGES["BlobProto"]
BlobShape = MESSAGES["BlobShape"]
Datum = MESSAGES["Datum"]
FillerParameter = MESSAGES["FillerParameter"]
LayerParameter = MESSAGES["LayerParameter"]
NetParameter = MESSAGES["NetParameter"]
NetState = MESSAGES["NetState"]
ParamSpec = MESSAGES["ParamSpec"]
SolverParameter = MESSAGES["SolverParameter"]
SolverState = MESSAGES["SolverState"]

TRAIN, TEST = 0, 1  # of Phase
