"""Run the cells of a lesson, given as JSON on standard input, and keep the values that a film asks for."""

import json
import lzma
import os
import pickle
import sys
import tempfile
from pathlib import Path


def plain(value: object) -> object:
    """Return a value as NumPy and Python have it, without PyTorch."""
    if hasattr(value, "detach"):
        return value.detach().cpu().numpy()
    if isinstance(value, dict):
        return {plain(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value


def main(out: Path) -> None:
    cells, wanted = json.load(sys.stdin)
    names, kept = {"__name__": "__main__"}, {}
    for number, (section, code) in enumerate(cells):
        exec(compile(code, f"<cell {number} of section {section}>", "exec"), names)
        if number + 1 == len(cells) or cells[number + 1][0] != section:
            for expression in wanted.pop(section, ()):
                kept[section, expression] = plain(eval(expression, names))
        if not wanted:
            break
    if wanted:
        raise ValueError(f"the lesson has no sections {sorted(wanted)} with code")
    partial = out.with_suffix(".partial")
    partial.write_bytes(lzma.compress(pickle.dumps(kept)))
    partial.replace(out)


if __name__ == "__main__":
    os.environ |= {"MPLBACKEND": "agg", "TQDM_DISABLE": "1"}
    with tempfile.TemporaryDirectory() as home:
        os.environ["VAE_COURSE_HOME"] = home
        main(Path(sys.argv[1]))
