"""Measure what the lessons cost, and write it into the README: python tools/record_budgets.py."""

import platform
import re
import time
from pathlib import Path

import psutil
from build_lessons import ROOT, deeper, execute, solved_edition, sources
from nbformat.v4 import new_code_cell

PEAK = "import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"  # kB on Linux


def measure(source: Path) -> tuple[float, float, float]:
    """Run a solved lesson once; return seconds from first to last cell, seconds of the longest cell, peak GB."""
    notebook = solved_edition(source)
    notebook.cells.append(new_code_cell(PEAK))
    starts, seconds = {}, []

    def on_start(cell, cell_index):
        starts[cell_index] = time.perf_counter()

    def on_end(cell, cell_index, execute_reply):
        seconds.append(time.perf_counter() - starts[cell_index])

    executed = execute(notebook, on_cell_execute=on_start, on_cell_executed=on_end)
    peak = int(executed.cells[-1].outputs[0].text)
    return sum(seconds), max(seconds), peak / 2**20


def main() -> None:
    """Measure all lessons and put the table between the README's marks."""
    rows = ["| notebook | seconds, all cells | seconds, longest cell | peak memory, GB |", "|---|---|---|---|"]
    for source in (*sources(), *deeper()):
        total, longest, peak = measure(source)
        rows.append(f"| {source.stem} | {total:.0f} | {longest:.0f} | {peak:.2f} |")
        print(rows[-1])
    machine = f"{psutil.cpu_count()} virtual cores, one used; {platform.system()}; Python {platform.python_version()}"
    table = "\n".join([*rows, "", f"Solved editions, without a network ({machine})."])
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    marked = re.compile(r"(<!-- budgets -->\n).*?(<!-- end of budgets -->)", flags=re.DOTALL)
    assert marked.search(text), "the README has lost its marks"
    readme.write_text(marked.sub(rf"\g<1>{table}\n\g<2>", text), encoding="utf-8")


if __name__ == "__main__":
    main()
