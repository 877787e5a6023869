"use strict";
// A straight walk in the latent plane of the learner's own model: what its decoder makes on the way.

const IS_DIGITS = DATA.genes === null;
const COLORS = ["var(--c0)", "var(--c1)", "var(--c2)", "var(--c3)", "var(--c5)"]; // markers tell the rest apart
const MARKERS = [
  "M-3,0a3,3 0 1,0 6,0a3,3 0 1,0 -6,0Z", "M0,-4L4,3.4H-4Z", "M-3,-3H3V3H-3Z", "M0,4L4,-3.4H-4Z", "M0,-4.2L4.2,0L0,4.2L-4.2,0Z",
  "M-1.5,-4.5H1.5V-1.5H4.5V1.5H1.5V4.5H-1.5V1.5H-4.5V-1.5H-1.5Z", "M-4,0L3.4,-4V4Z", "M4,0L-3.4,-4V4Z", "M-4,-1.6H4V1.6H-4Z",
  "M-1.6,-4H1.6V4H-1.6Z",
];
const [START, END] = ["var(--c1)", "var(--c0)"];
const weights = Object.fromEntries(Object.entries(DATA.weights).map(([name, base64]) => [name, float32(base64)]));
const flat = float32(DATA.means);
const cells = Array.from(DATA.labels, (label, i) => ({ label, z: [flat[2 * i], flat[2 * i + 1]] }));
const colorOf = (label) => COLORS[(label + Math.floor(label / MARKERS.length)) % COLORS.length];

const linear = (x, weight, bias) =>
  Array.from(bias, (b, row) => x.reduce((total, value, j) => total + value * weight[row * x.length + j], b));
/** Probabilities of a 1. The batch normalisation is already part of the hidden layer's weights. */
function decode(z) {
  const hidden = linear(z, weights.hidden_weight, weights.hidden_bias).map((a) => Math.max(0, a));
  return linear(hidden, weights.output_weight, weights.output_bias).map(sigmoid);
}
const mix = (a, b, t) => a.map((value, j) => (1 - t) * value + t * b[j]);

/** Four images of 8 by 8, whose ink is the theme's. */
function digitsView(parent) {
  const grid = parent.appendChild(element("div", { style: "display: grid; grid-template-columns: 1fr 1fr; gap: 0.2rem 0.9rem" }));
  const images = ["start", "end", "<b>walk</b>, decoded at <i>z</i>", "fade of their pixels"].map((caption) => {
    const pixels = range(64).map((k) => svg("rect", { x: k & 7, y: k >> 3, width: 1, height: 1, fill: "var(--ink)" }));
    const drawn = { viewBox: "0 0 8 8", role: "img", "aria-label": caption.replace(/<.+?>/g, ""), "shape-rendering": "crispEdges" };
    const root = svg("svg", drawn, ...pixels);
    root.style.outline = "1px solid var(--line)";
    grid.append(element("figure", {}, marked("figcaption", caption), root));
    return pixels;
  });
  return (start, end, output, t) =>
    [start, end, output, mix(start, end, t)].forEach((image, k) =>
      image.forEach((p, pixel) => images[k][pixel].setAttribute("fill-opacity", p.toFixed(3))));
}

/** Bars of the probabilities of detection, between ticks at those of start and end. */
function genesView(parent) {
  const figure = plot(parent, {
    x: [0, 1], y: [DATA.genes.length, 0], height: 28 * DATA.genes.length + 54, xLabel: "probability of being detected",
    label: "Probability that each gene is detected", yTicks: false,
    caption: "Bars: decoded at <i>z</i>. Lines: at the start (orange) and at the end (blue).",
  });
  const rows = DATA.genes.map((gene, k) => {
    const [top, height] = [figure.y(k + 0.5), figure.y(k + 0.9) - figure.y(k + 0.5)];
    const bar = svg("rect", { x: figure.x(0), y: top, height, fill: "var(--soft)", "fill-opacity": 0.5 });
    const lines = [START, END].map((stroke) => svg("path", { stroke, "stroke-width": 3 }));
    figure.root.append(bar, ...lines, svg("text", { x: figure.x(0), y: top - 2, style: "font-size: 12px" }, gene));
    return { bar, lines, top, height };
  });
  return (...values) =>
    rows.forEach(({ bar, lines, top, height }, k) => {
      lines.forEach((line, end) => line.setAttribute("d", `M${figure.x(values[end][k])},${top}v${height}`));
      bar.setAttribute("width", figure.x(values[2][k]) - figure.x(0));
    });
}

const hasLabels = DATA.label_names.length > 1;
const areNumerals = hasLabels && DATA.label_names.every((name) => name.length <= 2);
const named = (name) => (areNumerals ? `${name[0] === "8" ? "an" : "a"} ${name}` : name);
const between = DATA.ends.length ? DATA.ends.map(named).join(" and ") : `two ${IS_DIGITS ? "digits" : "cells"}`;
const words = IS_DIGITS
  ? {
      ask: `Halfway between ${between}, what will the decoder show?`,
      options: ["A blur of both", "Another digit", "Half of each"],
      why: "Each place of the plane has its own image, and the straight way leads through the places of other digits. Half of each is what a fade of the pixels shows.",
    }
  : {
      ask: `Halfway between ${between}, where do the genes stand between their ends?`,
      options: ["All halfway", "Each at its own share of the way", "All at their average"],
      why: "The decoder is curved: one gene changes early on the way, another late. It looks like a cell that changes its type.",
    };

explorable({
  title: "A walk in your latent plane",
  ...words,
  right: 1,
  why: `${words.why} But where hardly anything lies near, nothing has corrected the decoder, and it answers all the same.`,
  todo: "Slide <i>t</i> from the start to the end, and drag either end somewhere else.",
  build(stage) {
    const state = { start: DATA.start, end: DATA.end, t: 0 };
    const row = controls(stage);
    const share = slider(row, {
      label: "<i>t</i>, share of the way", min: 0, max: 1, step: 0.01, value: 0, change: (t) => set({ t }),
    });
    button(row.appendChild(element("div", { class: "buttons", style: "align-items: end" })), "Walk", () => {
      let t = 0;
      animate(() => (set({ t }), (t = Math.round(100 * t + 1) / 100) <= 1));
    });
    const figures = stage.appendChild(element("div", { class: "figures" }));
    const [left, right] = range(2).map(() => figures.appendChild(element("div")));
    const reach = Math.max(2.2, 1.08 * Math.max(...flat.map(Math.abs)));
    const figure = plot(left, {
      x: [-reach, reach], y: [-reach, reach], xLabel: "z₁", yLabel: "z₂", yTicks: false,
      height: Math.max(280, left.clientWidth) + 28, label: "Latent plane with the means of the cells", // a square
    });
    const markOf = (label) => areNumerals
      ? svg("text", { style: `fill: ${colorOf(label)}; font-size: 11px`, "text-anchor": "middle", dy: 4 }, DATA.label_names[label])
      : svg("path", { d: MARKERS[label % MARKERS.length], fill: colorOf(label), "fill-opacity": 0.75 });
    const marks = cells.map(({ label }) => markOf(label));
    const place = (mark, [x, y]) => mark.setAttribute("transform", `translate(${figure.x(x).toFixed(1)} ${figure.y(y).toFixed(1)})`);
    marks.forEach((mark, i) => place(mark, cells[i].z));
    figure.group({ "aria-hidden": true }).append(...marks);
    const way = path(figure, { stroke: "var(--ink)" });
    const here = figure.root.appendChild(svg("circle", { r: 6, fill: "var(--ink)", stroke: "var(--card)", "stroke-width": 2 }));
    const grips = ["start", "end"].map((name) => {
      const grip = handle(figure, {
        label: name, color: name === "start" ? START : END, along: "xy", text: () => `at ${state[name].map((value) => fixed(value)).join(", ")}`,
        move: (...z) => set({ [name]: z.map((value) => clamp(value, -reach, reach)) }),
      });
      const halo = "fill: var(--ink); paint-order: stroke; stroke: var(--card); stroke-width: 4px; font-weight: 700";
      grip.append(svg("text", { y: -13, "text-anchor": "middle", style: halo }, name));
      return [name, grip];
    });
    if (hasLabels && !areNumerals) {
      const key = left.appendChild(element("figcaption"));
      const drawn = (label) => svg("svg", { viewBox: "-6 -6 12 12", style: "display: inline; width: 1em" }, markOf(label));
      const style = "display: inline-block; margin-right: 0.8em";
      key.append(...DATA.label_names.map((name, label) => element("span", { style }, drawn(label), ` ${name}`)));
    }
    const show = (IS_DIGITS ? digitsView : genesView)(right);
    const said = numbers(right, { z: ["<i>z</i> ="], kind: ["near it, mostly"], near: ["means within 0.3:"] });

    function now() {
      const z = mix(state.start, state.end, state.t);
      return { z, output: decode(z) };
    }
    function set(values) {
      Object.assign(state, values);
      const { z, output } = now();
      share.set(state.t);
      way.set([state.start, state.end]);
      place(here, z);
      grips.forEach(([name, grip]) => grip.place(...state[name]));
      show(decode(state.start), decode(state.end), output, state.t);
      const far = cells.map(({ label, z: [x, y] }) => ({ label, far: Math.hypot(x - z[0], y - z[1]) })).sort((a, b) => a.far - b.far);
      const votes = DATA.label_names.map((_, label) => far.slice(0, 15).filter((cell) => cell.label === label).length);
      const kind = hasLabels ? DATA.label_names[votes.indexOf(Math.max(...votes))] : "no label";
      said.set({ z: `(${fixed(z[0])}, ${fixed(z[1])})`, kind, near: `${far.filter((cell) => cell.far < 0.3).length} of ${cells.length}` });
    }
    set({});
    return { set, numbers: now };
  },
});
