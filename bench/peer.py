"""One side of a comparison: a child process that does the work on request, with its own CPU clock,
on one core.

A request is a little-endian u32. 0 is followed by what to work on; another number asks for so many
runs, and is answered with the nanoseconds that each took (u64). `serve` is the child's end of it
for peers in Python; ours are crates/net/examples/network.rs and crates/engine/examples/frame.rs."""

import os
import struct
import subprocess
import sys
import time


class Failed(Exception):
    """The peer did not start, or ended; the text says why."""


class Peer:
    """The parent's side."""

    def __init__(self, command, core, environment=None):
        self.process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | (environment or {}),
            preexec_fn=lambda: os.sched_setaffinity(0, {core}),
        )
        os.set_blocking(self.process.stderr.fileno(), False)

    def ask(self, request, size):
        """Sends bytes, and waits for an answer of `size` bytes."""
        try:
            self.process.stdin.write(request)
            self.process.stdin.flush()
            answer = self.process.stdout.read(size)
        except BrokenPipeError:
            answer = b""
        if len(answer) == size:
            self.process.stderr.read()  # libraries chatter: the pipe must not fill
            return answer
        said = (self.process.communicate()[1] or b"").decode(errors="replace").strip().splitlines()
        raise Failed(said[-1] if said else f"it ended with status {self.process.returncode}")

    def times(self, runs):
        """Wall milliseconds of each run, and CPU milliseconds (all threads of the process) per run
        on average."""
        before = self.cpu_seconds()
        answer = self.ask(struct.pack("<I", runs), 8 * runs)
        cpu = self.cpu_seconds() - before
        return [
            nanoseconds / 1e6 for (nanoseconds,) in struct.iter_unpack("<Q", answer)
        ], cpu * 1e3 / runs

    def cpu_seconds(self):
        # The clock id that clock_getcpuclockid(3) gives: a process's CPU time to the nanosecond,
        # read from outside.
        return time.clock_gettime(~self.process.pid << 3 | 2)

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.stderr.close()
        self.process.wait()


def serve(load, run):
    """The child's side: `load(read)` gets the input, where `read(n)` reads so many bytes, and
    returns the answer; `run()` works once."""
    stdin, stdout = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not get between the answers
    while len(request := stdin.read(4)) == 4:
        (runs,) = struct.unpack("<I", request)
        if runs == 0:
            stdout.write(load(stdin.read))
        for _ in range(runs):
            start = time.perf_counter_ns()
            run()
            stdout.write(struct.pack("<Q", time.perf_counter_ns() - start))
        stdout.flush()
