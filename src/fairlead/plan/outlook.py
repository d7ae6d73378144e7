"""What the health board expects of a model: how long its reply takes, and how probable it is to come."""

from fairlead.catalog.model import Catalog
from fairlead.health.board import HealthBoard
from fairlead.plan.auto import Outlook
from fairlead.plan.score import Ask, expected_s


def board_outlook(catalog: Catalog, board: HealthBoard, ask: Ask, now: float) -> Outlook:
    """Return the outlook of models by what is known of their endpoints at `now`.

    The seconds are those of the fastest endpoint that takes requests. The reply comes if any of them answers, as if
    they failed independently of each other. `ask` is the same for every model, though some reply at greater length.

    Of a model that is avoided nobody would hear that it is back, so what the fleet knows of it is kept at hand.
    """

    def outlook(model_id: str) -> tuple[float, float]:
        least_s, all_fail = 0.0, 1.0
        for endpoint in catalog.endpoints.get(model_id, ()):
            health = board.of(endpoint.id, now)
            if endpoint.provider.weight <= 0:
                continue
            if health.is_out(now):
                board.asked(model_id, now)
                continue
            seconds = expected_s(health.estimate, ask)
            least_s = min(least_s, seconds) if least_s else seconds
            all_fail *= health.estimate.failure
        return least_s, 1.0 - all_fail

    return outlook
