"""What code may do outside of its process, and what keeps it from that; knows nothing of replay.

The in-process guard tells what code attempts (by `attempts`, `unaudited`) and can be got round: by
ctypes, by an extension module, by changing the guard's own objects. The kernel can't: `raise_walls`
gives up, for good, this process's rights to change files, to reach the network, to start programs
and processes and to signal others. Landlock (`landlock`) holds what has a path, seccomp (`seccomp`,
with the rules of `rules`) everything else.
"""
