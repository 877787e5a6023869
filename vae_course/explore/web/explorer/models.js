// vae_course/binary_vae.py, vae.py and nn.py in JavaScript, as trained (no dropout, batch normalisation with its
// running moments). Weights are PyTorch's float32 numbers under PyTorch's names; sums are made in float64.

/** A layer's outputs: Linear, and for hidden ones batch normalisation (which is in the weights already), ReLU. */
function applied({ weight, bias }, x, isHidden = false) {
  const made = new Float64Array(bias.length);
  for (let row = 0, k = 0; row < made.length; row++) {
    let total = bias[row];
    for (let j = 0; j < x.length; j++, k++) total += weight[k] * x[j];
    made[row] = isHidden ? Math.max(0, total) : total;
  }
  return made;
}

/** The sum of log(1 + exp(a)): a logarithm of products, as it is slow to take one after the other. */
function sumOfSoftplus(values) {
  let [total, product] = [0, 1];
  for (const a of values) {
    total += Math.max(a, 0);
    product *= 1 + Math.exp(-Math.abs(a)); // at most 2
    if (product > 1e280) {
      total += Math.log(product);
      product = 1;
    }
  }
  return total + Math.log(product);
}

function softmax(logits) {
  let [largest, total] = [-Infinity, 0];
  for (const a of logits) if (a > largest) largest = a;
  const made = logits.map((a) => Math.exp(a - largest));
  for (const share of made) total += share;
  return made.map((share) => share / total);
}

/** What both models share: their weights, the hidden layers, and the noise's way into z. */
class Model {
  constructor({ beta, kind, options, weights }) {
    Object.assign(this, { beta, kind, options, weights: {}, layers: {} });
    for (const name in weights) this.weights[name] = Float64Array.from(float32(weights[name].data));
  }

  /** Widths of the layers of the encoder or the decoder. */
  shapeOf(network) {
    const { n_input: inputs, n_hidden: hidden, n_layers: layers = 1, n_encoder_layers: above = layers } = this.options;
    const through = (n) => (n > 1 ? `${n}×${hidden}` : hidden);
    if (network === "encoder") return `${inputs} → ${through(above)} → 2+2`;
    return `2 → ${through(layers)} → ${inputs}${this.isInflated ? " × 2" : ""}`;
  }

  linear(name, x) {
    this.layers[name] ??= { weight: this.weights[`${name}.weight`], bias: this.weights[`${name}.bias`] };
    return applied(this.layers[name], x);
  }

  /** The last of the hidden layers (FCLayers). */
  hidden(name, x) {
    this.layers[name] ??= range(Object.keys(this.weights).length)
      .map((i) => `${name}.fc_layers.Layer ${i}`)
      .filter((layer) => `${layer}.0.weight` in this.weights)
      .map((layer) => this.normalised(layer));
    return this.layers[name].reduce((values, layer) => applied(layer, values, true), Float64Array.from(x));
  }

  /** Weights and biases of a Linear and the batch normalisation behind it, as one. */
  normalised(name) {
    const part = (of) => this.weights[`${name}.${of}`];
    const [weight, bias] = ["weight", "bias"].map((of) => part(`0.${of}`));
    const [scale, shift, mean, variance] = ["weight", "bias", "running_mean", "running_var"].map((of) =>
      part(`1.${of}`),
    );
    const factor = Float64Array.from(scale, (s, j) => s / Math.sqrt(variance[j] + 0.001));
    const columns = weight.length / bias.length;
    return {
      weight: Float64Array.from(weight, (w, k) => w * factor[Math.floor(k / columns)]),
      bias: Float64Array.from(bias, (b, j) => (b - mean[j]) * factor[j] + shift[j]),
    };
  }

  /** z = mean + sd eps; the last eps belongs to the library, where the model has one. */
  reparameterize(q, eps) {
    const z = q.mean.map((m, j) => m + Math.sqrt(q.var[j]) * eps[j]);
    return { z, library: q.library && q.library.mean + Math.sqrt(q.library.var) * eps[2] };
  }

  /** −log p(x|z, l), or that part of it which belongs to some values of x. */
  reconstruction(x, decoded, isMeant = () => true) {
    return sum(this.costs(x, decoded).filter((_, g) => isMeant(x[g])));
  }
}

/** p(x|z) = Bernoulli for every pixel or gene. */
class BinaryVAE extends Model {
  encode(x) {
    const hidden = this.hidden("encoder", x);
    const logvar = this.linear("logvar_encoder", hidden);
    return { mean: Array.from(this.linear("mean_encoder", hidden)), var: Array.from(logvar, Math.exp) };
  }

  hiddenOf(x, z) {
    return { encoder: this.hidden("encoder", x), decoder: this.hidden("decoder", z) };
  }

  logits(z) {
    return this.linear("logits_decoder", this.hidden("decoder", z));
  }

  decode(z) {
    const logits = this.logits(z);
    const output = logits.map(sigmoid);
    return { logits, output, expected: output };
  }

  costs(x, { logits }) {
    return logits.map((a, g) => -bernoulliLogProb(x[g], a));
  }

  kl(q) {
    return { kl: klStandardNormal(q.mean, q.var), klLibrary: 0 };
  }

  /** log p(x|z) as a function of z. */
  logLikelihood(x) {
    return (z) => {
      const logits = this.logits(z);
      let total = -sumOfSoftplus(logits);
      for (let g = 0; g < x.length; g++) total += x[g] * logits[g];
      return total;
    };
  }
}

/** scVI: p(x|z, l) = ZINB or NB for every gene. */
class VAE extends Model {
  constructor(stored) {
    super(stored);
    this.theta = Float64Array.from(this.weights.px_r, Math.exp);
    this.isInflated = this.options.likelihood === "zinb";
  }

  seen(x) {
    return this.options.log_variational ? Float64Array.from(x, Math.log1p) : x;
  }

  encode(x) {
    const l = this.gaussian("l_encoder", this.seen(x));
    return { ...this.encodeZ(x), library: { mean: l.mean[0], var: l.var[0] } };
  }

  encodeZ(x) {
    return this.gaussian("z_encoder", this.seen(x));
  }

  gaussian(name, seen) {
    const hidden = this.hidden(`${name}.encoder`, seen);
    const variance = this.linear(`${name}.var_encoder`, hidden).map((a) => Math.exp(a) + this.options.var_eps);
    return { mean: Array.from(this.linear(`${name}.mean_encoder`, hidden)), var: Array.from(variance) };
  }

  hiddenOf(x, z) {
    return { encoder: this.hidden("z_encoder.encoder", this.seen(x)), decoder: this.hidden("decoder.px_decoder", z) };
  }

  /** Share of each gene, and the log-odds of an extra zero. */
  decodeShares(z) {
    const hidden = this.hidden("decoder.px_decoder", z);
    const scale = softmax(this.linear("decoder.px_scale_decoder.0", hidden));
    const dropout = this.isInflated
      ? this.linear("decoder.px_dropout_decoder", hidden)
      : new Float64Array(scale.length).fill(-Infinity);
    return { scale, dropout };
  }

  decode(z, library) {
    const { scale, dropout } = this.decodeShares(z);
    const rate = scale.map((share) => Math.exp(library) * share);
    return { output: scale, rate, dropout, expected: rate.map((mu, g) => mu * sigmoid(-dropout[g])) };
  }

  costs(x, { rate, dropout }) {
    return rate.map((mu, g) => -this.logProb(x[g], mu, this.theta[g], dropout[g]));
  }

  logProb(x, mu, theta, dropout) {
    if (this.isInflated) return zinbLogProb(x, mu, theta, dropout);
    return x === 0 ? nbAtZero(mu, theta) : nbAboveZero(x, mu, theta);
  }

  libraryPrior() {
    return [this.weights.library_log_means[0], this.weights.library_log_vars[0]];
  }

  kl(q) {
    const klLibrary = klNormal(q.library.mean, q.library.var, ...this.libraryPrior());
    return { kl: klStandardNormal(q.mean, q.var), klLibrary };
  }

  /** log p(x|z, l) as a function of z, which returns one of l: what depends on x or z alone is worked out once. */
  logLikelihood(x) {
    const { theta, isInflated } = this;
    const logChoose = theta.map((r, g) => (x[g] ? lgamma(x[g] + r) - lgamma(r) - lgamma(x[g] + 1) : 0));
    return (z) => {
      const { scale, dropout } = this.decodeShares(z);
      const ratio = scale.map((share, g) => share / theta[g]);
      let withoutL = isInflated ? -sumOfSoftplus(dropout.map((a, g) => (x[g] ? a : -a))) : 0;
      for (let g = 0; g < x.length; g++) if (x[g]) withoutL += logChoose[g] + x[g] * Math.log(ratio[g]);
      const atZero = new Float64Array(x.length).fill(-Infinity);
      return (l) => {
        const size = Math.exp(l);
        let total = withoutL;
        for (let g = 0; g < x.length; g++) {
          const logOf = Math.log1p(size * ratio[g]);
          if (x[g]) total += x[g] * l - (x[g] + theta[g]) * logOf;
          else if (isInflated) atZero[g] = -theta[g] * logOf - dropout[g];
          else total -= theta[g] * logOf;
        }
        return isInflated ? total + sumOfSoftplus(atZero) : total;
      };
    };
  }
}

/** The digits or cells: rows of x, labels and models; where the inputs lie is worked out once a model is shown. */
function readData(data) {
  const [rows, columns] = data.shape;
  const packed = Uint8Array.from(atob(data.x), (letter) => letter.charCodeAt(0));
  const bits = data.isBinary ? 1 : 4; // of a value
  const values = new Float64Array(rows * columns);
  for (let k = 0; k < values.length; k++) {
    values[k] = (packed[(k * bits) >> 3] >> (8 - bits - ((k * bits) & 7))) & (2 ** bits - 1);
  }
  let nLarge = 0;
  for (let k = 0; k < values.length; k++) if (values[k] === 15) values[k] = data.large[nLarge++];
  const x = range(rows).map((row) => values.subarray(row * columns, (row + 1) * columns));
  const models = data.models.map((model) => new { BinaryVAE, VAE }[model.kind](model));
  const known = [];
  const means = (m) => (known[m] ??= x.map((row) => (models[m].encodeZ?.(row) ?? models[m].encode(row)).mean));
  return { ...data, stored: data.models, x, models, means };
}

/** The largest difference between this page's numbers and PyTorch's, relative where a number is above 1. */
function disagreement(data) {
  let worst = 0;
  const compare = (ours, theirs) =>
    theirs.forEach((value, j) => (worst = Math.max(worst, Math.abs(ours[j] - value) / Math.max(1, Math.abs(value)))));
  data.models.forEach((model, m) => {
    for (const theirs of data.stored[m].reference) {
      const x = data.x[theirs.index];
      const q = model.encode(x);
      const { z, library } = model.reparameterize(q, [...theirs.eps, 0]);
      const decoded = model.decode(z, library);
      const { kl, klLibrary } = model.kl(q);
      compare(q.mean, theirs.mean);
      compare(q.var, theirs.var);
      compare(decoded.output, theirs.output);
      compare([model.reconstruction(x, decoded), kl], [theirs.reconstruction[0], theirs.kl[0]]);
      if (q.library) compare([klLibrary], theirs.kl_library);
    }
  });
  return worst;
}
