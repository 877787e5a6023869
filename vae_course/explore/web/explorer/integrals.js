// Integrals over the latents: log p(x) and the ELBO, both exact to a few thousandths of a nat.

const SHARE = 2e-4; // of p(x): a square that may hold less of it is not looked into
const MOST_HALVINGS = 12;

/**
 * log p(x), integrated over z by squares, each of which is quartered as long as that changes its part; and over the
 * library l, where the model has one. Yields now and then, so that a page can do something else; returns { logPx,
 * squares }, each square { z, size, log }: its middle, its side, and log p(x, z) there, the posterior's shade.
 */
function* integrate(model, x, reach) {
  const joint = model.libraryPrior ? integralOverLibrary(model, x) : logJoint(model, x);
  const square = (z, size, parent) => ({ z, size, ...joint(z, parent) });
  const quarters = (parent) => {
    const [[a, b], by] = [parent.z, parent.size / 4];
    return [
      [a - by, b - by],
      [a - by, b + by],
      [a + by, b - by],
      [a + by, b + by],
    ].map((z) => square(z, 2 * by, parent));
  };
  const width = Math.max(6, 1.3 * reach);
  let open = gridOf(10, [-width, width, -width, width]).map((z) => square(z, width / 5));
  const done = [];
  for (let k = 0; k < MOST_HALVINGS && open.length; k++) {
    const families = [];
    for (const parent of open) {
      families.push(quarters(parent));
      yield;
    }
    const best = Math.max(...families.flat().map(({ log }) => log));
    const part = ({ size, log }) => size ** 2 * Math.exp(log - best);
    const total = sum([...done, ...families.flat()].map(part));
    const isDone = families.map((family, f) => {
      const logs = [open[f], ...family].map(({ log }) => log);
      const rise = Math.max(...logs) - Math.min(...logs); // by so much more it may rise between them
      const most = open[f].size ** 2 * Math.exp(Math.min(rise, 1e3) + Math.max(...logs) - best);
      const change = Math.abs(sum(family.map(part)) - part(open[f]));
      return most < SHARE * total || (rise < 1 && change < SHARE * total);
    });
    done.push(...families.filter((_, f) => isDone[f]).flat());
    open = families.filter((_, f) => !isDone[f]).flat();
  }
  const squares = [...done, ...open];
  return { logPx: logSumExp(squares.map(({ size, log }) => log + 2 * Math.log(size))), squares };
}

const logPrior = (z) => normalLogProb(z[0], 0, 1) + normalLogProb(z[1], 0, 1);

/** log p(x, z) where there is no library. */
function logJoint(model, x) {
  const likelihood = model.logLikelihood(x);
  return (z) => ({ log: logPrior(z) + likelihood(z) });
}

/**
 * log p(x, z) where p(x, z, l) is integrated over l: a bell around its best l, since a cell's molecules tell l to a few
 * hundredths. `parent` is a place nearby whose l and width are known already.
 */
function integralOverLibrary(model, x) {
  const likelihood = model.logLikelihood(x);
  const { library } = model.encode(x);
  const start = { l: library.mean, sd: Math.sqrt(library.var) };
  return (z, parent) => {
    const ofL = likelihood(z);
    let { l, sd } = parent ?? start;
    for (let k = 0; ; k++) {
      // the parabola through three points
      const [below, here, above] = [-sd, 0, sd].map(
        (by) => normalLogProb(l + by, ...model.libraryPrior()) + ofL(l + by),
      );
      const [slope, bend] = [(above - below) / 2, Math.min(above - 2 * here + below, -1e-3)];
      const off = clamp(-slope / bend, -20, 20);
      const log = logPrior(z) + here - slope ** 2 / (2 * bend) + Math.log(sd) + 0.5 * Math.log((2 * Math.PI) / -bend);
      l += off * sd;
      sd = clamp(sd / Math.sqrt(-bend), 1e-3, 1);
      if (Math.abs(off) < 0.7 || k === 5) return { log, l, sd };
    }
  };
}

/** The mean of log p(x|z, l) over q, by the trapezoid rule for z and by three points for l. */
function* meanLogLikelihood(model, x, q) {
  const likelihood = model.logLikelihood(x);
  const ofPlace = (z) => {
    if (!q.library) return likelihood(z);
    const ofL = likelihood(z);
    const { mean: l, var: variance } = q.library;
    const off = Math.sqrt(3 * variance);
    return (ofL(l - off) + 4 * ofL(l) + ofL(l + off)) / 6; // Gauss and Hermite
  };
  let [total, weights] = [0, 0];
  const n = q.library ? 19 : 49; // log-odds have kinks that shares, which add up to one, hardly have
  for (const eps of gridOf(n, [-4.25, 4.25, -4.25, 4.25])) {
    const weight = Math.exp(-0.5 * (eps[0] ** 2 + eps[1] ** 2));
    if (weight < 1e-5) continue;
    total += weight * ofPlace(model.reparameterize(q, [...eps, 0]).z);
    weights += weight;
    yield;
  }
  return total / weights;
}
