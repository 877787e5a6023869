"use strict";
// What the page says: notes, the tour, and the formulas with the numbers on screen put in.

/** A number with its minus sign, and without the minus where it is rounded to zero. */
function fixed(value, digits = 2) {
  return (Math.abs(value) < 0.5 * 10 ** -digits ? 0 : value).toFixed(digits).replace("-", "−");
}

const pair = (values) => `(${fixed(values[0])}, ${fixed(values[1])})`;
const inBrackets = (value) => (fixed(value).startsWith("−") ? `(${fixed(value)})` : fixed(value));

/** Text as HTML, with single letters as symbols and x_g with its index below. */
function math(text) {
  const symbol = /(\b[pqxzlvm]|[βεμσθπΣ])(_[a-z])?(?![a-z])/g;
  return text.replace(symbol, (_, letter, index) => {
    const name = letter === "Σ" ? letter : `<i>${letter}</i>`;
    return index ? `${name}<sub>${index[1]}</sub>` : name;
  });
}

const BETA_NOTES = {
  digits: [
    "Nearly an autoencoder. Spread costs little, so the points leave the prior, the ellipses shrink, and z drawn " +
      "from the prior finds only some of the digits.",
    "The VAE. Both parts of the loss weigh the same. The points fill the prior, and every place in it decodes to " +
      "something like a digit.",
    "Collapse. Saying anything about x costs more than it saves: the ellipse is the prior, whatever you draw, and " +
      "every z decodes to the same blur, an average of all digits.",
  ],
  cells: [
    "Nearly an autoencoder. The types move far apart, well outside the prior, and each cell's ellipse is a dot.",
    "The VAE. Types are islands of one map that the prior covers, and neighbours are alike.",
    "Collapse. The ellipse is the prior for every cell, and every z decodes to the same average cell. Only the " +
      "library still tells cells apart.",
  ],
};

const LAYER_NOTES = {
  digits: {
    points: () => "Every numeral is the mean of q(z|x) of one digit of the data.",
    decoded: () => "What the decoder makes of each place in the plane.",
    posterior: () => "The shade is p(z|x), computed on a grid: what q(z|x) approximates.",
  },
  cells: {
    points: () => "Every mark is the mean of q(z|x) of one cell.",
    decoded: () => `Expected share of ${data().gene_names[state.gene]} in a cell that lies there.`,
    posterior: () => "The shade is p(z|x) at the mean of l, computed on a grid: what q(z|x) approximates.",
  },
};

const ABOUT =
  "Models: the package's BinaryVAE (64 pixels, 64 hidden units) and VAE (765 genes, 32 hidden units, ZINB), two " +
  "latents each, trained for 200 epochs on nine tenths of the data. Only the weight β of the KL to the prior of z " +
  "differs, and it is the same from the first epoch to the last. Digits: scikit-learn's copy of the UCI set, 8 by 8 " +
  "pixels, on or off. Cells: 700 human blood cells of Zheng et al. (2017).";

/** The tour: what to try, what there is to see, and what the button does. */
const TOUR = [
  {
    ask: "Draw a 3, pixel by pixel.",
    see:
      "With every pixel the ellipse q(z|x) moves, and it ends among the threes. " +
      "The pixels that are odd for a 3 cost most.",
    run: () => {
      setUp("digits", 1);
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
      setUp("digits", 1);
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
      setUp("digits", 1, "posterior");
      pick(8);
      draw(30);
    },
  },
  {
    ask: "Switch to β = 0.01 and look behind the ellipse at what is decoded.",
    see: "The ellipse shrinks to a speck and the plane grows. The dashed prior now covers only a part of the digits.",
    run: () => {
      setUp("digits", 0, "decoded");
      pick(4);
    },
  },
  {
    ask: "Switch to β = 32.",
    see: "The ellipse becomes the prior, the KL is zero, and every z decodes to the same blur, an average of all digits.",
    run: () => {
      setUp("digits", 2);
      pick(4);
      draw(30);
    },
  },
  {
    ask: "Take a natural killer cell and drag z to the B cells.",
    see: "GNLY and NKG7 fall, MS4A1 and CD79A rise. The ZINB cost grows, since the counts are still the killer's.",
    run: () => {
      setUp("cells", 1);
      pick(labelOf("NK"));
      walkTo(middleOf(labelOf("CD19")));
    },
  },
];

/** What the steps of the computation are called, and what they look like now. */
function stepsNow() {
  const { q, decoded, reconstruction, kl, klLibrary } = current;
  const { n_hidden: hidden, n_input: inputs } = model().options;
  const values = decoded.logits ?? decoded.rate;
  const range = `${fixed(Math.min(...values), 1)} … ${fixed(Math.max(...values), 1)}`;
  const eps = state.z.map((value, j) => (value - q.mean[j]) / Math.sqrt(q.var[j]));
  return {
    x: ["x", isDigits() ? `${sum(state.x)} of 64 pixels on` : `${sum(state.x)} molecules`],
    encode: ["encoder", `${inputs} → ${hidden} → 2 + 2`],
    q: ["μ, σ", `μ = ${pair(q.mean)}<br>σ = ${pair(q.var.map(Math.sqrt))}`],
    z: ["z = μ + σ ε", `z = ${pair(state.z)}<br>ε = ${pair(eps)}`],
    decode: ["decoder", `2 → ${hidden} → ${inputs}${isDigits() ? "" : " × 2"}`],
    output: isDigits() ? ["logits", range] : ["rate μ_g", `exp(l) = ${fixed(Math.exp(state.library), 0)}<br>${range}`],
    reconstruction: [costName(), fixed(reconstruction)],
    kl: ["KL", fixed(kl, 3)],
    kl_library: ["KL of l", fixed(klLibrary, 3)],
    elbo: ["ELBO", fixed(numbers().elbo)],
  };
}

const costName = () => (isDigits() ? "BCE" : "ZINB cost");

/** Every number's name, its formula with what is on screen put in, and its value. */
function rowsNow() {
  const n = numbers();
  const klParts = isDigits() ? fixed(n.kl) : `${fixed(n.kl)} + ${fixed(n.klLibrary)}`;
  const elbo = isDigits() ? "−(BCE + KL)" : "−(cost + KL + KL of l)";
  const objective = isDigits() ? "BCE + β KL" : "cost + KL of l + β KL";
  const weighted = `${fixed(n.reconstruction + n.klLibrary)} + ${model().beta} × ${fixed(n.kl)}`;
  const gap = `KL(q ‖ p(${isDigits() ? "z" : "z, l"}|x))`;
  const worth = `${fixed(n.ess, 0)} of ${N_DRAWS}${n.ess < 10 ? ", too few to trust" : ""}`;
  return {
    reconstruction: [costName(), costFormula(), n.reconstruction],
    kl: ["KL", klFormula(), n.kl],
    kl_library: ["KL of l", isDigits() ? "" : klLibraryFormula(), n.klLibrary],
    elbo: ["ELBO at this z", `${elbo} = −(${fixed(n.reconstruction)} + ${klParts})`, n.elbo],
    beta: ["Trained on", `${objective} = ${weighted}`, n.objective],
    mean_elbo: ["ELBO", `mean over ${N_DRAWS} draws of ε: −(${fixed(n.meanReconstruction)} + ${klParts})`, n.meanElbo],
    log_px: [
      "log p(x)",
      `from the same draws, reweighted; they are worth ${worth}. Its lead over the ELBO, ` +
        `${fixed(n.logPx - n.meanElbo)}, is the estimated gap ${gap}`,
      n.logPx,
    ],
  };
}

/** The cost in two parts: what is there (pixels on, genes seen), and what is not. */
function costFormula() {
  const present = state.x.filter((value) => value > 0).length;
  const absent = state.x.length - present;
  const ofAbsent = model().reconstruction(state.x, current.decoded, (value) => value === 0);
  const ofPresent = current.reconstruction - ofAbsent;
  return isDigits()
    ? `−Σ_g log p(x_g|z) = ${fixed(ofPresent)} for ${present} pixels on + ${fixed(ofAbsent)} for ${absent} off`
    : `−Σ_g log ZINB(x_g; μ_g, θ_g, π_g) = ${fixed(ofPresent)} for ${present} genes seen + ` +
        `${fixed(ofAbsent)} for ${absent} zeros`;
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
