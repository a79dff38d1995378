"""What README and docs say must be so: commands that parse, attacks and links that exist."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from atk_latent.cli.main import COMMANDS, main
from atk_latent.config import spec as attack_words
from atk_latent.registry import ATTACKS, DATA, METHODS

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
        *ROOT.glob("docs/**/*.md"),
        ROOT / "reproduced" / "README.md",
        ROOT / "benchmarks" / "README.md",
    ]
)


def commands(text):
    """The words of every `atkl` line in a block of code."""
    for block in re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            if re.match(r"(ATKL_DATA_DIR=\S+ )?atkl +[a-z]", line.strip()):
                words = shlex.split(line[line.index("atkl") :], comments=True)[1:]
                yield words[: words.index(">")] if ">" in words else words


LINES = [
    pytest.param(words, id=f"{page.name}: {' '.join(words)}"[:90])
    for page in PAGES
    for words in commands(page.read_text())
    if words[1:] != ["..."]
]


@pytest.mark.parametrize("words", LINES)
def test_a_command_in_the_docs_parses(words):
    context = main.make_context("atkl", ["--help"], resilient_parsing=True)
    command = main.get_command(context, words[0])
    assert command, words[0]
    with command.make_context(words[0], list(words[1:]), parent=context) as parsed:
        values = parsed.params
    if "method" in values and values["method"]:
        assert values["method"] in METHODS
    for text in values.get("attacks") or ():
        name = attack_words(text)[0]
        assert name in ATTACKS or name.startswith("art:")


def test_there_are_commands_to_check():
    assert len(LINES) > 25
    assert {"harden", "evaluate", "audit", "report"} <= {p.values[0][0] for p in LINES}


def test_a_wrong_command_would_be_noticed():
    broken = next(iter(commands("```\natkl harden --methd pgd --data digits\n```")))
    with pytest.raises(Exception, match="methd"):
        test_a_command_in_the_docs_parses(broken)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page):
    generated = re.compile(
        r"(methods|attacks)/[\w-]+\.md|(suites|audit-checks|data-and-models|reproductions|command-line)\.md"
    )
    lost = []
    for target in re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text()):
        if not (page.parent / target).exists() and not generated.search(target):
            lost.append(target)
    assert not lost


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().split()) < 700


def test_every_name_has_a_page():
    pages = generated_pages()
    for name in METHODS:
        assert f"`{name}`" in pages["methods/index.md"]
        assert f"--method {name} " in pages[f"methods/{name}.md"]
    for name in ATTACKS:
        assert f"`{name}`" in pages["attacks/index.md"]
        assert f"--attack {name}\n" in pages[f"attacks/{name}.md"]
    for name in DATA:
        assert f"`{name}`" in pages["data-and-models.md"]
    for name in COMMANDS:
        assert f"## atkl {name}\n" in pages["command-line.md"]


def test_a_page_has_the_defaults_that_hold():
    pages = generated_pages()
    assert "| `steps` | `40` |" in pages["attacks/pgd.md"]
    assert "| `eps` | the customary radius of the images |" in pages["attacks/pgd.md"]
    assert "| `beta` | `6.0` |" in pages["methods/trades.md"]
    assert "- attacker sees: score-based" in pages["attacks/square.md"]
    assert "rays:eps={eps}" in pages["suites.md"]
    assert "## zero-gradients" in pages["audit-checks.md"]


def generated_pages():
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        import pages
    finally:
        sys.path.pop(0)
    return dict(pages.pages())


@pytest.mark.slow
def test_the_site_builds_strictly(tmp_path):
    pytest.importorskip("mkdocstrings")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path / "site"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    page = (tmp_path / "site" / "attacks" / "pgd.html").read_text()
    assert "AscentSettings" in page
    assert "fonts.googleapis" not in page
