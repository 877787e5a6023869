"use strict";
// Two batches of the same cells, an effect that tears them apart, and three maps of them.

const [SIZE, REACH] = [230, 105]; // of a map, and of the cell farthest out
const MAPS = { pca: "PCA", untold: "VAE, not told the batch", told: "VAE, told the batch" };
const MARKERS = [ // 7 wide or a little more, so that all look alike in size
  "M-3,0a3,3 0 1,0 6,0a3,3 0 1,0 -6,0Z", "M0,-4L4,3.4H-4Z", "M-3,-3H3V3H-3Z", "M0,4L4,-3.4H-4Z", "M0,-4.2L4.2,0L0,4.2L-4.2,0Z",
  "M-1.5,-4.5H1.5V-1.5H4.5V1.5H1.5V4.5H-1.5V1.5H-4.5V-1.5H-1.5Z",
];
const COLORS = ["var(--c0)", "var(--c1)", "var(--c2)", "var(--c3)", "var(--c5)", "var(--ink)"];
const KINDS = { group: DATA.group_names, batch: ["batch 1, as measured", "batch 2, with the effect"] };

const placesOf = (base64) => Float64Array.from(new Int16Array(bytes(base64).buffer), (value) => (REACH * value) / 32767);
const steps = DATA.steps.map((step) => ({ ...step, places: Object.keys(MAPS).map((name) => placesOf(step.maps[name])) }));

explorable({
  title: "Two batches, three maps",
  ask: "At strength 1, what keeps cells apart on the first map, made from principal components?",
  options: ["Batch, and type within it", "Type alone, as at strength 0", "Nothing: all is one cloud"],
  right: 0,
  why:
    "Types lie there twice, once for each batch: the effect is one of the largest directions of variance, and PCA keeps " +
    "those. A VAE that is not told the batch has no other place for it than <i>z</i>. Told the batch, the decoder takes " +
    "it from there: batches mix, and types stay apart. At strength 1.5 even that is not enough to mix them fully.",
  todo: "Raise the strength of the batch effect, and look at the cells once by type and once by batch.",
  build(stage) {
    const state = { strength: 0, by: "group" };
    const row = controls(stage);
    const strengths = steps.map(({ strength }) => strength);
    const slide = slider(row, {
      label: "strength of the batch effect", min: strengths[0], max: strengths.at(-1), step: strengths[1] - strengths[0],
      value: state.strength, show: (value) => fixed(value, 1), change: (strength) => set({ strength }),
    });
    const colours = choice(row, {
      label: "colour and shape by", options: { group: "type of cell", batch: "batch" }, value: state.by, choose: (by) => set({ by }),
    });
    const key = stage.appendChild(element("div", { class: "numbers" }));
    const columns = "repeat(auto-fit, minmax(max(30%, 160px), 1fr))"; // three maps in a row, two on a phone
    const figures = stage.appendChild(element("div", { class: "figures", style: `grid-template-columns: ${columns}` }));
    const maps = Object.values(MAPS).map((title) => {
      const cells = Array.from(DATA.batch, () => svg("path", { "fill-opacity": 0.8 }));
      const frame = svg("rect", { width: SIZE, height: SIZE, fill: "none", stroke: "var(--line)" });
      const box = { viewBox: `0 0 ${SIZE} ${SIZE}`, role: "img", "aria-label": `t-SNE of the cells: ${title}` };
      const root = svg("svg", box, frame, svg("g", { transform: `translate(${SIZE / 2} ${SIZE / 2})` }, ...cells));
      const figure = figures.appendChild(element("figure", {}, element("figcaption", {}, title), root));
      return { cells, said: numbers(figure, { mixed: ["mixed"], same: ["same type"] }) };
    });
    stage.append(marked("figcaption",
      "Mixed: entropy of the batches among a cell's 50 neighbours, as a share of the most. Same type: share of its 30 " +
      "neighbours that have its label, of ten. Scores are of all 700 cells in ten dimensions; t-SNE draws 300 of them."));

    const markAs = (mark, code) => [["d", MARKERS[code]], ["fill", COLORS[code]]].forEach((one) => mark.setAttribute(...one));
    function dress() {
      const names = KINDS[state.by];
      maps.forEach(({ cells }) => cells.forEach((cell, i) => markAs(cell, Number(DATA[state.by][i]))));
      key.replaceChildren(...names.map((name, code) => {
        const mark = svg("path");
        markAs(mark, code);
        const drawn = svg("svg", { viewBox: "-6 -6 12 12", style: "display: inline; width: 1em", "aria-hidden": true }, mark);
        return element("span", {}, drawn, ` ${name}`);
      }));
    }

    let shown = null; // where the cells are on each map, perhaps on their way to another strength
    function glide(target) {
      const from = shown ?? target;
      let share = shown === target || !shown ? 1 : 0;
      animate(() => {
        share = Math.min(1, share + 0.07);
        shown = share < 1 ? from.map((map, m) => map.map((value, k) => value + share * (target[m][k] - value))) : target;
        maps.forEach(({ cells }, m) => cells.forEach((cell, i) =>
          cell.setAttribute("transform", `translate(${shown[m][2 * i].toFixed(1)} ${(-shown[m][2 * i + 1]).toFixed(1)})`)));
        return share < 1;
      });
    }

    const now = () => steps[strengths.indexOf(state.strength)];
    function set(values) {
      Object.assign(state, values);
      slide.set(state.strength);
      colours.set(state.by);
      dress();
      Object.keys(MAPS).forEach((name, m) => {
        const { mixed, same } = now().scores[name];
        maps[m].said.set({ mixed: fixed(mixed), same: fixed(same) });
      });
      glide(now().places);
    }
    set({});
    return { set, numbers: () => now().scores };
  },
});
