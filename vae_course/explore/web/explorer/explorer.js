// The page: what is shown now (state), what follows from it (current), and what moves it on.

const $ = (id) => document.getElementById(id);
const REST = 150; // milliseconds without a new input, after which the integrals are worked out
const source = normalNoise(1);
const noise = () => [source(), source(), source()]; // for both latents, and for the library of a cell
const isCalm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
const read = []; // the data sets, once they have been shown

const state = { set: null, model: 0, layer: "decoded", step: "elbo", stop: 0, gene: 0, draws: [], preview: null };
let current = {};

const data = () => (read[state.set] ??= readData(DATA.sets[state.set]));
const model = () => data().models[state.model];
const means = () => data().means(state.model);
const labelOf = (part) => data().label_names.findIndex((name) => name.includes(part));
const isDrawn = () => data().isDrawn;
const isBinary = () => data().isBinary;

// --------------------------------------------------------------------------------------------------------------------
// What follows from what
// --------------------------------------------------------------------------------------------------------------------

/** Take a data set and its model of β = 1, or its only one. */
function setData(index) {
  state.set = index;
  state.model = Math.max(
    0,
    data().models.findIndex(({ beta }) => beta === 1),
  );
  document.body.dataset.kind = isDrawn() ? "pixels" : "genes";
  const favourite = data().labels.indexOf(isDrawn() ? 3 : labelOf("NK"));
  state.index = Math.max(0, favourite);
  state.x = state.drawing = data().x[state.index];
  data().typical ??= new Set(isDrawn() ? data().x.map((x) => String(frameOf(x))) : []);
  buildControls();
  buildGraph();
  buildRows();
  selectStep("elbo");
  showAgreement();
}

/** Take another model of the same data. The points travel from where they lay to where they lie now. */
function setModel(index) {
  const isOther = $("points").dataset.shown === `${state.set}` && index !== state.model;
  state.model = index;
  if (isOther && !isCalm()) showTravel();
  $("points").dataset.shown = state.set;
  plane.reach = reachOf(means());
  drawAxes($("axes"));
  drawPrior($("prior"));
  drawPoints($("points"), means(), data().labels, isDrawn());
  showModel();
  release();
}

/** Take the first input of a class, or the next one if one of them is on screen. */
function pick(label) {
  const { labels } = data();
  const next = labels[state.index] === label ? labels.indexOf(label, state.index + 1) : -1;
  setInput(next < 0 ? labels.indexOf(label) : next);
}

function setInput(index) {
  Object.assign(state, { index, x: data().x[index], drawing: data().x[index] });
  release();
}

/** Take the input whose mean lies nearest to a place. */
const pickNearest = (z) => setInput(nearest(means(), z));

/** Show a drawing while it grows. The noise stays, so z moves along with q(z|x), unless a hand holds it elsewhere. */
function setDrawing(drawing) {
  Object.assign(state, { drawing, x: asDigit(drawing, data().typical), index: null, draws: [] });
  encode();
}

/** Let z go back to the mean of q(z|x). */
function release() {
  Object.assign(state, { eps: [0, 0, 0], held: false, draws: [], film: null, preview: null });
  encode();
}

/** x or the model has changed: q(z|x), and after a rest what is integrated over z. */
function encode() {
  const q = model().encode(state.x);
  current = { q, ...model().kl(q), meanReconstruction: NaN, mass: null };
  if (!state.held) Object.assign(state, model().reparameterize(q, state.eps));
  clearTimeout(encode.rest);
  encode.rest = setTimeout(work, REST, integrals(model(), state.x, q));
  showInput();
  drawEllipse($("ellipse"), q);
  drawDraws($("draws"), state.draws);
  showLayer();
  decode();
}

function* integrals(model, x, q) {
  const mass = yield* integrate(model, x, plane.reach);
  return { mass, meanReconstruction: -(yield* meanLogLikelihood(model, x, q)) };
}

/** Work out the integrals, a few milliseconds at a time, so that nothing stutters; a new input ends it. */
function work(steps) {
  const start = performance.now();
  while (performance.now() < start + 15) {
    const { done, value } = steps.next();
    if (!done) continue;
    Object.assign(current, value);
    if (state.layer === "posterior") showLayer();
    return showRows();
  }
  encode.rest = setTimeout(work, 0, steps);
}

/** z has changed: what it decodes to, and what that costs. */
function decode() {
  current.decoded = model().decode(state.z, state.library);
  current.reconstruction = model().reconstruction(state.x, current.decoded);
  showZ();
  showOutput();
  showUnits();
  showGraph();
  showScore();
  showRows();
  announce();
}

/** The numbers on screen, nats; NaN for integrals that are not worked out yet. */
function numbers() {
  const { reconstruction, kl, klLibrary, meanReconstruction, mass } = current;
  const elbo = -(reconstruction + klLibrary + kl);
  const objective = reconstruction + klLibrary + model().beta * kl;
  const meanElbo = -(meanReconstruction + klLibrary + kl);
  const logPx = mass ? mass.logPx : NaN;
  const gap = Math.max(0, logPx - meanElbo); // which both are exact to a thousandth
  return { reconstruction, kl, klLibrary, elbo, objective, meanReconstruction, meanElbo, logPx, gap };
}

function setZ(z) {
  Object.assign(state, { z: clampToPlane(z), held: true, preview: null });
  decode();
}

/** Show what the decoder makes of another place, or of none; z stays. */
function preview(z) {
  state.preview = z && { z, decoded: model().decode(z, state.library), index: nearest(means(), z) };
  drawNearest($("nearest"), z && means()[state.preview.index]);
  showOutput();
  showUnits();
}

/** Draw z (and the library) from q; all draws stay in sight, the last one is decoded. */
function draw(n) {
  const drawn = range(n).map(noise);
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
  go(isCalm() ? steps : 1);
}

/** Let z walk to a place. */
function walkTo(target, steps = 75) {
  const start = state.z;
  play(steps, (k) => setZ(start.map((value, j) => value + ((target[j] - value) * k) / steps)), 20);
}

/** Draw the digit on screen once more, from the first pixel on. */
function redraw() {
  const [digit, index] = [state.x, state.index];
  const on = range(64).filter((g) => digit[g] === 1);
  const firstPixels = (k) => digit.map((value, g) => (value === 1 && on.indexOf(g) < k ? 1 : 0));
  const take = (k) => {
    const x = firstPixels(k);
    Object.assign(state, { drawing: x, x, index: k === on.length ? index : null, draws: [] });
    encode();
  };
  play(on.length, take, 120);
}

/** Where the inputs of a class lie on average. */
function middleOf(label) {
  const points = means().filter((_, i) => data().labels[i] === label);
  return [0, 1].map((j) => mean(points.map((point) => point[j])));
}

// --------------------------------------------------------------------------------------------------------------------
// The address tells what is on screen
// --------------------------------------------------------------------------------------------------------------------

const isFramed = window.self !== window.top;

/** Write data, model, input, z and layer behind the address; a frame's address is not ours to write. */
function writeAddress() {
  if (isFramed) return;
  const bits = () => range(16).map((k) => parseInt(state.drawing.slice(4 * k, 4 * k + 4).join(""), 2).toString(16));
  const parts = { data: state.set, model: state.model, layer: state.layer };
  if (state.index === null) parts.drawn = bits().join("");
  else parts.input = state.index;
  if (state.held) parts.z = state.z.map((value) => value.toFixed(3)).join(",");
  const hash = `#${new URLSearchParams(parts)}`.replaceAll("%2C", ",");
  if (hash !== location.hash) history.replaceState(null, "", hash);
}

/** Bring the page into the state that the address tells, as far as it makes sense. */
function readAddress() {
  const parts = new URLSearchParams(isFramed ? "" : location.hash.slice(1));
  const whole = (name, end, other) => {
    const value = parts.get(name);
    return /^\d+$/.test(value ?? "") && Number(value) < end ? Number(value) : other;
  };
  const set = whole("data", DATA.sets.length, 0);
  if (set !== state.set) setData(set);
  state.layer = ["decoded", "points", "posterior"].find((layer) => layer === parts.get("layer")) ?? "decoded";
  setModel(whole("model", data().models.length, state.model));
  const drawn = parts.get("drawn");
  if (isDrawn() && /^[0-9a-f]{16}$/.test(drawn ?? "")) {
    const bits = [...drawn].flatMap((digit) => [...parseInt(digit, 16).toString(2).padStart(4, "0")].map(Number));
    setDrawing(Float64Array.from(bits));
  } else if (parts.has("input")) {
    setInput(whole("input", data().x.length, state.index));
  }
  const z = (parts.get("z") ?? "").split(",").map(Number);
  if (parts.get("z") && z.length === 2 && z.every(Number.isFinite)) setZ(z);
}
