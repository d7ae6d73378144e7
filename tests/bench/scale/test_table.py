"""What is made of the numbers."""

from dataclasses import replace

from bench.scale.choice import Choice
from bench.scale.cost import Cost, Rest
from bench.scale.filling import Filled
from bench.scale.keys import Pass, Stored
from bench.scale.plan import places
from bench.scale.workers import Served

from bench.scale import table


def cost(*cpu_us):
    return Cost([*cpu_us], [value / 2 for value in cpu_us], [1e6 / value for value in cpu_us], 60.0)


def lines(text):
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| ")]


def test_workers_are_compared_with_the_first_and_a_machine_that_is_too_small_is_named():
    found = {"1 worker": [cost(200), cost(210, 190)], "same core": [cost(250)], "2 cores": [cost(240)]}
    text = table.workers(found, places([0, 1]))
    assert lines(text)[1:] == [
        ["1 worker", "5 000 (4 762–5 263)", "1.00 ×", "200 (190–210)", "1.00 ×", "60.0"],
        ["same core", "4 000 (4 000–4 000)", "0.80 ×", "250 (250–250)", "1.25 ×", "60.0"],
        ["2 cores", "4 167 (4 167–4 167)", "0.83 ×", "240 (240–240)", "1.20 ×", "60.0"],
    ]
    assert "no two cores for the workers alone" in text
    assert "1.60 × of what one does" in text
    assert "had two cores of their own" in table.workers(found, places([0, 1, 2]))


def test_balance_is_most_beside_least():
    [_, even, empty] = lines(table.balance([Served(2, [10, 30], [500, 1_500]), Served(2, [0, 4], [0, 9])]))
    assert even == ["2", "40", "30 / 10", "3.00", "1 500 / 500", "3.00"]
    assert empty == ["2", "4", "4 / 0", "one has none", "9 / 0", "one has none"]


def test_choices_are_compared_with_the_smallest():
    small = Choice(1, 1, 1.2, cost(200), None, Rest(8.0, 2.0))
    large = replace(small, models=100, endpoints=100, one=cost(220), all=cost(300))
    [head, first, second] = lines(table.choices([small, large]))
    assert first[:7] == ["1", "1", "200 (200–200)", "1.00 ×", "100 (100–100)", "–", "–"]
    assert second[:7] == ["100", "100", "220 (220–220)", "1.10 ×", "110 (110–110)", "300 (300–300)", "1.50 ×"]
    assert len(head) == len(first)


def test_of_few_keys_it_is_not_said_what_each_takes():
    one = Stored(
        Filled(1, 0.1, 90_000.0, 1.0, 0.1), 1.2, cost(200), Pass(1, 6e3, 5.0, 5.0), Pass(1, 900.0, 0.6, 0.6), None
    )
    many = replace(
        one,
        filled=Filled(100_000, 2.0, 526.4, 60.0, 50.0),
        known=cost(210),
        turns=cost(400),
        first=Pass(2_000, 800.0, 9.0, 30.0),
    )
    assert [line[2] for line in lines(table.filled([one, many]))[1:]] == ["–", "526"]
    [_, few, plenty] = lines(table.keys([one, many]))
    assert (few[2], few[4:10]) == ("1.00 ×", ["–", "–", "–", "–", "5.00", "5.00"])
    assert (plenty[2], plenty[4:10]) == ("1.05 ×", ["400 (400–400)", "2.00 ×", "200 (200–200)", "800", "9.00", "30.0"])
