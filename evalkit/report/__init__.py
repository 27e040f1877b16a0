"""The HTML report and the verdict in words: numbers become one page."""

from evalkit.report.content.merge import merge
from evalkit.report.content.read import read_content
from evalkit.report.history.page import history_page
from evalkit.report.history.read import read_history
from evalkit.report.page import build_report
from evalkit.report.render_report import report_page

__all__ = ["build_report", "history_page", "merge", "read_content", "read_history", "report_page"]
