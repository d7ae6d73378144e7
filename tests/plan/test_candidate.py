import math
import random

from fairlead.plan.score import Crowd, Weights, score
from plan.endpoints import candidate


def test_where_there_was_nothing_to_choose_there_are_no_terms():
    assert candidate("a").terms is None


def test_the_terms_of_one_that_was_scored_are_those_of_its_score():
    one = candidate("a", weight=2.0)
    score([one], [0.5], [0.25], 0.5, Crowd(1.0, 2.0, 2.0), Weights(sigma=0.0), random.Random(1))
    assert one.terms.score == one.scored[0]
    assert (one.terms.seconds, one.terms.price) == (0.5, 0.5 * math.log(0.25))
    assert one.terms.weight == -math.log(2.0) / Weights().theta
