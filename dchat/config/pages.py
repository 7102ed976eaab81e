"""The pages that are rendered from the models: validator-config.example.toml and docs/configuration.md.

`python -m dchat.config.pages` writes both into the current folder's repository; a test says when they are stale.
"""

from __future__ import annotations

import inspect
import json
import textwrap
import typing
from pathlib import Path

from pydantic.fields import FieldInfo

from dchat.config.sources import option_extra, sections

SCOPES = {
    "genesis": "For a new genesis; on a running chain the chain's value counts.",
    "none": "Accepted for old files; has no effect.",
    "later": "Accepted; this build does nothing with it.",
}


def toml_value(value: object) -> str:
    """A default as TOML; strings, numbers, booleans and lists of strings look the same in JSON."""
    return json.dumps(value)


def example_toml() -> str:
    """Every option at its default, with its meaning above it."""
    lines = [
        "# Options of a dchat validator. Every option stands here with its default; delete what you do not change.",
        "# A flag beats the environment (DCHAT_SECTION__OPTION and the short names below), which beats this file.",
        "# Relative paths are relative to the node's home, the folder of this file.",
    ]
    for name, model in sections().items():
        lines += ["", *_comment(inspect.cleandoc(model.__doc__ or "")), f"[{name}]"]
        for key, info in model.model_fields.items():
            lines += ["", *_comment(_meaning(name, key, info)), f"{key} = {toml_value(info.get_default())}"]
    return "\n".join(lines) + "\n"


def reference_page() -> str:
    """docs/configuration.md."""
    lines = [
        "# Configuration",
        "",
        "Rendered from `dchat/config/models.py` by `python -m dchat.config.pages`; do not edit.",
        "",
        "A node reads `validator-config.toml` in its home (or `--config FILE`). Flags beat the environment, the "
        "environment beats the file, the file beats the default. Every option is also the variable "
        "`DCHAT_SECTION__OPTION` (for example `DCHAT_NETWORK__MAX_PEERS`); lists are separated by commas there. An "
        "unknown section or key is an error that names the nearest known one. Durations are numbers in the unit of "
        'their section, or strings with a unit (`"500ms"`, `"3s"`, `"14d"`).',
        "",
        "`dchat validator --validate` checks the options and says what it would do, without starting.",
    ]
    for name, model in sections().items():
        lines += ["", f"## [{name}]", "", inspect.cleandoc(model.__doc__ or ""), ""]
        lines += ["| option | type | default | meaning |", "|---|---|---|---|"]
        for key, info in model.model_fields.items():
            default = toml_value(info.get_default())
            lines.append(f"| `{key}` | {_type_name(info)} | `{default}` | {_meaning(name, key, info)} |")
    return "\n".join(lines) + "\n"


def _meaning(section: str, key: str, info: FieldInfo) -> str:
    extra = option_extra(section, key)
    parts = [info.description or ""]
    if extra["scope"] in SCOPES:
        parts.append(SCOPES[extra["scope"]])
    if extra["env"]:
        parts.append(f"Also {extra['env']}.")
    return " ".join(parts)


def _type_name(info: FieldInfo) -> str:
    annotation = info.annotation
    if typing.get_origin(annotation) is typing.Literal:
        return ", ".join(f"`{value}`" for value in typing.get_args(annotation))
    if annotation == list[str]:
        return "list of strings"
    if annotation == list[int]:
        return "list of integers"
    return {int: "integer", str: "string", bool: "boolean", float: "number"}[typing.cast(type, annotation)]


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(" ".join(text.split()), width=110)]


def pages(root: Path) -> dict[Path, str]:
    """Path -> what it should hold."""
    return {
        root / "validator-config.example.toml": example_toml(),
        root / "docs" / "configuration.md": reference_page(),
    }


if __name__ == "__main__":
    for path, text in pages(Path(__file__).parents[2]).items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
