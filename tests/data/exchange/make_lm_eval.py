"""Makes the lm-eval samples here, by lm-eval itself (made with 0.4.13) and a model that says what we wrote: no weights.

In an environment of its own (`pip install lm-eval torch`): `python make_lm_eval.py`. The texts are our own. Three draws
a question, two filters, so that every question stands in the file twice.
"""

import shutil
import tempfile
from pathlib import Path

import yaml
from lm_eval import simple_evaluate
from lm_eval.api.model import LM
from lm_eval.loggers import EvaluationTracker
from lm_eval.tasks import TaskManager

HERE = Path(__file__).parent
QUESTIONS = '{"question": "2 + 2?", "answer": "4"}\n{"question": "3 * 3?", "answer": "9"}\n'
SAID = {
    "plain": {"2 + 2": ["4", "It is 5", "It is 4"], "3 * 3": ["9", "9", "It is 6"]},
    "chat": {"2 + 2": ["It is 4", "4", "4"], "3 * 3": ["It is 9", "9", "9"]},
}
TASK = {
    "task": "own_sums",
    "dataset_path": "json",
    "output_type": "generate_until",
    "test_split": "train",
    "doc_to_text": "Q: {{question}}\nA:",
    "doc_to_target": "{{answer}}",
    "generation_kwargs": {"until": ["\n"]},
    "repeats": 3,
    "filter_list": [
        {"name": "strict", "filter": [{"function": "take_first"}]},
        {
            "name": "number",
            "filter": [{"function": "regex", "regex_pattern": "(\\d+)"}, {"function": "take_first"}],
        },
    ],
    "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
}


class Speaker(LM):
    """Says the texts above, in turn."""

    def __init__(self, texts):
        super().__init__()
        self.turns = {question: iter(said) for question, said in texts.items()}

    def generate_until(self, requests, disable_tqdm=False):
        asked = (next(question for question in self.turns if question in one.arguments[0]) for one in requests)
        return [next(self.turns[question]) for question in asked]

    def loglikelihood(self, requests, disable_tqdm=False):
        raise NotImplementedError

    loglikelihood_rolling = loglikelihood


def main() -> None:
    for name, texts in SAID.items():
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "questions.jsonl").write_text(QUESTIONS)
            task = TASK | {"dataset_kwargs": {"data_files": f"{folder}/questions.jsonl"}}
            (Path(folder) / "own_sums.yaml").write_text(yaml.safe_dump(task))
            manager = TaskManager(include_path=folder, include_defaults=False)
            tracker = EvaluationTracker(output_path=f"{folder}/out")
            found = simple_evaluate(
                Speaker(texts), tasks=["own_sums"], task_manager=manager, evaluation_tracker=tracker
            )
            samples = found.pop("samples")
            tracker.save_results_aggregated(found, samples)
            tracker.save_results_samples("own_sums", samples["own_sums"])
            [made] = Path(f"{folder}/out").rglob("samples_own_sums_*.jsonl")
            shutil.copy(made, HERE / f"lm-eval-{name}.jsonl")


if __name__ == "__main__":
    main()
