from __future__ import annotations

from pathlib import Path

import pytest

from evalkit.errors import RecordsError
from evalkit.preferences.annotate.instructions import LONGEST, read_instructions
from tests.report.hostile import HOSTILE


def written(tmp_path: Path, text: str, name: str = "how.md") -> str:
    path = tmp_path / name
    path.write_bytes(text.encode("utf-8", "replace"))
    return read_instructions(path)


def test_markdown_is_shown_as_such(tmp_path: Path) -> None:
    made = written(tmp_path, "# Choose\n\nTake the **better** one.\n\n- short\n\n| a | b |\n|---|---|\n| 1 | 2 |\n")
    for part in ("<h1>Choose</h1>", "<strong>better</strong>", "<li>short</li>", "<td>1</td>"):
        assert part in made


@pytest.mark.parametrize("name", ["how.md", "how.txt"])
def test_no_html_of_the_file_is_html_on_the_page(tmp_path: Path, name: str) -> None:
    for text in HOSTILE:
        made = written(tmp_path, f"before {text} after", name).lower()
        assert not any(f"<{tag}" in made for tag in ("script", "img", "svg", "iframe", "style", "title", "textarea"))
        assert 'href="javascript' not in made


def test_links_to_scripts_and_pictures_are_none(tmp_path: Path) -> None:
    made = written(tmp_path, "[x](javascript:alert(1)) ![y](https://example.invalid/y.png) [z](data:text/html,1)")
    assert "<img" not in made
    assert 'href="javascript' not in made
    assert 'href="data' not in made
    assert '<a href="https://ok.example"' in written(tmp_path, "[ok](https://ok.example)")


def test_plain_text_stands_as_it_is(tmp_path: Path) -> None:
    assert written(tmp_path, "# not\n  a title", "how.txt") == '<div class="as-written"># not\n  a title</div>'


def test_a_file_that_cannot_be_told_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordsError, match="there is no file"):
        read_instructions(tmp_path / "how.md")
    with pytest.raises(RecordsError, match="is a folder"):
        read_instructions(tmp_path)
    with pytest.raises(RecordsError, match="instructions have at most"):
        written(tmp_path, "x" * (LONGEST + 1))
    (tmp_path / "how.md").write_bytes(b"\xff\xfe")
    with pytest.raises(RecordsError, match="not UTF-8"):
        read_instructions(tmp_path / "how.md")
