"use strict";
// Turn a direction through cells: the variance it keeps and the squared distance it loses.

const { x: CELLS, names: GENES } = DATA; // log-normalised, (cells, 2)
const MEAN = [0, 1].map((k) => mean(CELLS.map((cell) => cell[k])));
const CENTRED = CELLS.map((cell) => cell.map((value, k) => value - MEAN[k]));
const [XX, XY, YY] = [[0, 0], [0, 1], [1, 1]].map(([j, k]) => mean(CENTRED.map((cell) => cell[j] * cell[k]))); // covariance
const BEST = halfTurn((Math.atan2(2 * XY, XX - YY) / 2) * (180 / Math.PI));
const state = { angle: 110 };

/** v and -v are one direction: an angle from 0 up to 180 degrees. */
function halfTurn(angle) {
  return ((angle % 180) + 180) % 180;
}

const direction = (angle) => [Math.cos((angle * Math.PI) / 180), Math.sin((angle * Math.PI) / 180)];

function measures(angle = state.angle) {
  const [a, b] = direction(angle);
  const lost = ([x, y]) => (x - (x * a + y * b) * a) ** 2 + (y - (x * a + y * b) * b) ** 2;
  const kept = ([x, y]) => (x * a + y * b) ** 2;
  return { angle: halfTurn(angle), variance: mean(CENTRED.map(kept)), error: mean(CENTRED.map(lost)), best_angle: BEST };
}

explorable({
  title: "Turn the direction",
  ask: "A line keeps the variance along it and loses the mean squared distance to it. You turn it. What happens to the sum?",
  options: ["It is largest at the best line", "It is smallest at the best line", "It is the same for every line"],
  right: 2,
  why:
    "A cell, its projection and the mean form a right-angled triangle. By Pythagoras kept and lost add up to the squared " +
    "distance from cell to mean, which does not depend on the line: largest variance and smallest error are one goal.",
  todo: "Drag the orange dot, or turn it by a degree with the arrow keys, until as little as possible is lost.",
  build(stage) {
    const [left, right] = range(2).map(() => element("div")); // both there before a plot asks how wide it may be
    stage.append(element("div", { class: "figures" }, left, right));
    const map = plot(left, {
      x: [0, 1], y: [0, 1], height: 350, xLabel: `${GENES[0]} (log counts)`, yLabel: GENES[1],
      label: `${CELLS.length} cells by ${GENES[0]} and ${GENES[1]}, and a direction through their mean`,
      caption: "Ring: the mean. Blue dots: projections of the cells.",
    });
    // Whatever the angle, a projection lies on the circle whose diameter joins the cell and the mean.
    const [endsX, endsY] = [0, 1].map((k) => {
      const reach = CENTRED.flatMap((cell) => [-1, 1].map((side) => (cell[k] + side * Math.hypot(...cell)) / 2));
      return [MEAN[k] + Math.min(...reach) - 0.1, MEAN[k] + Math.max(...reach) + 0.1];
    });
    // One unit is as long on both axes, or right angles would not look right.
    const { box } = map;
    const perUnit = Math.max((endsX[1] - endsX[0]) / (box.right - box.left), (endsY[1] - endsY[0]) / (box.bottom - box.top));
    const around = ([low, high], size) => [-0.5, 0.5].map((side) => (low + high) / 2 + side * perUnit * size);
    map.setX(around(endsX, box.right - box.left));
    map.setY(around(endsY, box.bottom - box.top));
    const edges = [[map.atX(box.left), map.atX(box.right)], [map.atY(box.bottom), map.atY(box.top)]];
    const radius = 0.85 * Math.min(...edges.flatMap(([low, high], k) => [MEAN[k] - low, high - MEAN[k]]));

    const dot = ([x, y]) => `M${map.x(x).toFixed(1)},${map.y(y).toFixed(1)}h0`; // a round cap of no length
    const segments = path(map, { stroke: "var(--c1)", "stroke-width": 1, "stroke-opacity": 0.55 });
    const cells = path(map, { stroke: "var(--ink)", "stroke-width": 4, "stroke-linecap": "round", "stroke-opacity": 0.65 });
    cells.setAttribute("d", CELLS.map(dot).join(""));
    const line = path(map, { stroke: "var(--c0)", "stroke-width": 2 });
    const [cx, cy] = [map.x(MEAN[0]), map.y(MEAN[1])];
    map.root.append(svg("circle", { cx, cy, r: 6, fill: "none", stroke: "var(--ink)", "stroke-width": 2 }));
    const projections = path(map, { stroke: "var(--c0)", "stroke-width": 5, "stroke-linecap": "round" });
    const grip = handle(map, {
      label: "direction", color: "var(--c1)", along: "xy", text: () => `${fixed(halfTurn(state.angle), 0)} degrees`,
      move: (x, y) => set({ angle: (Math.atan2(y - MEAN[1], x - MEAN[0]) * 180) / Math.PI }),
    });
    grip.addEventListener("keydown", (event) => {
      const way = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
      if (!way) return;
      event.preventDefault();
      event.stopImmediatePropagation(); // the kit's keys would move it along x and y
      set({ angle: state.angle + way * (event.shiftKey ? 5 : 1) });
      grip.dispatchEvent(new Event("moved", { bubbles: true }));
    }, true);

    const total = XX + YY;
    const shares = plot(right, {
      x: [-10, 190], y: [0, 1.2 * total], height: 350, xLabel: "angle (degrees)", yLabel: "squared log counts",
      label: "What the direction keeps and loses", caption: "Dots: kept, and the sum, at the angles tried so far.",
    });
    const seen = new Set();
    const trace = path(shares, { stroke: "var(--soft)", "stroke-width": 4, "stroke-linecap": "round" });
    const [lost, kept] = ["var(--c1)", "var(--c0)"].map((stroke) => path(shares, { stroke, "stroke-width": 18 }));
    const halo = "stroke: var(--card); stroke-width: 4px; paint-order: stroke"; // over the dots
    const [nameLost, nameKept] = [["lost", "var(--c1)"], ["kept", "var(--c0)"]].map(([text, fill]) =>
      shares.root.appendChild(svg("text", { style: `fill: ${fill}; ${halo}`, "font-weight": 700 }, text)));

    const said = numbers(stage, { kept: ["kept", "var(--c0)"], lost: ["lost", "var(--c1)"], sum: ["sum"], angle: ["angle"] });
    stage.addEventListener("moved", () => animate(() => false)); // a hand on the handle ends the turning
    button(stage.appendChild(element("div", { class: "buttons" })), "Best direction", () =>
      animate(() => {
        const way = halfTurn(BEST - state.angle + 90) - 90; // the shorter one
        const isNear = Math.abs(way) < 0.2;
        set({ angle: state.angle + (isNear ? way : clamp(0.1 * way, -2, 2)) });
        return !isNear;
      }));

    function set(values) {
      Object.assign(state, values);
      const v = direction(state.angle);
      const along = (length) => MEAN.map((value, k) => value + length * v[k]);
      const feet = CENTRED.map(([x, y]) => along(x * v[0] + y * v[1]));
      const toEdge = (side) => Math.min(...v.map((part, k) => Math.abs((edges[k][+(side * part > 0)] - MEAN[k]) / part)));
      line.set([along(-toEdge(-1)), along(toEdge(1))]);
      projections.setAttribute("d", feet.map(dot).join(""));
      segments.setAttribute("d", CELLS.map((cell, i) => dot(cell).replace("h0", `L${dot(feet[i]).slice(1, -2)}`)).join(""));
      const { angle, variance, error } = measures();
      grip.place(...along(radius), angle);
      seen.add(Math.round(angle));
      const mark = (one) => [measures(one).variance, total].map((y) => `M${shares.x(one)},${shares.y(y).toFixed(1)}h0`).join("");
      trace.setAttribute("d", [...seen].map(mark).join(""));
      kept.set([[angle, 0], [angle, variance]]);
      lost.set([[angle, variance], [angle, total]]);
      const side = angle > 90 ? -1 : 1;
      for (const [name, y] of [[nameKept, variance / 2], [nameLost, variance + error / 2]]) {
        const attributes = { x: shares.x(angle) + 15 * side, y: shares.y(y) + 4, "text-anchor": side > 0 ? "start" : "end" };
        for (const key in attributes) name.setAttribute(key, attributes[key]);
      }
      const [whole, part] = [total, variance].map((value) => Math.round(100 * value) / 100); // so that shown numbers add up
      said.set({ kept: fixed(part), lost: fixed(whole - part), sum: fixed(whole), angle: `${fixed(angle, 0)}°` });
    }
    set({});
    return { set, numbers: () => measures() };
  },
});
