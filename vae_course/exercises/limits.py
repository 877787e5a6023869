"""Limits that a process sets itself, for good, before it runs code that nobody knows.

What holds on which system is said in docs/instructors.md. Linux has all of them, if libseccomp is there, as it is in
nearly every distribution; macOS has no limit of memory, and nothing that holds for root; Windows has none.
"""

import ctypes
import errno
import signal
import sys
from contextlib import suppress
from functools import cache
from types import ModuleType

SECONDS = 8.0  # for an attempt; one that takes longer counts as endless
CLONE_THREAD = 0x00010000
AF_NETLINK = 16
PR_SET_PDEATHSIG, PR_SET_DUMPABLE = 1, 4
CALLS = {  # system calls, by what they give access to
    "processes": ("fork", "vfork"),
    "other processes": ("ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "kcmp"),
    "namespaces": ("unshare", "setns", "mount", "umount2", "pivot_root", "chroot", "open_tree", "fsopen"),
    "memory that no limit counts": ("shmget", "msgget", "semget", "mq_open", "memfd_create", "memfd_secret"),
    "keyrings": ("keyctl", "add_key", "request_key"),
    "the kernel itself": ("io_uring_setup", "bpf", "userfaultfd", "perf_event_open"),
    "sockets that no namespace holds": (),  # those of some families
}


def forbid(*groups: str) -> bool:
    """Forbid groups of system calls, named as in `CALLS`, in this process and its threads.

    Returns
    -------
    bool
        Whether that was possible: on Linux, with libseccomp.
    """
    if (pyseccomp := filters()) is None:
        return False
    rules, refused = pyseccomp.SyscallFilter(pyseccomp.ALLOW), pyseccomp.ERRNO(errno.EPERM)
    for call in (call for group in groups for call in CALLS[group]):
        with suppress(OSError, ValueError):  # this processor, or this libseccomp, has no such call
            rules.add_rule(refused, call)
    if "processes" in groups:
        rules.add_rule(refused, "clone", pyseccomp.Arg(0, pyseccomp.MASKED_EQ, CLONE_THREAD, 0))  # threads are allowed
        with suppress(OSError, ValueError):
            # A filter cannot read the flags of clone3; told that there is none, libc uses clone.
            rules.add_rule(pyseccomp.ERRNO(errno.ENOSYS), "clone3")
    if "sockets that no namespace holds" in groups:  # vsock to the machine around a virtual one, Bluetooth, and so on
        rules.add_rule(refused, "socket", pyseccomp.Arg(0, pyseccomp.GT, AF_NETLINK))
    rules.load()
    return True


@cache
def filters() -> ModuleType | None:
    """Return libseccomp's binding, or None where there is none. Call it before a fork: it looks for the library."""
    try:
        import pyseccomp
    except (ImportError, OSError, RuntimeError):
        return None
    return pyseccomp


def forbid_processes() -> None:
    """Let this process start no others; where there is no filter of calls, no threads either."""
    if not forbid("processes"):
        limit("NPROC", 0)  # does not hold for root


def limit(kind: str, amount: int, more: int = 0) -> None:
    """Set a limit of the `resource` module, where there is one: RLIMIT_`kind`; `more` is the hard limit beyond it."""
    with suppress(ImportError, AttributeError, OSError, ValueError):
        import resource

        resource.setrlimit(getattr(resource, f"RLIMIT_{kind}"), (amount, amount + more))


def limit_memory(extra: int) -> None:
    """Let this process, and each that it starts, take only so many bytes beside what it has, on Linux."""
    with suppress(OSError, ImportError), open("/proc/self/statm") as file:
        import resource

        limit("AS", int(file.read().split()[0]) * resource.getpagesize() + extra)


def end_with_parent() -> None:
    """End when the process that started this one ends, on Linux."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def close_to_others() -> None:
    """Let no process of the same user look into this one, or into its pipes, on Linux."""
    _prctl(PR_SET_DUMPABLE, 0)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
