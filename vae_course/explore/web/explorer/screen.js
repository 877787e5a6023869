// Onto the screen: what changes with every number (show...), and what is built once, or once a data set (build...).

function showInput() {
  if (isDrawn()) {
    [...$("pixels").querySelectorAll("[role=gridcell]")].forEach((cell, g) =>
      cell.setAttribute("aria-selected", state.drawing[g] === 1),
    );
    const label = state.index === null ? null : data().labels[state.index];
    [...$("digit-buttons").children].forEach((button, digit) => button.setAttribute("aria-pressed", digit === label));
    $("as-digit").hidden = state.x.every((value, g) => value === state.drawing[g]);
    paint($("seen"), 8, state.x);
    return;
  }
  const { labels, gene_names: genes } = data();
  $("cell-type").value = labels[state.index];
  const order = range(genes.length).sort((a, b) => state.x[b] - state.x[a]);
  $("top-genes").replaceChildren(
    ...order.slice(0, 6).map((g) => element("li", {}, `${genes[g]} `, element("b", {}, String(state.x[g])))),
  );
  const nSeen = state.x.filter((count) => count > 0).length;
  const facts = { Cell: `${state.index + 1} of ${labels.length}`, "Genes seen": `${nSeen} of ${genes.length}` };
  if (!isBinary()) {
    facts.Molecules = sum(state.x);
    facts["Inferred library"] = fixed(Math.exp(current.q.library.mean), 0);
  }
  const rows = Object.entries(facts).map(([name, value]) =>
    element("div", {}, element("dt", {}, name), element("dd", {}, String(value))),
  );
  $("cell-facts").replaceChildren(...rows);
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
  let note = layerNote();
  if (state.layer === "points" || (state.layer === "posterior" && !current.mass)) paint($("layer"), 1, [0]);
  else if (state.layer === "posterior") paintPosterior($("layer"), current.mass.squares);
  else if (isDrawn()) paintMosaic($("layer"), model());
  else {
    const [least, most] = paintGene($("layer"), model(), state.gene);
    note += ` It runs from ${percent(least)} (pale) to ${percent(most)}.`;
  }
  $("layer-note").innerHTML = math(note);
  $("layer").setAttribute("aria-label", note);
  const q = `q(z|x) has mean ${pair(current.q.mean)} and standard deviations ${pair(current.q.var.map(Math.sqrt))}.`;
  const reach = fixed(plane.reach, 1);
  $("map").setAttribute("aria-label", `Latent plane from −${reach} to ${reach}. ${q} ${MARKS_NOTE()}`);
}

/** Let the points be seen on their way, whatever lies behind them. */
function showTravel() {
  $("plane").classList.add("travelling");
  $("plane").getBoundingClientRect(); // from here on they are in sight, and move
  clearTimeout(showTravel.end);
  showTravel.end = setTimeout(() => $("plane").classList.remove("travelling"), 1000);
}

/** Show which model it is: its β, and the sizes of its networks. */
function showModel() {
  const { beta } = model();
  const radio = document.querySelector(`input[name=beta][value="${state.model}"]`);
  if (radio) radio.checked = true;
  $("beta-note").innerHTML = DATA.isCourse && beta !== null ? math(BETA_NOTES[data().name][state.model]) : "";
  for (const network of ["encoder", "decoder"])
    document.querySelector(`#${network} .shape`).textContent = model().shapeOf(network);
}

function showOutput() {
  const shown = state.preview ?? { z: state.z, decoded: current.decoded };
  $("output").classList.toggle("preview", Boolean(state.preview));
  $("output-at").innerHTML = math(state.preview ? previewNote() : `at z = ${pair(state.z)}`);
  if (isDrawn()) showImages(shown.decoded);
  else showGenes(shown.decoded);
}

function showImages(decoded) {
  const costs = model().costs(state.x, decoded);
  paint($("decoded"), 8, decoded.output);
  const shades = costs.map((cost) => cost / 3); // 3 nats are the full colour
  paint($("costs"), 8, shades);
  const ends = [Math.min(...decoded.output), Math.max(...decoded.output)].map((p) => fixed(p));
  $("decoded-range").textContent = `${ends[0]} to ${ends[1]}`;
  $("costs-range").textContent = `${fixed(Math.max(...costs))} nats`;
  $("decoded").setAttribute("aria-label", `Decoded digit, probabilities from ${ends[0]} to ${ends[1]}`);
  $("costs").setAttribute("aria-label", `Cost of the pixels, up to ${fixed(Math.max(...costs))} nats`);
}

function showGenes(decoded) {
  const share = (count) => (isBinary() ? count : Math.log1p(count) / Math.log1p(300));
  const width = (count) => `${100 * clamp(share(count), 0, 1)}%`;
  for (const row of $("genes").querySelectorAll("button")) {
    const gene = Number(row.dataset.gene);
    row.querySelector(".expected").style.width = width(decoded.expected[gene]);
    row.querySelector(".observed").style.left = width(state.x[gene]);
    row.querySelector(".count").textContent = `${fixed(decoded.expected[gene], isBinary() ? 2 : 1)} / ${state.x[gene]}`;
    row.setAttribute("aria-pressed", state.layer === "decoded" && gene === state.gene);
  }
}

/** Show what the hidden units say, in the networks that are open. */
function showUnits() {
  if ($("encoder-units").hidden && $("decoder-units").hidden) return;
  const hidden = model().hiddenOf(state.x, (state.preview ?? state).z);
  for (const network of ["encoder", "decoder"]) {
    if (!$(`${network}-units`).hidden) drawUnits($(`${network}-units`), network, hidden[network]);
  }
}

const UNITS_DOWN = 64; // bars in a column

/** Bars of the hidden units, column by column; the one that is pointed at tells its value. */
function drawUnits(box, network, values) {
  const columns = Math.ceil(values.length / UNITS_DOWN);
  const down = Math.ceil(values.length / columns);
  const largest = Math.max(...values, 1e-9);
  const bar = (value, k) => {
    const [left, top] = [Math.floor(k / down), k % down];
    const at = { x: left + 0.04, y: top + 0.1, height: 0.8, class: k === box.unit ? "chosen" : "" };
    return svg("rect", { ...at, width: Math.max(k === box.unit ? 0.06 : 0, (0.88 * value) / largest) });
  };
  const bars = svg("svg", { viewBox: `0 0 ${columns} ${down}`, preserveAspectRatio: "none", "aria-hidden": true });
  bars.append(...Array.from(values, bar));
  box.querySelector(".bars").replaceChildren(bars);
  const nActive = values.filter((value) => value > 0).length;
  const unit = box.unit === null ? "" : `unit ${box.unit + 1}: ${fixed(values[box.unit])}`;
  box.querySelector(".value").textContent = unit || `${nActive} of ${values.length} active`;
  const slider = {
    min: 1,
    max: values.length,
    now: (box.unit ?? 0) + 1,
    text: unit || `${nActive} of ${values.length} active`,
  };
  for (const name in slider) box.querySelector(".bars").setAttribute(`aria-value${name}`, slider[name]);
  Object.assign(box, { columns, down, count: values.length });
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
  if (!isBinary()) parts.push(part("KL of l", klLibrary));
  $("score").innerHTML = `${part("ELBO at this z", elbo)} = −(${parts.join(" + ")}) nats`;
}

function showRows() {
  const rows = rowsNow();
  for (const row of $("rows").children) {
    const [name, formula, value] = rows[row.dataset.step];
    row.querySelector(".name").innerHTML = math(name);
    row.querySelector(".formula").innerHTML = math(formula);
    row.querySelector(".value").textContent = Number.isNaN(value) ? "…" : fixed(value);
  }
}

/** Show a step's lines of the package. */
function selectStep(step) {
  state.step = step;
  const { name, lines, marked } = data().code[step];
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

/** Once the numbers rest, say them to who hears the page, and write the address. */
function announce() {
  clearTimeout(announce.timer);
  announce.timer = setTimeout(() => {
    const n = numbers();
    const parts = `Reconstruction ${fixed(n.reconstruction)}, KL ${fixed(n.kl + n.klLibrary)}`;
    $("live").textContent = `z = ${pair(state.z)}. ${parts}, ELBO ${fixed(n.elbo)} nats.`;
    writeAddress();
  }, 600);
}

// --------------------------------------------------------------------------------------------------------------------
// What is built once, or once for each data set
// --------------------------------------------------------------------------------------------------------------------

/** Links to a step's line on GitHub and to its section of the lessons. */
function linksOf(step, inFull) {
  const { file, marked, section } = data().code[step];
  const { title, href } = DATA.sections[section];
  const code = `${DATA.address}/blob/main/${file}#L${marked}`;
  const link = (href, kind, text) => element("a", { href, class: kind, target: isFramed ? "_blank" : "_self" }, text);
  return [
    link(code, "code-link", inFull ? `${file}, line ${marked}` : `line ${marked}`),
    " ",
    link(href, "lesson-link", inFull ? title : `lesson ${section}`),
  ];
}

/** Radio buttons with their legend; one alone is no choice. */
function buildChoice(fieldset, name, texts, choose) {
  const choices = texts.map((text, value) => {
    const radio = element("input", { type: "radio", name, value });
    radio.addEventListener("change", () => choose(value));
    return element("label", {}, radio, element("span", {}, text));
  });
  fieldset.replaceChildren(fieldset.querySelector("legend"), ...choices);
  fieldset.hidden = texts.length < 2;
}

function buildControls() {
  const { label_names: names, models } = data();
  document.querySelector(`input[name=kind][value="${state.set}"]`).checked = true;
  const betas = models.map(({ beta }) => String(beta));
  buildChoice($("betas"), "beta", betas, (index) => {
    state.film = null;
    setModel(index);
  });
  $("controls").hidden = $("kinds").hidden && $("betas").hidden;
  $("points-name").textContent = isDrawn() ? "Digits" : "Cells";
  $("decoded-name").textContent = isDrawn() ? "Decoded" : "Gene map";
  const mark = (label) => {
    const d = MARKERS[label % 10];
    return svg("svg", { viewBox: "-7 -7 14 14", "aria-hidden": true }, svg("path", { d, class: `c${label % 10}` }));
  };
  const hasLegend = !isDrawn() && names.length > 1;
  $("legend").hidden = !hasLegend;
  $("legend").replaceChildren(...(hasLegend ? names.map((name, label) => element("li", {}, mark(label), name)) : []));
  if (isDrawn()) return;
  $("cell-type").replaceChildren(...names.map((name, label) => element("option", { value: label }, name)));
  const expected = models[0].isInflated ? "expected count (1 − π) μ" : "expected count μ";
  $("expected-name").innerHTML = isBinary() ? "probability" : math(expected);
  buildGenes();
}

function buildGenes() {
  const { markers, gene_names: names } = data();
  state.gene = (markers.Killer ?? []).find((gene) => names[gene] === "GNLY") ?? Object.values(markers)[0][0];
  const rows = Object.entries(markers).map(([group, genes]) => {
    const buttons = genes.map((gene) => {
      const bar = element("span", { class: "bar" });
      bar.append(element("span", { class: "expected" }), element("span", { class: "observed" }));
      const name = element("span", { class: "gene" }, names[gene]);
      const row = element(
        "button",
        { type: "button", "data-gene": gene },
        name,
        bar,
        element("span", { class: "count" }),
      );
      row.addEventListener("click", () => mapGene(gene));
      return row;
    });
    return element("div", {}, element("h3", {}, group), ...buttons);
  });
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
  const steps = [...chain, "kl", ...(isBinary() ? [] : ["kl_library"]), "elbo"];
  const nodes = steps.map((step) => {
    const node = element("button", { type: "button", "data-step": step, class: NODE_KINDS[step] ?? "scored" });
    node.addEventListener("click", () => selectStep(step));
    return node;
  });
  $("graph").classList.toggle("with-library", !isBinary());
  $("graph").replaceChildren(...nodes, element("div", { class: "wire", "aria-hidden": true }));
}

function buildRows() {
  const hasBeta = data().models.some(({ beta }) => beta !== null);
  const library = isBinary() ? [] : ["kl_library"];
  const steps = ["reconstruction", "kl", ...library, "elbo", ...(hasBeta ? ["beta"] : []), "mean_elbo", "log_px"];
  const rows = steps.map((step) => {
    const parts = ["name", "formula", "value"].map((part) => element("span", { class: part }));
    return element("div", { "data-step": step }, ...parts, element("span", { class: "links" }, ...linksOf(step)));
  });
  $("rows").replaceChildren(...rows);
}

function buildPlane() {
  const groups = ["axes", "points", "prior", "nearest", "ellipse", "draws"].map((id) => svg("g", { id }));
  $("map").replaceChildren(...groups);
}

function buildUnits() {
  for (const network of ["encoder", "decoder"]) {
    const box = $(`${network}-units`);
    box.unit = null;
    const label = `Hidden units of the ${network}: arrow keys go from one to the next`;
    const bars = element("div", {
      class: "bars",
      role: "slider",
      tabindex: 0,
      "aria-label": label,
      "aria-valuenow": 1,
    });
    box.append(bars, element("p", { class: "value" }));
  }
}
