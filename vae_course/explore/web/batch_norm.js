"use strict";
// Batch normalisation of one gene: what a cell becomes in train and in eval mode, and what each mode looks at.

const OFFSETS = [-1.5, -1.1, -0.5, -0.1, 0.4, 0.9, 1.9]; // of the companions, in spreads; their mean is 0
const TRAINING = { mean: 3, variance: 1 }; // of all minibatches seen in training
const [MOMENTUM, EPS] = [0.01, 0.001]; // scVI's
const [EDGE, REACH] = [8, 6]; // of the values, of the outputs
const state = { own: 4, center: 3, spread: 1, seen: 500 };

const companions = () => OFFSETS.map((offset) => state.center + state.spread * offset);
const average = (values) => values.reduce((total, value) => total + value, 0) / values.length;

/** What both modes go by, and what they make of the cell: scale 1, shift 0. */
function normalise() {
  const batch = [state.own, ...companions()];
  const mean = average(batch);
  const variance = average(batch.map((value) => (value - mean) ** 2));
  const left = (1 - MOMENTUM) ** state.seen; // what is left of the start, mean 0 and variance 1
  const running_mean = TRAINING.mean * (1 - left);
  const running_var = left + TRAINING.variance * (1 - left);
  const output = (m, v) => (state.own - m) / Math.sqrt(v + EPS);
  return {
    mean, variance, running_mean, running_var, train: output(mean, variance), eval: output(running_mean, running_var),
  };
}

explorable({
  title: "Batch normalisation in two modes",
  ask: "The companions of a cell move up; the cell itself stays where it is. Which of its outputs changes?",
  options: ["That of train mode", "That of eval mode", "Both of them"],
  right: 0,
  why:
    "In train mode the cell is measured against the mean and the spread of its minibatch, in eval mode against the running " +
    "averages, which only training moves.",
  todo: "Drag the cell (the ring), move its companions, then let training have seen fewer minibatches.",
  build(stage) {
    const inside = plot(stage, {
      x: [0, EDGE], y: [0, 3], yTicks: false, height: 150, xLabel: "value of one gene", label: "A minibatch of eight cells",
    });
    const outside = plot(stage, {
      x: [-REACH, REACH], y: [0, 3], yTicks: false, height: 150, xLabel: "the cell after batch normalisation",
      label: "The cell's output in both modes",
    });
    const modes = { train: [2, "var(--c1)"], eval: [1, "var(--c0)"] };
    const dots = inside.group({ fill: "var(--ink)", "fill-opacity": 0.45 });
    const marks = Object.entries(modes).map(([mode, [y, stroke]]) => {
      const text = (figure, words) => figure.root.appendChild(svg("text", { style: `fill: ${stroke}`, "font-weight": 700 }, words));
      return {
        mode, y, bar: path(inside, { stroke, "stroke-width": 3 }), tick: path(inside, { stroke, "stroke-width": 3 }),
        name: text(inside, mode === "train" ? "this minibatch" : "running averages"),
        dot: outside.root.appendChild(svg("circle", { r: 7, fill: stroke })), result: text(outside, `${mode} mode`),
      };
    });
    const ring = handle(inside, {
      label: "value of the cell", color: "var(--c2)", text: () => `value ${fixed(state.own)}`,
      move: (x) => set({ own: clamp(x, 0, EDGE) }),
    });
    const said = numbers(stage, {
      train: ["in train mode", "var(--c1)"], eval: ["in eval mode", "var(--c0)"], mean: ["mean, spread of the minibatch"],
      running: ["running mean, spread"],
    });
    const sliders = controls(stage);
    const center = slider(sliders, {
      label: "companions: mean", min: 1, max: 7, step: 0.1, value: state.center, change: (value) => set({ center: value }),
    });
    const spread = slider(sliders, {
      label: "companions: spread", min: 0.1, max: 2, step: 0.1, value: state.spread, change: (value) => set({ spread: value }),
    });
    const seen = slider(sliders, {
      label: "minibatches seen in training", min: 0, max: 600, step: 10, value: state.seen, show: (n) => fixed(n, 0),
      change: (value) => set({ seen: value }),
    });

    function set(values) {
      Object.assign(state, values);
      const all = normalise();
      const clampX = (x) => clamp(x, 0, EDGE);
      dots.replaceChildren(...companions().map((x) => svg("circle", { cx: inside.x(clampX(x)), cy: inside.y(0.35), r: 5 })));
      ring.place(state.own, 0.35);
      for (const { mode, y, bar, tick, name, dot, result } of marks) {
        const [m, v] = mode === "train" ? [all.mean, all.variance] : [all.running_mean, all.running_var];
        bar.set([[clampX(m - Math.sqrt(v)), y], [clampX(m + Math.sqrt(v)), y]]);
        tick.set([[clampX(m), y - 0.2], [clampX(m), y + 0.2]]);
        name.setAttribute("x", clamp(inside.x(clampX(m)), inside.box.left + 70, inside.box.right - 70));
        name.setAttribute("y", inside.y(y) - 9);
        name.setAttribute("text-anchor", "middle");
        const x = outside.x(clamp(all[mode], -REACH, REACH));
        dot.setAttribute("cx", x);
        dot.setAttribute("cy", outside.y(y));
        result.setAttribute("x", x + (all[mode] > 3 ? -13 : 13));
        result.setAttribute("y", outside.y(y) + 5);
        result.setAttribute("text-anchor", all[mode] > 3 ? "end" : "start");
      }
      said.set({ train: fixed(all.train), eval: fixed(all.eval) });
      said.set({ mean: `${fixed(all.mean)}, ${fixed(Math.sqrt(all.variance))}` });
      said.set({ running: `${fixed(all.running_mean)}, ${fixed(Math.sqrt(all.running_var))}` });
      center.set(state.center);
      spread.set(state.spread);
      seen.set(state.seen);
    }
    set({});
    return { set, numbers: normalise };
  },
});
