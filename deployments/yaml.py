"""YAML as people mean it, with the line of every value.

Three traps of YAML 1.1 are off: `null:` as a key is the word null, `7:00` is text and not a number of seconds, and a date is the
text that was written.
"""

from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from domain.errors import DefinitionError


class _Loader(yaml.SafeLoader):
    pass


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag.rpartition(":")[2] not in ("int", "float", "timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_NUMBER_STARTS = list("-+.0123456789")


def _resolve_numbers() -> None:
    import re

    _Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?(?:0|[1-9][0-9_]*)$"), _NUMBER_STARTS)
    _Loader.add_implicit_resolver(
        "tag:yaml.org,2002:float",
        re.compile(r"^[-+]?(?:[0-9][0-9_]*)?\.?[0-9]+(?:[eE][-+]?[0-9]+)?$|^[-+]?\.(?:inf|Inf|INF)$|^\.(?:nan|NaN|NAN)$"),
        _NUMBER_STARTS,
    )


_resolve_numbers()


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = key_node.value if isinstance(key_node, yaml.ScalarNode) else str(loader.construct_object(key_node))
        if key in result:
            raise DefinitionError(f"the key {key!r} stands twice", where=f"line {key_node.start_mark.line + 1}")
        result[key] = loader.construct_object(value_node, deep=True)
    return result


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)


# Each stage of each night reads the same few files, and PyYAML is slow: what the same text says is remembered.
@lru_cache(maxsize=64)
def _parse(text: str) -> Any:
    return yaml.load(text, _Loader)  # noqa: S506  # a SafeLoader


@lru_cache(maxsize=64)
def _compose(text: str) -> yaml.Node | None:
    return yaml.compose(text, Loader=yaml.SafeLoader)


def read_yaml(path: Path) -> Any:
    """The document in a file; raises DefinitionError with file and line when it is missing or not YAML."""
    try:
        return deepcopy(_parse(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise DefinitionError("there is no such file", where=str(path)) from None
    except UnicodeDecodeError:
        raise DefinitionError("the file is not UTF-8 text", where=str(path)) from None
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise DefinitionError(f"{error.problem or 'this is not YAML'}", where=f"{path}{line}") from None
    except yaml.YAMLError as error:  # a character that YAML does not know has no mark
        raise DefinitionError(str(error).splitlines()[0], where=str(path)) from None
    except OSError as error:
        raise DefinitionError(f"the file cannot be read ({error.strerror})", where=str(path)) from None
    except DefinitionError as error:
        raise DefinitionError(error.what, where=f"{path} {error.where}") from None


def line_of(path: Path, location: tuple[str | int, ...]) -> int:
    """The line, counted from 1, where the value at `location` begins, or its nearest parent."""
    node = _compose(path.read_text(encoding="utf-8"))
    line = 1
    for step in location:
        if isinstance(node, yaml.MappingNode):
            pair = next(((key, value) for key, value in node.value if key.value == step), None)
            if pair is None:
                break
            line, node = pair[0].start_mark.line + 1, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line = node.start_mark.line + 1
        else:
            break
    return line
