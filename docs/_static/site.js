// A folder's pages cannot read each other, so there search shows titles without excerpts.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

// A folded cell is called what it shows ("Show the answer"), not "Toggle hidden content".
document.addEventListener("DOMContentLoaded", () => {
  for (const summary of document.querySelectorAll("details.hide > summary")) summary.removeAttribute("aria-label");
});

// A line may break after an equation, even before a full stop: put what follows without a space into the same box.
document.addEventListener("DOMContentLoaded", () => {
  for (const equation of document.querySelectorAll("span.math")) {
    const after = equation.nextSibling;
    const mark = after?.nodeType === Node.TEXT_NODE && after.data.match(/^[^\s\u2013\u2014]{1,3}(?=\s|$)/)?.[0];
    if (!mark) continue;
    equation.append(mark);
    after.data = after.data.slice(mark.length);
  }
});

// In a table a long name of code may wrap after a dot, a slash or an underscore.
document.addEventListener("DOMContentLoaded", () => {
  for (const name of document.querySelectorAll("td code .pre")) {
    const [first, ...others] = name.textContent.split(/(?<=[./_])/);
    name.replaceChildren(first, ...others.flatMap((part) => [document.createElement("wbr"), part]));
  }
});
