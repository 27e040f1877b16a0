// What can be taken away from the page: its numbers as files, and the commands that made them.
"use strict";
(() => {
  const { data, byId, element } = report;

  function save(name, type, text) {
    const link = element("a", { href: URL.createObjectURL(new Blob([text], { type })), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  const cell = (value) => (/[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);

  // One row a prompt, metric and arm; an undefined value is an empty cell, as in the estimates.
  function perPrompt({ prompts, estimates }) {
    const rows = estimates.flatMap(({ metric, arm, signature, values }) =>
      prompts.map((prompt, place) => [prompt, metric, arm, values[place] == null ? "" : String(values[place]), signature]));
    return [["prompt_id", "metric", "arm", "value", "signature"], ...rows].map((row) => row.map(cell).join(",") + "\n").join("");
  }

  const { file, summary, csv } = data;
  byId("save-json").addEventListener("click", () => save(`${file}.json`, "application/json", JSON.stringify(summary, null, 1)));
  byId("save-csv").addEventListener("click", () => save(`${file}.csv`, "text/csv", csv));
  byId("save-prompts").addEventListener("click", () => save(`${file}-prompts.csv`, "text/csv", perPrompt(summary)));

  // Where the browser keeps the clipboard to itself the command is marked, ready for the keyboard.
  async function copy(button) {
    const text = button.parentElement.querySelector("code");
    try {
      await navigator.clipboard.writeText(text.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(text);
      button.textContent = "Marked";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  }
  for (const button of document.querySelectorAll("button.copy")) button.addEventListener("click", () => copy(button));
})();
