// What the page says: notes, the tour, and the formulas with the numbers on screen put in.

const pair = (values) => `(${fixed(values[0])}, ${fixed(values[1])})`;
const percent = (share) => `${fixed(100 * share)} %`;
const plain = (name) => name.replace(/[&<>]/g, (sign) => `&#${sign.charCodeAt(0)};`);
const inBrackets = (value) => (fixed(value).startsWith("−") ? `(${fixed(value)})` : fixed(value));

/** Text as HTML, with single letters as symbols and x_g with its index below. */
function math(text) {
  const symbol = /(\b[pqxzlvm]|[βεμσθπΣ])(_[a-z])?(?![a-z])/g;
  return text.replace(symbol, (_, letter, index) => {
    const name = letter === "Σ" ? letter : `<i>${letter}</i>`;
    return index ? `${name}<sub>${index[1]}</sub>` : name;
  });
}

/** What this is, in one sentence. */
const lead = () =>
  DATA.isCourse
    ? "A trained VAE runs in this page: its encoder turns a digit or a cell x into a place z in a plane, its decoder " +
      "turns every place back."
    : "Your model runs in this page: its encoder turns an input x into a place z in a plane, its decoder turns every " +
      "place back.";

const BETA_NOTES = {
  Digits: [
    "Nearly an autoencoder. The KL hardly counts: every ellipse is a speck, and each digit has a place of its own.",
    "The VAE. Both parts of the loss weigh the same, and the points fill the prior.",
    "Collapse. The ellipse is all but the prior, whatever you draw, and every z decodes to the same blur.",
  ],
  "Blood cells": [
    "Nearly an autoencoder. The types move far apart, well outside the prior, and each cell's ellipse is a dot.",
    "The VAE. Types are islands of one map that the prior covers, and neighbours are alike.",
    "Collapse. The ellipse is the prior for every cell. Only the library still tells cells apart.",
  ],
};

const inputName = () => (isDrawn() ? "digit" : "cell");

/** What the marks in the plane are. */
const MARKS_NOTE = () => `Every ${isDrawn() ? "numeral" : "mark"} is the mean of q(z|x) of one ${inputName()}.`;

/** What lies behind the ellipse. */
function layerNote() {
  if (state.layer === "points") return `${MARKS_NOTE()} Click to take the nearest as input.`;
  if (state.layer === "posterior")
    return "The shade is p(z|x), computed on a grid: what q(z|x), the ellipse, approximates.";
  if (isDrawn())
    return "What the decoder makes of each place. Orange: q(z|x). Drag the ring z, or click to take the nearest digit.";
  const quantity = isBinary() ? "Probability" : "Expected share";
  return `${quantity} of ${plain(data().gene_names[state.gene])} in a cell that lies there.`;
}

/** What the pointer is over: the place, and the input that a click would take. */
function previewNote() {
  const { z, index } = state.preview;
  const label = plain(data().label_names[data().labels[index]]);
  const nearest = data().label_names.length > 1 ? ` (${label})` : "";
  return `at the pointer, z = ${pair(z)}. A click takes the nearest ${inputName()}${nearest}.`;
}

/** Which models these are. */
function about() {
  if (DATA.isCourse) return ABOUT;
  const { kind, options } = model();
  const likelihood = isBinary() ? "Bernoulli" : likelihoodName();
  const { n_input: inputs, n_hidden: hidden } = options;
  return `Your ${kind}: ${inputs} inputs, ${hidden} hidden units, two latents, ${likelihood} likelihood.`;
}

const ABOUT =
  "Models: the package's BinaryVAE (64 pixels, 192 hidden units, an encoder of three hidden layers) and VAE (765 " +
  "genes, 32 hidden units, ZINB), two latents each, trained on nine tenths of the data. Only the weight β of the KL " +
  "to the prior of z differs, and it is the same from the first epoch to the last. Digits: scikit-learn's copy of " +
  "the UCI set, 8 by 8 pixels, on or off. Their models started from a map of the digits (t-SNE, which sees no " +
  "labels), and in training their encoder was mostly shown digits of the same class by other hands (MNIST, made as " +
  "small, half of them in lines of one pixel). Cells: 700 human blood cells of Zheng et al. (2017).";

/** The tour: what to try, what there is to see, and what the button does. */
const TOUR = [
  {
    ask: "Draw a 3, pixel by pixel.",
    see:
      "With every pixel the ellipse q(z|x) moves, and it ends among the threes. " +
      "The pixels that are odd for a 3 cost most.",
    run: () => {
      setUp(0, 1, "points");
      pick(3);
      redraw();
    },
  },
  {
    ask: "Drag z from the zeros to the fours.",
    see:
      "The 0 melts into a 6, and the 6 into a 4. Far from the ellipse the BCE climbs. " +
      "The KL stays: it depends on x, not on z.",
    run: () => {
      setUp(0, 1, "points");
      pick(0);
      walkTo(middleOf(4));
    },
  },
  {
    ask: "Draw thirty times, and compare with the true posterior.",
    see:
      "Draws fill the ellipse. The shade is what q(z|x) should be. " +
      "The misfit is the gap from the ELBO to log p(x), in the last row below.",
    run: () => {
      setUp(0, 1, "posterior");
      pick(8);
      draw(30);
    },
  },
  {
    ask: "Switch to β = 0.01.",
    see:
      "The ellipse shrinks to a speck. A KL of 7 nats now adds only 0.07 to the loss, so the encoder can afford to " +
      "say exactly where each digit lies.",
    run: () => {
      setUp(0, 0, "decoded");
      pick(4);
    },
  },
  {
    ask: "Switch to β = 32.",
    see:
      "The ellipse all but becomes the prior, the KL vanishes, and every z decodes to the same blur, an average of " +
      "all digits.",
    run: () => {
      setUp(0, 2, "points");
      pick(4);
      draw(30);
    },
  },
  {
    ask: "Take a natural killer cell and drag z to the B cells.",
    see: "GNLY and NKG7 fall, MS4A1 and CD79A rise. The ZINB cost grows, since the counts are still the killer's.",
    run: () => {
      setUp(1, 1, "points");
      pick(labelOf("NK"));
      walkTo(middleOf(labelOf("CD19")));
    },
  },
];

/** What the steps of the computation are called, and what they look like now. */
function stepsNow() {
  const { q, decoded, reconstruction, kl, klLibrary } = current;
  const values = decoded.logits ?? decoded.rate;
  const inputs = model().options.n_input;
  const ends = `${fixed(Math.min(...values), 1)} … ${fixed(Math.max(...values), 1)}`;
  const eps = state.z.map((value, j) => (value - q.mean[j]) / Math.sqrt(q.var[j]));
  return {
    x: [
      "x",
      isBinary()
        ? `${sum(state.x)} of ${inputs} ${isDrawn() ? "pixels on" : "genes seen"}`
        : `${sum(state.x)} molecules`,
    ],
    encode: ["encoder", model().shapeOf("encoder")],
    q: ["μ, σ", `μ = ${pair(q.mean)}<br>σ = ${pair(q.var.map(Math.sqrt))}`],
    z: ["z = μ + σ ε", `z = ${pair(state.z)}<br>ε = ${pair(eps)}`],
    decode: ["decoder", model().shapeOf("decoder")],
    output: isBinary() ? ["logits", ends] : ["rate μ_g", `exp(l) = ${fixed(Math.exp(state.library), 0)}<br>${ends}`],
    reconstruction: [costName(), fixed(reconstruction)],
    kl: ["KL", fixed(kl, 3)],
    kl_library: ["KL of l", fixed(klLibrary, 3)],
    elbo: ["ELBO", fixed(numbers().elbo)],
  };
}

const likelihoodName = () => model().options.likelihood.toUpperCase();
const costName = () => (isBinary() ? "BCE" : `${likelihoodName()} cost`);

/** Every number's name, its formula with what is on screen put in, and its value. */
function rowsNow() {
  const n = numbers();
  const klParts = isBinary() ? fixed(n.kl) : `${fixed(n.kl)} + ${fixed(n.klLibrary)}`;
  const elbo = isBinary() ? "−(BCE + KL)" : "−(cost + KL + KL of l)";
  const objective = isBinary() ? "BCE + β KL" : "cost + KL of l + β KL";
  const weighted = `${fixed(n.reconstruction + n.klLibrary)} + ${model().beta} × ${fixed(n.kl)}`;
  const gap = `KL(q ‖ p(${isBinary() ? "z" : "z, l"}|x))`;
  const integral = isBinary() ? "log ∫ p(x|z) p(z) dz" : "log ∫∫ p(x|z, l) p(z) p(l) dz dl";
  return {
    reconstruction: [costName(), costFormula(), n.reconstruction],
    kl: ["KL", klFormula(), n.kl],
    kl_library: ["KL of l", isBinary() ? "" : klLibraryFormula(), n.klLibrary],
    elbo: ["ELBO at this z", `${elbo} = −(${fixed(n.reconstruction)} + ${klParts})`, n.elbo],
    beta: ["Trained on", `${objective} = ${weighted}`, n.objective],
    mean_elbo: ["ELBO", `mean over q(z|x): −(${fixed(n.meanReconstruction)} + ${klParts})`, n.meanElbo],
    log_px: ["log p(x)", `${integral} on a grid. The ELBO lies ${fixed(n.gap)} below: that is ${gap}`, n.logPx],
  };
}

/** The cost in two parts: what is there (pixels on, genes seen), and what is not. */
function costFormula() {
  const present = state.x.filter((value) => value > 0).length;
  const absent = state.x.length - present;
  const ofAbsent = model().reconstruction(state.x, current.decoded, (value) => value === 0);
  const ofPresent = current.reconstruction - ofAbsent;
  const parts = (there, not) => `${fixed(ofPresent)} for ${present} ${there} + ${fixed(ofAbsent)} for ${absent} ${not}`;
  if (isDrawn()) return `−Σ_g log p(x_g|z) = ${parts("pixels on", "off")}`;
  if (isBinary()) return `−Σ_g log p(x_g|z) = ${parts("genes seen", "not seen")}`;
  const parameters = model().isInflated ? "μ_g, θ_g, π_g" : "μ_g, θ_g";
  return `−Σ_g log ${likelihoodName()}(x_g; ${parameters}) = ${parts("genes seen", "zeros")}`;
}

function klFormula() {
  const { mean, var: variance } = current.q;
  const part = (j) => `${fixed(variance[j], 3)} + ${fixed(mean[j] ** 2, 3)} − 1 − ${inBrackets(Math.log(variance[j]))}`;
  return `½ Σ_j (σ² + μ² − 1 − log σ²) = ½ [(${part(0)}) + (${part(1)})]`;
}

function klLibraryFormula() {
  const { mean, var: variance } = current.q.library;
  const [priorMean, priorVar] = model().libraryPrior();
  const [vq, vp] = [fixed(variance, 4), fixed(priorVar, 3)];
  return (
    "½ [log(v_p/v_q) + (v_q + (m_q − m_p)²)/v_p − 1] = " +
    `½ [log(${vp}/${vq}) + (${vq} + (${fixed(mean)} − ${fixed(priorMean)})²)/${vp} − 1]`
  );
}
