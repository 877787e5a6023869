"use strict";
// The mean of f(z), z = mu + sd eps, estimated for many mu: with the same dice eps, or with new ones each time.

const [N, STEP, LEAST, MOST] = [30, 0.05, 0, 6]; // draws; mu moves in steps between two ends
const [ENDS, TOP] = [[-1.5, 7.5], 16]; // what is shown
const f = (z) => (z - 3) ** 2;
const slopeOfF = (z) => 2 * (z - 3);
const state = { mu: LEAST, sd: 1, dice: "frozen", seed: 1, eps: [] };
const trace = new Map(); // the estimate of every mu that was swept, by its number of steps

const draws = (mu) => state.eps.map((eps) => mu + state.sd * eps);
const estimates = () => ({
  estimate: mean(draws(state.mu).map(f)),
  gradient: mean(draws(state.mu).map(slopeOfF)),
  exact: f(state.mu) + state.sd ** 2,
  exact_gradient: slopeOfF(state.mu),
  eps: state.eps,
});

/** The slope that two neighbouring estimates suggest. */
function slopeBetween(k) {
  const [here, before, after] = [k, k - 1, k + 1].map((one) => trace.get(one));
  if (before !== undefined) return (here - before) / STEP;
  return after === undefined ? NaN : (after - here) / STEP;
}

explorable({
  title: "Frozen dice, fresh dice",
  ask: "30 draws z = μ + σε estimate the mean of f(z) = (z − 3)². Which dice ε let you read off its slope in μ?",
  options: ["New dice for each μ", "The same dice for each μ", "Either: 30 are enough"],
  right: 1,
  why:
    "With frozen dice, neighbouring estimates differ by the move of μ alone: a smooth curve. With fresh dice they differ " +
    "by luck. Training rolls new dice at each step, but holds them while it takes the gradient.",
  todo: "Drag the dot along μ, or let it sweep; then change from frozen to fresh dice and back.",
  build(stage) {
    const label = "The mean of f for every μ, exact and estimated";
    const figure = plot(stage, { x: ENDS, y: [0, TOP], xLabel: "μ and z", yLabel: "mean of f(z)", height: 280, label });
    const exact = path(figure, { stroke: "var(--ink)", "stroke-width": 2, "stroke-dasharray": "7 4" });
    const curve = path(figure, { stroke: "var(--c0)" });
    const dots = figure.group({ fill: "var(--c1)" });
    const tangent = path(figure, { stroke: "var(--c2)", "stroke-width": 3 });
    const rug = figure.group({ stroke: "var(--c5)", "stroke-width": 2 });
    const name = (text, fill) => figure.root.appendChild(svg("text", { style: `fill: ${fill}`, "font-weight": 700 }, text));
    const [ofExact, ofTangent] = [name("exact mean", "var(--ink)"), name("slope", "var(--c2)")];
    const ofRug = name(`${N} draws z`, "var(--c5)");
    const grip = handle(figure, {
      label: "mean μ", color: "var(--c0)", step: 2 * STEP, text: () => `μ = ${fixed(state.mu)}`,
      move: (mu) => animate(() => (set({ mu }), false)), // a hand stops a sweep
    });
    const said = numbers(stage, { mu: ["μ"], exact: ["exact mean", "var(--ink)"], estimate: ["estimate"] });
    const slopes = numbers(stage, {
      exact: ["exact slope", "var(--ink)"], path: ["slope, dice held", "var(--c2)"],
      between: ["slope between neighbouring estimates"],
    });
    const dice = choice(stage, {
      label: "The dice are", options: { frozen: "frozen", fresh: "fresh for each μ" }, value: state.dice,
      choose: (which) => set({ dice: which }),
    });
    const spread = slider(controls(stage), {
      label: "standard deviation σ", min: 0.2, max: 1.5, step: 0.05, value: state.sd, change: (sd) => set({ sd }),
    });
    const buttons = stage.appendChild(element("div", { class: "buttons" }));
    button(buttons, "Sweep μ", () => {
      set({ mu: LEAST });
      animate(() => (set({ mu: state.mu + STEP }), state.mu < MOST));
    });
    button(buttons, "Roll other dice", () => set({ seed: state.seed + 1 }));
    let noise;
    const roll = () => (state.eps = range(N).map(noise));

    function visit(k) {
      if (state.dice === "fresh") roll();
      trace.set(k, mean(draws(k * STEP).map(f)));
    }

    function set({ mu = state.mu, ...others }) {
      Object.assign(state, others);
      if (Object.keys(others).length) {
        noise = normalNoise(state.seed);
        roll();
        [...trace.keys()].forEach(visit);
      }
      let k = Math.round(state.mu / STEP);
      const goal = Math.round(clamp(mu, LEAST, MOST) / STEP);
      do visit((k += Math.sign(goal - k)));
      while (k !== goal); // every mu on the way, however fast the hand
      state.mu = goal * STEP;
      show(goal);
    }

    function show(k) {
      const isFrozen = state.dice === "frozen";
      const { estimate, gradient, exact: truth, exact_gradient } = estimates();
      const inView = [...trace].filter(([, value]) => value < TOP);
      const swept = inView.sort(([a], [b]) => a - b).map(([step, value]) => [step * STEP, value]);
      exact.set(linspace(LEAST, MOST, 141).map((mu) => [mu, f(mu) + state.sd ** 2]));
      curve.set(swept);
      dots.replaceChildren(...swept.map(([x, y]) => svg("circle", { cx: figure.x(x), cy: figure.y(y), r: 3 })));
      const half = 0.9 / Math.hypot(1, gradient / 3); // a tangent of much the same length everywhere
      tangent.set([-half, half].map((step) => [state.mu + step, estimate + step * gradient]));
      const marks = draws(state.mu).filter((z) => z > ENDS[0] && z < ENDS[1]);
      rug.replaceChildren(...marks.map((z) => svg("path", { d: `M${figure.x(z)},${figure.y(0)}v-9` })));
      for (const one of [curve, tangent, ofTangent]) one.setAttribute("visibility", isFrozen ? "visible" : "hidden");
      dots.setAttribute("visibility", isFrozen ? "hidden" : "visible");
      const inward = state.mu < 3 ? 1 : -1;
      const side = estimate < 3 || estimate > truth ? 1 : -1; // inside the bowl or below it, away from the exact curve
      place(ofTangent, state.mu + 0.3 * side * inward, estimate + 0.9 * side - 0.2, side * inward);
      place(ofRug, inward > 0 ? ENDS[1] - 0.1 : ENDS[0] + 0.1, 0.9, -inward);
      const isLeft = isFrozen ? mean(state.eps) > 0 : inward < 0; // where the estimates are not above the exact mean
      place(ofExact, isLeft ? LEAST - 0.9 : MOST + 0.9, 9.7 + state.sd ** 2, isLeft ? 1 : -1);
      grip.place(state.mu, Math.min(estimate, TOP));
      grip.querySelector(".grip").setAttribute("stroke", isFrozen ? "var(--c0)" : "var(--c1)");
      said.set({ mu: fixed(state.mu), exact: fixed(truth), estimate: fixed(estimate) });
      slopes.set({ exact: fixed(exact_gradient), path: fixed(gradient), between: fixed(slopeBetween(k)) });
      dice.set(state.dice);
      spread.set(state.sd);
    }
    function place(text, x, y, way) {
      text.setAttribute("x", figure.x(x));
      text.setAttribute("y", figure.y(y));
      text.setAttribute("text-anchor", way > 0 ? "start" : "end");
    }
    set({ seed: 1 });
    set({ mu: 1 }); // a first stretch is swept
    return { set, numbers: estimates };
  },
});
