"use strict";
// Gradient descent on a curve: from a start, with a learning rate, so many steps.

const CURVES = {
  bowl: { f: (x) => (state.curvature / 2) * x ** 2, slope: (x) => state.curvature * x, curvature: () => state.curvature },
  valleys: {
    f: (x) => x ** 4 / 8 - x ** 2 + 0.3 * x + 3, slope: (x) => x ** 3 / 2 - 2 * x + 0.3, curvature: (x) => 1.5 * x ** 2 - 2,
  },
};
const [EDGE, TOP, MOST] = [3.5, 12, 200]; // of x, of f, of steps; what leaves the first two is not drawn
const state = { curve: "bowl", curvature: 2, start: -2.7, rate: 0.1, steps: 6 };

/** All x from the start on; a walk that is far out is not followed further. */
function walk() {
  const { slope } = CURVES[state.curve];
  const trail = [state.start];
  for (let x = state.start; trail.length <= state.steps && Math.abs(x) < 1e6; trail.push(x)) x -= state.rate * slope(x);
  return trail;
}

function arrived(trail = walk()) {
  const [x, { f, slope }] = [trail.at(-1), CURVES[state.curve]];
  return { x, f: f(x), gradient: slope(x), steps: trail.length - 1 };
}

/** What the walk does, in words. */
function story(trail, { f, slope }) {
  const [before, x] = [trail.at(-2) ?? NaN, trail.at(-1)];
  const isLost = Math.abs(x) > EDGE && Math.abs(x - state.rate * slope(x)) > Math.abs(x);
  if (isLost) return "It diverges: each step is longer than the one before.";
  if (Math.abs(slope(x)) < 0.01) return "It has come to rest: the slope is almost 0.";
  if (trail.length === 1) return "No step taken yet.";
  if (f(x) === f(before)) return "It jumps to and fro, and <i>f</i> stays as it is.";
  return f(x) < f(before) ? "The last step led downhill." : "The last step was too long: it led uphill.";
}

const short = (value) => (Math.abs(value) < 1e4 ? fixed(value) : `${value < 0 ? "below −" : "above "}10 000`);

explorable({
  title: "Gradient descent, step by step",
  ask: "The bowl has curvature 2, so 2 / curvature is 1. What happens at a learning rate just above 1?",
  options: ["The jumps grow and grow", "It jumps between two points", "It arrives, but slowly"],
  right: 0,
  why:
    "In a bowl each step multiplies <i>x</i> by 1 − learning rate · curvature. Just above 2 / curvature that is just below " +
    "−1: the ball lands on the other side, a little higher each time.",
  todo: "Move the learning rate and the start (the ring), and watch all steps follow; then try two valleys.",
  build(stage) {
    const [left, right] = [element("div"), element("div")];
    stage.append(element("div", { class: "figures" }, left, right));
    const common = { y: [0, TOP + 2], height: 240 };
    const hill = plot(left, { ...common, x: [-EDGE, EDGE], xLabel: "x", yLabel: "f(x)", label: "The steps on the curve" });
    const fall = plot(right, { ...common, x: [0, 20], xLabel: "step", yLabel: "f", label: "f after each step" });
    const [x, y] = [hill.x(-EDGE), hill.y(TOP)]; // both figures are of one size
    const inside = svg("rect", { x, y, width: hill.x(EDGE) - x, height: hill.y(0) - y + 2 });
    hill.root.append(svg("clipPath", { id: "inside" }, inside));
    const curve = path(hill, { stroke: "var(--c0)", "clip-path": "url(#inside)" });
    const thin = { stroke: "var(--c1)", "stroke-width": 1.5, "stroke-opacity": 0.6, "clip-path": "url(#inside)" };
    const [lineOnHill, lineOfFall] = [path(hill, thin), path(fall, thin)];
    const [dotsOnHill, dotsOfFall] = [hill, fall].map((figure) => figure.group({ fill: "var(--c1)" }));
    const name = hill.root.appendChild(svg("text", { style: "fill: var(--c1)", "font-weight": 700 }, "start"));
    const ring = handle(hill, {
      label: "start", color: "var(--c1)", text: () => `start at ${fixed(state.start)}`,
      move: (to) => set({ start: clamp(to, -3, 3) }),
    });
    const words = stage.appendChild(element("p", { role: "status" }));
    const said = numbers(stage, {
      steps: ["steps"], x: ["x", "var(--c1)"], f: ["f(x)", "var(--c1)"], slope: ["slope f′(x)"], limit: ["2 / curvature at x"],
    });
    const buttons = stage.appendChild(element("div", { class: "buttons" }));
    button(buttons, "Step", () => go(1));
    button(buttons, "20 steps", () => go(20));
    button(buttons, "Start again", () => animate(() => (set({ steps: 0 }), false)));
    const shape = choice(stage, {
      label: "The curve has", options: { bowl: "one bowl", valleys: "two valleys" }, value: state.curve,
      choose: (which) => set({ curve: which }),
    });
    const sliders = controls(stage);
    const rate = slider(sliders, {
      label: "learning rate", min: -2, max: 0.3, step: 0.01, value: 0, show: (power) => fixed(10 ** power),
      change: (power) => set({ rate: 10 ** power }),
    });
    const bend = slider(sliders, {
      label: "curvature of the bowl", min: 0.5, max: 2.5, step: 0.1, value: state.curvature, show: (k) => fixed(k, 1),
      change: (curvature) => set({ curvature }),
    });

    /** So many steps more, slowly enough to be watched. */
    function go(more) {
      const goal = Math.min(state.steps + more, MOST);
      let frame = 0;
      animate(() => {
        if (frame++ % 5 === 0) set({ steps: Math.min(state.steps + 1, goal) });
        return state.steps < goal;
      });
    }

    function set(values) {
      Object.assign(state, values);
      const [trail, { f, slope, curvature }] = [walk(), CURVES[state.curve]];
      const points = trail.map((one) => [clamp(one, -20, 20), clamp(f(one), 0, 100)]);
      fall.setX([0, Math.max(20, trail.length - 1)]);
      curve.set(linspace(-EDGE, EDGE, 141).map((one) => [one, f(one)]));
      draw(hill, lineOnHill, dotsOnHill, points);
      draw(fall, lineOfFall, dotsOfFall, points.map(([, height], step) => [step, height]));
      ring.place(state.start, f(state.start));
      const way = clamp(-2 * slope(state.start), -8, 8); // the name stands above the curve, where that falls
      name.setAttribute("x", hill.x(state.start) + way);
      name.setAttribute("y", hill.y(f(state.start)) - 14);
      name.setAttribute("text-anchor", way > 4 ? "start" : way < -4 ? "end" : "middle");
      const { x, f: height, gradient, steps } = arrived(trail);
      said.set({ steps, x: short(x), f: short(height), slope: short(gradient) });
      said.set({ limit: curvature(x) > 0 ? short(2 / curvature(x)) : "none, it bends down" });
      words.innerHTML = story(trail, CURVES[state.curve]);
      rate.set(Math.log10(state.rate));
      bend.set(state.curvature);
      bend.input.disabled = state.curve !== "bowl";
      shape.set(state.curve);
    }
    function draw(figure, line, dots, points) {
      line.set(points);
      const size = (k) => (k === points.length - 1 ? 6 : 3.5); // the ball, and where it was
      const circle = ([x, y], k) => (y > TOP ? [] : svg("circle", { cx: figure.x(x), cy: figure.y(y), r: size(k) }));
      dots.replaceChildren(...points.flatMap(circle));
    }
    set({});
    return { set, numbers: () => arrived() };
  },
});
