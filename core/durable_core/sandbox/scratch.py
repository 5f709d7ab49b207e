"""The one folder that processes behind the walls can write to, for libraries that need one."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path


class Scratch:
    """A new, empty folder of this user's only. `folder` is None where the system has no room."""

    def __init__(self) -> None:
        try:
            self.folder: str | None = tempfile.mkdtemp(prefix="durable-")
        except OSError:
            self.folder = None

    def remove(self) -> None:
        """Remove it with all that is in there."""
        if self.folder is None:
            return
        for place, folders, _ in os.walk(self.folder):  # before it looks into them
            for each in (Path(place, name) for name in folders):
                if not each.is_symlink():
                    each.chmod(0o700)
        shutil.rmtree(self.folder, ignore_errors=True)


def use_for_temporary_files(folder: str | None) -> None:
    """Let this process make its temporary files in there."""
    if folder is None:
        return
    tempfile.tempdir = folder
    os.environ["TMPDIR"] = folder
