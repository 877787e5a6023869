"""Used by pip to build the package: the student edition of the lessons travels in it, in the folder `_lessons`."""

from pathlib import Path

from setuptools.command.build_py import build_py


class BuildWithLessons(build_py):
    """Copies the package's files, and the lessons with them."""

    def run(self) -> None:
        """Copy them to where the wheel is made of; nothing is copied for an editable install."""
        super().run()
        if self.editable_mode:  # where the package stays beside lessons/
            return
        target = Path(self.build_lib, "vae_course", "_lessons")
        self.mkpath(str(target))
        for notebook in Path("lessons").glob("*.ipynb"):
            self.copy_file(str(notebook), str(target / notebook.name))
