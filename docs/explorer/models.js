"use strict";
// vae_course/models.py and nn.py in JavaScript, as trained (no dropout, batch normalisation with its running moments).
// Weights are PyTorch's float32 numbers under PyTorch's names; sums are made in float64.

function bytes(base64) {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}

function linear(x, weight, bias) {
  return Float64Array.from(bias, (b, row) => {
    let total = b;
    for (let j = 0, k = row * x.length; j < x.length; j++, k++) total += weight[k] * x[j];
    return total;
  });
}

function softmax(logits) {
  const total = logSumExp(Array.from(logits));
  return logits.map((a) => Math.exp(a - total));
}

/** What both models share: their weights, the noise's way into z, and averages over draws. */
class Model {
  constructor({ beta, options, weights }) {
    this.beta = beta;
    this.options = options;
    this.weights = {};
    for (const name in weights) this.weights[name] = new Float32Array(bytes(weights[name].data).buffer);
  }

  linear(name, x) {
    return linear(x, this.weights[`${name}.weight`], this.weights[`${name}.bias`]);
  }

  /** A hidden layer (FCLayers): Linear, batch normalisation, ReLU. */
  hidden(name, x) {
    const layer = `${name}.fc_layers.Layer 0`;
    const [scale, shift, mean, variance] = ["weight", "bias", "running_mean", "running_var"].map(
      (part) => this.weights[`${layer}.1.${part}`],
    );
    return this.linear(`${layer}.0`, x).map((a, j) =>
      Math.max(0, ((a - mean[j]) / Math.sqrt(variance[j] + 0.001)) * scale[j] + shift[j]),
    );
  }

  /** z = mean + sd eps; the last eps belongs to the library, where the model has one. */
  reparameterize(q, eps) {
    const z = q.mean.map((m, j) => m + Math.sqrt(q.var[j]) * eps[j]);
    return { z, library: q.library && q.library.mean + Math.sqrt(q.library.var) * eps[2] };
  }

  /** Reconstruction, log p(x, z) and log q(z|x) of every draw: what ELBO and log p(x) are made of. */
  importanceTerms(x, q, noise) {
    return noise.map((eps) => {
      const { z, library } = this.reparameterize(q, eps);
      const reconstruction = this.reconstruction(x, this.decode(z, library));
      let logPrior = sum(z.map((value) => normalLogProb(value, 0, 1)));
      let logQ = sum(z.map((value, j) => normalLogProb(value, q.mean[j], q.var[j])));
      if (q.library) {
        logPrior += normalLogProb(library, ...this.libraryPrior());
        logQ += normalLogProb(library, q.library.mean, q.library.var);
      }
      return { reconstruction, logJoint: logPrior - reconstruction, logQ };
    });
  }
}

/** p(x|z) = Bernoulli for every pixel. */
class BinaryVAE extends Model {
  encode(x) {
    const hidden = this.hidden("encoder", x);
    const logvar = this.linear("logvar_encoder", hidden);
    return { mean: Array.from(this.linear("mean_encoder", hidden)), var: Array.from(logvar, Math.exp) };
  }

  decode(z) {
    const logits = this.linear("logits_decoder", this.hidden("decoder", z));
    return { logits, output: logits.map(sigmoid) };
  }

  costs(x, { logits }) {
    return logits.map((a, pixel) => -bernoulliLogProb(x[pixel], a));
  }

  /** −log p(x|z), or that part of it which belongs to some values of x. */
  reconstruction(x, decoded, isMeant = () => true) {
    return sum(this.costs(x, decoded).filter((_, pixel) => isMeant(x[pixel])));
  }

  kl(q) {
    return { kl: klStandardNormal(q.mean, q.var), klLibrary: 0 };
  }
}

/** scVI: p(x|z, l) = ZINB for every gene. */
class VAE extends Model {
  encode(x) {
    const seen = Float64Array.from(x, Math.log1p);
    const z = this.gaussian("z_encoder", seen);
    const l = this.gaussian("l_encoder", seen);
    return { ...z, library: { mean: l.mean[0], var: l.var[0] } };
  }

  gaussian(name, seen) {
    const hidden = this.hidden(`${name}.encoder`, seen);
    const variance = this.linear(`${name}.var_encoder`, hidden).map((a) => Math.exp(a) + this.options.var_eps);
    return { mean: Array.from(this.linear(`${name}.mean_encoder`, hidden)), var: Array.from(variance) };
  }

  decode(z, library) {
    const hidden = this.hidden("decoder.px_decoder", z);
    const scale = softmax(this.linear("decoder.px_scale_decoder.0", hidden));
    const rate = scale.map((share) => Math.exp(library) * share);
    const dropout = this.linear("decoder.px_dropout_decoder", hidden);
    return { output: scale, rate, dropout, expected: rate.map((mu, gene) => mu * sigmoid(-dropout[gene])) };
  }

  /** −log p(x|z, l), or that part of it which belongs to some values of x. */
  reconstruction(x, { rate, dropout }, isMeant = () => true) {
    let total = 0;
    for (let gene = 0; gene < rate.length; gene++) {
      if (isMeant(x[gene])) total -= zinbLogProb(x[gene], rate[gene], Math.exp(this.weights.px_r[gene]), dropout[gene]);
    }
    return total;
  }

  libraryPrior() {
    return [this.weights.library_log_means[0], this.weights.library_log_vars[0]];
  }

  kl(q) {
    const klLibrary = klNormal(q.library.mean, q.library.var, ...this.libraryPrior());
    return { kl: klStandardNormal(q.mean, q.var), klLibrary };
  }
}

/** The exported digits or cells: rows of x, labels and three models. */
function readData(data) {
  const [rows, columns] = data.shape;
  const packed = bytes(data.x);
  const isBits = packed.length * 8 === rows * columns;
  const values = isBits
    ? Float64Array.from({ length: rows * columns }, (_, k) => (packed[k >> 3] >> (7 - (k & 7))) & 1)
    : Float64Array.from(packed);
  for (const [position, count] of data.large ?? []) values[position] = count;
  const x = Array.from({ length: rows }, (_, row) => values.subarray(row * columns, (row + 1) * columns));
  const Kind = isBits ? BinaryVAE : VAE;
  const models = data.models.map((model) => new Kind(model));
  return { ...data, x, models, means: models.map((model) => x.map((row) => model.encode(row).mean)) };
}

/** The largest difference between this page's numbers and PyTorch's, relative where a number is above 1. */
function disagreement(data) {
  let worst = 0;
  const compare = (ours, theirs) =>
    theirs.forEach((value, j) => (worst = Math.max(worst, Math.abs(ours[j] - value) / Math.max(1, Math.abs(value)))));
  data.models.forEach((model, m) => {
    for (const theirs of EXPLORER_DATA[data.kind].models[m].reference) {
      const q = model.encode(data.x[theirs.index]);
      const { z, library } = model.reparameterize(q, [...theirs.eps, 0]);
      const decoded = model.decode(z, library);
      const { kl, klLibrary } = model.kl(q);
      compare(q.mean, theirs.mean);
      compare(q.var, theirs.var);
      compare(decoded.output, theirs.output);
      compare([model.reconstruction(data.x[theirs.index], decoded), kl], [theirs.reconstruction[0], theirs.kl[0]]);
      if (q.library) compare([klLibrary], theirs.kl_library);
    }
  });
  return worst;
}
