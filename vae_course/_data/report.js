"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const make = (tag, parent, properties = {}) => parent.appendChild(Object.assign(document.createElement(tag), properties));

// The curves of the training: one slider shows the values of all of them after an epoch.
function setUpTraining() {
  const slider = byId("epoch");
  const n = Number(slider.max);
  const show = (epoch) => {
    slider.value = epoch;
    byId("epoch-shown").textContent = epoch;
    for (const figure of document.querySelectorAll("[data-metric]")) {
      const x = 48 + ((epoch - 1) / Math.max(1, n - 1)) * 282;
      figure.querySelector(".cursor").setAttribute("d", `M${x} 26V200`);
      const values = figure.querySelector(".values");
      values.replaceChildren();
      values.hidden = false;
      data.history[figure.dataset.metric].forEach((of, i) => {
        if (!of.length) return;
        values.append(`${i ? " · held-out" : "training"} `);
        make("b", values, { textContent: of[epoch - 1] });
      });
    }
  };
  slider.addEventListener("input", () => show(Number(slider.value)));
  for (const figure of document.querySelectorAll("[data-metric] > svg")) {
    const follow = (event) => {
      const box = figure.getBoundingClientRect();
      const share = (((event.clientX - box.left) / box.width) * 340 - 48) / 282;
      show(Math.round(1 + Math.min(1, Math.max(0, share)) * (n - 1)));
    };
    figure.addEventListener("pointermove", follow);
    figure.addEventListener("pointerdown", follow);
  }
  show(n);
}

// The map of the cells.
function setUpMap(map) {
  const decode = (text, Kind) => new Kind(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
  const [xs, ys] = [decode(map.x, Uint16Array), decode(map.y, Uint16Array)];
  const codes = map.groups.map((group) => decode(group.codes, Uint16Array));
  const markers = data.markers.map((path) => new Path2D(path));
  const [canvas, tip, select, legend] = ["cells", "tip", "color", "legend"].map(byId);
  const n = map.names.length;
  let group = -1, gene = -1, levels = null, alone = -1, cell = -1, places = [];

  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const mixed = () => {
    const [low, high] = [style("--low"), style("--high")].map((c) => [1, 3, 5].map((i) => parseInt(c.slice(i, i + 2), 16)));
    return Array.from({ length: 256 }, (_, v) => `rgb(${low.map((c, i) => Math.round(c + ((high[i] - c) * v) / 255))})`);
  };

  function draw() {
    const { width, height } = canvas.getBoundingClientRect();
    const ratio = window.devicePixelRatio || 1;
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    const pad = 18, size = Math.min(1, Math.max(0.42, Math.sqrt((width * height) / n) * 0.034));
    places = Array.from(xs, (x, i) => [pad + (x / 65535) * (width - 2 * pad), pad + (1 - ys[i] / 65535) * (height - 2 * pad)]);
    const context = canvas.getContext("2d");
    const palette = Array.from({ length: data.n_colors }, (_, i) => style(`--c${i}`));
    const shades = levels ? mixed() : [];
    const order = Array.from(xs.keys());
    if (levels) order.sort((a, b) => levels[a] - levels[b]);
    for (const i of order) {
      const code = levels || group < 0 ? 0 : codes[group][i];
      context.setTransform(ratio * size, 0, 0, ratio * size, places[i][0] * ratio, places[i][1] * ratio);
      context.globalAlpha = alone < 0 || code === alone ? 0.8 : 0.06;
      context.fillStyle = levels ? shades[levels[i]] : palette[code % palette.length];
      context.fill(markers[levels ? 0 : code % markers.length]);
    }
    if (cell >= 0) {
      context.setTransform(ratio, 0, 0, ratio, places[cell][0] * ratio, places[cell][1] * ratio);
      context.globalAlpha = 1;
      context.strokeStyle = style("--ink");
      context.lineWidth = 2;
      context.beginPath();
      context.arc(0, 0, 8, 0, 7);
      context.stroke();
    }
  }

  function choose(next) {
    if (next === cell) return;
    cell = next;
    draw();
    tip.hidden = cell < 0;
    if (cell < 0) return;
    const lines = [map.names[cell], ...map.groups.map(({ title, names }, k) => `${title}: ${names[codes[k][cell]]}`)];
    if (levels) lines.push(`${map.genes[gene].name}: ${((levels[cell] / 255) * map.genes[gene].most).toFixed(2)}`);
    tip.textContent = lines.join("\n");
    const [x, y] = places[cell];
    tip.style.left = `${Math.max(4, Math.min(x + 14, canvas.clientWidth - tip.offsetWidth - 4))}px`;
    tip.style.top = `${y + 14 + tip.offsetHeight > canvas.clientHeight ? Math.max(4, y - tip.offsetHeight - 14) : y + 14}px`;
  }

  const nearest = (cost) => {
    let best = -1, least = Infinity;
    places.forEach((place, i) => {
      const c = alone < 0 || codes[group][i] === alone ? cost(place, i) : Infinity;
      if (c < least) [best, least] = [i, c];
    });
    return [best, least];
  };
  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const [found, cost] = nearest((p) => (p[0] - x) ** 2 + (p[1] - y) ** 2);
    choose(cost < 20 ** 2 ? found : -1);
  };
  canvas.addEventListener("pointermove", at);
  canvas.addEventListener("pointerdown", at);
  canvas.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && choose(-1));
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (event.key === "Escape") choose(-1);
    if (!step) return;
    event.preventDefault();
    const [x, y] = cell < 0 ? [canvas.clientWidth / 2, canvas.clientHeight / 2] : places[cell];
    const [found] = nearest((p, i) => {
      const along = (p[0] - x) * step[0] + (p[1] - y) * step[1];
      const aside = Math.abs((p[0] - x) * step[1]) + Math.abs((p[1] - y) * step[0]);
      return i === cell || (cell >= 0 && (along <= 0 || aside > 2 * along)) ? Infinity : along ** 2 + 4 * aside ** 2;
    });
    if (found >= 0) choose(found);
  });

  function fillLegend() {
    legend.replaceChildren();
    legend.hidden = group < 0;
    byId("scale").hidden = gene < 0;
    if (gene >= 0) byId("most").textContent = map.genes[gene].most.toFixed(2);
    if (group < 0) return;
    const counts = new Uint32Array(map.groups[group].names.length);
    codes[group].forEach((code) => counts[code]++);
    map.groups[group].names.forEach((name, code) => {
      const button = make("button", make("li", legend), { type: "button" });
      button.setAttribute("aria-pressed", "false");
      const swatch = button.appendChild(document.createElementNS("http://www.w3.org/2000/svg", "svg"));
      const path = swatch.appendChild(document.createElementNS("http://www.w3.org/2000/svg", "path"));
      swatch.setAttribute("viewBox", "-6 -6 12 12");
      swatch.setAttribute("aria-hidden", "true");
      path.setAttribute("d", data.markers[code % data.markers.length]);
      path.setAttribute("fill", `var(--c${code % data.n_colors})`);
      make("span", button, { textContent: name, dir: "auto" });
      make("span", button, { textContent: counts[code].toLocaleString("en"), className: "count" });
      button.addEventListener("click", () => {
        alone = alone === code ? -1 : code;
        for (const [k, other] of legend.querySelectorAll("button").entries()) other.setAttribute("aria-pressed", k === alone);
        choose(-1);
        draw();
      });
    });
  }

  function color() {
    const [kind, k] = select.value.split(" ");
    [group, gene] = kind === "gene" ? [-1, Number(k)] : [Number(k), -1];
    [levels, alone, cell, tip.hidden] = [gene < 0 ? null : decode(map.genes[gene].values, Uint8Array), -1, -1, true];
    fillLegend();
    draw();
  }
  if (map.groups.length) {
    const groups = make("optgroup", select, { label: "Groups" });
    map.groups.forEach(({ title }, k) => make("option", groups, { value: `group ${k}`, textContent: title }));
  }
  const genes = make("optgroup", select, { label: "Genes, the most variable first" });
  map.genes.forEach(({ name }, k) => make("option", genes, { value: `gene ${k}`, textContent: name }));
  select.addEventListener("change", color);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  new ResizeObserver(draw).observe(canvas);
  color();
}

for (const part of document.querySelectorAll(".scripted")) part.hidden = false;
for (const part of document.querySelectorAll(".unscripted")) part.hidden = true;
setUpTraining();
if (data.map) setUpMap(data.map);
