"""Used by pip to build the package: the student edition of the lessons travels in it, in the folder `_lessons`."""

from pathlib import Path

from setuptools.command.build_py import build_py


class BuildWithLessons(build_py):
    """Copies the package's files, and the lessons with them."""

    def run(self) -> None:
        """Copy them; an editable package stays beside lessons/."""
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib, "vae_course", "_lessons")
        self.mkpath(str(target / "deeper"))
        for notebook in Path("lessons").rglob("*.ipynb"):
            self.copy_file(str(notebook), str(target / notebook.relative_to("lessons")))
