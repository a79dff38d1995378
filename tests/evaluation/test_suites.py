"""Suites: those that come with the package, and what is said of a wrong file."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from atk_latent import config
from atk_latent.errors import InputError
from atk_latent.evaluation.suites import DEFAULT, Setup, load_suite, plan, suite_names
from atk_latent.registry import ATTACKS
from atk_latent.results.attack_result import Published

DIGITS, COLOUR = (28, 28, 1), (32, 32, 3)


def setup(shape=DIGITS, classes=10, **more):
    return Setup(shape, classes, **more)


def specs(planned):
    return [attack.spec for attack in planned.attacks]


def written(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return path


def planned(tmp_path, text, **more):
    return plan(load_suite(written(tmp_path, text)), setup(**more))


def test_the_suites_of_the_package():
    assert suite_names() == [
        *("atld-adaptive", "atld-static", "budgets", "fast", "full", "ladder", "transfer")
    ]


@pytest.mark.parametrize("name", suite_names())
@pytest.mark.parametrize("shape", [DIGITS, COLOUR])
def test_a_suite_can_be_planned_for_any_image(name, shape):
    suite = load_suite(name)
    assert suite.name == name and suite.description
    found = plan(
        suite,
        setup(
            shape,
            inference="imt",
            surrogates=("a", "b") if "surrogate" in suite.needs else (),
            values={"gan": "runs/song"} if "gan" in suite.variables else {},
        ),
    )
    assert found.attacks and not found.skipped
    assert all(config.spec(spec)[0] in ATTACKS and "{" not in spec for spec in specs(found))


def test_atld_static_is_the_papers_protocol():
    assert specs(plan(load_suite("atld-static"), setup())) == [
        "rs-fgsm:eps=0.3",
        "pgd:eps=0.3,step_size=0.075,keep=last,steps=20",
        "cw-pgd:eps=0.3,step_size=0.075,keep=last,steps=20",
        "pgd:eps=0.3,step_size=0.075,keep=last,steps=100",
        "cw-pgd:eps=0.3,step_size=0.075,keep=last,steps=100",
        "autoattack:eps=0.3",
    ]
    assert "pgd:eps=8/255,step_size=2/255,keep=last,steps=20" in specs(
        plan(load_suite("atld-static"), setup(COLOUR))
    )


def test_default_attacks():
    assert specs(plan(DEFAULT, setup())) == ["fgsm:eps=0.3", "pgd:eps=0.3"]
    assert specs(plan(DEFAULT, setup(COLOUR))) == ["fgsm:eps=8/255", "pgd:eps=8/255"]


def test_atld_adaptive_needs_imt():
    with pytest.raises(InputError, match="needs imt: .*--inference imt"):
        plan(load_suite("atld-adaptive"), setup())
    found = specs(plan(load_suite("atld-adaptive"), setup(inference="imt+:magnitude=0.2")))
    assert found[10:] == [
        *(
            f"through-imt:attack=pgd,backward={way},eps=0.3,step_size=0.075,steps=20"
            for way in ("identity", "exact", "straight-through", "smooth")
        ),
        "through-imt:attack=cw-pgd,eps=0.3,step_size=0.075,steps=20",
        "through-imt:attack=autoattack,eps=0.3",
    ]


def test_transfer_runs_on_every_surrogate_one_after_the_other():
    with pytest.raises(InputError, match="needs surrogate: .*--surrogate RUN"):
        plan(load_suite("transfer"), setup())
    found = plan(load_suite("transfer"), setup(surrogates=("plain", "pgd")))
    assert [attack.surrogate for attack in found.attacks] == ["plain"] * 3 + ["pgd"] * 3
    assert specs(found)[:3] == specs(found)[3:]


def test_ladder_holds_what_was_published_and_leaves_song_out_without_a_gan():
    found = plan(load_suite("ladder"), setup(data="mnist", surrogates=("a",)))
    source = "LADDER Table 2, vanilla row"
    assert found.clean_published == Published(value=0.9913, source=source)
    assert [attack.published.value for attack in found.attacks] == [
        *(0.466, 0.9391, 0.2993, 0.9909, 0.9956)
    ]
    (line,) = found.skipped
    assert line == "song:gan={gan} is left out: it needs 'gan', give it with --set gan=..."
    found = plan(load_suite("ladder"), setup(surrogates=("a",), values={"gan": "g"}))
    assert "song:gan=g" in specs(found)
    assert {attack.published for attack in found.attacks} == {found.clean_published} == {None}


def test_what_needs_more_classes_is_left_out():
    found = plan(load_suite("full"), setup(classes=2))
    assert found.skipped == (
        "autoattack:eps={eps} is left out: it needs 4 classes, the data have 2",
    )


def test_lists_shapes_groups_and_surrogates(tmp_path):
    text = """
    variables:
      eps: {28x28x1: [0.10, 0.2], other: 8/255}
      plain: runs/plain
    source: Mine, Table 1
    attacks:
      - surrogate: "{plain}"
        attacks:
          - attack: pgd:eps={eps}
            published: 0.25
          - attack: fgsm:eps={eps}
            source: Mine, Table 2
            published: {digits: 1/4, mnist: 0.5}
      - {attack: square, surrogate: none}
      - rays
    """
    found = planned(tmp_path, text, data="mnist", surrogates=("other",))
    assert specs(found) == [
        *("pgd:eps=0.10", "pgd:eps=0.2", "fgsm:eps=0.10", "fgsm:eps=0.2", "square", "rays")
    ]
    assert [a.surrogate for a in found.attacks] == ["runs/plain"] * 4 + [None, "other"]
    mine = Published(value=0.25, source="Mine, Table 1")
    assert [a.published for a in found.attacks[1:4:2]] == [
        mine, Published(value=0.5, source="Mine, Table 2")
    ]  # fmt: skip
    found = planned(tmp_path, text, shape=COLOUR, values={"plain": "x"}, surrogates=("y",))
    assert specs(found)[0] == "pgd:eps=8/255" and found.attacks[0].surrogate == "x"


WRONG = {
    "no mapping": ("- fgsm", "a suite must be a mapping of name, description.*Received"),
    "empty": ("", "a suite must be a mapping"),
    "no YAML": ("attacks: [", "is not YAML"),
    "no attacks": ("name: x", "attacks must be a list of attacks. Received: None"),
    "unknown key": ("atacks: [fgsm]", "a suite has no 'atacks'. Did you mean 'attacks'"),
    "unknown attack": ("attacks: [pgdd]", "unknown attack 'pgdd'. Did you mean 'pgd'"),
    "attack without name": ("attacks: [{}]", "attack must be text. Received: None"),
    "number as attack": ("attacks: [[1]]", r"an attack must be name:key=value,.*\['1'\]"),
    "entry key": ("attacks: [{attack: fgsm, eps: 1}]", "an attack has no 'eps'"),
    "need": ("needs: [gpu]\nattacks: [fgsm]", r"needs must be a list of surrogate, imt"),
    "variable": ("attacks: ['fgsm:eps={eps}']", "there is no variable 'eps'"),
    "variables": ("variables: 3\nattacks: [fgsm]", "variables must be name: value lines"),
    "shape": ("variables: {e: {28x28: 1}}\nattacks: [fgsm]", "28x28x1, or other.*'28x28'"),
    "published": ("source: T\nattacks: [{attack: fgsm, published: 46}]", "from 0 to 1"),
    "no number": ("source: T\nattacks: [{attack: fgsm, published: x}]", "must be a number"),
    "no source": ("attacks: [{attack: fgsm, published: 0.4}]", "has no source"),
    "truth": ("attacks: [{attack: fgsm, optional: maybe}]", "true or false. Received: 'maybe'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_file_is_named_and_so_is_what_is_wrong(tmp_path, case):
    text, message = WRONG[case]
    with pytest.raises(InputError, match=message) as found:
        load_suite(written(tmp_path, text))
    assert "mine.yaml" in str(found.value)


def test_a_file_that_is_not_there_and_a_name_that_is_not_known(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        load_suite(tmp_path / "nothing.yaml")
    with pytest.raises(InputError, match="Did you mean 'ladder'. Known: atld-adaptive, .*yaml"):
        load_suite("lader")


def test_what_is_given_must_be_used_and_what_is_needed_given(tmp_path):
    text = "variables: {eps: 0.3, run: }\nattacks: ['%s']\n"
    alone = text % "fgsm:eps={eps}"
    with pytest.raises(InputError, match="--set step: .*no such variable. Known: eps, run"):
        planned(tmp_path, alone, values={"step": "1"})
    with pytest.raises(InputError, match="song:gan={run}: it needs 'run'"):
        planned(tmp_path, text % "song:gan={run}")
    with pytest.raises(InputError, match="uses --surrogate a"):
        planned(tmp_path, f"{alone}surrogate: none", surrogates=("a",))
    with pytest.raises(InputError, match="the attack fgsm is named twice"):
        planned(tmp_path, "attacks: [fgsm, pgd, fgsm]")
    assert specs(planned(tmp_path, alone, values={"eps": "0.1"})) == ["fgsm:eps=0.1"]


def test_a_suite_is_read_without_tensorflow():
    code = (
        "import sys; from atk_latent.evaluation.suites import load_suite; load_suite('fast');"
        "sys.exit(any(name in sys.modules for name in ('tensorflow', 'keras', 'art')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_files_are_shipped():
    setup = (Path(__file__).parents[2] / "setup.py").read_text()
    assert '"atk_latent.evaluation": ["suites/*.yaml"]' in setup and '"pyyaml"' in setup


LAUGHS = "\n".join(
    ["a0: &a0 [fgsm]"]
    + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 10)]
    + ["attacks: *a9"]
)
HOSTILE = {
    "for itself": ("attacks: &a [{attacks: *a}]", "more than 20,000 parts, or for itself"),
    "for itself as a list": ("attacks: &a [*a]", "more than 20,000 parts, or for itself"),
    "for itself as a mapping": ("&a {attacks: *a}", "more than 20,000 parts, or for itself"),
    "for a billion": (LAUGHS, "more than 20,000 parts"),
    "deep": ("attacks: " + "[" * 50_000, "is not YAML"),
    "python": ("attacks: [!!python/object/apply:os.system [ls]]", "is not YAML"),
    "timestamp": ("attacks: [!!timestamp 2001-01-01]", "tags are not allowed"),
    "binary": ("attacks: [!!binary aGk=]", "tags are not allowed"),
    "number": ("attacks: [!!int 3]", "tags are not allowed"),
    "set": ("attacks: !!set {fgsm}", "tags are not allowed"),
    "large": ("#" * (1 << 21), "has 2,097,152 bytes"),
    "latin": (b"name: \xe9", "is no suite"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_file_is_one_line_at_once(tmp_path, case):
    text, message = HOSTILE[case]
    path = tmp_path / "mine.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=message):
        load_suite(path)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "mine.yaml")
    with pytest.raises(InputError, match="is a pipe"):
        load_suite(tmp_path / "mine.yaml")


def test_an_alias_may_say_again_what_was_said(tmp_path):
    text = "attacks:\n- &a fgsm:eps=0.1\n- {attack: *a, surrogate: runs/x}\n"
    assert specs(planned(tmp_path, text)) == ["fgsm:eps=0.1"] * 2
