"use strict";
// The page: what is shown now (state), what follows from it (current), and what moves it on.

const $ = (id) => document.getElementById(id);
const N_DRAWS = 200;
const source = normalNoise(1);
const noise = () => [source(), source(), source()]; // for both latents, and for the library of a cell
const NOISE = Array.from({ length: N_DRAWS }, noise); // the same for every average, so that numbers do not flicker
const IN_REPOSITORY = location.pathname.includes("/docs/explorer/"); // else on the site, beside its pages
const read = {}; // digits and cells, once they have been shown

const state = { kind: "digits", beta: 1, layer: "points", step: "elbo", stop: 0, gene: 0, draws: [] };
let current = {};

const data = () => (read[state.kind] ??= readData({ kind: state.kind, ...EXPLORER_DATA[state.kind] }));
const model = () => data().models[state.beta];
const labelOf = (part) => data().label_names.findIndex((name) => name.includes(part));
const isDigits = () => state.kind === "digits";

// --------------------------------------------------------------------------------------------------------------------
// What follows from what
// --------------------------------------------------------------------------------------------------------------------

/** Take the digits or the cells; `setBeta` then shows them. */
function setKind(kind) {
  state.kind = kind;
  document.body.dataset.kind = kind;
  const index = data().labels.indexOf(isDigits() ? 3 : labelOf("NK"));
  Object.assign(state, { x: data().x[index], index });
  buildControls();
  buildGraph();
  buildRows();
  selectStep("elbo");
  showAgreement();
}

/** Take another of the three models. */
function setBeta(index) {
  state.beta = index;
  scalePlane(data().means[index]);
  drawAxes($("axes"));
  drawPrior($("prior"));
  drawPoints($("points"), data().means[index], data().labels, isDigits());
  release();
}

/** Take the first input of a class, or the next one if one of them is on screen. */
function pick(label) {
  const { labels, x } = data();
  const next = labels[state.index] === label ? labels.indexOf(label, state.index + 1) : -1;
  const index = next < 0 ? labels.indexOf(label) : next;
  setInput(x[index], index);
}

function setInput(x, index = null) {
  Object.assign(state, { x, index });
  release();
}

/** Show x while it is being drawn. The noise stays, so z moves along with q(z|x), unless a hand holds it elsewhere. */
function showX(x, index = null) {
  Object.assign(state, { x, index, draws: [] });
  encode();
}

/** Let z go back to the mean of q(z|x). */
function release() {
  Object.assign(state, { eps: [0, 0, 0], held: false, draws: [], film: null });
  encode();
}

/** x or the model has changed: q(z|x), and all that is averaged over it. */
function encode() {
  const q = model().encode(state.x);
  const terms = model().importanceTerms(state.x, q, NOISE);
  const logJoint = terms.map((term) => term.logJoint);
  const logQ = terms.map((term) => term.logQ);
  current = {
    q,
    ...model().kl(q),
    meanReconstruction: mean(terms.map((term) => term.reconstruction)),
    logPx: logMarginalLikelihood(logJoint, logQ),
    ess: effectiveSampleSize(logJoint, logQ),
  };
  if (!state.held) Object.assign(state, model().reparameterize(q, state.eps));
  showInput();
  drawEllipse($("ellipse"), q);
  drawDraws($("draws"), state.draws);
  showLayer();
  decode();
}

/** z has changed: what it decodes to, and what that costs. */
function decode() {
  current.decoded = model().decode(state.z, state.library);
  current.reconstruction = model().reconstruction(state.x, current.decoded);
  showZ();
  showOutput();
  showGraph();
  showScore();
  showRows();
  announce();
}

/** The numbers on screen, nats. */
function numbers() {
  const { reconstruction, kl, klLibrary, meanReconstruction, logPx, ess } = current;
  const elbo = -(reconstruction + klLibrary + kl);
  const objective = reconstruction + klLibrary + model().beta * kl;
  const meanElbo = -(meanReconstruction + klLibrary + kl);
  return { reconstruction, kl, klLibrary, elbo, objective, meanReconstruction, meanElbo, logPx, ess };
}

function setZ(z) {
  Object.assign(state, { z: clampToPlane(z), held: true });
  decode();
}

/** Draw z (and the library) from q; all draws stay in sight, the last one is decoded. */
function draw(n) {
  const drawn = Array.from({ length: n }, noise);
  state.draws = [...state.draws, ...drawn.map((eps) => model().reparameterize(current.q, eps).z)].slice(-300);
  Object.assign(state, { eps: drawn[n - 1], held: false, film: null });
  Object.assign(state, model().reparameterize(current.q, state.eps));
  drawDraws($("draws"), state.draws);
  decode();
}

/** Take `steps` steps, one after the other before one's eyes; whatever else happens ends the film. */
function play(steps, takeStep, pause) {
  const film = (state.film = {});
  const go = (k) => {
    if (state.film !== film) return;
    takeStep(k);
    if (k < steps) setTimeout(() => go(k + 1), pause);
  };
  go(matchMedia("(prefers-reduced-motion: reduce)").matches ? steps : 1);
}

/** Let z walk to a place. */
function walkTo(target, steps = 75) {
  const start = state.z;
  play(steps, (k) => setZ(start.map((value, j) => value + ((target[j] - value) * k) / steps)), 20);
}

/** Draw the digit on screen once more, from the first pixel on. */
function redraw() {
  const [digit, index] = [state.x, state.index];
  const on = Array.from(digit.keys()).filter((g) => digit[g] === 1);
  const firstPixels = (k) => digit.map((value, g) => (value === 1 && on.indexOf(g) < k ? 1 : 0));
  play(on.length, (k) => showX(firstPixels(k), k === on.length ? index : null), 120);
}

/** Where the inputs of a class lie on average. */
function middleOf(label) {
  const points = data().means[state.beta].filter((_, i) => data().labels[i] === label);
  return [0, 1].map((j) => mean(points.map((point) => point[j])));
}
