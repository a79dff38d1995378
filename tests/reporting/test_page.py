"""The page: whole by itself, safe from names, and fair in what it says."""

import re
import subprocess
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from atk_latent.errors import InputError
from atk_latent.reporting.outcomes import outcomes_of
from atk_latent.reporting.page import html, make_report, markdown_page, write_report
from atk_latent.reporting.tables import csv_text, latex
from atk_latent.reporting.verdicts import attack_verdict
from atk_latent.results.files import read_result, read_results

from .browser import CHROMIUM
from .colours import contrast, luminance

KINDS = ("evaluation", "audit", "comparison", "card")
HOSTILE = "<script>alert(1)</script>\"' onload=x {{ 7*7 }} | & \\"
VOID = {"meta", "path", "use", "rect", "circle", "img"}


class Page(HTMLParser):
    """Collects tags, checks that they close, and text outside of attributes."""

    def __init__(self, source):
        super().__init__()
        self.open, self.tags, self.words = [], [], []
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture(scope="module")
def report(files):
    return make_report(read_results(list(files.values())), "A title")


@pytest.fixture(scope="module")
def page(report):
    return Page(html(report))


def test_the_page_is_whole_and_asks_nothing_of_a_network(page, report):
    assert page.open == []
    assert not {"link", "iframe", "object"} & {tag for tag, _ in page.tags}
    for tag, attrs in page.tags:
        inside = ("data:image/png;base64,",) if tag == "img" else ("#",)
        for name in ("href", "src", "xlink:href"):
            assert attrs.get(name, inside[0]).startswith(inside)
    source = html(report)
    assert "url(http" not in source and "@import" not in source
    policy = next(attrs["content"] for attrs in page.all("meta") if "http-equiv" in attrs)
    script, policy = (
        re.search("script-src '(.+?)'; ", policy)[1],
        re.sub("script-.+?; ", "", policy),
    )
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    assert page.all("script") == [{"type": "application/json", "id": "leaderboard-data"}, {}]
    (source,) = re.findall("<script>(.+?)</script>", source, re.DOTALL)
    assert script == f"sha256-{b64encode(sha256(source.encode()).digest()).decode()}"


def test_a_report_of_one_model_has_no_script(files):
    source = html(make_report([read_result(files["evaluation"])]))
    assert "<script" not in source and "script-src" not in source


def test_landmarks_headings_and_labels(page):
    assert page.all("html") == [{"lang": "en"}]
    for tag in ("header", "nav", "main", "footer", "h1"):
        assert len(page.all(tag)) == 1
    assert page.all("title").count({}) == 1  # the figures' titles have an id
    assert page.tags[[t for t, _ in page.tags].index("body") + 1] == (
        "a",
        {"class": "skip", "href": "#main"},
    )
    levels = [int(tag[1]) for tag, _ in page.tags if tag in ("h1", "h2", "h3", "h4")]
    assert levels[0] == 1
    assert all(b - a <= 1 for a, b in zip(levels, levels[1:], strict=False))
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    for _, attrs in page.tags:
        wanted = attrs.get("aria-labelledby", "").split()
        wanted += [attrs["href"][1:]] if attrs.get("href", "").startswith("#") else []
        assert set(wanted) <= set(ids)


def test_tables_have_captions_scopes_and_a_container_to_scroll_by_keyboard(page):
    assert len(page.all("table")) == len(page.all("caption")) >= 6
    assert all(attrs.get("scope") in ("col", "row") for attrs in page.all("th"))
    scroll = [attrs for attrs in page.all("div") if attrs.get("class") == "scroll"]
    assert len(scroll) == len(page.all("table"))
    assert all(attrs["tabindex"] == "0" and attrs["role"] == "region" for attrs in scroll)


def test_verdicts_are_words_beside_icons(report, page):
    words = "".join(page.words)
    assert "Passed" in words and "Failed" in words and "Not robust" in words
    icons = [attrs for attrs in page.all("svg") if attrs.get("class") == "icon"]
    assert icons and all(attrs["aria-hidden"] == "true" for attrs in icons)
    pictures = [attrs for attrs in page.all("svg") if attrs.get("role") == "img"]
    assert len(pictures) == len(report.charts)


def test_a_hostile_name_stays_text(evaluation, audit, comparison, card, write):
    evaluation["target"] = audit["target"] = comparison["title"] = card["method"] = HOSTILE
    evaluation["attacks"][0]["attack"] = comparison["rows"][0]["label"] = HOSTILE
    evaluation["attacks"][0]["threat_model"]["crafted_on"] = HOSTILE
    audit["checks"][0]["name"] = audit["checks"][0]["verdict"] = HOSTILE
    card["settings"][HOSTILE] = card["class_names"][0] = HOSTILE
    records = (evaluation, audit, comparison, card)
    paths = [write(f"{i}.json", record) for i, record in enumerate(records)]
    report = make_report(read_results(paths), HOSTILE)
    page = Page(html(report))
    assert page.open == [] and len(page.all("script")) == 2
    assert html(report).count("</script>") == 2 and "alert(1)<" not in html(report)
    assert not any("onload" in attrs for _, attrs in page.tags)
    assert HOSTILE in "".join(page.words)
    assert "<script" not in markdown_page(report)


def verdict(record, write):
    result = read_result(write("e.json", record)).result
    return attack_verdict(result.title, outcomes_of(result))


def test_the_verdict_is_the_strongest_bounded_attack_on_the_model_itself(evaluation, write):
    found = verdict(evaluation, write)
    assert found.tone == "bad" and found.word == "Not robust"
    assert "pgd, eps 0.3 (white-box, Linf), leaves 15.0% [10.7, 20.6] of 200 images" in found.says
    assert "without attack 99.0%" in found.says
    assert "most images" in found.means and "upper bound" in found.not_means


def test_transfer_or_static_numbers_alone_prove_nothing(evaluation, write):
    evaluation["attacks"] = evaluation["attacks"][2:3]
    found = verdict(evaluation, write)
    assert found.tone == "open" and "Nothing attacked the model as it is deployed" in found.means
    static = {"access": "white-box", "norm": "linf", "knows_defence": "unaware", "defence": "imt"}
    evaluation["attacks"][0]["threat_model"] = static
    assert verdict(evaluation, write).tone == "open"


@pytest.mark.parametrize(
    ("left", "tone", "share"),
    [(0.05, "bad", "nearly every"), (0.3, "bad", "most"), (0.6, "fair", "a part"),
     (0.95, "good", "few")],
)  # fmt: skip
def test_tones(evaluation, write, left, tone, share):
    evaluation["attacks"] = evaluation["attacks"][1:2]
    evaluation["attacks"][0] |= {"robust_accuracy": left, "low": left - 0.02, "high": left + 0.02}
    found = verdict(evaluation, write)
    assert found.tone == tone and share in found.means and not found.doubts


def held(evaluation, **more):
    """One attack that breaks nothing."""
    evaluation["attacks"] = evaluation["attacks"][1:2]
    evaluation["attacks"][0] |= {"robust_accuracy": 0.95, "low": 0.9, "high": 0.99, **more}
    return evaluation


@pytest.mark.parametrize(
    ("more", "doubt"),
    [
        ({"spec": "fgsm:eps=0.3"}, "Only attacks of a single step"),
        ({"spec": "art:fgsm:eps=0.3"}, "Only attacks of a single step"),
        ({"spec": "pgd:eps=0.3,steps=1"}, "Only attacks of a single step"),
        ({"warnings": ["gradients are zero for 40 images"]}, "gradients are zero for 40 images."),
    ],
)
def test_little_evidence_and_warnings_are_said_in_short_and_never_called_held(
    evaluation, write, more, doubt
):
    found = verdict(held(evaluation, **more), write)
    assert found.tone == "open" and found.word != "Held" and doubt in found.doubt
    report = make_report([read_result(write("e.json", evaluation))])
    short = html(report).partition("In short</h2>")[2].partition("</section>")[0]
    assert "Doubtful." in short and doubt in short
    assert doubt in markdown_page(report).partition("## ")[0]


def test_few_images_are_never_enough(evaluation, write):
    evaluation = held(evaluation) | {"n": 20}
    evaluation["attacks"][0]["n"] = 20
    found = verdict(evaluation, write)
    assert found.word == "Not known" and "20 images are few" in found.doubt


def test_a_failed_audit_of_the_same_target_is_said_in_short(evaluation, audit, write):
    paths = [write("e.json", held(evaluation)), write("a.json", audit)]
    about, audited = make_report(read_results(paths)).verdicts
    assert (about.word, audited.word) == ("Not known", "Failed")
    assert "signs of masked gradients: restarts" in about.doubt
    audit["target"] = "runs/other"
    paths = [paths[0], write("b.json", audit)]
    assert make_report(read_results(paths)).verdicts[0].word == "Held"


def test_many_files_begin_with_one_comparison(evaluation, told_evaluation, write):
    """20 models: tables of all, the worst last; no figure of one alone, few pictures."""
    paths = []
    for i in range(20):
        record = {**(evaluation if i % 2 else told_evaluation), "target": f"runs/{i}"}
        paths.append(write(f"{i}.json", record))
    report = make_report(read_results(paths))
    boards = report.leaderboard.boards
    assert len({row.model for board in boards for row in board.rows}) == 20
    for board in boards:
        values = [row[1].value for row in board.table.rows]
        assert len(values) == 10 and values == sorted(values, reverse=True)
    assert len(report.verdicts) == 20
    source = html(report)
    assert source.index("<table") < source.index('<article class="verdict')
    assert "Each in words (20)" in source
    assert len(report.figures) < 20 and len(source) < 3_000_000
    assert Page(source).open == []


def test_a_record_of_400_attacks_is_a_page_at_once(told_evaluation, write, tmp_path):
    attack = told_evaluation["attacks"][1]
    told_evaluation["attacks"] = [
        {**attack, "spec": f"pgd:eps=0.3,steps={k}"} for k in range(2, 402)
    ]
    report = make_report([read_result(write("e.json", told_evaluation))])
    assert len(report.parts[0].tables[0].rows) > 400
    assert len(report.parts[0].panels) == 24 and sum(p.first for p in report.parts[0].panels) == 1
    assert len(report.figures) < 60 and Page(html(report)).open == []


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
@pytest.mark.parametrize("width", [1280, 390])
def test_tables_are_whole_on_a_screen_and_on_a_phone(told_evaluation, write, tmp_path, width):
    """Ten classes of long names and ten columns: nothing is to be scrolled to."""
    names = [
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    ]
    told_evaluation["class_names"] = names
    for attack in told_evaluation["attacks"]:
        attack["published"] = {"value": 0.5, "source": "A paper, Table 2"}
    source = html(make_report([read_result(write("e.json", told_evaluation))]))
    source = source.replace("default-src 'none';", "script-src 'unsafe-inline';")
    source = source.replace('<details class="panel">', '<details class="panel" open>')
    probe = (
        "<script>onload=()=>parent.postMessage([...document.querySelectorAll('.scroll')]"
        ".map(e=>e.scrollWidth-e.clientWidth),'*')</script>"
    )
    (tmp_path / "page.html").write_text(source.replace("</body>", f"{probe}</body>"))
    frame = tmp_path / "frame.html"
    frame.write_text(
        f"<iframe src=page.html style='border:0;width:{width}px;height:900px'></iframe>"
        "<pre id=wide></pre><script>onmessage=e=>{wide.textContent=e.data}</script>"
    )
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=20000"]
    flags += [f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", frame.as_uri()]
    done = subprocess.run([CHROMIUM, *flags], capture_output=True, text=True, timeout=240)
    over = [
        int(part) for part in done.stdout.partition('id="wide">')[2].partition("<")[0].split(",")
    ]
    assert len(over) == 8 and max(over) <= 1


CONTROLS = "\x1b[31mred\x1b[0m \u202eback\u202c \x00\x07"


def test_what_a_terminal_or_a_page_obeys_is_written_out(evaluation, comparison, card, write):
    evaluation["target"] = comparison["rows"][0]["label"] = card["class_names"][0] = CONTROLS
    evaluation["attacks"][0]["attack"] = "=cmd()" + CONTROLS
    records = (evaluation, comparison, card)
    paths = [write(f"{i}.json", record) for i, record in enumerate(records)]
    report = make_report(read_results(paths), CONTROLS)
    texts = [html(report), markdown_page(report)]
    texts += [form(table) for table in report.tables for form in (csv_text, latex)]
    texts += [chart.svg(alone=True) for chart in report.figures]
    for letter in "\x1b\u202e\x00\x07":
        assert not any(letter in text for text in texts)
    assert "\\x1b[31mred" in texts[0]
    assert any("'=cmd()" in text for text in texts)


def test_no_attack_is_no_knowledge(evaluation, write):
    evaluation["attacks"] = []
    assert verdict(evaluation, write).tone == "open"
    assert "No attack was run" in html(make_report([read_result(write("e.json", evaluation))]))


def test_a_comparison_names_the_best_of_each_kind(files):
    found = make_report([read_result(files["comparison"])]).verdicts
    assert [v.about for v in found] == ["PGD & Co, best of 2 on Defences"] * 2
    assert [v.tone for v in found] == ["fair", "open"]


def test_every_file_is_written_and_the_markdown_finds_its_figures(
    files, told_evaluation, write, tmp_path
):
    del told_evaluation["attacks"][1:]
    paths = [*(files[kind] for kind in KINDS), write("told.json", told_evaluation)]
    report = make_report(read_results(paths))
    written = write_report(report, tmp_path / "out")
    names = {str(path.relative_to(tmp_path / "out")) for path in written}
    assert all(path.stat().st_size for path in written)
    assert written[0].name == "index.html"
    assert {"index.html", "report.md", "card-4-ladder-on-mnist.md"} <= names
    markdown = (tmp_path / "out" / "report.md").read_text()
    for chart in report.charts:
        assert f"](figures/{chart.name}.svg)" in markdown
    for chart in report.figures:
        assert {f"figures/{chart.name}.svg", f"figures/{chart.name}.png"} <= names
    assert len([name for name in names if name.endswith(".csv")]) == len(report.tables) == 15


def test_a_panel_shows_images_with_words_beside_them(report, page):
    pictures = page.all("img")
    assert len(pictures) == 6 * 3 * 3  # attacks, examples, pictures of each
    alternatives = [attrs["alt"] for attrs in pictures[:3]]
    assert alternatives == [
        "image 1, true class cat, as it is",
        "image 1, true class cat, the change made by the attack",
        "image 1, true class cat, after the attack",
    ]
    words = "".join(page.words)
    assert "predicted cat (75.0%)" in words and "predicted dog (50.0%)" in words
    assert "scale ±0.3, L2 1.2" in words and "misled" in words and "wrong before" in words
    markdown = markdown_page(report)
    assert "Image 1, true class cat, misled: original, predicted cat (75.0%);" in markdown
    assert "quick" in words and "no surrogate" in words


def test_only_the_strongest_panel_is_open(page):
    panels = [attrs for attrs in page.all("details") if attrs.get("class") == "panel"]
    assert ["open" in attrs for attrs in panels] == [False, False, False, False, True, False]


def test_the_headline_is_the_worst_case_and_a_transfer_number_is_none(
    files, told_evaluation, write
):
    del told_evaluation["attacks"][4:]
    (found,) = make_report([read_result(write("e.json", told_evaluation))]).verdicts
    assert found.headline.value == 0.5 and found.headline.n == 6
    assert "50.0% [18.8, 81.2] of 6 images survive every one of 2 attacks" in found.says
    assert "(white-box, Linf, eps 0.3): fgsm; pgd, steps=20; without attack 83.3%" in found.says
    told_evaluation["attacks"] = told_evaluation["attacks"][3:]
    (found,) = make_report([read_result(write("e.json", told_evaluation))]).verdicts
    assert found.headline is None and found.tone == "open"


def test_shaded_cells_are_read_in_light_and_dark(report, page):
    cells = [
        attrs["class"].split() for attrs in page.all("td") if "shade" in attrs.get("class", "")
    ]
    assert ["number", "shade-10", "same"] in cells and ["number", "shade-0"] in cells
    rules = re.findall(r"\.shade-(\d+)\{background:(#\w+);color:(#\w+)\}", html(report))
    assert [int(step) for step, _, _ in rules] == [*range(1, 11)] * 2
    assert all(contrast(ground, ink) >= 4.5 for _, ground, ink in rules)  # WCAG 2.2, 1.4.3
    light = [luminance(ground) for _, ground, _ in rules]
    assert light[:10] == sorted(light[:10], reverse=True) and light[10:] == sorted(light[10:])


def test_a_folder_that_holds_something_is_left_alone(files, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("x")
    with pytest.raises(InputError, match="not empty"):
        write_report(make_report(read_results([files["audit"]])), tmp_path / "out")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["mine.txt"]


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
@pytest.mark.parametrize(
    ("width", "scheme", "ground"),
    [(1200, 1, (255, 255, 255)), (1200, 0, (0x14, 0x17, 0x1B)), (360, 1, (255, 255, 255))],
    ids=["light", "dark", "phone"],
)
def test_chromium_shows_the_page(report, tmp_path, width, scheme, ground):
    """In a frame, for a window of Chromium is never as narrow as a phone."""
    source = html(report).replace("default-src 'none';", "script-src 'unsafe-inline';")
    source = source.replace('<details class="panel">', '<details class="panel" open>')
    probe = (
        "<script>onload=()=>parent.postMessage([document.documentElement.scrollWidth,"
        "[...document.images].filter(i=>i.naturalWidth===4).length],'*')</script>"
    )
    (tmp_path / "page.html").write_text(source.replace("</body>", f"{probe}</body>"))
    frame = tmp_path / "frame.html"
    frame.write_text(
        f"<body style='margin:0'><iframe src=page.html style='border:0;width:{width}px;"
        "height:2000px'></iframe><pre id=wide></pre><script>onmessage=e=>{wide.textContent="
        "e.data}</script></body>"
    )
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    flags += [f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={max(width, 520)},2000"]
    flags += [f"--blink-settings=preferredColorScheme={scheme}", "--virtual-time-budget=20000"]
    flags += [f"--screenshot={tmp_path / 'shot.png'}", "--dump-dom", frame.as_uri()]
    done = subprocess.run([CHROMIUM, *flags], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    found = done.stdout.partition('id="wide">')[2].partition("<")[0].split(",")
    assert int(found[0]) <= width and int(found[1]) == len(Page(source).all("img")) == 54
    image = np.asarray(Image.open(tmp_path / "shot.png").convert("RGB"))
    assert tuple(image[5, 5]) == ground
    assert len(np.unique(image.reshape(-1, 3), axis=0)) > 50
