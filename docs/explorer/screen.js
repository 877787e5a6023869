"use strict";
// Onto the screen: what changes with every number (show...), and what is built once, or once a kind of data (build...).

function showInput() {
  if (isDigits()) {
    [...$("pixels").querySelectorAll("[role=gridcell]")].forEach((cell, g) =>
      cell.setAttribute("aria-selected", state.x[g] === 1),
    );
    const label = state.index === null ? null : data().labels[state.index];
    [...$("digit-buttons").children].forEach((button, digit) => button.setAttribute("aria-pressed", digit === label));
    return;
  }
  const { labels, gene_names: genes } = data();
  $("cell-type").value = labels[state.index];
  const order = Array.from(state.x.keys()).sort((a, b) => state.x[b] - state.x[a]);
  $("top-genes").replaceChildren(
    ...order.slice(0, 6).map((g) => element("li", {}, `${genes[g]} `, element("b", {}, String(state.x[g])))),
  );
  const facts = {
    Cell: `${state.index + 1} of ${labels.length}`,
    Molecules: sum(state.x),
    "Genes seen": `${state.x.filter((count) => count > 0).length} of ${genes.length}`,
    "Inferred library": fixed(Math.exp(current.q.library.mean), 0),
  };
  $("cell-facts").innerHTML = Object.entries(facts)
    .map(([name, value]) => `<div><dt>${name}</dt><dd>${value}</dd></div>`)
    .join("");
}

function showZ() {
  $("z").style.left = `${toX(state.z[0]) / 5}%`;
  $("z").style.top = `${toY(state.z[1]) / 5}%`;
  const share = state.z[0] / plane.reach;
  $("z").setAttribute("aria-valuenow", share.toFixed(3));
  $("z").setAttribute("aria-valuetext", `z = ${pair(state.z)}`);
}

function showLayer() {
  $("plane").dataset.layer = state.layer;
  document.querySelector(`input[name=layer][value=${state.layer}]`).checked = true;
  let note = LAYER_NOTES[state.kind][state.layer]();
  if (state.layer === "decoded" && isDigits()) paintMosaic($("layer"), model());
  if (state.layer === "decoded" && !isDigits()) {
    const [least, most] = paintGene($("layer"), model(), state.gene);
    note += ` It runs from ${fixed(100 * least)} % (pale) to ${fixed(100 * most)} %.`;
  }
  if (state.layer === "posterior") paintPosterior($("layer"), model(), state.x, current.q);
  $("layer-note").innerHTML = math(note);
  $("layer").setAttribute("aria-label", note);
  const q = `q(z|x) has mean ${pair(current.q.mean)} and standard deviations ${pair(current.q.var.map(Math.sqrt))}.`;
  const reach = fixed(plane.reach, 1);
  const points = LAYER_NOTES[state.kind].points();
  $("map").setAttribute("aria-label", `Latent plane from −${reach} to ${reach}. ${q} ${points}`);
}

function showOutput() {
  const { decoded } = current;
  if (isDigits()) {
    const costs = model().costs(state.x, decoded);
    const shades = costs.map((cost) => cost / 3); // 3 nats are the full colour
    paint($("decoded"), 8, decoded.output);
    paint($("costs"), 8, shades);
    const range = [Math.min(...decoded.output), Math.max(...decoded.output)].map((p) => fixed(p));
    $("decoded-range").textContent = `${range[0]} to ${range[1]}.`;
    $("costs-range").textContent = `The dearest costs ${fixed(Math.max(...costs))} nats.`;
    $("decoded").setAttribute("aria-label", `Decoded digit, probabilities from ${range[0]} to ${range[1]}`);
    $("costs").setAttribute("aria-label", `Cost of the pixels, up to ${fixed(Math.max(...costs))} nats`);
    return;
  }
  const width = (count) => `${(100 * Math.log1p(count)) / Math.log1p(300)}%`;
  for (const row of $("genes").querySelectorAll("button")) {
    const gene = Number(row.dataset.gene);
    row.querySelector(".expected").style.width = width(decoded.expected[gene]);
    row.querySelector(".observed").style.left = width(state.x[gene]);
    row.querySelector(".count").textContent = `${fixed(decoded.expected[gene], 1)} / ${state.x[gene]}`;
    row.setAttribute("aria-pressed", state.layer === "decoded" && gene === state.gene);
  }
}

function showGraph() {
  const steps = stepsNow();
  for (const button of $("graph").querySelectorAll("button")) {
    const [name, value] = steps[button.dataset.step];
    button.innerHTML = `<span class="name">${math(name)}</span><span class="value">${math(value)}</span>`;
  }
}

function showScore() {
  const { reconstruction, kl, klLibrary, elbo } = numbers();
  const part = (name, value) => `<span>${math(name)} <b>${fixed(value)}</b></span>`;
  const parts = [part(costName(), reconstruction), part("KL", kl)];
  if (!isDigits()) parts.push(part("KL of l", klLibrary));
  $("score").innerHTML = `${part("ELBO at this z", elbo)} = −(${parts.join(" + ")})`;
}

function showRows() {
  const rows = rowsNow();
  for (const row of $("rows").children) {
    const [name, formula, value] = rows[row.dataset.step];
    row.querySelector(".name").innerHTML = math(name);
    row.querySelector(".formula").innerHTML = math(formula);
    row.querySelector(".value").textContent = fixed(value);
  }
}

/** Show a step's lines of the package. */
function selectStep(step) {
  state.step = step;
  const { name, lines, marked } = EXPLORER_DATA.code[state.kind][step];
  for (const button of $("graph").querySelectorAll("button"))
    button.setAttribute("aria-pressed", button.dataset.step === step);
  $("code-name").textContent = `vae_course.${name}`;
  $("code-lines").replaceChildren(
    ...lines.map(([number, text]) =>
      element(number === marked ? "mark" : "span", { "data-line": number }, `${text}\n`),
    ),
  );
  $("code-links").replaceChildren(...linksOf(step, true));
}

let announcement;
function announce() {
  clearTimeout(announcement);
  announcement = setTimeout(() => {
    const n = numbers();
    const parts = `Reconstruction ${fixed(n.reconstruction)}, KL ${fixed(n.kl + n.klLibrary)}`;
    $("live").textContent = `z = ${pair(state.z)}. ${parts}, ELBO ${fixed(n.elbo)} nats.`;
  }, 600);
}

// --------------------------------------------------------------------------------------------------------------------
// What is built once, or once for digits and once for cells
// --------------------------------------------------------------------------------------------------------------------

function element(tag, attributes = {}, ...content) {
  const made = document.createElement(tag);
  for (const name in attributes) made.setAttribute(name, attributes[name]);
  made.append(...content);
  return made;
}

/** Links to a step's line on GitHub and to its section of the lessons. */
function linksOf(step, inFull) {
  const { file, marked, section } = EXPLORER_DATA.code[state.kind][step];
  const { address } = EXPLORER_DATA.code;
  const lesson = IN_REPOSITORY
    ? `${address}/blob/main/lessons/${section.page}.ipynb`
    : `../lessons/${section.page}.html#${section.anchor}`;
  const code = `${address}/blob/main/${file}#L${marked}`;
  return [
    element("a", { href: code, class: "code-link" }, inFull ? `${file}, line ${marked}` : `line ${marked}`),
    " ",
    element(
      "a",
      { href: lesson, class: "lesson-link" },
      inFull ? `Lesson ${section.number}: ${section.title}` : `lesson ${section.number}`,
    ),
  ];
}

function buildControls() {
  const { label_names: names, models } = data();
  document.querySelector(`input[name=kind][value=${state.kind}]`).checked = true;
  const choices = models.map(({ beta }, index) => {
    const radio = element("input", { type: "radio", name: "beta", value: index });
    radio.addEventListener("change", () => setUp(state.kind, index, state.layer));
    return element("label", {}, radio, element("span", {}, `β = ${beta}`));
  });
  $("betas").replaceChildren($("betas").querySelector("legend"), ...choices);
  $("points-name").textContent = isDigits() ? "Digits" : "Cells";
  $("decoded-name").textContent = isDigits() ? "Decoded" : "Gene map";
  const mark = (label) =>
    svg("svg", { viewBox: "-7 -7 14 14", "aria-hidden": true }, svg("path", { d: MARKERS[label], class: `c${label}` }));
  $("legend").replaceChildren(...(isDigits() ? [] : names.map((name, label) => element("li", {}, mark(label), name))));
  if (!isDigits()) {
    $("cell-type").replaceChildren(...names.map((name, label) => element("option", { value: label }, name)));
    buildGenes();
  }
}

function buildGenes() {
  const { markers, gene_names: names } = data();
  state.gene = markers.Killer[2];
  const rows = Object.entries(markers).flatMap(([group, genes]) => [
    element("h3", {}, group),
    ...genes.map((gene) => {
      const bar = element(
        "span",
        { class: "bar" },
        element("span", { class: "expected" }),
        element("span", { class: "observed" }),
      );
      const row = element(
        "button",
        { type: "button", "data-gene": gene },
        element("span", { class: "gene" }, names[gene]),
        bar,
        element("span", { class: "count" }),
      );
      row.addEventListener("click", () => mapGene(gene));
      return row;
    }),
  ]);
  $("genes").replaceChildren(...rows);
}

function mapGene(gene) {
  Object.assign(state, { gene, layer: "decoded" });
  showLayer();
  showOutput();
}

const NODE_KINDS = { x: "given", encode: "network", decode: "network", z: "drawn", q: "computed", output: "computed" };

function buildGraph() {
  const chain = ["x", "encode", "q", "z", "decode", "output", "reconstruction"];
  const steps = [...chain, "kl", ...(isDigits() ? [] : ["kl_library"]), "elbo"];
  const nodes = steps.map((step) => {
    const node = element("button", { type: "button", "data-step": step, class: NODE_KINDS[step] ?? "scored" });
    node.addEventListener("click", () => selectStep(step));
    return node;
  });
  $("graph").replaceChildren(...nodes, element("div", { class: "wire", "aria-hidden": true }));
}

function buildRows() {
  const steps = ["reconstruction", "kl", ...(isDigits() ? [] : ["kl_library"]), "elbo", "beta", "mean_elbo", "log_px"];
  const rows = steps.map((step) => {
    const [name, formula, value] = ["name", "formula", "value"].map((part) => element("span", { class: part }));
    return element(
      "div",
      { "data-step": step },
      name,
      formula,
      value,
      element("span", { class: "links" }, ...linksOf(step)),
    );
  });
  $("rows").replaceChildren(...rows);
}

function buildPlane() {
  const groups = ["axes", "points", "prior", "ellipse", "draws"].map((id) => svg("g", { id }));
  $("map").replaceChildren(...groups);
}
