"use strict";
// What the weight beta on the KL does to the latent plane: BinaryVAEs of the digits that differ in beta alone.

const [PIXELS, HIDDEN, REACH, TILES, SHADES] = [64, 16, 4.1, 13, 16]; // the plane shows -REACH..REACH
const COLORS = ["var(--c0)", "var(--c1)", "var(--c2)", "var(--c3)", "var(--c5)"]; // the numerals tell the rest apart

const float16 = (base64) =>
  Float64Array.from(new Uint16Array(bytes(base64).buffer), (half) => {
    const [exponent, fraction] = [(half >> 10) & 31, (half & 1023) / 1024];
    return (half >> 15 ? -1 : 1) * (exponent ? 2 ** (exponent - 15) * (1 + fraction) : 2 ** -14 * fraction);
  });

/** A BinaryVAE in eval mode from its weights, which are in PyTorch's order. */
function modelOf(weights) {
  let used = 0;
  const take = (n) => weights.subarray(used, (used += n));
  const linear = (nIn, nOut) => {
    const [weight, bias] = [take(nIn * nOut), take(nOut)];
    return (x) => Array.from(bias, (b, row) => x.reduce((total, value, j) => total + value * weight[row * nIn + j], b));
  };
  const hidden = (nIn) => { // FCLayers: Linear, batch normalisation with its running moments, ReLU
    const before = linear(nIn, HIDDEN);
    const [scale, shift, mean, variance] = range(4).map(() => take(HIDDEN));
    const normalised = (a, j) => ((a - mean[j]) / Math.sqrt(variance[j] + 0.001)) * scale[j] + shift[j];
    return (x) => before(x).map((a, j) => Math.max(0, normalised(a, j)));
  };
  const [encoder, meanHead, logvarHead] = [hidden(PIXELS), linear(HIDDEN, 2), linear(HIDDEN, 2)];
  const [decoder, logits] = [hidden(2), linear(HIDDEN, PIXELS)];
  const encode = (x) => ({ mean: meanHead(encoder(x)), variance: logvarHead(encoder(x)).map(Math.exp) });
  return { encode, decode: (z) => logits(decoder(z)) };
}

const bits = bytes(DATA.x); // a row of 8 pixels each
const digits = Array.from(DATA.labels, (label, i) => ({
  label, x: range(PIXELS).map((pixel) => (bits[8 * i + (pixel >> 3)] >> (7 - (pixel & 7))) & 1),
}));
const centres = linspace(-1, 1, TILES).map((share) => REACH * share * (1 - 1 / TILES));
const runs = DATA.models.map(({ beta, weights }) => {
  const { encode, decode } = modelOf(float16(weights));
  const codes = digits.map(({ x }) => {
    const q = encode(x);
    const logits = decode(q.mean);
    const bce = -sum(x.map((value, pixel) => bernoulliLogProb(value, logits[pixel])));
    return { ...q, bce, kl: klStandardNormal(q.mean, q.variance), output: logits.map(sigmoid) };
  });
  return { beta, codes, atlas: centres.flatMap((y) => centres.map((x) => decode([x, -y]).map(sigmoid))) };
});

/** Images of 8 by 8 in rows; each shade is one path of squares in the theme's ink. */
function pictures(parent, columns, label, caption) {
  const side = 9 * columns - 1;
  const root = svg("svg", { viewBox: `0 0 ${side} ${side}`, role: "img", "aria-label": label, "shape-rendering": "crispEdges" });
  const shades = range(SHADES).map((k) => svg("path", { fill: "var(--ink)", "fill-opacity": (k + 1) / SHADES }));
  root.style.outline = "1px solid var(--line)";
  root.append(...shades);
  parent.append(element("figure", {}, marked("figcaption", caption), root));
  root.set = (images) => {
    const squares = shades.map(() => "");
    images.forEach((image, k) => image.forEach((p, pixel) => {
      const [x, y] = [9 * (k % columns) + (pixel & 7), 9 * Math.floor(k / columns) + (pixel >> 3)];
      if (p * SHADES >= 0.5) squares[Math.round(p * SHADES) - 1] += `M${x},${y}h1v1h-1z`;
    }));
    shades.forEach((shade, k) => shade.setAttribute("d", squares[k]));
  };
  return root;
}

explorable({
  title: "The weight β on the KL",
  ask: "These models minimise bce + β KL. What does a large β do to the digits in the latent plane?",
  options: ["It drives them far apart", "It sorts them more neatly", "It piles them up at zero"],
  right: 2,
  why:
    "With β = 32 a piece of KL has to save 32 times itself in bce, and no piece does. Every <i>q</i> becomes the prior, " +
    "and the decoder, told nothing, always answers with the average image: <b>posterior collapse</b>. A tiny β does the " +
    "opposite: each <i>q</i> shrinks to a point, and many points leave the prior.",
  todo: "Move β from end to end, and tap on the plane to pick another digit.",
  build(stage) {
    const state = { beta: 2, digit: 236 }; // positions in `runs` and `digits`
    const row = controls(stage);
    const pickOne = (name, label, of, show) =>
      slider(row, { label, min: 0, max: of.length - 1, step: 1, value: state[name], show, change: (k) => set({ [name]: k }) });
    const betas = pickOne("beta", "β", runs, (k) => String(runs[k].beta));
    const picker = pickOne("digit", "digit", digits, (k) => `${k + 1} of ${digits.length}, shows ${digits[k].label}`);
    const figures = stage.appendChild(element("div", { class: "figures" }));
    const [left, right] = range(2).map(() => figures.appendChild(element("div")));
    const figure = plot(left, {
      x: [-REACH, REACH], y: [-REACH, REACH], xLabel: "z₁", yLabel: "z₂", yTicks: false,
      height: Math.max(280, left.clientWidth) + 28, label: "Latent plane with the means of the digits", // a square
      caption: "Numerals: means of 300 digits. Dashed: the prior, at 1 and 2 standard deviations. Orange: <i>q</i> of one digit.",
    });
    const round = (attributes) => [2, 1].map((r) => svg("circle", { ...attributes, r: figure.x(r) - figure.x(0) }));
    const prior = round({ cx: figure.x(0), cy: figure.y(0), fill: "none", stroke: "var(--soft)", "stroke-dasharray": "5 4" });
    const marks = digits.map(({ label }) =>
      svg("text", { style: `fill: ${COLORS[label % 5]}; font-size: 11px`, dy: 4, "text-anchor": "middle" }, label));
    const orange = { fill: "var(--c1)", "fill-opacity": 0.2, stroke: "var(--c1)", "stroke-width": 2 };
    const ellipses = round({ ...orange, "vector-effect": "non-scaling-stroke" });
    figure.group({ "aria-hidden": true }).append(...prior, ...marks, ...ellipses);
    const grid = right.appendChild(element("div", { style: "display: grid; grid-template-columns: 3fr 7fr; gap: 0.9rem" }));
    const column = grid.appendChild(element("div"));
    const [original, rebuilt] = ["digit", "rebuilt"].map((name) => pictures(column, 1, name, name));
    const atlas = pictures(grid, TILES, "What the decoder makes of points all over the plane", "decoded, all over that plane");
    const here = atlas.appendChild(svg("rect", { ...orange, width: 9, height: 9 }));
    const said = numbers(right, { bce: ["this digit: bce"], kl: ["KL"], bces: ["mean of all: bce"], kls: ["KL"] });

    const pick = (event) => {
      const { x, y } = new DOMPoint(event.clientX, event.clientY).matrixTransform(figure.root.getScreenCTM().inverse());
      const far = runs[state.beta].codes.map(({ mean: [a, b] }) => Math.hypot(figure.x(a) - x, figure.y(b) - y));
      set({ digit: far.indexOf(Math.min(...far)) });
      figure.root.dispatchEvent(new Event("moved", { bubbles: true }));
    };
    figure.root.addEventListener("click", pick);
    figure.root.addEventListener("pointermove", (event) => event.buttons && pick(event));
    let places = runs[state.beta].codes; // where the numerals stand, perhaps on their way to another beta
    function glide() {
      const [from, to] = [places, runs[state.beta].codes];
      let share = from === to ? 1 : 0;
      const between = (name, i) => from[i][name].map((value, j) => value + share * (to[i][name][j] - value));
      animate(() => {
        share = Math.min(1, share + 0.06);
        places = share < 1 ? from.map((_, i) => ({ mean: between("mean", i), variance: between("variance", i) })) : to;
        const at = ({ mean: [x, y] }) => `translate(${figure.x(x).toFixed(1)} ${figure.y(y).toFixed(1)})`;
        marks.forEach((mark, i) => mark.setAttribute("transform", at(places[i])));
        const wide = places[state.digit].variance.map((value) => Math.max(0.05, Math.sqrt(value)).toFixed(4)); // a dot at least
        ellipses.forEach((ellipse) => ellipse.setAttribute("transform", `${at(places[state.digit])} scale(${wide})`));
        return share < 1;
      });
    }

    function set(values) {
      Object.assign(state, values);
      const [{ codes }, { mean: z, output, bce, kl }] = [runs[state.beta], runs[state.beta].codes[state.digit]];
      betas.set(state.beta);
      picker.set(state.digit);
      original.set([digits[state.digit].x]);
      rebuilt.set([output]);
      atlas.set(runs[state.beta].atlas);
      const tileOf = (value) => clamp(Math.floor((0.5 + value / (2 * REACH)) * TILES), 0, TILES - 1);
      [z[0], -z[1]].forEach((value, j) => here.setAttribute("xy"[j], 9 * tileOf(value) - 0.5));
      const [bces, kls] = ["bce", "kl"].map((name) => mean(codes.map((code) => code[name])));
      said.set({ bce: fixed(bce, 1), kl: `${fixed(kl)} nats`, bces: fixed(bces, 1), kls: `${fixed(kls)} nats` });
      glide();
    }
    set({});
    return { set, numbers: () => (({ bce, kl, mean: z }) => ({ bce, kl, mean: z }))(runs[state.beta].codes[state.digit]) };
  },
});
