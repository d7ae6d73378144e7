"""Charts are well-formed, and their marks stand where the numbers say."""

from xml.etree import ElementTree

import pytest
from bench.chart import Bar, Line, bars, lines

SVG = "{http://www.w3.org/2000/svg}"


def drawn(text, tag):
    return ElementTree.fromstring(text).findall(f"{SVG}{tag}")


def test_ten_times_as_much_is_one_power_longer():
    rows = [Bar("a", 10.0, 10.0, 10.0), Bar("b", 100.0, 100.0, 100.0), Bar("c", 1000.0, 1000.0, 1000.0)]
    widths = [float(rect.get("width")) for rect in drawn(bars("t", "s", rows), "rect")]
    assert widths[2] - widths[1] == pytest.approx(widths[1] - widths[0], abs=0.2)


def test_a_range_beyond_every_value_is_drawn_to_its_end():
    text = bars("t", "s", [Bar("a", 10.0, 9.0, 1000.0), Bar("b", 100.0, 90.0, 110.0)])
    ranges = [line for line in drawn(text, "line") if line.get("y1") == line.get("y2")]
    ends = [float(line.get("x2")) for line in ranges]
    assert ends[0] > ends[1] > float(drawn(text, "rect")[1].get("width"))


def test_who_has_no_number_has_no_bar_but_a_reason():
    text = bars("t <&>", "s", [Bar("a", 5.0, 4.0, 6.0), Bar("b", None, note="not installed")])
    assert len(drawn(text, "rect")) == 1
    assert "not installed" in [label.text for label in drawn(text, "text")]
    assert drawn(bars("t", "s", [Bar("b", None, note="no")]), "rect") == []


def test_lines_go_through_their_points_and_the_value_in_use_is_marked():
    text = lines("t", "s", "x", [Line("p50", [(1.0, 1.0), (2.0, 3.0), (4.0, 2.0)])], marked=2.0)
    points = [tuple(map(float, pair.split(","))) for pair in drawn(text, "polyline")[0].get("points").split()]
    assert [x for x, _ in points] == sorted(x for x, _ in points)
    assert points[1][1] < points[2][1] < points[0][1]  # upwards is less
    assert len([line for line in drawn(text, "line") if line.get("stroke-dasharray")]) == 1


def test_a_flat_line_can_be_drawn():
    assert drawn(lines("t", "s", "x", [Line("p50", [(1.0, 1.0), (2.0, 1.0)])]), "polyline")
