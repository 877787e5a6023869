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

// The sections of a lesson were once all on its page: its list leads on from the old addresses.
document.addEventListener("DOMContentLoaded", () => {
  const moved = /^#(section|exercise)-\d+-\d+$/.test(location.hash) && !document.querySelector(location.hash);
  const link = moved && document.querySelector(`ul.sections a[href$="${location.hash}"]`);
  if (link) location.replace(link.href);
});

// Search: an excerpt is prose, and a page stands once in the results, at the top if it explains the word.
document.addEventListener("DOMContentLoaded", () => {
  if (typeof Search === "undefined") return;
  Scorer.score = (result) => {
    if (result[6] === SearchResultKind.index) result[2] = "";
    return result[4];
  };
  Search.htmlToText = (html, anchor) => {
    const page = new DOMParser().parseFromString(html, "text/html").querySelector("article");
    for (const part of page.querySelectorAll("h1, .headerlink, .place, .cell, pre, script, style, div.math")) part.remove();
    for (const equation of page.querySelectorAll("span.math")) {
      const tex = equation.textContent.slice(2, -2);
      equation.replaceWith(/[\\{}^_]/.test(tex) ? "…" : tex);
    }
    return ((anchor && page.querySelector(anchor)) || page).textContent;
  };
});
