"use strict";
// What is known about a cell's z as its genes are looked at, one by one: Bayes' rule on a grid.

const { genes: GENES, cells: CELLS } = DATA;
const Z = linspace(-5, 5, 401);
const SPACING = Z[1] - Z[0];
const LOG_PRIOR = Z.map((z) => normalLogProb(z, 0, 1)); // log-densities
const EDGE = 3.5; // of the z that are shown
const state = { seen: CELLS[0].seen, n: 1 };

const logFactor = (k, z) => bernoulliLogProb(state.seen[k], GENES[k].slope * z + GENES[k].offset);

function infer() {
  const logLikelihood = Z.map((z) => sum(range(state.n).map((k) => logFactor(k, z))));
  const logJoint = LOG_PRIOR.map((value, i) => value + logLikelihood[i]);
  const total = logSumExp(logJoint);
  const posterior = logJoint.map((value) => Math.exp(value - total)); // a probability for every grid point
  const center = sum(posterior.map((p, i) => p * Z[i]));
  const sd = Math.sqrt(sum(posterior.map((p, i) => p * (Z[i] - center) ** 2)));
  return { logLikelihood, posterior, log_evidence: total + Math.log(SPACING), mean: center, sd };
}

explorable({
  title: "A posterior, gene by gene",
  ask: "CD3D was detected, a sign of a T cell. IL32 is a T gene as well: when will it narrow the posterior more?",
  options: ["If it is detected too", "The same in both cases", "If it is not detected"],
  right: 2,
  why:
    "Two signs of a T cell leave all of the left side open, and there only the prior holds <i>z</i> back. Two signs that " +
    "contradict each other close both sides: only the middle surprises neither.",
  todo: "Look at more genes with the slider, press a gene to change what was seen, or take another cell.",
  build(stage) {
    const figure = plot(stage, {
      x: [-EDGE, EDGE], y: [0, 1.6], xLabel: "latent z", yLabel: "density (likelihood: rescaled)", height: 270,
      label: "Prior, likelihood and posterior over z",
    });
    const shown = range(Z.length).filter((i) => Math.abs(Z[i]) <= EDGE);
    const area = path(figure, { fill: "var(--c0)", "fill-opacity": 0.16, stroke: "var(--c0)" }, 0);
    const curvePrior = path(figure, { stroke: "var(--c1)", "stroke-dasharray": "7 4", "stroke-width": 2 });
    const curveLikelihood = path(figure, { stroke: "var(--c2)", "stroke-dasharray": "9 3 2 3", "stroke-width": 2 });
    const bar = path(figure, { stroke: "var(--c0)", "stroke-width": 4, "stroke-linecap": "round" });
    const dot = figure.root.appendChild(svg("circle", { r: 6, fill: "var(--c0)" }));
    const name = (text, fill) => figure.root.appendChild(svg("text", { style: `fill: ${fill}`, "font-weight": 700 }, text));
    const [ofPosterior, ofPrior] = [name("posterior", "var(--c0)"), name("prior", "var(--c1)")];
    const ofLikelihood = name("likelihood", "var(--c2)");
    const place = (text, x, y, anchor) => {
      const places = { x: figure.x(x), y: figure.y(y), "text-anchor": anchor };
      for (const key in places) text.setAttribute(key, places[key]);
    };
    curvePrior.set(shown.map((i) => [Z[i], Math.exp(LOG_PRIOR[i])]));

    const said = numbers(stage, {
      mean: ["mean of z", "var(--c0)"], sd: ["standard deviation", "var(--c0)"], evidence: ["log p(x) of these genes"],
    });
    const looked = slider(controls(stage), {
      label: "genes looked at", min: 0, max: GENES.length, step: 1, value: state.n,
      show: (n) => `${n} of ${GENES.length}`, change: (n) => set({ n }),
    });
    const columns = "display: grid; grid-template-columns: repeat(auto-fit, minmax(94px, 1fr)); gap: 0.4rem";
    const row = stage.appendChild(element("div", { style: columns }));
    const chips = GENES.map((gene, k) => makeChip(row, gene.name, k));
    stage.append(marked("p", "In each gene: its factor, the probability of what was seen, over <i>z</i>."));
    const cells = choice(stage, {
      label: "The cell", options: Object.assign({}, CELLS.map((cell) => cell.name)), value: "0",
      choose: (which) => set({ seen: CELLS[which].seen }),
    });

    /** A gene as a button: what was seen of it, and its factor over z. A press looks at it, or turns its bit. */
    function makeChip(parent, gene, k) {
      const chip = button(parent, `<b>${gene}</b><br>`, () => {
        const turned = state.seen.map((bit, j) => (j === k ? 1 - bit : bit));
        set(k < state.n ? { seen: turned } : { n: k + 1 });
      });
      const [bit, curve] = [element("small"), svg("path", { fill: "none", "stroke-width": 2.5, stroke: "var(--c2)" })];
      const zero = svg("path", { d: "M50,0V36M0,36H100", stroke: "var(--line)", fill: "none" });
      chip.append(bit, svg("svg", { viewBox: "0 0 100 37", "aria-hidden": true }, zero, curve));
      return () => {
        const isKnown = k < state.n;
        bit.textContent = !isKnown ? "not looked at" : state.seen[k] ? "● detected" : "○ undetected";
        bit.style.color = isKnown ? "var(--ink)" : "var(--soft)";
        const heights = linspace(-EDGE, EDGE, 51).map((z) => (35 - 32 * Math.exp(logFactor(k, z))).toFixed(2));
        const points = heights.map((y, i) => `${2 * i},${y}`);
        curve.setAttribute("d", isKnown ? `M${points.join("L")}` : "");
      };
    }

    function set(values) {
      Object.assign(state, values);
      const { logLikelihood, posterior, log_evidence, mean: center, sd } = infer();
      const density = posterior.map((p) => p / SPACING);
      const highest = Math.max(...logLikelihood);
      const rescaled = logLikelihood.map((value) => Math.exp(value - highest));
      area.set(shown.map((i) => [Z[i], density[i]]));
      curveLikelihood.set(shown.map((i) => [Z[i], rescaled[i]]));
      bar.set([[center - sd, 0.05], [center + sd, 0.05]]);
      dot.setAttribute("cx", figure.x(center));
      dot.setAttribute("cy", figure.y(0.05));
      place(ofPrior, center < 0 ? 1.5 : -1.5, 0.2, center < 0 ? "start" : "end");
      placeNames(density, rescaled);
      looked.set(state.n);
      chips.forEach((update) => update());
      cells.set(String(CELLS.findIndex((cell) => String(cell.seen) === String(state.seen))));
      said.set({ mean: fixed(center), sd: fixed(sd), evidence: `${fixed(log_evidence)} nats` });
    }

    /** Names stand beside their curves: where the likelihood has a plateau, its name is on it, and else on its peak. */
    function placeNames(density, rescaled) {
      const peak = Math.max(...density);
      const top = Z[density.indexOf(peak)];
      const plateau = [shown[0], shown.at(-1)].find((i) => rescaled[i] > 0.5);
      const isLeft = plateau === shown[0];
      const flank = shown[isLeft ? "find" : "findLast"]((i) => density[i] > 0.75 * peak);
      if (plateau !== undefined) place(ofLikelihood, isLeft ? 0.1 - EDGE : EDGE - 0.1, 1.06, isLeft ? "start" : "end");
      else if (peak < 1) place(ofLikelihood, Z[rescaled.indexOf(1)], 1.06, "middle");
      else place(ofLikelihood, Z[shown.findLast((i) => Math.max(rescaled[i], density[i]) > 0.7)] + 0.12, 0.7, "start");
      if (state.n === 0 || (plateau === undefined && peak > 1)) place(ofPosterior, top, peak + 0.05, "middle");
      else if (plateau === undefined) place(ofPosterior, top, 0.13, "middle");
      else place(ofPosterior, Z[flank] + (isLeft ? -0.12 : 0.12), density[flank], isLeft ? "end" : "start");
    }
    set({});
    const read = ({ log_evidence, mean: center, sd }) => ({ log_evidence, mean: center, sd });
    return { set, numbers: () => read(infer()) };
  },
});
