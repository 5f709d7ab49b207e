"""`python -m durable_cli` is `durable`, whose entry point this is.

A process that verifies imports the script that started it again, so that nothing is to be imported
here before the command runs.
"""

# No `from __future__` either: it is a module like others, looked for in the current folder first.
import gc
import os
import sys


def main() -> None:
    """Run the command line and exit."""
    _forget_current_folder()
    gc.disable()  # what is imported stays: the collector need not walk it, now or at the end
    from durable_cli.app import main as run

    gc.freeze()
    gc.enable()
    run()


def _forget_current_folder() -> None:
    """Take the current folder off the path where Python put it there by itself, by `python -m` or
    by an empty entry of PYTHONPATH: nothing in it is ours to run, unless we are in it."""
    ours = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120
    try:
        here = os.getcwd()  # noqa: PTH109
    except OSError:  # it was removed: nothing is in it
        return
    if here == ours:
        return
    is_named = getattr(sys.modules["__main__"], "__spec__", None) is not None
    if is_named and not sys.flags.safe_path and sys.path[:1] == [here]:
        del sys.path[0]
    listed = (os.environ.get("PYTHONPATH") or here).split(os.pathsep)
    if "" in listed and here not in [os.path.abspath(each) for each in listed if each]:  # noqa: PTH100
        sys.path[:] = [each for each in sys.path if each not in ("", here)]


if __name__ == "__main__":
    main()
