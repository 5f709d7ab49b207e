"""What runs a handler's code under control; it knows nothing of replay.

`user_code` tells whose code a frame is. `readings` and its neighbours give code the time, chance,
ids and orders that we choose, `threads` runs its threads one at a time, `handler_clock` keeps the
virtual clock.

The guard (`guard_hook`, `origins`, `attempts`, `unaudited`) tells what code attempts outside of its
process, and can be got round: by ctypes, by an extension module, by changing the guard's own
objects. The kernel can't: `raise_walls` gives up, for good, this process's rights to change files,
to reach the network, to start programs and processes and to signal others. Landlock (`landlock`)
holds what has a path, seccomp (`seccomp`, with the rules of `rules`) everything else.
"""
