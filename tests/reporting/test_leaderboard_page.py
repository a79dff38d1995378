"""The leaderboard in a browser, under the policy that the page has for its readers."""

import json

import numpy as np
import pytest

from atk_latent.reporting.page import html, make_report
from atk_latent.results.files import read_results
from tests.result_files import (
    CLEAN,
    FIRST,
    LABELS,
    SECOND,
    TRANSFER,
    WHITE,
    attacked,
    audit_record,
    ball,
    card_record,
    evaluated,
    told,
)

from .browser import CHROMIUM, Browser
from .colours import contrast

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

LINF, SMALL = ball(WHITE, 0.3), ball(WHITE, 0.1)
NAMES = (
    "[...document.querySelectorAll('.board[open] tbody')[0].rows]"
    ".map(r=>r.cells[0].children[1].textContent)"
)
SHOWN = (
    "[...document.querySelectorAll('.board')].filter(b=>b.offsetHeight)"
    ".map(b=>b.querySelector('h3').textContent)"
)
FOCUS = "document.activeElement.textContent.trim()"


def toy(target, right, *attacks):
    record = evaluated(
        target, "toy", (5, 6), attacks, labels=tuple(LABELS), clean_predictions=tuple(CLEAN),
        class_names=("cat", "dog", "fox"),
    )  # fmt: skip
    return record if right is None else {**record, "data": "other"}


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A report of three models with records of images, one without, one on other data."""
    attacks = {
        "runs/a": (FIRST, SECOND), "runs/b-of-a-rather-long-name": (FIRST, FIRST),
        "runs/c": (SECOND, [2] * 6),
    }  # fmt: skip
    records = [
        toy(
            name, None, told("fgsm:eps=0.3", LINF, fgsm), told("pgd:eps=0.3,steps=20", LINF, pgd),
            told("pgd:eps=0.1", SMALL, fgsm), told("pgd:eps=0.3", ball(TRANSFER, 0.3), fgsm),
        )
        for name, (fgsm, pgd) in attacks.items()
    ]  # fmt: skip
    records += [evaluated("runs/d", "toy", (199, 200), [attacked("pgd:eps=0.3", LINF, 30)])]
    records += [toy("runs/e", "other", told("pgd:eps=0.3", LINF, FIRST))]
    records += [audit_record() | {"data": "toy", "target": "runs/c"}, card_record()]
    records += [card_record() | {"run": f"runs/{i}"} for i in range(6)]  # sections are folded
    folder = tmp_path_factory.mktemp("leaderboard")
    paths = []
    for i, record in enumerate(records):
        paths.append(folder / f"{i}.json")
        paths[-1].write_text(json.dumps(record))
    page = folder / "index.html"
    page.write_text(html(make_report(read_results(paths))))
    return page.as_uri()


def test_the_script_runs_under_the_policy_and_asks_nothing_of_a_network(browser, address):
    browser.open(address)
    assert browser.js("document.querySelector('.filters').hidden") is False
    assert browser.complaints() == []
    browser.js("document.body.append(Object.assign(document.createElement('script'),"
               "{textContent:'window.x=1'}))")  # fmt: skip
    assert browser.js("window.x") is None  # no other script may
    assert browser.complaints()


def test_without_a_script_every_row_is_there_and_no_control_is_dead(browser, address):
    browser.ask("Emulation.setScriptExecutionDisabled", value=True)
    browser.open(address)
    rows, controls = browser.js(
        "[document.querySelectorAll('.ranking tbody tr').length,"
        "[...document.querySelectorAll('button,select,input')].filter(e=>e.offsetHeight).length]"
    )
    browser.ask("Emulation.setScriptExecutionDisabled", value=False)
    assert rows == 3 + 3 + 3 + 1 + 1 and controls == 0


def test_sort_by_a_click_and_by_the_keyboard(browser, address):
    browser.open(address)
    a, b, c, d = "runs/a", "runs/b-of-a-rather-long-name", "runs/c", "runs/d"
    assert browser.js(NAMES) == [b, a, c, d]  # 4/6, 3/6, 1/6, 15%
    browser.js("document.querySelector('.ranking thead button').focus()")
    assert browser.js(FOCUS) == "model"
    browser.press("Enter")
    assert browser.js(NAMES) == [a, b, c, d]
    sorted_by = (
        "[...document.querySelectorAll('.ranking')[0].tHead.rows[0].cells].map(h=>h.ariaSort)"
    )
    assert browser.js(sorted_by) == ["ascending", *[None] * 6]
    browser.press(" ")
    assert browser.js(NAMES) == [d, c, b, a]
    assert browser.js(sorted_by)[0] == "descending"
    browser.press("Tab")
    assert browser.js(FOCUS) == "worst case, %"
    assert browser.js("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    browser.press(" ")
    assert browser.js(NAMES) == [b, a, c, d]  # numbers: the largest first
    browser.press(" ")
    assert browser.js(NAMES) == [d, c, a, b]
    browser.press("Tab")
    browser.press("Enter")
    assert browser.js(NAMES)[0] == d  # clean: 99.5%
    assert browser.js(sorted_by) == [None, None, "descending", *[None] * 4]


def choose(browser, name, value):
    browser.js(f"(s=>{{s.value={value!r};s.dispatchEvent(new Event('change',{{bubbles:true}}))}})"
               f"(document.querySelector('select[name={name}]'))")  # fmt: skip


def test_filter(browser, address):
    browser.open(address)
    options = browser.js(
        "[...document.querySelectorAll('.filters select')].map(s=>[...s.options].map(o=>o.value))"
    )
    attackers = ["", "White-box", "Transfer from runs/vanilla"]
    assert options == [["", "toy", "other"], attackers, ["", "Linf"], ["", "0.1", "0.3"]]
    assert len(browser.js(SHOWN)) == 4
    choose(browser, "eps", "0.1")
    assert browser.js(SHOWN) == ["toy: White-box, Linf, eps 0.1"]
    assert browser.js("document.querySelector('.board:not([hidden])').open")
    assert browser.js("document.querySelector('[role=status]').textContent") == (
        "1 of 4 tables, 3 rows"
    )
    choose(browser, "data", "other")
    assert browser.js(SHOWN) == []
    assert "No table has all of these" in browser.js(
        "document.querySelector('[role=status]').textContent"
    )
    browser.js("document.querySelector('.filters button').click()")
    assert browser.js(f"new Promise(r=>setTimeout(()=>r({SHOWN}.length),50))") == 4
    choose(browser, "access", attackers[2])
    assert browser.js(SHOWN) == ["toy: Transfer from runs/vanilla, Linf, eps 0.3"]


def test_hover_shows_the_numbers_of_a_point_and_its_row(browser, address):
    browser.open(address)
    caption = "document.querySelector('.told').textContent"
    resting = browser.js(caption)
    browser.hover("a.point circle")
    assert browser.js(caption).startswith("1  runs/b-of-a-rather-long-name: clean 83.3%, worst")
    assert browser.js("document.querySelector('tr.lit').cells[0].textContent").startswith(
        "1 runs/b"
    )
    browser.hover(".board figcaption")
    assert browser.js(caption) == resting and browser.js("document.querySelector('.lit')") is None
    browser.js("document.querySelectorAll('a.point')[1].focus()")
    assert browser.js(caption).startswith("2  runs/a: clean")
    browser.press("Enter")
    assert browser.js("document.querySelector(':target').cells[0].textContent").startswith(
        "2 runs/a"
    )


def test_two_models_image_by_image(browser, address):
    browser.open(address)
    counts = "[...document.querySelectorAll('.key')[0].children].map(e=>+e.children[1].textContent)"
    # b survives 0 2 3 4, a 0 3 4; 1 and 5 are lost by both
    assert browser.js(counts) == [3, 1, 0, 2]
    squares = "[...document.querySelectorAll('.images')[0].children].map(e=>e.textContent)"
    assert browser.js(squares) == ["■", "·", "A", "■", "■", "·"]
    assert browser.js("document.querySelector('.images').children[2].title") == (
        "image 2, true class dog: survived only by A: 1  runs/b-of-a-rather-long-name"
    )
    assert browser.js("document.querySelector('.answer details p').textContent") == "2"
    browser.js("(s=>{s.value='2';s.dispatchEvent(new Event('change'))})"
               "(document.querySelectorAll('.duel select')[1])")  # fmt: skip
    assert browser.js(counts) == [1, 3, 0, 2]  # c survives 4
    names = browser.js("[...document.querySelector('.duel select').options].map(o=>o.text)")
    assert [name.split()[1] for name in names] == [
        "runs/b-of-a-rather-long-name", "runs/a", "runs/c",
    ]  # fmt: skip


def test_a_link_to_a_row_opens_its_table_though_it_is_filtered_away(browser, address):
    browser.open(address)
    anchor = browser.js("[...document.querySelectorAll('tbody tr[id]')].at(-1).id")
    inside = (
        "new Promise(r=>setTimeout(()=>r((b=>b.height>0&&b.top>=0&&b.bottom<=innerHeight)"
        f"(document.getElementById('{anchor}').getBoundingClientRect())),300))"
    )
    browser.open(f"{address}#{anchor}")
    assert browser.js(inside)
    browser.open(address)
    choose(browser, "eps", "0.1")
    browser.js(f"location.hash='{anchor}'")
    assert browser.js(inside)


def test_a_row_leads_to_its_card_and_back(browser, address):
    browser.open(address)
    row = "[...document.querySelectorAll('tbody tr[id]')].find(r=>r.textContent.includes('runs/a'))"
    browser.js(f"{row}.querySelector('a').click()")
    assert browser.js("document.querySelector(':target').textContent") == (
        "Model card: ladder on mnist"
    )
    assert browser.js("document.querySelector(':target ~ details').open")
    browser.js("document.querySelector(':target ~ .back').click()")
    assert browser.js("document.querySelector(':target').cells[0].textContent").startswith(
        "2 runs/a"
    )


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 800, 390])
def test_nothing_is_wider_than_the_screen(browser, address, width, dark):
    browser.open(address, width=width, dark=dark)
    browser.js("document.querySelectorAll('.board').forEach(b=>{b.open=true})")
    assert browser.js("document.documentElement.scrollWidth") <= width
    over = browser.js(
        "[...document.querySelectorAll('.board .scroll')].map(e=>e.scrollWidth-e.clientWidth)"
    )
    assert len(over) == 4 + 3 and max(over) <= 1
    seen = "e=>(b=>b.width>20&&b.left>=0&&b.right<=innerWidth)(e.getBoundingClientRect())"
    assert browser.js(f"[...document.querySelectorAll('.ranking thead button')].every({seen})")
    pixels = browser.pixels()
    assert tuple(pixels[5, 5]) == ((0x14, 0x17, 0x1B) if dark else (255, 255, 255))
    assert len(np.unique(pixels @ [65536, 256, 1])) > 50
    ground = "#{:02x}{:02x}{:02x}".format(*pixels[5, 5])
    for selector in ("button", "select", ".scatter text", "td.bad", ".key", ".told"):
        colour = browser.js(f"getComputedStyle(document.querySelector('{selector}')).color")
        ink = "#{:02x}{:02x}{:02x}".format(*map(int, colour[4:-1].split(",")))
        assert contrast(ink, ground) >= 4.5, selector  # WCAG 2.2, 1.4.3
