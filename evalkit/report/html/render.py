"""A page as one HTML file that opens offline: style, Plotly and data inside, and nothing asked of the network.

What is shown comes from strangers. Templates escape all of it, JSON cannot end the script that holds it, and the
Content-Security-Policy lets no script run but those whose hashes it names.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from evalkit.plumbing.arrays import JSON, finite_or_none
from evalkit.plumbing.prose import showable
from evalkit.report.wording import label, with_level

if TYPE_CHECKING:
    from jinja2 import Environment

BIDI = re.compile("[\u202a-\u202e\u2066-\u2069]")
PERCENT = re.compile(r"(?<=\d) %")


def render(
    template: str, styles: Sequence[str], scripts: Sequence[str], data: JSON, view: Mapping[str, Any], package: str = ""
) -> str:
    """The page as HTML, ready to be written as UTF-8.

    `template` lies in `package`'s templates, or in the report's own, whose parts it may import. `styles` and `scripts`
    are our own text and go in as they are, after Plotly; `data` is what the scripts read; `view` is escaped.
    """
    from markupsafe import Markup

    running = [asset("plotly", "package_data/plotly.min.js"), "\n".join(scripts)]
    return (
        _environment(package)
        .get_template(template)
        .render(
            view,
            policy=policy(running),
            style=Markup("\n".join(styles)),  # noqa: S704 - our own files
            scripts=[Markup(script) for script in running],  # noqa: S704 - our own files
            data=Markup(script_json(data)),  # noqa: S704 - escaped by script_json
        )
    )


def fragment(template: str, view: Mapping[str, Any]) -> str:
    """A part of a page, for a notebook; `view` is escaped. The template lies in the report's own."""
    return _environment("").get_template(template).render(view)


def render_plain(template: str, styles: Sequence[str], view: Mapping[str, Any]) -> str:
    """A page without scripts, and so without charts."""
    from markupsafe import Markup

    style = Markup("\n".join(styles))  # noqa: S704 - our own files
    return _environment("").get_template(template).render(view, policy=policy([]), style=style)


def _environment(package: str) -> Environment:
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=ChoiceLoader([PackageLoader(name) for name in filter(None, (package, "evalkit.report.html"))]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_showable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["sentence"] = sentence
    environment.filters["label"] = label
    environment.filters["with_level"] = with_level
    environment.filters["address"] = address
    environment.tests["nested"] = lambda value: isinstance(value, Mapping) or _is_list(value)
    environment.tests["listing"] = _is_list
    return environment


def policy(scripts: Sequence[str]) -> str:
    """Nothing from elsewhere; only these scripts. Styles may be inline because Plotly sets them on its SVG."""
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'" for s in scripts)
    hashes = hashes or "'none'"
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def script_json(value: JSON) -> str:
    """JSON that cannot end the script element that holds it."""
    text = json.dumps(holdable(value), allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def holdable(value: Any) -> Any:
    """The same without what JSON has no word for (NaN and infinity become null) and what a page cannot show.

    Before it is written: JSON writes NUL as an escape, behind which nobody would find it.
    """
    if isinstance(value, str):
        return showable(value)
    if isinstance(value, float):
        return finite_or_none(value)
    if isinstance(value, Mapping):
        return {showable(str(key)): holdable(item) for key, item in value.items()}
    return [holdable(item) for item in value] if _is_list(value) else value


def sentence(text: str) -> str:
    """A sentence of ours with names of theirs: no name may turn the direction of what follows it."""
    return PERCENT.sub("\u00a0%", BIDI.sub("", text))


def address(text: str) -> str:
    """A name of theirs as part of an address."""
    return quote(showable(text), safe="")


def asset(package: str, path: str) -> str:
    """A text file that comes with a package."""
    return files(package).joinpath(path).read_text(encoding="utf-8")


def _showable(value: Any) -> Any:
    return showable(value) if type(value) is str else value


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)
