"""What must hold of every page that evalkit writes, whatever sections it has: asked of the page as it stands."""

from __future__ import annotations

from typing import Any

from tests.browser import AXE, Browser

WELL_FORMED = """(() => {
  const flaws = [], all = (selector) => [...document.querySelectorAll(selector)];
  const seen = new Set();
  for (const { id } of all("[id]")) { if (seen.has(id)) flaws.push(`two elements have the id ${id}`); seen.add(id); }
  for (const link of all("a[href]")) {
    const to = link.getAttribute("href");
    if (!to.startsWith("#")) flaws.push(`a link leads out of the page: ${to}`);
    else if (!to.startsWith("#prompt-") && !seen.has(to.slice(1))) flaws.push(`a link leads nowhere: ${to}`);
  }
  for (const control of all("select, input, textarea")) if (!control.labels.length && !control.ariaLabel) flaws.push(`no label: ${control.id}`);
  for (const plot of all(".plot")) {
    if (plot.getAttribute("role") !== "img" || !plot.ariaLabel) flaws.push(`a chart without words: ${plot.id}`);
    const figure = plot.closest("figure"), told = `${plot.ariaLabel} ${figure?.textContent}`;
    if (!figure?.querySelector("figcaption")?.textContent.trim()) flaws.push(`a chart without caption: ${plot.id}`);
    if (!figure?.querySelector("table") && !/\\btables?\\b/.test(told)) flaws.push(`no word of a table: ${plot.id}`);
  }
  return flaws;
})()"""

UNDRAWN = """(() => [...document.querySelectorAll(".plot")].filter((plot) => plot.checkVisibility()).flatMap((plot) => {
  const name = plot.id || plot.ariaLabel, svg = plot.querySelector(".main-svg");
  if (!svg) {
    if (plot.textContent.trim()) return [];
    plot.scrollIntoView();  // some charts are drawn when a reader comes near
    return [`${name} is empty`];
  }
  if (!plot.querySelector(".trace, .hm, .shapelayer path")) return [`${name} has axes and nothing in them`];
  const room = plot.getBoundingClientRect(), drawn = svg.getBoundingClientRect();
  if (Math.abs(drawn.width - room.width) > 1) return [`${name} is ${drawn.width} wide in a column of ${room.width}`];
  const page = { left: 0, right: document.documentElement.clientWidth };
  return [...plot.querySelectorAll("text")].flatMap((text) => {
    const { left, right, top, bottom, width } = text.getBoundingClientRect();
    if (!width || text.closest(".hoverlayer")) return [];
    const cut = left < drawn.left - 1 || right > drawn.right + 1 || top < drawn.top - 1 || bottom > drawn.bottom + 1;
    return cut || right > page.right + 1 ? [`${name} cuts off “${text.textContent}”`] : [];
  });
}))()"""

UNREADABLE = """(() => {
  const channels = (colour) => colour.match(/[\\d.]+/g).slice(0, 3).map((part) => {
    const share = part / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  const light = (colour) => { const [r, g, b] = channels(colour); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const paper = light(getComputedStyle(document.body).backgroundColor);
  const words = document.querySelectorAll(".plot :is(.xtick, .ytick, .g-xtitle, .g-ytitle, .legendtext) text, .plot .legendtext");
  return [...words].flatMap((word) => {
    const ink = light(getComputedStyle(word).fill), contrast = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
    return contrast < 4.5 ? [`“${word.textContent}” has a contrast of ${contrast.toFixed(2)}`] : [];
  });
})()"""

CUT_OFF = """(() => {
  const root = document.documentElement, width = root.clientWidth, flaws = [];
  if (root.scrollWidth > width) flaws.push(`the page is ${root.scrollWidth} wide`);
  const name = (e) => `${e.tagName.toLowerCase()}${e.id && "#" + e.id}.${e.className} “${e.textContent.trim().slice(0, 40)}”`;
  // Down the tree: what scrolls may be wider inside, and what is clipped on purpose is for screen readers alone.
  const visit = (element) => {
    const style = getComputedStyle(element);
    if (style.display === "none" || style.clipPath !== "none" || element.tagName === "svg") return;
    const { left, right, width: own } = element.getBoundingClientRect();
    if (own && (right > width + 1 || left < -1)) { flaws.push(`${name(element)} reaches from ${left} to ${right}`); return; }
    if (["auto", "scroll"].includes(style.overflowX)) {
      if (element.scrollWidth > element.clientWidth && element.tabIndex < 0 && !element.querySelector("a, button")) {
        flaws.push(`${name(element)} scrolls sideways, not by keyboard`);
      }
      return;
    }
    const hides = ["hidden", "clip"].includes(style.overflowX) && style.textOverflow !== "ellipsis";
    if (hides && element.scrollWidth > element.clientWidth + 1) flaws.push(`${name(element)} hides what is wider than itself`);
    for (const child of element.children) visit(child);
  };
  visit(document.body);
  return flaws;
})()"""

AXE_RUN = """axe.run(document, { resultTypes: ["violations"], selectors: false }).then(({ violations }) => violations
  .filter(({ impact }) => impact === "serious" || impact === "critical")
  .map(({ id, nodes }) => `${id}, ${nodes.length} times: ${nodes[0].failureSummary} ${nodes[0].html.slice(0, 300)}`))"""


def holds_together(browser: Browser) -> None:
    """Ids are unique, links lead somewhere in the page, controls have labels, charts have words and a table."""
    none(browser.evaluate(WELL_FORMED))


def opens_everything(browser: Browser) -> None:
    """Open all that is folded, so that it is looked at too."""
    browser.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true; })")


def is_drawn(browser: Browser) -> None:
    """Every chart in sight is drawn, as wide as its column, no word of it cut off or too faint to read."""
    browser.gone(lambda: browser.evaluate(UNDRAWN), "charts")
    none(browser.evaluate(UNREADABLE))


def fits(browser: Browser) -> None:
    """Nothing reaches beyond the window but what scrolls by itself."""
    browser.gone(lambda: browser.evaluate(CUT_OFF), "width")


def is_accessible(browser: Browser) -> None:
    """axe-core finds no serious or critical violation on the page as it stands, in the theme and width that it has."""
    if browser.evaluate("typeof axe === 'undefined'"):
        browser.evaluate(f"{AXE.read_text(encoding='utf-8')}; undefined")
    none(browser.evaluate(AXE_RUN))


def none(flaws: list[Any]) -> None:
    assert not flaws, "\n".join(map(str, flaws))
