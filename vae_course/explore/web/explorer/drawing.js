// A drawing is brought to where and how large the digits of the data are, before it is encoded.

const TALL = 8; // pixels, as all digits are
const WIDE = 5; // pixels, as most digits are
const MIDDLE = 3.6; // the column in which digits have their middle, on average

/** Where the pixels lie that are on: first and last row, first and last column. */
function frameOf(x) {
  const on = range(64).filter((g) => x[g]);
  const [rows, columns] = [on.map((g) => g >> 3), on.map((g) => g & 7)];
  return [Math.min(...rows), Math.max(...rows), Math.min(...columns), Math.max(...columns)];
}

/** How many squares of 2 by 2 pixels are on: hardly any where the stroke is one pixel wide. */
function squares(rows) {
  const isOn = (r, c) => rows[r]?.[c] && rows[r][c + 1] && rows[r + 1]?.[c] && rows[r + 1][c + 1];
  return sum(rows.map((row, r) => row.filter((_, c) => isOn(r, c)).length));
}

/** Stretch or shrink a list; what shrinks keeps what was on. */
function resized(values, n, join) {
  if (n >= values.length) return range(n).map((k) => values[Math.floor(((k + 0.5) * values.length) / n)]);
  const parts = range(n).map(() => []);
  values.forEach((value, k) => parts[Math.floor(((k + 0.5) * n) / values.length)].push(value));
  return parts.map(join);
}

/**
 * A drawing at the place and in the size of a digit, its stroke at least nearly as wide. One that lies where some digit
 * of the data lies (`typical` holds their frames) stays as it is, and so does every digit of the data.
 */
function asDigit(x, typical) {
  if (!x.some((value) => value) || typical.has(String(frameOf(x)))) return x;
  const [top, bottom, left, right] = frameOf(x);
  const isThin = squares(range(8).map((r) => Array.from(x.slice(8 * r, 8 * r + 8)))) < 2;
  let rows = range(bottom - top + 1).map((r) => Array.from(x.slice(8 * (top + r) + left, 8 * (top + r) + right + 1)));
  const scale = Math.min(TALL / rows.length, 2);
  const width = Math.max(1, Math.min(Math.round(scale * rows[0].length), isThin ? WIDE - 1 : WIDE));
  const joined = (some) => some[0].map((_, c) => Math.max(...some.map((row) => row[c])));
  rows = resized(rows, Math.round(scale * rows.length), joined).map((row) =>
    resized(row, width, (some) => Math.max(...some)),
  );
  if (isThin && squares(rows) < 4)
    rows = rows.map((row) => [...row, 0].map((value, c) => Math.max(value, row[c - 1] ?? 0)));
  const mass = rows.flatMap((row) => row.flatMap((value, c) => (value ? [c] : [])));
  const column = clamp(Math.round(MIDDLE - mean(mass)), 0, 8 - rows[0].length);
  const row = Math.floor((8 - rows.length) / 2);
  const made = new Float64Array(64);
  rows.forEach((values, r) => made.set(values, 8 * (row + r) + column));
  return made;
}
