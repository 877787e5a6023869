"use strict";
// Pull q towards the posterior: the ELBO rises to log p(x), and the gap is the KL that is left.

const W = 1, B = 0.1, NOISE_VAR = 0.5; // of lesson 4: its first gene and its first latent
const state = { x: 1, mean: -0.8, sd: 0.55 };

const posterior = () => ({ mean: (W * (state.x - B)) / (NOISE_VAR + W * W), variance: 1 / (1 + (W * W) / NOISE_VAR) });

function nats() {
  const variance = state.sd ** 2;
  const truth = posterior();
  const fit = normalLogProb(state.x, W * state.mean + B, NOISE_VAR) - (W * W * variance) / (2 * NOISE_VAR);
  return {
    elbo: fit - klNormal(state.mean, variance, 0, 1),
    gap: klNormal(state.mean, variance, truth.mean, truth.variance),
    log_px: normalLogProb(state.x, B, W * W + NOISE_VAR),
  };
}

explorable({
  title: "Close the gap",
  ask: "One cell x, one model, and a Gaussian q(z). You move and stretch q. What does that change?",
  options: ["The ELBO, not log p(x)", "log p(x), not the ELBO", "The ELBO and log p(x)"],
  right: 0,
  why:
    "log p(x) = ELBO + KL(q, posterior), and log p(x) does not depend on q. What the ELBO gains, the gap loses; it is zero " +
    "when q is the posterior. Another x has another posterior and another log p(x).",
  todo: "Drag the orange dots to move and widen q until the gap is closed, then slide x.",
  build(stage) {
    const figure = plot(stage, {
      x: [-4, 4], y: [0, 1], xLabel: "z", yTicks: false, height: 250, label: "Prior, posterior and q over z",
    });
    const shown = linspace(-4, 4, 401);
    const prior = path(figure, { stroke: "var(--soft)", "stroke-width": 1.5 });
    const area = path(figure, { fill: "var(--c0)", "fill-opacity": 0.18, stroke: "var(--c0)" }, 0);
    const curve = path(figure, { stroke: "var(--c1)", "stroke-dasharray": "7 4" });
    const halo = { stroke: "var(--card)", "stroke-width": 4, "paint-order": "stroke" }; // where a name stands on a curve
    const name = (where, text, fill, more = halo) =>
      where.root.appendChild(svg("text", { style: `fill: ${fill}`, "font-weight": 700, ...more }, text));
    const namePrior = name(figure, "prior", "var(--soft)", { ...halo, "font-weight": 400 });
    const [namePosterior, nameQ] = [name(figure, "posterior", "var(--c0)"), name(figure, "q", "var(--c1)")];
    const top = handle(figure, {
      label: "mean of q", color: "var(--c1)", step: 0.05, text: () => `mean ${fixed(state.mean)}`,
      move: (z) => set({ mean: clamp(z, -3, 3) }),
    });
    const side = handle(figure, {
      label: "standard deviation of q", color: "var(--c1)", step: 0.05, text: () => `standard deviation ${fixed(state.sd)}`,
      move: (z) => set({ sd: clamp(Math.abs(z - state.mean), 0.2, 2) }),
    });

    const scale = plot(stage, {
      x: [-7, 0], y: [0, 1], xLabel: "nats", yTicks: false, height: 132, label: "ELBO plus gap is log p(x), in nats",
      caption:
        "The linear-Gaussian model of lesson 4 with one gene and one latent: <i>z</i> ~ N(0, 1), <i>x</i> given " +
        "<i>z</i> ~ N(<i>z</i> + 0.1, 0.5). The bar has no beginning: it is cut off at −7 nats.",
    });
    const [barElbo, barGap] = ["var(--c2)", "var(--c1)"].map((fill) =>
      scale.root.appendChild(svg("rect", { fill, y: 36, height: 28 })));
    const level = path(scale, { stroke: "var(--c0)", "stroke-width": 3 });
    const [nameElbo, nameGap, nameLevel] = ["var(--card)", "var(--c1)", "var(--c0)"].map((fill) => name(scale, "", fill, {}));
    const said = numbers(stage, {
      elbo: ["ELBO", "var(--c2)"], gap: ["gap, KL(q, posterior)", "var(--c1)"], log_px: ["log p(x)", "var(--c0)"],
    });
    const sliderX = slider(controls(stage), {
      label: "<i>x</i>", min: -3, max: 3, step: 0.05, value: state.x, change: (x) => set({ x }),
    });
    stage.addEventListener("moved", () => animate(() => false)); // a hand on a handle ends the climb
    button(stage.appendChild(element("div", { class: "buttons" })), "Let the ELBO choose q", climb);

    /** Walk uphill on the ELBO, which is all that a VAE can see. */
    function climb() {
      let left = 250;
      const at = (mean, sd) => (Object.assign(state, { mean, sd }), nats().elbo);
      animate(() => {
        const { mean, sd } = state;
        const slope = [at(mean + 1e-3, sd) - at(mean - 1e-3, sd), at(mean, sd + 1e-3) - at(mean, sd - 1e-3)];
        const [byMean, bySd] = slope.map((difference) => clamp(difference / 2e-3, -2, 2));
        set({ mean: clamp(mean + 0.03 * byMean, -3, 3), sd: clamp(sd + 0.03 * bySd, 0.2, 2) });
        return left-- > 0 && Math.hypot(byMean, bySd) > 1e-3;
      });
    }

    function set(values) {
      Object.assign(state, values);
      sliderX.set(state.x);
      const truth = posterior();
      const densityQ = (z) => Math.exp(normalLogProb(z, state.mean, state.sd ** 2));
      const density = (z) => Math.exp(normalLogProb(z, truth.mean, truth.variance));
      const densityPrior = (z) => Math.exp(normalLogProb(z, 0, 1));
      const peak = Math.max(densityQ(state.mean), density(truth.mean));
      figure.setY([0, 1.2 * peak]);
      [[prior, densityPrior], [area, density], [curve, densityQ]].forEach(([one, of]) => one.set(shown.map((z) => [z, of(z)])));
      top.place(state.mean, densityQ(state.mean));
      const edge = state.mean + state.sd * (state.mean + state.sd > 3.8 ? -1 : 1);
      side.place(edge, densityQ(edge), state.sd);
      const away = state.mean < truth.mean ? 1 : -1; // the side of the posterior where q is not
      const sd = Math.sqrt(truth.variance);
      put(nameQ, figure.x(state.mean) - 4, figure.y(densityQ(state.mean)) - 15, 1);
      put(namePosterior, figure.x(truth.mean + 0.7 * away * sd) + 10 * away, figure.y(density(truth.mean + 0.7 * sd)), away);
      const emptier = densityQ(2.2) + density(2.2) < densityQ(-2.2) + density(-2.2) ? 1 : -1;
      put(namePrior, figure.x(2.1 * emptier), figure.y(densityPrior(2)) - 6, emptier);
      showNats();
    }
    function showNats() {
      const { elbo, log_px } = nats();
      const [part, whole] = [elbo, log_px].map((value) => Math.round(100 * value) / 100);
      const gapShown = fixed(whole - part); // so that shown numbers add up
      const [start, middle, end] = [-7, clamp(elbo, -7, 0), log_px].map(scale.x);
      for (const [bar, x, to] of [[barElbo, start, middle], [barGap, middle, end]]) {
        bar.setAttribute("x", x);
        bar.setAttribute("width", to - x);
      }
      level.setAttribute("d", `M${end},28V${scale.box.bottom}`);
      nameElbo.textContent = `${elbo < -7 ? "◂ " : ""}ELBO ${fixed(elbo)}`;
      put(nameElbo, start + 8, 55, 1);
      nameLevel.textContent = `log p(x) ${fixed(log_px)}`;
      put(nameLevel, end, 22, -1);
      nameGap.textContent = `gap ${gapShown}`;
      put(nameGap, end - 6, 80, -1);
      said.set({ elbo: `${fixed(elbo)} nats`, gap: `${gapShown} nats`, log_px: `${fixed(log_px)} nats` });
    }
    function put(text, x, y, side) {
      const attributes = { x, y, "text-anchor": side > 0 ? "start" : "end" };
      for (const key in attributes) text.setAttribute(key, attributes[key]);
    }
    set({});
    return { set, numbers: nats };
  },
});
