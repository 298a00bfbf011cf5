"""The process in which one tool runs; standard library only, so that it runs in any peer's venv.

Run: python _worker.py FILE FUNCTION SPEC. `FUNCTION(spec)` of FILE gives a call without arguments,
whose result is a list of numbers, the outcome. Each line `run` on the standard input is answered
with the seconds of one call; where calls are short, of the second of two, since the processes
take turns and the caches and threads of one that was idle are cold.
"""

import importlib.util
import json
import sys
import time

try:
    import resource
except ImportError:  # Windows
    resource = None


SHORT = 1.0  # seconds


def peak_mb():
    """The most memory that this process has held, MB."""
    if resource is None:
        return 0.0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (2**20 if sys.platform == "darwin" else 2**10)


def timed(call):
    """The call's result, its seconds, and those of the processor."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = call()
    return result, time.perf_counter() - wall, time.process_time() - cpu


def told(call, wall, cpu, before):
    """Of one call: its times, the memory since `before`, and what else it found out."""
    noted = getattr(call, "noted", {})
    return {"seconds": wall, "cpu_seconds": cpu, "peak_mb": peak_mb() - before, **noted}


def main():
    """Set up, warm up, then answer."""
    channel, sys.stdout = sys.stdout, sys.stderr

    def say(**message):
        channel.write(json.dumps(message) + "\n")
        channel.flush()

    file, function, spec = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    try:
        sys.path.insert(0, str(spec["root"]))
        importlib.import_module("benchmarks")  # the questions are today's, whoever answers them
        sys.path.insert(0, str(spec.get("before", spec["root"])))
        found = importlib.util.spec_from_file_location("tool", file)
        module = importlib.util.module_from_spec(found)
        found.loader.exec_module(module)
        call = getattr(module, function)(spec)
        before = peak_mb()
        outcome, first, cpu = timed(call)
        say(
            outcome=[float(x) for x in outcome], compile_seconds=first, versions=module.versions(),
            call=told(call, first, cpu, before),
        )  # fmt: skip
    except Exception as error:
        say(missing=f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
        return
    last = first
    for _ in sys.stdin:
        if last < SHORT:
            call()
        _, wall, cpu = timed(call)
        last = wall
        say(**told(call, wall, cpu, before))


if __name__ == "__main__":
    main()
