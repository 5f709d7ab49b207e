"""Code that reaches outside of steps, by all ways that were thought of.

Each attacker is a function of no parameter whose effect, if it has any, is seen from outside: a
file `reached`, a datagram or a connection at the port in `reached.port`, or a priority. They run in
a handler, outside of its steps: `native` as `await`ed code, or in AWS's SDK.
"""

from __future__ import annotations

import _thread
import asyncio
import atexit
import concurrent.futures
import contextlib
import ctypes
import fcntl
import functools
import gc
import io
import logging
import logging.handlers
import multiprocessing
import multiprocessing.dummy
import multiprocessing.pool
import os
import pathlib
import posix
import queue
import shutil
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import tempfile
import threading
import time
import weakref
import zipfile

REACHED = "reached"
PATH = pathlib.Path(REACHED)
THERE = "there.txt"
"""A file that is there, and must stay as it is."""


def port() -> int:
    return int(pathlib.Path("port.txt").read_text())


def write() -> None:
    PATH.write_text("x")


ATTACKERS = {}


def attacker(function):
    ATTACKERS[function.__name__] = function
    return function


# -- files, in the handler's own thread ----------------------------------------------------------


@attacker
def open_to_write():
    with open(REACHED, "w") as file:
        file.write("x")


@attacker
def open_to_append():
    with open(THERE, "a") as file:
        file.write("x")


@attacker
def open_to_update():
    with open(THERE, "r+") as file:
        file.write("x")


@attacker
def open_exclusively():
    open(REACHED, "x").close()


@attacker
def os_open():
    os.close(os.open(REACHED, os.O_CREAT | os.O_WRONLY))


@attacker
def os_open_without_writing():
    os.close(os.open(REACHED, os.O_CREAT))


@attacker
def os_open_to_truncate():
    os.close(os.open(THERE, os.O_RDONLY | os.O_TRUNC))


@attacker
def raw_file():
    io.FileIO(REACHED, "w").close()


@attacker
def open_by_another_opener():
    with open(REACHED, "w", opener=lambda path, flags: os.open(path, flags)) as file:
        file.write("x")


@attacker
def a_path_that_says_it_is_the_null_device():
    class Liar(str):
        def __eq__(self, other):
            return True

        def __hash__(self):
            return hash(os.devnull)

        def __str__(self):
            return os.devnull

    open(Liar(REACHED), "w").close()


@attacker
def a_mode_that_says_it_reads():
    class Liar(str):
        def __contains__(self, other):
            return False

        def __iter__(self):
            return iter("r")

    open(REACHED, Liar("w")).close()


@attacker
def flags_that_say_they_read():
    class Liar(int):
        def __and__(self, other):
            return 0

    os.close(os.open(REACHED, Liar(os.O_CREAT | os.O_WRONLY)))


@attacker
def an_argument_that_writes_when_it_is_told():
    class Writes(str):
        def __str__(self):
            write()
            return "text"

        __repr__ = __format__ = __str__

    with contextlib.suppress(OSError):
        os.rename(Writes("missing"), Writes("missing"))


@attacker
def remove():
    os.remove(THERE)


@attacker
def rename():
    os.rename(THERE, REACHED)


@attacker
def replace():
    os.replace(THERE, REACHED)


@attacker
def make_a_folder():
    os.mkdir(REACHED)


@attacker
def make_folders():
    os.makedirs(f"{REACHED}/deep/down", exist_ok=True)


@attacker
def remove_a_folder():
    os.rmdir("there")


@attacker
def remove_a_tree():
    shutil.rmtree("there")


@attacker
def symbolic_link():
    os.symlink(THERE, REACHED)


@attacker
def hard_link():
    os.link(THERE, REACHED)


@attacker
def change_mode():
    os.chmod(THERE, 0o777)


@attacker
def change_times():
    os.utime(THERE, (1, 1))


@attacker
def truncate():
    os.truncate(THERE, 0)


@attacker
def copy_a_file():
    shutil.copyfile(THERE, REACHED)


@attacker
def move_a_file():
    shutil.move(THERE, REACHED)


@attacker
def archive():
    with zipfile.ZipFile(REACHED, "w") as file:
        file.writestr("a", "b")


@attacker
def temporary_file_renamed():
    with tempfile.NamedTemporaryFile(dir=".", delete=False) as file:
        os.rename(file.name, REACHED)


@attacker
def database():
    sqlite3.connect(REACHED).execute("create table t (x)")


@attacker
def database_attached_to_one_in_memory():
    connection = sqlite3.connect(":memory:")
    connection.execute(f"attach '{REACHED}' as other")
    connection.execute("create table other.t (x)")


@attacker
def database_copied_out_of_one_in_memory():
    made = sqlite3.connect(":memory:")
    made.execute("create table t (x)")
    made.execute(f"vacuum into '{REACHED}'")


@attacker
def database_attached_without_an_authorizer():
    connection = sqlite3.connect(":memory:")
    connection.set_authorizer(None)
    connection.execute(f"attach '{REACHED}' as other")


@attacker
def database_attached_with_an_authorizer():
    connection = sqlite3.connect(":memory:")
    connection.set_authorizer(lambda *_: sqlite3.SQLITE_OK)
    connection.execute(f"attach '{REACHED}' as other")


@attacker
def database_attached_by_another_class():
    class Other(sqlite3.Connection):
        pass

    made = sqlite3.connect(":memory:", factory=Other)
    made.execute(f"attach '{REACHED}' as other")


@attacker
def dbm_database():
    import dbm

    dbm.open(REACHED, "c").close()


@attacker
def shelf():
    import shelve

    shelve.open(REACHED).close()


@attacker
def fifo():
    os.mkfifo(REACHED)


@attacker
def fifo_of_the_module_below():
    posix.mkfifo(REACHED)


@attacker
def node():
    os.mknod(REACHED)


@attacker
def extended_attribute():
    os.setxattr(THERE, "user.reached", b"x")


@attacker
def log_file():
    logging.FileHandler(REACHED).close()


@attacker
def log_to_the_system():
    handler = logging.handlers.SysLogHandler(address=("127.0.0.1", port()))
    handler.emit(logging.LogRecord("a", 50, "b", 1, "c", None, None))


@attacker
def lock_a_file():
    import fcntl

    with open(THERE) as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


# -- code that isn't what it looks like ----------------------------------------------------------


def run_as(file):
    exec(compile(f"open({REACHED!r}, 'w').close()", file, "exec"), {})


@attacker
def code_in_the_name_of_ours():
    import durable_core

    run_as(durable_core.__file__)


@attacker
def code_in_the_name_of_what_drives_us():
    import durable_core.verifying.replay

    run_as(durable_core.verifying.replay.__file__)


@attacker
def code_in_the_name_of_python():
    run_as(os.__file__)


@attacker
def code_in_the_name_of_the_importer():
    run_as("<frozen importlib._bootstrap_external>")


@attacker
def code_without_a_name():
    run_as("")


@attacker
def code_in_the_name_of_the_sdk():
    run_as("/x/site-packages/aws_durable_execution_sdk_python/state.py")


@attacker
def evaluated():
    eval(f"open({REACHED!r}, 'w')").close()


# -- an event loop's ------------------------------------------------------------------------------


@attacker
async def to_thread():
    await asyncio.to_thread(PATH.write_text, "x")


@attacker
async def task_of_to_thread():
    await asyncio.create_task(asyncio.to_thread(os.mkdir, REACHED))


@attacker
async def default_executor():
    await asyncio.get_running_loop().run_in_executor(None, os.mkdir, REACHED)


@attacker
async def executor_of_ones_own():
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        await asyncio.get_running_loop().run_in_executor(pool, PATH.touch)


@attacker
async def task_that_connects():
    await asyncio.wait([asyncio.create_task(asyncio.open_connection("127.0.0.1", port()))])


@attacker
async def task_that_nobody_waits_for():
    async def writes():
        write()

    KEPT.append(asyncio.create_task(writes()))


@attacker
async def group_of_tasks():
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.open_connection("127.0.0.1", port()))


@attacker
async def gathered():
    await asyncio.gather(
        asyncio.open_connection("127.0.0.1", port()), asyncio.sleep(0), return_exceptions=True
    )


@attacker
async def called_later():
    asyncio.get_running_loop().call_later(0, PATH.mkdir)


@attacker
async def called_in_an_hour():
    asyncio.get_running_loop().call_later(3600, os.mkdir, REACHED)
    await asyncio.sleep(7200)


@attacker
async def called_soon():
    asyncio.get_running_loop().call_soon(os.mkdir, REACHED)
    await asyncio.sleep(0)


@attacker
async def called_soon_by_a_thread():
    loop = asyncio.get_running_loop()
    await asyncio.to_thread(loop.call_soon_threadsafe, os.mkdir, REACHED)
    await asyncio.sleep(0.01)


@attacker
async def called_when_done():
    future = asyncio.get_running_loop().create_future()
    future.add_done_callback(functools.partial(lambda _: write()))
    future.set_result(None)
    await asyncio.sleep(0)


@attacker
async def builtin_called_when_a_task_is_done():
    task = asyncio.create_task(asyncio.sleep(0))
    task.add_done_callback(functools.partial(shutil.rmtree, "there"))
    await task
    await asyncio.sleep(0)


@attacker
async def reader_of_a_descriptor():
    loop = asyncio.get_running_loop()
    read, send = os.pipe()
    done = loop.create_future()

    class Once(io.StringIO):
        def __call__(self):
            loop.remove_reader(read)
            done.set_result(None)
            write()

    loop.add_reader(read, Once())
    os.write(send, b"x")
    await done


@attacker
async def subprocess_of_the_loop():
    await asyncio.create_subprocess_exec("touch", REACHED)


@attacker
async def server_of_the_loop():
    await asyncio.start_unix_server(lambda *_: None, REACHED)


@attacker
async def datagram_endpoint():
    loop = asyncio.get_running_loop()
    address = ("127.0.0.1", port())
    transport, _ = await loop.create_datagram_endpoint(
        asyncio.DatagramProtocol, remote_addr=address
    )
    transport.sendto(b"x")


@attacker
async def asynchronous_generator_closed():
    async def generator():
        try:
            yield
        finally:
            write()

    async for _ in generator():
        break


@attacker
async def other_context():
    import contextvars

    contextvars.Context().run(write)


# -- other threads -------------------------------------------------------------------------------


@attacker
def thread_of_a_method():
    thread = threading.Thread(target=PATH.write_text, args=("x",))
    thread.start()
    thread.join()


@attacker
def thread_of_a_builtin():
    thread = threading.Thread(target=os.mkdir, args=(REACHED,))
    thread.start()
    thread.join()


@attacker
def thread_that_nobody_waits_for():
    threading.Thread(target=PATH.write_text, args=("x",), daemon=True).start()


@attacker
def thread_of_a_thread():
    inner = threading.Thread(target=os.mkdir, args=(REACHED,))
    outer = threading.Thread(target=inner.start)
    outer.start()
    outer.join()
    inner.join()


@attacker
def raw_thread():
    _thread.start_new_thread(os.mkdir, (REACHED,))
    time.sleep(0.05)


@attacker
def subprocess_in_a_thread():
    thread = threading.Thread(target=subprocess.run, args=(["touch", REACHED],))
    thread.start()
    thread.join()


@attacker
def timer():
    timer = threading.Timer(0.01, PATH.write_text, ["x"])
    timer.start()
    timer.join()


@attacker
def pool_of_threads():
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        pool.submit(os.mkdir, REACHED).result()


@attacker
def map_of_a_pool():
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        list(pool.map(os.mkdir, [REACHED]))


@attacker
def callback_of_a_pool():
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        pool.submit(time.sleep, 0.01).add_done_callback(lambda _: write())


@attacker
def initializer_of_a_pool():
    with concurrent.futures.ThreadPoolExecutor(
        1, initializer=os.mkdir, initargs=(REACHED,)
    ) as pool:
        pool.submit(int)


@attacker
def pool_of_the_module():
    POOL.submit(os.mkdir, REACHED).result()


@attacker
def worker_of_the_module():
    WORK.put((os.mkdir, REACHED))
    WORK.join()


@attacker
def pool_of_dummies():
    with multiprocessing.dummy.Pool(1) as pool:
        pool.map(os.mkdir, [REACHED])


@attacker
def loop_in_a_thread():
    async def work():
        asyncio.get_running_loop().call_later(0.001, os.mkdir, REACHED)
        await asyncio.sleep(0.02)

    thread = threading.Thread(target=asyncio.run, args=(work(),))
    thread.start()
    thread.join()


POOL = concurrent.futures.ThreadPoolExecutor(1)
WORK = queue.Queue()


def works():
    while True:
        function, argument = WORK.get()
        try:
            function(argument)
        except Exception:
            pass
        finally:
            WORK.task_done()


threading.Thread(target=works, daemon=True).start()


# -- when something else happens -----------------------------------------------------------------


class Closes:
    def __del__(self):
        write()


@attacker
def destroyed():
    Closes()


@attacker
def destroyed_in_a_cycle():
    one = Closes()
    one.self = one
    del one
    gc.collect()


@attacker
def finalizer():
    thing = Closes.__new__(type("Thing", (), {}))
    weakref.finalize(thing, os.mkdir, REACHED)
    del thing


@attacker
def weak_reference():
    thing = {1}
    KEPT.append(weakref.ref(thing, lambda _: write()))
    del thing
    KEPT.clear()
    thing = {2}
    KEPT.append(weakref.ref(thing, lambda _: write()))
    del thing


KEPT = []


@attacker
def generator_closed():
    def generator():
        try:
            yield
        finally:
            write()

    next(generator())


@attacker
def at_exit():
    atexit.register(os.mkdir, REACHED)


@attacker
def signal_handler():
    signal.signal(signal.SIGALRM, lambda *_: write())
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    time.sleep(0.05)


@attacker
def raised_signal():
    signal.signal(signal.SIGUSR1, lambda *_: write())
    signal.raise_signal(signal.SIGUSR1)


@attacker
def traced():
    def trace(*_):
        sys.settrace(None)
        write()

    sys.settrace(trace)
    len([])
    run_as("x")


@attacker
def profiled():
    def profile(*_):
        sys.setprofile(None)
        write()

    sys.setprofile(profile)
    len([])


@attacker
def hooked():
    def hook(event, args):
        if event == "durable.attack":
            write()

    sys.addaudithook(hook)
    sys.audit("durable.attack")


@attacker
def collected():
    def collected(phase, info):
        gc.callbacks.remove(collected)
        write()

    gc.callbacks.append(collected)
    gc.collect()


@attacker
def meta_path():
    class Finder:
        def find_spec(self, name, path=None, target=None):
            sys.meta_path.remove(self)
            write()

    sys.meta_path.insert(0, Finder())
    with contextlib.suppress(ImportError):
        import nothing_of_that_name  # noqa: F401


@attacker
def excepthook():
    threading.excepthook = lambda _: write()
    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()


@attacker
def late_import():
    import writes_when_imported  # noqa: F401


# -- the network ---------------------------------------------------------------------------------


@attacker
def connection():
    socket.create_connection(("127.0.0.1", port())).close()


@attacker
def connection_that_returns_an_error():
    socket.socket().connect_ex(("127.0.0.1", port()))


@attacker
def connection_in_a_thread():
    thread = threading.Thread(target=socket.create_connection, args=(("127.0.0.1", port()),))
    thread.start()
    thread.join()


@attacker
def datagram():
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", port()))


@attacker
def datagram_by_sendmsg():
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.sendmsg([b"x"], [], 0, ("127.0.0.1", port()))


@attacker
def datagram_of_the_modules_socket():
    SOCKET.sendto(b"x", ("127.0.0.1", port()))


SOCKET = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


@attacker
def datagram_of_the_module_below():
    import _socket

    _socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", port()))


@attacker
def request():
    import urllib.request

    urllib.request.urlopen(f"http://127.0.0.1:{port()}")


@attacker
def listen():
    socket.create_server(REACHED, family=socket.AF_UNIX)


@attacker
def listen_without_an_address():
    socket.socket().listen()


# -- processes, signals, priorities --------------------------------------------------------------


@attacker
def run():
    subprocess.run(["touch", REACHED])


@attacker
def system():
    os.system(f"touch {REACHED}")


@attacker
def popen():
    os.popen(f"touch {REACHED}").close()


@attacker
def posix_spawn():
    os.waitpid(os.posix_spawn("/bin/touch", ["touch", REACHED], {}), 0)


@attacker
def spawn():
    os.spawnl(os.P_WAIT, "/bin/touch", "touch", REACHED)


@attacker
def fork():
    if os.fork() == 0:
        try:
            write()
        finally:
            os._exit(0)


@attacker
def fork_and_exec_below():
    import _posixsubprocess  # noqa: F401

    multiprocessing.util.spawnv_passfds(b"/bin/touch", [b"touch", REACHED.encode()], ())
    time.sleep(0.1)


@attacker
def semaphore_of_processes():
    multiprocessing.Lock()


@attacker
def queue_of_processes():
    multiprocessing.Queue().put(1)


@attacker
def shared_memory():
    from multiprocessing.shared_memory import SharedMemory

    SharedMemory("reached", create=True, size=10)


@attacker
def spawned_process():
    process = multiprocessing.get_context("spawn").Process(target=write)
    process.start()
    process.join()


@attacker
def server_of_processes():
    process = multiprocessing.get_context("forkserver").Process(target=write)
    process.start()
    process.join()


@attacker
def manager():
    multiprocessing.get_context("fork").Manager()


@attacker
def process():
    process = multiprocessing.get_context("fork").Process(target=write)
    process.start()
    process.join()


@attacker
def pool_of_processes():
    with multiprocessing.get_context("fork").Pool(1) as pool:
        pool.apply(write)


@attacker
def executor_of_processes():
    context = multiprocessing.get_context("fork")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        pool.submit(write).result()


@attacker
def another_interpreter():
    import _xxsubinterpreters as interpreters

    interpreters.run_string(interpreters.create(), f"open({REACHED!r}, 'w').close()")


@attacker
def c_function():
    ctypes.CDLL(None).mkdir(REACHED.encode(), 0o777)


@attacker
def c_function_of_python():
    ctypes.pythonapi._Py_open_noraise(REACHED.encode(), os.O_CREAT | os.O_WRONLY)


@attacker
def c_function_found_by_its_name():
    find = ctypes.pythonapi.dlsym
    find.restype = ctypes.c_void_p
    at = find(ctypes.c_void_p(ctypes.pythonapi._handle), b"mkdir")
    ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_char_p, ctypes.c_int)(at)(REACHED.encode(), 511)


@attacker
def words_of_a_shell():
    found = ctypes.create_string_buffer(256)
    ctypes.CDLL(None).wordexp(f"$(touch {REACHED})".encode(), found, 0)


@attacker
def c_function_by_a_handle():
    import _ctypes

    address = _ctypes.dlsym(ctypes.CDLL(None)._handle, "mkdir")
    ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_char_p, ctypes.c_int)(address)(REACHED.encode(), 0o777)


@attacker
def c_function_in_a_thread():
    thread = threading.Thread(target=lambda: ctypes.CDLL(None).system(f"touch {REACHED}".encode()))
    thread.start()
    thread.join()


@attacker
def kill():
    os.kill(int(pathlib.Path("victim.txt").read_text()), signal.SIGTERM)


@attacker
def kill_by_a_descriptor():
    signal.pidfd_send_signal(
        os.pidfd_open(int(pathlib.Path("victim.txt").read_text())), signal.SIGTERM
    )


@attacker
def priority():
    os.setpriority(os.PRIO_PROCESS, int(pathlib.Path("victim.txt").read_text()), 15)


# -- our own objects -----------------------------------------------------------------------------


@attacker
def group_of_processes():
    os.setpgid(0, os.getpgid(int(pathlib.Path("victim.txt").read_text())))


@attacker
def signal_of_a_pipe():
    reads, writes = os.pipe()
    fcntl.fcntl(reads, fcntl.F_SETOWN, int(pathlib.Path("victim.txt").read_text()))
    fcntl.fcntl(reads, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
    os.write(writes, b"x")


@attacker
def signal_of_a_folder():
    fcntl.fcntl(os.open(".", os.O_RDONLY), fcntl.F_NOTIFY, fcntl.DN_CREATE)


@attacker
def lock_by_the_function_below():
    lock = struct.pack("hhqqi4x", fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0)
    fcntl.fcntl(os.open(THERE, os.O_RDONLY), fcntl.F_SETLK, lock)


@attacker
def terminal():
    os.openpty()


@attacker
def history_of_readline():
    import readline

    readline.write_history_file(REACHED)


@attacker
def interpreter_of_tcl():
    import tkinter

    tkinter.Tcl().eval(f"close [open {REACHED} w]")


@attacker
def metadata_service():
    socket.create_connection(("169.254.169.254", 80), 0.01)


@attacker
def namesake_of_what_libraries_do():
    def _has_ipv6():
        made = socket.socket()
        made.bind(("127.0.0.1", 0))

    _has_ipv6()


@attacker
def guard_switched_off():
    from durable_core.sandbox import guard_hook

    guard_hook.hook_of_process().is_on = False
    write()


@attacker
def guard_forgets():
    from durable_core.sandbox import guard_hook

    state = guard_hook.hook_of_process()
    state._running.clear()
    state._resident.clear()
    write()


@attacker
def guard_patched():
    from durable_core.sandbox import guard_hook

    guard_hook.GuardedRun.attempts = lambda *_: None
    write()


@attacker
def guard_found_by_the_collector():
    for each in gc.get_objects():
        if type(each).__name__ == "Hook":
            each.is_on = False
    write()


@attacker
def table_emptied():
    from durable_core.sandbox import attempts

    attempts._HARMLESS["open"] = lambda args: True
    write()


@attacker
def guard_says_it_is_busy():
    from durable_core.sandbox import guard_hook

    guard_hook.hook_of_process()._busy.now = True
    write()


@attacker
def error_caught():
    with contextlib.suppress(Exception):
        write()


@attacker
def everything_caught():
    try:
        write()
    except BaseException:
        pass


@attacker
def partial_in_a_pool():
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        pool.submit(functools.partial(os.mkdir, mode=0o700), REACHED).exception()
