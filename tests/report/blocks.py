"""A block of the page opened as the page's scripts open it."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Sequence
from typing import Any


def opened(block: str, words: Sequence[str]) -> Any:
    coded = gzip.decompress(base64.b64decode(block)).decode("utf-16-le")
    return json.loads(re.sub("[\ue000-\uf8ff]", lambda code: words[ord(code[0]) - 0xE000], coded))
