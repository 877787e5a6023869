"use strict";
// Pull q over p: both KL divergences, live.

const P = { one: [[1, 0, 1]], two: [[0.65, -1.5, 0.35], [0.35, 2, 0.5]] }; // weight, mean, variance
const X = linspace(-30, 30, 3001); // wide enough for the widest q
const state = { p: "two", mean: 0, sd: 1.2 };

const logP = (x) => logSumExp(P[state.p].map(([weight, mean, variance]) => Math.log(weight) + normalLogProb(x, mean, variance)));
const logQ = (x) => normalLogProb(x, state.mean, state.sd ** 2);
/** The integral of exp(logA) (logA - logB), by the trapezoid rule: nats. */
const kl = (logA, logB) => (X[1] - X[0]) * sum(X.map((x) => Math.exp(logA(x)) * (logA(x) - logB(x))));

function divergences() {
  return { kl_qp: kl(logQ, logP), kl_pq: kl(logP, logQ) };
}

explorable({
  title: "Pull q over p",
  ask: "p has two bells, q has one. Where does the smallest KL(q, p) put q?",
  options: ["Over both bells, wide", "On one bell, narrow", "Between the bells, narrow"],
  right: 1,
  why:
    "KL(q, p) averages over <i>q</i>: it asks that q be nowhere where p is not, and forgives a bell that is left out. " +
    "KL(p, q) averages over <i>p</i>: it asks q to be everywhere where p is.",
  todo: "Drag the orange dots: the one on top moves q, the one at its side widens it. Then let each KL choose.",
  build(stage) {
    const figure = plot(stage, { x: [-5, 5], y: [0, 1], xLabel: "x", label: "Densities p and q over x", yTicks: false });
    const shown = linspace(-5, 5, 401);
    const areaP = path(figure, { fill: "var(--c0)", "fill-opacity": 0.18, stroke: "var(--c0)" }, 0);
    const curveQ = path(figure, { stroke: "var(--c1)", "stroke-dasharray": "7 4" });
    const name = (text, fill) => figure.root.appendChild(svg("text", { style: `fill: ${fill}`, "font-weight": 700 }, text));
    const [nameP, nameQ] = [name("p", "var(--c0)"), name("q", "var(--c1)")];
    const top = handle(figure, {
      label: "mean of q", color: "var(--c1)", step: 0.05, text: () => `mean ${fixed(state.mean)}`,
      move: (x) => set({ mean: clamp(x, -4, 4) }),
    });
    const side = handle(figure, {
      label: "standard deviation of q", color: "var(--c1)", step: 0.05, text: () => `standard deviation ${fixed(state.sd)}`,
      move: (x) => set({ sd: clamp(Math.abs(x - state.mean), 0.2, 3) }),
    });
    const said = numbers(stage, {
      qp: ["KL(q, p)", "var(--c1)"], pq: ["KL(p, q)", "var(--c0)"], mean: ["mean of q"], sd: ["standard deviation"],
    });
    const buttons = stage.appendChild(element("div", { class: "buttons" }));
    button(buttons, "Let KL(q, p) choose", () => descend("kl_qp"));
    button(buttons, "Let KL(p, q) choose", () => descend("kl_pq"));
    choice(stage, {
      label: "p has", options: { one: "one bell", two: "two bells" }, value: state.p, choose: (p) => set({ p }),
    });

    /** Walk downhill from where q is. */
    function descend(which) {
      let left = 250;
      const at = (mean, sd) => (Object.assign(state, { mean, sd }), divergences()[which]);
      animate(() => {
        const { mean, sd } = state;
        const slope = [at(mean + 1e-3, sd) - at(mean - 1e-3, sd), at(mean, sd + 1e-3) - at(mean, sd - 1e-3)];
        const [byMean, bySd] = slope.map((difference) => clamp(difference / 2e-3, -2, 2));
        set({ mean: clamp(mean - 0.06 * byMean, -4, 4), sd: clamp(sd - 0.06 * bySd, 0.2, 3) });
        return left-- > 0 && Math.hypot(byMean, bySd) > 1e-3;
      });
    }

    function set(values) {
      Object.assign(state, values);
      const peak = Math.max(...shown.map((x) => Math.exp(logP(x))), Math.exp(logQ(state.mean)));
      figure.setY([0, 1.18 * peak]);
      areaP.set(shown.map((x) => [x, Math.exp(logP(x))]));
      curveQ.set(shown.map((x) => [x, Math.exp(logQ(x))]));
      top.place(state.mean, Math.exp(logQ(state.mean)));
      const edge = state.mean + state.sd * (state.mean + state.sd > 4.8 ? -1 : 1);
      side.place(edge, Math.exp(logQ(edge)), state.sd);
      const [, meanP] = P[state.p][0];
      place(nameP, meanP - 0.9, Math.exp(logP(meanP - 0.5)));
      place(nameQ, state.mean + 0.35, Math.exp(logQ(state.mean)) + 0.05 * peak);
      const { kl_qp, kl_pq } = divergences();
      said.set({ qp: `${fixed(kl_qp)} nats`, pq: `${fixed(kl_pq)} nats`, mean: fixed(state.mean), sd: fixed(state.sd) });
    }
    const place = (text, x, y) => (text.setAttribute("x", figure.x(x)), text.setAttribute("y", figure.y(y)));
    set({});
    return { set, numbers: divergences };
  },
});
