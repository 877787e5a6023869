"use strict";
// Fit a Poisson, a negative binomial or a ZINB to the counts of a gene, by hand.

const GENES = Object.fromEntries(DATA.genes.map(({ name, counts }) => [name, counts])); // how many cells have 0, 1, 2, ...
const LARGEST = 120; // count that is drawn; the log-likelihood knows them all
const FAMILIES = {
  Poisson: { used: ["mu"], logProb: (x, mu) => x * Math.log(mu) - mu - lgamma(x + 1) },
  NB: { used: ["mu", "theta"], logProb: (x, ...more) => (x === 0 ? nbAtZero(...more) : nbAboveZero(x, ...more)) },
  ZINB: { used: ["mu", "theta", "zi_logits"], logProb: zinbLogProb },
};
const SCALES = { // of the sliders: from a value to its place, and back
  mu: { label: "<i>μ</i>", min: -4, max: 5, to: Math.log, from: Math.exp, shown: Math.exp },
  theta: { label: "<i>θ</i>", min: -5, max: 5, to: Math.log, from: Math.exp, shown: Math.exp },
  zi_logits: { label: "<i>π</i>", min: -10, max: 4, to: (a) => a, from: (a) => a, shown: sigmoid },
};
const state = { gene: DATA.genes[0].name, family: "Poisson", mu: 1, theta: 1, zi_logits: -1 };

const logProb = (x) => FAMILIES[state.family].logProb(x, state.mu, state.theta, state.zi_logits);
const shares = () => GENES[state.gene].map((cells) => cells / sum(GENES[state.gene]));
const logLikelihood = () => sum(shares().map((share, x) => (share ? share * logProb(x) : 0))); // nats per cell

explorable({
  title: "Which distribution does a gene need?",
  ask: "Three quarters of the cells show no molecule of a gene, a few show dozens. Which is the simplest that fits?",
  options: ["Poisson, with a small mean", "ZINB, with extra zeros", "NB, with a small θ"],
  right: 2,
  why:
    "Many zeros need no zero inflation: a Poisson explains the 59 % of RNF181, an NB with a small θ the 74 % of GNLY and its " +
    "large counts. ZINB helps where zeros stand apart from a hump, as in CST3: there cells of several types are mixed.",
  todo: "Choose a distribution and slide its parameters until its line follows the bars and the log-likelihood is highest.",
  build(stage) {
    for (const event of ["click", "input"]) stage.addEventListener(event, () => animate(() => false), true); // ends a climb
    const above = controls(stage);
    const named = (object) => Object.fromEntries(Object.keys(object).map((name) => [name, name]));
    const genes = choice(above, { label: "Gene", options: named(GENES), choose: (gene) => start({ gene }) });
    const families = choice(above, { label: "Distribution", options: named(FAMILIES), choose: (family) => start({ family }) });
    const figure = plot(stage, {
      x: [0, 1], y: [0, 1], xLabel: "count", yTicks: false, height: 290, label: "Counts and their fit",
      caption:
        "Share of cells on a square-root axis: a bar twice as high stands for four times as many cells, so that rare counts " +
        "show. One μ serves all cells here, deep and shallow; lesson 5 gives each cell its own, in proportion to its total.",
    });
    figure.box.left = 44; // room for the ticks of a square-root axis
    const scale = figure.group({ class: "axis", "aria-hidden": true });
    const bars = path(figure, { fill: "var(--c0)", "fill-opacity": 0.5 });
    const curve = path(figure, { stroke: "var(--c1)", "stroke-width": 1.5 });
    const dots = path(figure, { stroke: "var(--c1)", "stroke-linecap": "round" });
    const [nameBars, nameCurve] = ["--c0", "--c1"].map((color) => svg("tspan", { style: `fill: var(${color})`, dx: 10 }));
    const text = svg("text", { x: figure.box.right - 10, y: 16, "text-anchor": "end", "font-weight": 700 }, nameBars, nameCurve);
    figure.root.append(text);
    const said = numbers(stage, {
      level: ["log-likelihood", "var(--c1)"], zeros: ["zeros of the model", "var(--c1)"], seen: ["of the cells", "var(--c0)"],
      best: ["best so far, nats per cell:"],
    });
    const best = {}; // of each gene with each distribution
    const below = controls(stage);
    const sliders = Object.entries(SCALES).map(([key, { from, shown, ...ends }]) => slider(below, {
      ...ends, step: 0.02, value: 0, show: (place) => fixed(shown(place)), change: (place) => set({ [key]: from(place) }),
    }));
    const buttons = below.appendChild(element("div", { class: "buttons", style: "align-items: center" }));
    button(buttons, "Fit μ to the mean", () => start({}));
    button(buttons, "Fit all parameters", climb);

    /** With the mean of the gene: that of a ZINB is (1 - pi) mu. */
    function start(values) {
      Object.assign(state, values);
      set({ mu: sum(shares().map((share, x) => share * x)) / (state.family === "ZINB" ? sigmoid(-state.zi_logits) : 1) });
    }

    /** Move one parameter after the other by a step that helps; halve the step when none does. */
    function climb() {
      let step = 0.4;
      animate(() => {
        const before = logLikelihood();
        for (const [key, by] of FAMILIES[state.family].used.flatMap((one) => [[one, step], [one, -step]])) {
          const [{ to, from, min, max }, old, level] = [SCALES[key], state[key], logLikelihood()];
          state[key] = from(clamp(to(old) + by, min, max));
          if (logLikelihood() <= level) state[key] = old;
        }
        if (logLikelihood() - before < 1e-9) step /= 2;
        set({});
        return step > 1e-3;
      });
    }

    function set(values) {
      Object.assign(state, values);
      const [{ gene, family }, { used }] = [state, FAMILIES[state.family]];
      genes.set(gene);
      families.set(family);
      Object.entries(SCALES).forEach(([key, { to }], k) => {
        sliders[k].set(to(state[key]));
        sliders[k].input.disabled = !used.includes(key);
        sliders[k].style.opacity = used.includes(key) ? 1 : 0.4;
      });
      const [level, observed] = [logLikelihood(), shares()];
      const ofGene = (best[gene] ??= { Poisson: NaN, NB: NaN, ZINB: NaN }); // NaN is shown as a dash
      ofGene[family] = ofGene[family] > level ? ofGene[family] : level;
      const bests = Object.entries(ofGene).map(([one, nats]) => `${one} ${fixed(nats, 3)}`).join(", ");
      const [zeros, seen] = [Math.exp(logProb(0)), observed[0]].map((share) => `${fixed(100 * share, 1)} %`);
      said.set({ level: `${fixed(level, 3)} nats per cell`, zeros, seen, best: bests });
      nameCurve.textContent = family;
      nameBars.textContent = `${gene} in ${sum(GENES[gene])} cells${observed.length > LARGEST + 1 ? `, up to ${LARGEST}` : ""}`;
      draw(observed);
    }

    function draw(observed) {
      const shown = range(clamp(observed.length + 1, 8, LARGEST + 1));
      const roots = shown.map((x) => [x, Math.exp(logProb(x) / 2)]);
      figure.setX([-0.6, shown.length - 0.4]);
      figure.setY([0, 1.15 * Math.max(...observed.map(Math.sqrt), ...roots.map(([, root]) => root))]);
      const { left, right, bottom, top } = figure.box;
      const marks = [0.001, 0.01, 0.05, 0.2, 0.5].filter((share) => figure.y(Math.sqrt(share)) > top + 8);
      scale.replaceChildren(...marks.flatMap((share) => {
        const y = figure.y(Math.sqrt(share));
        const text = svg("text", { x: left - 6, y: y + 4, "text-anchor": "end" }, `${100 * share} %`);
        return [svg("line", { x1: left, x2: right, y1: y, y2: y }), text];
      }));
      const half = Math.min(0.42 * (figure.x(1) - figure.x(0)), 12);
      const bar = (x) => `M${figure.x(x) - half},${bottom}V${figure.y(Math.sqrt(observed[x] ?? 0))}h${2 * half}V${bottom}Z`;
      bars.setAttribute("d", shown.map(bar).join(""));
      curve.set(roots);
      dots.setAttribute("stroke-width", half > 3 ? 7 : 3.5);
      dots.setAttribute("d", roots.map(([x, root]) => `M${figure.x(x)},${figure.y(root)}h0`).join(""));
    }
    start({});
    return { set, numbers: () => ({ log_likelihood: logLikelihood(), zeros: Math.exp(logProb(0)) }) };
  },
});
