"""Makes the TRL completions here, by TRL's own GRPOTrainer (made with 1.16.0) and a model of a few thousand weights.

In an environment of its own (`pip install trl torch`): `python make_trl.py`. The prompts are our own; the completions
are what weights drawn at random say. One step of training, four completions a prompt, two reward functions.
"""

import shutil
import tempfile
from pathlib import Path

from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trl import GRPOConfig, GRPOTrainer

HERE = Path(__file__).parent
WORDS = "name a colour of the sky blue red green grey white deep what is user assistant".split()  # noqa: SIM905
TEMPLATE = (
    "{% for m in messages %}{{ m['role'] }} {{ m['content'] }} {% endfor %}"
    "{% if add_generation_prompt %}assistant {% endif %}"
)


def tokenizer():
    words = {word: place for place, word in enumerate(["<pad>", "<end>", "<unknown>", *WORDS])}
    made = Tokenizer(models.WordLevel(words, unk_token="<unknown>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", eos_token="<end>", unk_token="<unknown>", chat_template=TEMPLATE
    )


def colours(completions, **_):
    """How many colours are named."""
    texts = [one if isinstance(one, str) else one[-1]["content"] for one in completions]
    return [float(sum(word in ("blue", "red", "green", "grey", "white") for word in text.split())) for text in texts]


def brevity(completions, **_):
    texts = [one if isinstance(one, str) else one[-1]["content"] for one in completions]
    return [1 / (1 + len(text.split())) for text in texts]


def main() -> None:
    words = tokenizer()
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(words), hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
            pad_token_id=0, eos_token_id=1, bos_token_id=1,
        )
    )  # fmt: skip
    asked = ["name a colour", "what colour is the sky"]
    prompts = {"text": asked, "messages": [[{"role": "user", "content": text}] for text in asked]}
    for name, rows in prompts.items():
        with tempfile.TemporaryDirectory() as folder:
            config = GRPOConfig(
                output_dir=folder, per_device_train_batch_size=8, num_generations=4, max_completion_length=5,
                max_steps=1, logging_steps=1, log_completions=True, report_to="none", use_cpu=True, bf16=False, seed=3,
                save_strategy="no",
            )  # fmt: skip
            data = Dataset.from_dict({"prompt": rows})
            GRPOTrainer(model, [colours, brevity], config, train_dataset=data, processing_class=words).train()
            [made] = Path(folder).rglob("completions_*.parquet")
            shutil.copy(made, HERE / f"trl-{name}.parquet")


if __name__ == "__main__":
    main()
