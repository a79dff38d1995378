"""Progress where stderr is a file: silent at first, then a line now and then."""

from atk_latent.cli._common import ProgressLines, progress_bars


def test_lines_come_after_ten_seconds_and_every_thirty(capsys):
    now = [0.0]
    show = ProgressLines("model", clock=lambda: now[0])
    for now[0] in (0.0, 5.0, 10.0, 11.0, 39.0, 41.0):
        show("pgd", int(now[0]), 50, {"loss": 0.123456})
    shown = capsys.readouterr()
    assert shown.out == ""
    lines = [line.split(" ", 1)[1] for line in shown.err.splitlines()]
    assert lines == [
        "model pgd loss 0.1235 10/50, left 0:00:40",
        "model pgd loss 0.1235 41/50, left 0:00:09",
    ]


def test_a_stage_inside_another_says_where_both_stand(capsys):
    now = [0.0]
    show = ProgressLines(clock=lambda: now[0])
    show("autoattack", 256, 500)
    for now[0], done in ((1.0, 0), (2.0, 100), (3.0, 0), (1203.0, 25)):  # begins again at 3
        show("autoattack: square (4 of 4)", done, 100, {"standing": 97})
    (line,) = capsys.readouterr().err.splitlines()
    assert line.split(" ", 1)[1] == (
        "autoattack: square (4 of 4) standing 97 25/100, autoattack 256/500, left 1:00:00"
    )


def test_a_short_command_writes_nothing(capsys):
    with progress_bars() as show:
        show("pgd", 1, 2)
    assert capsys.readouterr() == ("", "")
