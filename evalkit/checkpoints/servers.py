"""Who answers at a URL: what a server tells of the model that it serves, and whether that names its weights.

A URL and a model's name outlive the weights behind them. What servers tell, as seen on vLLM 0.32 and in the others'
documentation:

- `GET /v1/models`, all of them: id, owned_by; vLLM also root, parent, max_model_len; llama.cpp sizes under `meta`.
  `created` is left out: for vLLM, SGLang and llama.cpp it is the time of the request.
- vLLM `/version`; llama.cpp `/props` (model_path, build_info, chat_template); SGLang `/get_model_info` (model_path,
  weight_version, which stays "default" unless somebody sets it); text-generation-inference `/info` (model_sha of the
  hub, model_dtype, version). Other weights may answer with the same words, and so may the same weights quantised.
- Ollama `/api/tags`: a digest of weights, quantisation and template. It alone changes with all that decides the texts.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from evalkit.checkpoints.clients import KEYS, UnreadableAnswer, api_key, one_line, open_client, refused, without_keys
from evalkit.errors import EngineError, ServerError

if TYPE_CHECKING:
    from openai import OpenAI

RETRIES = 2
READ_SECONDS = 30.0
"""For a piece of a page, and for all of it."""
PAGES = ("/chat/completions", "/completions", "/models")
"""What is asked below a server's URL."""
LABEL = 63
"""Characters of a part of a host's name at most."""
CARD = ("id", "root", "parent", "owned_by", "max_model_len")
META = ("n_params", "n_vocab", "n_ctx_train", "size")
PLACES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "vllm": ("version", ("version",)),
    "llamacpp": ("props", ("model_path", "build_info", "chat_template")),
    "sglang": ("get_model_info", ("model_path", "weight_version")),
}
"""Who owns a model -> where its server tells more, and which of it stays as it is while the server runs."""
ELSEWHERE = ("info", ("model_id", "model_sha", "model_dtype", "version"))
LONGEST = 200
"""Characters of a fact; a longer one stands as its hash."""


@dataclass(frozen=True)
class Served:
    """What a server tells of one model."""

    model: str
    facts: Mapping[str, str]
    """Without what changes from request to request."""
    names_weights: bool
    """Whether other weights would change the facts."""
    is_listed: bool = True
    """Whether it stands among the models that the server lists."""


def identify(url: str, model: str = "", keys: tuple[str, ...] = KEYS) -> Served:
    """Ask the server at `url` about `model` ("": the only one it serves).

    Raises `ServerError` when it does not answer, refuses, or serves several models and none is named.
    """
    with open_client(url, api_key(keys), READ_SECONDS, RETRIES, READ_SECONDS) as client:
        cards = _cards(client, url)
        name = model or only_model(list(cards), url)
        card = cards.get(name, {"id": name})
        facts = card_facts(card)
        where, names = PLACES.get(str(card.get("owned_by")), ELSEWHERE)
        facts |= _chosen(_more(client, url, where), names)
        known = str(card.get("owned_by")) in PLACES
        digest = None if known else _ollama_digest(_more(client, url, "api/tags"), name)
    return Served(name, facts | ({"digest": digest} if digest else {}), digest is not None, name in cards)


def card_facts(card: Mapping[str, Any]) -> dict[str, str]:
    """What a server's list of models tells of one of them, without what changes from request to request."""
    return _chosen(card, CARD) | _chosen(card.get("meta"), META)


def url_fault(url: str) -> str:
    """What is wrong with a server's URL, in words that follow it; empty where nothing is."""
    try:
        parts = urlsplit(url)
        is_whole = url.startswith(("http://", "https://")) and _is_host(parts.hostname or "") and parts.port != 0
    except ValueError:  # a port that is no number, brackets that do not close
        is_whole = False
    if not is_whole or not url.isprintable() or any(sign.isspace() for sign in url):
        return "is not the URL of a server; one looks like http://host:port/v1"
    if "@" in parts.netloc:
        return "holds a name or a password, which would stand in each run; put the key into EVALKIT_API_KEY"
    if parts.query or parts.fragment:
        return "has something after its path, which would stand in each run; leave out what begins with ? or #"
    if page := next((page for page in PAGES if parts.path.rstrip("/").endswith(page)), None):
        return f"is a page of a server; leave out {page}"
    return ""


def shown(url: str) -> str:
    """A URL as it may stand in an error: without what somebody put there to be let in."""
    return re.sub(r"//[^/?#]*@", "//...@", re.split("[?#]", url)[0])


def _is_host(name: str) -> bool:
    return bool(name) and all(0 < len(label) <= LABEL for label in name.removesuffix(".").split("."))


def base_url(location: str) -> str:
    """The API's root: /v1, where the user gave the server alone."""
    return location.rstrip("/") if urlsplit(location).path.strip("/") else f"{location.rstrip('/')}/v1"


def only_model(names: list[str], url: str) -> str:
    """The one model there is. Raises `ServerError`."""
    if len(names) != 1:
        raise ServerError(f"{url} serves {', '.join(names) or 'nothing'}; name one of them as `model`")
    return names[0]


def _cards(client: OpenAI, url: str) -> dict[str, dict[str, Any]]:
    import openai

    with failures_of(url, RETRIES, ServerError):
        try:
            text = client.get("/models", cast_to=str)
        except openai.NotFoundError:
            return {}  # not every server has the page; one that is named may still be there
    try:
        return listed(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise ServerError(f"{url} answered what is no list of models: {one_line(text)!r}") from error


def listed(answer: Any) -> dict[str, dict[str, Any]]:
    """The models of a server's list by their names. Raises `ValueError` where it is none."""
    cards = answer.get("data") if isinstance(answer, Mapping) else answer
    if not isinstance(cards, list):
        raise ValueError("there is neither a list nor one under `data`")
    named = [card for card in cards if isinstance(card, dict) and is_name(card.get("id"))]
    return {str(card["id"]): card for card in named}


def is_name(value: Any) -> bool:
    """Whether a model may be called so."""
    return isinstance(value, str | int) and bool(str(value).strip()) and str(value).isprintable()


@contextmanager
def failures_of(url: str, retries: int, kind: type[EngineError]) -> Iterator[None]:
    """What goes wrong with a server inside, in a line of the kind that the caller raises."""
    import openai

    try:
        yield
    except openai.APIStatusError as error:
        raise kind(f"{url} {refused(error)}") from error
    except UnreadableAnswer as error:
        raise kind(f"{url} {error}") from error
    except openai.APIConnectionError as error:
        cause = one_line(str(error.__cause__ or error))
        raise kind(f"no answer from {url} after {retries + 1} tries: {cause}") from error
    except openai.OpenAIError as error:
        raise kind(f"{url}: {one_line(str(error))}") from error


def _more(client: OpenAI, url: str, path: str) -> Any:
    """What a page beside the API says; None where the server has no such page."""
    import openai

    try:
        text = client.with_options(max_retries=0).get(f"{url.removesuffix('/v1')}/{path}", cast_to=str)
        return json.loads(text)
    except (openai.OpenAIError, UnreadableAnswer, ValueError, RecursionError):
        return None


def _chosen(answer: Any, names: tuple[str, ...]) -> dict[str, str]:
    fields = answer if isinstance(answer, Mapping) else {}
    return {name: brief(str(fields[name])) for name in names if fields.get(name) not in (None, "")}


def brief(text: str) -> str:
    """A fact as a run keeps it."""
    if len(text) > LONGEST:
        return f"sha256 {hashlib.sha256(text.encode(errors='replace')).hexdigest()[:16]}"
    return without_keys(text.encode(errors="replace").decode())


def _ollama_digest(answer: Any, name: str) -> str | None:
    models = answer.get("models") if isinstance(answer, Mapping) else None
    rows = [row for row in models if isinstance(row, Mapping)] if isinstance(models, list) else []
    digest = next((row.get("digest") for row in rows if name in (row.get("name"), row.get("model"))), None)
    return str(digest) if digest else None
