// The latent plane: points, prior, ellipse and draws in an SVG of 500 by 500; what lies behind them in a canvas.

const SIZE = 500;
const plane = { reach: 3 }; // the plane shows -reach..reach in both directions

// The course's markers (o ^ s v D P X < > *), about 10 wide.
const MARKERS = [
  "M-4,0a4,4 0 1,0 8,0a4,4 0 1,0 -8,0Z",
  "M0,-5L5,4H-5Z",
  "M-4,-4H4V4H-4Z",
  "M0,5L5,-4H-5Z",
  "M0,-5L5,0L0,5L-5,0Z",
  "M-1.7,-5H1.7V-1.7H5V1.7H1.7V5H-1.7V1.7H-5V-1.7H-1.7Z",
  "M-4.8,-2.4L-2.4,-4.8L0,-2.4L2.4,-4.8L4.8,-2.4L2.4,0L4.8,2.4L2.4,4.8L0,2.4L-2.4,4.8L-4.8,2.4L-2.4,0Z",
  "M-5,0L4,-5V5Z",
  "M5,0L-4,-5V5Z",
  "M0,-6L1.4,-1.9H5.7L2.2,0.7L3.5,4.9L0,2.3L-3.5,4.9L-2.2,0.7L-5.7,-1.9H-1.4Z",
];

const toX = (z) => (SIZE / 2) * (1 + z / plane.reach);
const toY = (z) => (SIZE / 2) * (1 - z / plane.reach);
const toZ = (share) => (2 * share - 1) * plane.reach;
const clampToPlane = (z) => z.map((value) => clamp(value, -plane.reach, plane.reach));

/** How far the plane has to reach: all means and the prior's second circle are in sight. */
const reachOf = (means) => Math.max(3.2, 1.06 * Math.max(...means.map((z) => Math.max(...z.map(Math.abs)))));

/** Show where the inputs lie. Marks that are there already move to their new places (explorer.css says how fast). */
function drawPoints(group, means, labels, asNumerals) {
  const places = means.map((z) => `translate(${toX(z[0]).toFixed(1)}px, ${toY(z[1]).toFixed(1)}px)`);
  if (group.children.length !== means.length || group.dataset.labels !== String(labels)) {
    group.dataset.labels = String(labels);
    const mark = (label) =>
      asNumerals
        ? svg("text", { class: `c${label % 10}` }, String(label))
        : svg("path", { d: MARKERS[label % 10], class: `c${label % 10}` });
    group.replaceChildren(...labels.map(mark));
  }
  places.forEach((place, i) => (group.children[i].style.transform = place));
}

function drawAxes(group) {
  const step = [1, 2, 5].find((width) => plane.reach / width < 5) ?? 10;
  const marks = [];
  for (let tick = -Math.floor(plane.reach / step) * step; tick <= plane.reach; tick += step) {
    marks.push(svg("line", { x1: toX(tick), x2: toX(tick), y1: 0, y2: SIZE }));
    marks.push(svg("line", { x1: 0, x2: SIZE, y1: toY(tick), y2: toY(tick) }));
    const name = String(tick).replace("-", "−");
    if (Math.abs(toX(tick) - SIZE / 2) < SIZE / 2 - 24) {
      marks.push(svg("text", { x: toX(tick), y: SIZE - 6, "text-anchor": "middle" }, name));
      if (tick) marks.push(svg("text", { x: 6, y: toY(tick) + 4 }, name));
    }
  }
  marks.push(svg("text", { x: SIZE - 8, y: SIZE - 6, "text-anchor": "end" }, "z₁"));
  marks.push(svg("text", { x: 6, y: 16 }, "z₂"));
  group.replaceChildren(...marks);
}

function drawPrior(group) {
  if (!group.children.length) {
    const circles = [1, 2].map(() => svg("circle", { cx: SIZE / 2, cy: SIZE / 2 }));
    group.append(...circles, svg("text", { x: SIZE / 2, "text-anchor": "middle" }, "prior N(0, I)"));
  }
  [1, 2].forEach((r, k) => group.children[k].setAttribute("r", toX(r) - toX(0)));
  group.lastChild.setAttribute("y", toY(2) - 5);
}

/** q(z|x) at one and two standard deviations, with its mean; never too small to be seen. */
function drawEllipse(group, q) {
  const [cx, cy] = [toX(q.mean[0]), toY(q.mean[1])];
  const radius = (j, k) => Math.max(1.5, k * (toX(Math.sqrt(q.var[j])) - toX(0)));
  const ellipses = [2, 1].map((k) => svg("ellipse", { cx, cy, rx: radius(0, k), ry: radius(1, k) }));
  const cross = svg("path", { d: `M${cx - 5},${cy}h10M${cx},${cy - 5}v10` });
  group.replaceChildren(...ellipses, cross);
}

function drawDraws(group, draws) {
  group.replaceChildren(...draws.map((z) => svg("circle", { cx: toX(z[0]), cy: toY(z[1]), r: 3.5 })));
}

/** The input that a click would take. */
function drawNearest(group, z) {
  group.replaceChildren(...(z ? [svg("circle", { cx: toX(z[0]), cy: toY(z[1]), r: 7 })] : []));
}

function nearest(means, z) {
  const distances = means.map((point) => (point[0] - z[0]) ** 2 + (point[1] - z[1]) ** 2);
  return distances.indexOf(Math.min(...distances));
}

// --------------------------------------------------------------------------------------------------------------------
// What lies behind
// --------------------------------------------------------------------------------------------------------------------

/** Fill a canvas with its own text colour, as opaque as `alphas` says, row by row from the top. */
function paint(canvas, columns, alphas) {
  const rows = alphas.length / columns;
  canvas.width = columns;
  canvas.height = rows;
  const context = canvas.getContext("2d");
  const [red, green, blue] = getComputedStyle(canvas)
    .color.match(/[\d.]+/g)
    .map(Number);
  const image = context.createImageData(columns, rows);
  for (let k = 0; k < alphas.length; k++) {
    image.data[4 * k] = red;
    image.data[4 * k + 1] = green;
    image.data[4 * k + 2] = blue;
    image.data[4 * k + 3] = 255 * clamp(alphas[k], 0, 1);
  }
  context.putImageData(image, 0, 0);
}

/** Centres of n by n squares that fill a box (left, right, bottom, top), row by row from the top. */
function gridOf(n, [left, right, bottom, top]) {
  const points = [];
  for (let row = 0; row < n; row++) {
    for (let column = 0; column < n; column++) {
      points.push([left + ((column + 0.5) * (right - left)) / n, top - ((row + 0.5) * (top - bottom)) / n]);
    }
  }
  return points;
}

const wholePlane = () => [-plane.reach, plane.reach, -plane.reach, plane.reach];

function placeLayer(canvas, [left, right, bottom, top]) {
  const percent = (width) => `${(50 * width) / plane.reach}%`;
  canvas.style.left = percent(left + plane.reach);
  canvas.style.top = percent(plane.reach - top);
  canvas.style.width = percent(right - left);
  canvas.style.height = percent(top - bottom);
}

/** The images that the decoder makes of n by n latents. */
function paintMosaic(canvas, model, n = 15) {
  const alphas = new Float64Array((9 * n) ** 2);
  gridOf(n, wholePlane()).forEach((z, k) => {
    const [top, left] = [9 * Math.floor(k / n), 9 * (k % n)];
    model.decode(z).output.forEach((p, pixel) => {
      alphas[(top + (pixel >> 3)) * 9 * n + left + (pixel & 7)] = 0.85 * p;
    });
  });
  placeLayer(canvas, wholePlane());
  paint(canvas, 9 * n, alphas);
}

/** What the decoder says of one gene everywhere in the plane, from 0 to its largest. */
function paintGene(canvas, model, gene, n = 40) {
  const shares = gridOf(n, wholePlane()).map((z) => model.decode(z, 0).output[gene]);
  const largest = Math.max(...shares);
  placeLayer(canvas, wholePlane());
  paint(
    canvas,
    n,
    shares.map((share) => (0.85 * share) / largest),
  );
  return [Math.min(...shares), largest];
}

/** The density p(z|x) that q(z|x) stands in for, on the squares that `integrate` found. */
function paintPosterior(canvas, squares) {
  const largest = Math.max(...squares.map(({ log }) => log));
  const kept = squares.filter(({ log }) => log > largest - 10);
  const ends = (j) => [-1, 1].map((side) => side * Math.max(...kept.map(({ z, size }) => side * z[j] + size / 2)));
  const [[left, right], [bottom, top]] = [ends(0), ends(1)];
  const step = Math.max(Math.min(...kept.map(({ size }) => size)), (right - left) / 200, (top - bottom) / 200);
  const [columns, rows] = [right - left, top - bottom].map((width) => Math.ceil(width / step - 1e-9));
  const alphas = new Float64Array(columns * rows);
  for (const { z, size, log } of kept) {
    const cells = (from, n) => range(n).slice(Math.max(0, Math.round(from / step)), Math.round((from + size) / step));
    for (const row of cells(top - z[1] - size / 2, rows)) {
      for (const column of cells(z[0] - size / 2 - left, columns)) {
        alphas[row * columns + column] = 0.85 * Math.exp(log - largest);
      }
    }
  }
  placeLayer(canvas, [left, left + columns * step, top - rows * step, top]);
  paint(canvas, columns, alphas);
}
