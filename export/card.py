"""The robustness card of a bundle that is being exported, and what it must not be worse than."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from listen_edge.bundle.opening import open_bundle
from listen_edge.errors import BundleError
from listen_edge.evaluation.card.comparing import fallen_figures, refuse_unlike, refuse_worse
from listen_edge.evaluation.card.figures import Card, read_card
from listen_edge.evaluation.card.inputs import CardInputs, read_inputs
from listen_edge.evaluation.card.measure import measure_card
from listen_edge.runtime.engine import Engine

if TYPE_CHECKING:
    from listen_edge.export.build import BundleConfig

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PlannedCard:
    """A card that is measured once the bundle is written.

    Attributes:
        fold: of ESC-50, on which neither the run nor its calibration was fitted.
        replaced: the card that this one may not be worse than, unless that is accepted; None
            allows any.
    """

    fold: int
    inputs: CardInputs
    replaced: Card | None
    accept_worse: bool
    n_threads: int

    def measured(self, folder: Path) -> dict[str, Any]:
        """Return the entry of the manifest's `eval`, of the bundle in a folder.

        Raises:
            BundleError: it is worse than the card it replaces.
        """
        logger.info("measuring the robustness card")
        with Engine(open_bundle(str(folder)), backend="cpu", n_threads=self.n_threads) as engine:
            card = measure_card(engine, self.inputs)
        if self.replaced is not None and self.accept_worse:
            for fallen in fallen_figures(card, self.replaced):
                logger.warning("worse, as accepted: %s", fallen)
        elif self.replaced is not None:
            refuse_worse(card, self.replaced)
        return card.to_json()


def plan_card(config: BundleConfig) -> PlannedCard | None:
    """Read what a card needs before anything is exported; None where no fold is left for it.

    Raises:
        BundleError: nothing to compare, or a card of other recordings.
        AudioError, BenchmarkError: recordings or tables are missing.
    """
    fold = config.reported
    if fold is None and config.calibration is not None:
        fold = config.held_out  # no calibration has been fitted on it here
    if fold is None:
        if config.replaces is not None:
            raise BundleError(
                "--replaces compares robustness cards, and without --report-fold or --calibration "
                "none is measured; give one of them"
            )
        return None
    replaced = None if config.replaces is None else read_card(config.replaces)
    inputs = read_inputs(config.esc50, [fold], config.card)
    if replaced is not None:
        refuse_unlike(inputs.questions_sha256(), replaced)
    return PlannedCard(fold, inputs, replaced, config.accept_worse, config.n_threads)
