"""Providers that have an interface of their own: what they are called, where they are, whose key opens them.

`anthropic://MODEL` is Anthropic's Messages API, `gemini://MODEL` Google's generateContent. Their layers that look like
OpenAI's are not used: they leave out or cut parameters without a word, so that an arm would not be what it is called.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from evalkit.checkpoints.clients import NO_KEY, key_in, one_line, open_client
from evalkit.checkpoints.servers import READ_SECONDS, RETRIES, Served, brief, failures_of, shown, url_fault
from evalkit.errors import CheckpointError, ServerError


@dataclass(frozen=True)
class Provider:
    """One that is asked in its own way."""

    scheme: str
    """What stands before :// in a checkpoint's path; also the engine's name."""
    title: str
    root: str
    url_variable: str
    """Environment variable of its own package that names another server, such as a proxy, in place of `root`."""
    version: str
    """Path of its interface below the root."""
    keys: tuple[str, ...]
    """Environment variables that may hold the key, the first that is set."""
    key_header: str
    headers: Mapping[str, str]
    facts: tuple[str, ...]
    """What of a model's card stays as it is."""

    @property
    def url(self) -> str:
        """Where its interface is. Raises `CheckpointError`."""
        root = os.environ.get(self.url_variable) or self.root
        if fault := url_fault(root):
            raise CheckpointError(f"{self.url_variable}: {shown(root)!r} {fault}")
        return f"{root.rstrip('/')}/{self.version}"

    def request_headers(self) -> dict[str, str]:
        """With the key, which is read here and kept nowhere. Raises `CheckpointError` where there is none."""
        found = key_in(self.keys)
        if found is None:
            raise CheckpointError(f"{self.title}'s key is not there; set {' or '.join(self.keys)}")
        return {**self.headers, self.key_header: found[1]}


PROVIDERS = {
    one.scheme: one
    for one in (
        Provider(
            scheme="anthropic",
            title="Anthropic",
            root="https://api.anthropic.com",
            url_variable="ANTHROPIC_BASE_URL",
            version="v1",
            keys=("ANTHROPIC_API_KEY",),
            key_header="x-api-key",
            headers={"anthropic-version": "2023-06-01"},
            facts=("id", "created_at", "max_tokens"),
        ),
        Provider(
            scheme="gemini",
            title="Gemini",
            root="https://generativelanguage.googleapis.com",
            url_variable="GOOGLE_GEMINI_BASE_URL",
            version="v1",
            keys=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
            key_header="x-goog-api-key",
            headers={},
            facts=("name", "version", "outputTokenLimit", "topK", "maxTemperature", "thinking"),
        ),
    )
}


def provider_of(path: str) -> Provider | None:
    """The provider that a checkpoint's path names, if it names one."""
    scheme, separator, _ = path.partition("://")
    return PROVIDERS.get(scheme) if separator else None


def model_in(path: str) -> str:
    """The model that a provider's path names. Raises `CheckpointError`."""
    scheme, _, model = path.partition("://")
    model = model.removeprefix("models/").strip("/")
    if not model or any(sign.isspace() or sign in "/?#" for sign in model):
        raise CheckpointError(f"{path!r} names no model; write {scheme}://MODEL, as the provider spells it")
    return model


def identify_model(provider: Provider, model: str) -> Served:
    """What a provider tells of one of its models; other weights may come behind the same words.

    Raises `CheckpointError`: no key; `ServerError`: no answer, or no such model.
    """
    import openai

    url, headers = provider.url, own_headers(provider)
    client = open_client(url, NO_KEY, READ_SECONDS, RETRIES, READ_SECONDS)
    with failures_of(url, RETRIES, ServerError), client:
        try:
            text = client.get(f"/models/{quote(model)}", cast_to=str, options={"headers": headers})
        except openai.NotFoundError as error:
            raise ServerError(f"{url}: {provider.title} has no model {model!r}, or your key may not use it") from error
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, Mapping):
        raise ServerError(f"{url} answered what is no model's card: {one_line(text)!r}")
    facts = {name: brief(str(told[name])) for name in provider.facts if told.get(name) not in (None, "")}
    return Served(model, {"owned_by": provider.scheme, "id": model} | facts, names_weights=False)


def own_headers(provider: Provider) -> dict[str, Any]:
    """Headers for a request through the openai package: the provider's, and none of those that are for OpenAI.

    Raises `CheckpointError` where there is no key.
    """
    from openai import Omit

    omitted = {name: Omit() for name in ("Authorization", "OpenAI-Organization", "OpenAI-Project")}
    return {**omitted, **provider.request_headers()}
