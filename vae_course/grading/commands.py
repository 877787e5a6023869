"""IPython's commands in a student's cells: `%timeit`, `%%writefile`, `!ls`, `f?`, as far as an answer may need them."""

import re
from pathlib import Path
from typing import Any

TRANSPARENT = ("time", "timeit", "prun", "capture")  # magics that run the cell they stand above


def without_commands(text: str) -> str:
    """Return a cell as Python, as IPython itself translates it.

    Raises
    ------
    SyntaxError, ValueError
        If it cannot be translated.
    """
    from IPython.core.inputtransformer2 import TransformerManager

    first, _, rest = text.lstrip().partition("\n")
    is_around = first.startswith("%%") and first[2:].split()[:1] and first[2:].split()[0] in TRANSPARENT
    text = re.sub(r"^([ \t]*)%time +", r"\1", rest if is_around else text, flags=re.MULTILINE)  # binds names
    return TransformerManager().transform_cell(text)


class Commands:
    """Stands for the shell that `get_ipython()` returns in a notebook; what is run from the cell runs in its names."""

    def __init__(self, names: dict[str, Any], folder: str) -> None:
        self._names, self._folder = names, folder

    def run_line_magic(self, name: str, line: str, *_: Any) -> Any:
        """Run what follows %time; pass over all else."""
        if name in TRANSPARENT:
            code = re.sub(r"^(\s*-\w+(\s+\d+)?)+\s+", "", line)  # options, such as -o -n 10
            exec(code, self._names)
        return self

    def run_cell_magic(self, name: str, line: str, cell: str) -> None:
        """Write the cell below %%writefile; pass over all else."""
        if name in ("writefile", "file") and self._folder:
            options = line.split()
            file = Path(self._folder) / Path(options[-1]).name
            with file.open("a" if "-a" in options else "w", encoding="utf-8") as out:
                out.write(cell)

    def system(self, *_: Any) -> None:
        """Pass over a command of the system."""

    def getoutput(self, *_: Any) -> list[str]:
        """Pass over a command of the system; it has no output."""
        return []

    def __getattr__(self, name: str) -> Any:
        """Be whatever else is asked for: the result of %timeit -o, for one."""
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *_: Any, **__: Any) -> "Commands":
        """Do nothing."""
        return self
