"""Makes the lighteval details here, by lighteval's own classes, logger and writer (made with the release pinned below).

In an environment of its own (`pip install lighteval`): `python make_lighteval.py`. The texts are our own, and so
are the metrics' values; only the sampling is left out, which wants a model. 0.13.0 writes the columns `doc`,
`model_response` and `metric`; other releases wrote them with underscores around, which a test renames to.
"""

import shutil
import tempfile
from pathlib import Path

from datasets import Dataset
from lighteval.logging.evaluation_tracker import EvaluationTracker
from lighteval.logging.info_loggers import DetailsLogger
from lighteval.models.model_output import ModelResponse
from lighteval.tasks.requests import Doc

HERE = Path(__file__).parent
SAID = [
    ("2 + 2?", "4", ["4", "It is 5", "It is 4"], {"exact_match": 0.0, "pass@k": 1.0}),
    ("3 * 3?", "9", ["9", "9", "It is 6"], {"exact_match": 0.5, "pass@k": 1.0}),
]


def main() -> None:
    details = [
        DetailsLogger.Detail(
            Doc(query=f"Q: {question}\nA:", choices=[answer], gold_index=0, id=str(number), task_name="own|sums|0"),
            ModelResponse(text=texts, reasonings=["Let me see."] + [None] * 2, input=f"Q: {question}\nA:"),
            metric,
        )
        for number, (question, answer, texts, metric) in enumerate(SAID)
    ]
    with tempfile.TemporaryDirectory() as folder:
        tracker = EvaluationTracker(output_dir=folder, save_details=True)
        tracker.general_config_logger.model_name = "own-model"
        tracker.details_logger.details["own|sums|0"] = details
        made = {name: Dataset.from_list(rows) for name, rows in tracker.details.items()}
        tracker.save_details("2026-11-28T00-00-00", made)
        [path] = Path(folder).rglob("details_*.parquet")
        shutil.copy(path, HERE / "lighteval.parquet")


if __name__ == "__main__":
    main()
