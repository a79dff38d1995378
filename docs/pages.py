"""The pages that are written from what the package declares: registry, specs, presets, help texts.

MkDocs calls `on_config` and `on_files` as its hooks.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import click
import yaml

from atk_latent.adversaries.spec import AttackSpec
from atk_latent.cli.main import main as atkl
from atk_latent.config import flat
from atk_latent.evaluation import suites
from atk_latent.evaluation.audit_checks import CHECKS
from atk_latent.methods.presets import rows
from atk_latent.registry import (
    ATTACKS,
    DATA,
    EXPERIMENTS,
    GENERATORS,
    METHODS,
    MODELS,
    Registry,
)

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Puts every method and every attack into the table of contents."""
    for folder, registry in (("methods/", METHODS), ("attacks/", ATTACKS)):
        place = next(entry for entry in config.nav if folder in entry.values())
        title = next(iter(place))
        place[title] = [f"{folder}index.md", *({name: f"{folder}{name}.md"} for name in registry)]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the generated pages to the written ones."""
    from mkdocs.structure.files import File

    for path, text in pages():
        files.append(File.generated(config, path, content=text))
    return files


def pages() -> Iterator[tuple[str, str]]:
    """Path and Markdown text of every generated page."""
    yield "methods/index.md", _index("Methods", METHODS, METHODS_INTRODUCTION)
    for name in METHODS:
        yield f"methods/{name}.md", method_page(name)
    yield "attacks/index.md", _attack_index()
    for name in ATTACKS:
        yield f"attacks/{name}.md", attack_page(name)
    yield "suites.md", suites_page()
    yield "audit-checks.md", audit_page()
    yield "data-and-models.md", data_page()
    yield "reproductions.md", experiments_page()
    yield "command-line.md", command_page()


METHODS_INTRODUCTION = """\
`atkl harden --method NAME`, a class in `atk_latent.methods`, an ART trainer in
`atk_latent.trainers`. Every setting on these pages is set with `--set key=value` or as a
keyword. `--preset` chooses what they start from: `paper`, `official` (the published code where
it differs) or `quick` (minutes on two cores). Which to take: [Choosing a
defence](../choosing-a-defence.md)."""


def _table(header: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    cells = [header, ["---"] * len(header), *lines]
    return "\n".join("| " + " | ".join(_cell(value) for value in line) + " |" for line in cells)


def _list(facts: Iterable[tuple[str, object]]) -> str:
    return "\n".join(f"- {key}: {value}" for key, value in facts if value)


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")


def _code(value: object) -> str:
    return f"`{value}`" if value not in ("", None, ()) else ""


def _index(title: str, registry: Registry, introduction: str) -> str:
    lines = [(f"[`{name}`]({name}.md)", registry.entry(name).summary) for name in registry]
    return f"# {title}\n\n{introduction}\n\n{_table((title[:-1], ''), lines)}\n"


def _directive(kind: type) -> str:
    """The docstring of a class, written by mkdocstrings."""
    return (
        f"::: {kind.__module__}.{kind.__qualname__}\n"
        "    options:\n      members: false\n      heading_level: 3\n"
    )


def method_page(name: str) -> str:
    """What a method does, its settings, and what each preset sets."""
    method = METHODS[name]
    return f"""\
# {name}

{METHODS.entry(name).summary[0].upper()}{METHODS.entry(name).summary[1:]}.

```
atkl harden --method {name} --data mnist --out runs/{name}
```

{_directive(method)}
## Settings

{_settings_table(method.settings_type)}

{_directive(method.settings_type)}
## Presets

What a preset sets on top of these defaults. On data without a row of its own a run's card says
`defaults`.

{_presets_table(name)}
"""


def _settings_table(kind: type) -> str:
    values = flat(kind())
    return _table(
        ("setting", "default"), ((_code(key), _code(v) or "none") for key, v in values.items())
    )


def _presets_table(name: str) -> str:
    lines = []
    for row in rows(name):
        if row.preset:
            where = ", ".join(row.data) + (f"; model {row.model}" if row.model else "")
            where += "".join(f"; with {key}={value}" for key, value in row.when.items())
            settings = ", ".join(f"`{key}={value}`" for key, value in row.settings.items())
            lines.append((_code(row.preset), where, settings))
    return _table(("preset", "data", "sets"), lines) if lines else "None."


def _attack_index() -> str:
    def line(name: str) -> tuple[str, ...]:
        spec: AttackSpec = ATTACKS[name]
        art = ATTACKS.entry(name).art_class
        return (
            f"[`{name}`]({name}.md)",
            spec.summary,
            spec.access,
            ", ".join(spec.norms),
            _code(art),
        )

    header = ("attack", "", "attacker sees", "norms", "ART class in `atk_latent.attacks`")
    return f"""\
# Attacks

`atkl evaluate RUN --data mnist --attack pgd:eps=8/255,steps=20`: a name, and what it takes. All of
ART's own attacks run on the estimator too; those that share a name with ours are `art:pgd`,
`art:square`, `art:autoattack`. Lengths are in [0, 1] pixels.

{_table(header, map(line, ATTACKS))}
"""


def attack_page(name: str) -> str:
    """What an attack does, what may be set, what the attacker knows."""
    spec: AttackSpec = ATTACKS[name]
    kind = spec.settings
    art = ATTACKS.entry(name).art_class
    facts = [
        ("attacker sees", spec.access),
        ("norms", ", ".join(spec.norms)),
        ("least number of classes", spec.least_classes),
        ("with fewer classes use", _code(spec.fewer_classes)),
        ("looks for", "the smallest change" if spec.minimal else "any change inside the radius"),
        ("needs beside the model", ", ".join(spec.needs)),
        ("ART class", _code(f"atk_latent.attacks.{art}") if art else ""),
    ]
    options = _options_table(spec)
    return f"""\
# {name}

{spec.summary[0].upper()}{spec.summary[1:]}.

```
atkl evaluate RUN --data mnist --attack {name}
```

{_list(facts)}

## Options

{options}

{_directive(kind)}
"""


def _options_table(spec: AttackSpec) -> str:
    """What ``name:key=value`` may set, with the defaults of the command line."""
    if spec.factory is None:
        return "See the settings below."
    values = spec.read_options({})
    open_values = {"eps": "the customary radius of the images"}
    lines = [
        (_code(key), open_values.get(key, "the attack's own") if value is None else _code(value))
        for key, value in values.items()
    ]
    return _table(("option", "default"), lines)


def suites_page() -> str:
    """Every suite as it is declared."""
    parts = [SUITES_INTRODUCTION]
    for name in suites.suite_names():
        text = (suites.FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
        description = yaml.safe_load(text)["description"]
        parts.append(f"## {name}\n\n{description}\n\n```yaml\n{text}```\n")
    return "\n".join(parts)


SUITES_INTRODUCTION = """\
# Suites

A suite is a named list of attacks: `atkl evaluate RUN --data mnist --suite fast`. `--suite
mine.yaml` takes a list of your own in the same form.
"""


def audit_page() -> str:
    """Every check of an audit, from its function's docstring."""
    parts = [AUDIT_INTRODUCTION]
    for check in CHECKS:
        title = check.__name__.replace("_", "-")
        parts.append(f"## {title}\n\n{inspect.getdoc(check)}\n")
    return "\n".join(parts)


AUDIT_INTRODUCTION = """\
# Audit checks

`atkl audit RUN --data mnist --eps 0.3` asks whether a robustness figure deserves belief. Each
check looks for one sign that attacks had no fair chance; where one fails, the command ends with
exit code 3.
"""


def data_page() -> str:
    """Data sets, classifiers and generators, from the registry."""
    parts = [DATA_INTRODUCTION]
    for title, registry in (
        ("Data sets", DATA),
        ("Classifiers", MODELS),
        ("LADDER's generators", GENERATORS),
    ):
        lines = [(_code(name), registry.entry(name).summary) for name in registry]
        parts.append(f"## {title}\n\n{_table(('name', ''), lines)}\n")
    return "\n".join(parts)


DATA_INTRODUCTION = """\
# Data and models

Names for `--data` and `--model`. Files in the folder that `ATKL_DATA_DIR` names (`mnist.npz`, ...)
are used instead of a download. Your own: [data](guides/data.md), [models](guides/models.md).
"""


def experiments_page() -> str:
    """Tables and figures that one command makes again."""
    lines = [
        (_code(name), EXPERIMENTS.entry(name).summary, EXPERIMENTS.entry(name).needs)
        for name in EXPERIMENTS
    ]
    return f"{EXPERIMENTS_INTRODUCTION}\n{_table(('experiment', '', 'needs'), lines)}\n"


EXPERIMENTS_INTRODUCTION = """\
# Reproductions

`atkl reproduce NAME` trains, attacks and writes a table or a figure of the papers with the
published values beside ours. It goes on where it was stopped. What was measured lies in the
repository's folder `reproduced/`.
"""


def command_page() -> str:
    """The help text of every command."""
    context = click.Context(atkl, info_name="atkl")
    parts = [f"# Command line\n\n```text\n{atkl.get_help(context)}\n```\n"]
    for name in atkl.list_commands(context):
        command = atkl.get_command(context, name)
        text = command.get_help(click.Context(command, info_name=f"atkl {name}", parent=None))
        parts.append(f"## atkl {name}\n\n```text\n{text}\n```\n")
    return "\n".join(parts)
