"""YAML of job files: read with the place of each field and refused in words; written as people write it."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

MOST_NODES = 10_000  # values, lists and maps of one text, aliases written out
_MOST_DEPTH = 40
_LONGEST_LINE = 200
_MERGE = "tag:yaml.org,2002:merge"
_TEXT = "tag:yaml.org,2002:str"
_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("map", "seq", "str", "int", "float", "bool", "null")} | {_MERGE}
_NOT_JSON = (":float", ":bool", ":timestamp", ":value")


class Loader(yaml.SafeLoader):
    """YAML whose numbers are those of YAML 1.2 and JSON: `1e-4` is a number, `on` and `no` are words."""

    most_nodes = MOST_NODES

    def __init__(self, stream: Any) -> None:
        super().__init__(stream)
        self._nodes = 0
        self._depth = 0

    def compose_node(self, parent: Any, index: Any) -> yaml.Node | None:
        """As yaml does it, but for texts that would take for ever."""
        self._nodes += 1
        self._depth += 1
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        if self._depth > _MOST_DEPTH:
            raise _Refused("maps and lists are nested too deeply.", f"Nest {_MOST_DEPTH} at most.", mark)
        if self._nodes > self.most_nodes:
            raise _too_much(self.most_nodes, mark)
        try:
            node: yaml.Node | None = super().compose_node(parent, index)
        finally:
            self._depth -= 1
        return node


# YAML 1.1 reads 1e-4 as text since it wants a dot and a sign, and reads "no" as false.
Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if not tag.endswith(_NOT_JSON)]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"""^(?:[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?
        |[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+
        |[-+]?\.[0-9][0-9_]*(?:[eE][-+]?[0-9]+)?
        |[-+]?\.(?:inf|Inf|INF)
        |\.(?:nan|NaN|NAN))$""",
        re.VERBOSE,
    ),
    list("-+0123456789."),
)
Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)


class BadYaml(ValueError):
    """A text that is no YAML of ours. `line` and `column` count from 1; 0: all of it is meant."""

    def __init__(self, problem: str, remedy: str, line: int = 0, column: int = 0, shown: str = "") -> None:
        """`shown` is the text of that line."""
        where = f"line {line}, column {column}: " if line else ""
        super().__init__(f"{where}{problem}" + (f" The line: {shown}" if shown else ""))
        self.remedy = remedy
        self.line, self.column = line, column


class _Refused(yaml.YAMLError):
    """Raised within yaml, where the text is not at hand."""

    def __init__(self, problem: str, remedy: str, mark: Any) -> None:
        super().__init__(problem)
        self.problem, self.remedy, self.problem_mark = problem, remedy, mark


def _too_much(most: int, mark: Any) -> _Refused:
    return _Refused(f"there are more than {most:,} values, aliases written out.", "Write less.", mark)


@dataclass(frozen=True, slots=True, kw_only=True)
class YamlDocument:
    """What a text says, as JSON could, and the line and column (from 1) of each field: {"space.lr.min": (4, 9)}."""

    value: Any
    places: Mapping[str, tuple[int, int]]

    def place(self, field: str) -> tuple[int, int] | None:
        """Where the field stands, or else the nearest one that it would stand in."""
        while field and field not in self.places:
            field = field.rpartition(".")[0]
        return self.places.get(field)


def read_yaml(text: str, *, most_nodes: int = MOST_NODES) -> YamlDocument:
    """The one document in `text`. A map that names a field twice is refused, and so is what JSON could not say.

    Raises:
        BadYaml
    """
    try:
        loader = Loader(text)
        loader.most_nodes = most_nodes
        node = loader.get_single_node()
        if node is None:
            return YamlDocument(value=None, places={})
        places = dict(_places(node, "", [most_nodes, most_nodes], 0))
        return YamlDocument(value=loader.construct_document(node), places=places)
    except yaml.YAMLError as error:
        raise _in_words(text, error) from error
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        # Of what its tag says it is: !!int "abc", a number of 5,000 digits.
        raise BadYaml(f"a value cannot be read: {error}.", "Write plain texts and numbers.") from error


def _places(node: yaml.Node, path: str, left: list[int], depth: int) -> Iterator[tuple[str, tuple[int, int]]]:
    """Each field with its place. Walks aliases as often as they are used, so that what they hide is counted.

    Names become texts, as JSON has them. `left`: how many values there may still be, and how many at first.
    """
    left[0] -= 1
    if left[0] < 0 or depth > _MOST_DEPTH:
        raise _too_much(left[1], node.start_mark)
    if node.tag not in _TAGS:
        problem = f"the tag {node.tag.replace('tag:yaml.org,2002:', '!!')} is not known here."
        raise _Refused(problem, "Write plain texts, numbers, lists and maps.", node.start_mark)
    prefix = f"{path}." if path else ""
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _Refused("a field's name is no text.", "Write name: value.", key.start_mark)
            line = key.start_mark.line + 1
            if key.value in seen:
                problem = f"{key.value} stands here again; it stands in line {seen[key.value]} already."
                raise _Refused(problem, "Remove one of them.", key.start_mark)
            seen[key.value] = line
            key.tag = key.tag if key.tag == _MERGE else _TEXT
            yield f"{prefix}{key.value}", (line, key.start_mark.column + 1)
            yield from _places(value, f"{prefix}{key.value}", left, depth + 1)
    elif isinstance(node, yaml.SequenceNode):
        for i, item in enumerate(node.value):
            yield f"{prefix}{i}", (item.start_mark.line + 1, item.start_mark.column + 1)
            yield from _places(item, f"{prefix}{i}", left, depth + 1)


_WORDS: tuple[tuple[str, str, str], ...] = (
    (r"found character '\\t'", "a tab stands where only blanks may.", "Indent with blanks."),
    (r"found character '(.)'", "{0} cannot begin a value.", "Put the text in quotes."),
    (
        r"mapping values are not allowed",
        "a second ':' stands in this line, or it is indented further than the line above.",
        "Put a text with ': ' in quotes, or align the line with those beside it.",
    ),
    (r"could not find expected ':'", "':' is missing behind a field's name.", "Write name: value."),
    (r"expected ',' or '([\]}])'", "a comma or the closing {0} is missing.", "Add it; check the line above, too."),
    (r"unexpected end of stream", "a quote is opened and never closed.", "Close it."),
    (r"expected <block end>", "the line does not fit those above.", "Check its indentation and the line above."),
    (r"unknown escape character", "behind a backslash stands what is no escape.", "Use single quotes instead."),
    (r"found undefined alias", "* begins the name of something that there is not.", "Put the text in quotes."),
    (r"expected a single document|another document", "a second document begins.", "Remove the line ---."),
    (r"while parsing a flow|expected the node content", "a value is missing.", "Check brackets and commas."),
)


def _in_words(text: str, error: yaml.YAMLError) -> BadYaml:
    if isinstance(error, yaml.reader.ReaderError):
        before = text[: error.position]
        line, column = before.count("\n") + 1, error.position - before.rfind("\n")
        return BadYaml("holds a character that cannot be seen.", "Remove it.", line, column)
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem, remedy = str(getattr(error, "problem", None) or "it cannot be read"), "Correct it there."
    if isinstance(error, _Refused):
        remedy = error.remedy
    else:
        said = f"{getattr(error, 'context', '')} {problem}"
        for pattern, words, what_to_do in _WORDS:
            if found := re.search(pattern, said):
                problem, remedy = words.format(*found.groups()), what_to_do
                break
        else:
            problem = f"{problem}."
    if mark is None:
        return BadYaml(problem, remedy)
    lines = text.splitlines()
    shown = lines[mark.line].strip() if mark.line < len(lines) else ""
    return BadYaml(problem, remedy, mark.line + 1, mark.column + 1, _cut(shown))


def _cut(line: str) -> str:
    return line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]}…"


# -- writing


class _Dumper(yaml.SafeDumper):
    """Quotes each text that `Loader` or a reader of YAML 1.1 would take for something else."""

    def ignore_aliases(self, data: Any) -> bool:
        """True: what is meant twice is written twice."""
        del data
        return True


_Dumper.yaml_implicit_resolvers = {
    first: [*yaml.SafeDumper.yaml_implicit_resolvers.get(first, []), *Loader.yaml_implicit_resolvers.get(first, [])]
    for first in {*yaml.SafeDumper.yaml_implicit_resolvers, *Loader.yaml_implicit_resolvers}
}


def yaml_text(document: Mapping[str, Any]) -> str:
    """A job file as YAML that `read_yaml` reads back equal: a line for each field, parameter, point and constraint."""
    return "".join(
        yaml.dump(
            {name: _by_line(value) if name in {"space", "points", "constraints"} else _Flow(value)},
            Dumper=_Dumper,
            sort_keys=False,
            allow_unicode=True,
            default_flow_style=False,
            width=10_000,
        )
        for name, value in document.items()
    )


class _Flow:
    """Something that is written on one line."""

    def __init__(self, value: Any) -> None:
        self.value = value


def _represent_flow(dumper: _Dumper, flow: _Flow) -> yaml.Node:
    node = dumper.represent_data(flow.value)
    if isinstance(node, yaml.CollectionNode):
        node.flow_style = True
    return node


_Dumper.add_representer(_Flow, _represent_flow)


def _by_line(value: Any) -> Any:
    """Each item of a map or list on a line of its own."""
    if isinstance(value, Mapping):
        return {name: _Flow(item) for name, item in value.items()}
    return [_Flow(item) for item in value] if isinstance(value, (list, tuple)) else _Flow(value)
