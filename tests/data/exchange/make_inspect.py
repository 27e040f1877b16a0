"""Makes the Inspect logs here, by inspect-ai itself (made with 0.3.285) and its mock model: no network, no weights.

In an environment of its own (`pip install inspect-ai`): `python make_inspect.py`. The texts are our own. One sample
fails in one epoch, one thinks before it answers, one is cut off. Events and tracebacks are taken out through inspect-ai's
own reader and writer: they are long and name the folders of whoever made them.
"""

import shutil
import tempfile
from pathlib import Path

from inspect_ai import Task
from inspect_ai import eval as evaluate
from inspect_ai.dataset import Sample
from inspect_ai.log import read_eval_log, write_eval_log
from inspect_ai.log._recorders.chunked.convert import convert_eval_logs_to_chunked
from inspect_ai.model import (
    ChatMessageSystem,
    ChatMessageUser,
    ContentReasoning,
    ContentText,
    ModelOutput,
    get_model,
)
from inspect_ai.scorer import Score, includes, mean, scorer
from inspect_ai.solver import Generate, TaskState, generate, solver

HERE = Path(__file__).parent
COLOURS = iter(["Blue.", "Sky blue.", "A deep red.", "Blue.", "White.", "Green.", "Grey."])
SUMS = iter(["It is 4.", "It is 5.", "4", "4"])


async def few_tokens(self, text):
    """The mock model counts tokens with a vocabulary from the internet."""
    return len(str(text)) // 4


def answer(messages, tools, tool_choice, config):
    asked = messages[-1].text
    if "colour" in asked:
        return ModelOutput.from_content("mockllm/model", next(COLOURS))
    text = next(SUMS)
    if text == "4":
        parts = [ContentReasoning(reasoning="Two and two make four."), ContentText(text=text)]
        return ModelOutput.from_content("mockllm/model", parts)
    return ModelOutput.from_content("mockllm/model", text, stop_reason="max_tokens" if "5" in text else "stop")


@solver
def may_fail():
    async def solve(state: TaskState, generate: Generate) -> TaskState:
        if state.sample_id == "fails" and state.epoch == 2:
            raise RuntimeError("the tool of this sample broke")
        return state

    return solve


@scorer(metrics=[mean()])
def words():
    async def score(state: TaskState, target) -> Score:
        return Score(value=len(state.output.completion.split()))

    return score


def task() -> Task:
    samples = [
        Sample(id="colour", input="Name a colour.", target=["Blue", "Red"]),
        Sample(
            id=7,
            input=[ChatMessageSystem(content="Answer in few words."), ChatMessageUser(content="What is 2 + 2?")],
            target="4",
        ),
        Sample(id="fails", input="Name a colour of the sky.", target="Blue"),
    ]
    return Task(
        name="own_texts", dataset=samples, solver=[may_fail(), generate()], scorer=[includes(), words()], epochs=4
    )


def main() -> None:
    model = get_model("mockllm/model", custom_outputs=answer)
    type(model.api).count_text_tokens = few_tokens
    with tempfile.TemporaryDirectory() as folder:
        [log] = evaluate(task(), model=model, log_dir=folder, fail_on_error=False, max_samples=1, display="none")
        log = read_eval_log(log.location)
        for sample in log.samples:
            sample.events, sample.attachments = [], {}
            if sample.error:
                sample.error.traceback = sample.error.traceback_ansi = ""
        log.eval.revision = None
        write_eval_log(log, str(HERE / "inspect.eval"))
        write_eval_log(log, str(HERE / "inspect.json"))
        convert_eval_logs_to_chunked(str(HERE / "inspect.eval"), folder)
        shutil.copy(Path(folder) / "inspect.eval", HERE / "inspect-chunked.eval")


if __name__ == "__main__":
    main()
