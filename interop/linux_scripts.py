#!/usr/bin/env python3
"""Does Linux' TCP do what our scripts say? Plays them against the kernel, in real time.

    interop/linux_scripts.py [--ipv6] [--jobs N] [--seconds N] [FILE or directory…]

Each script gets a network namespace with a TUN interface of its own: what a script writes with `<` goes into the
TUN, what the kernel sends is compared with `>`, and the calls are made on the kernel's sockets. One line a script:

    same     it goes as written on Linux too
    differs  the first line where it does not, and what Linux does
    noted    it differs, and the file's first comment says so
    skipped  it asks for what Linux cannot be told, or takes too long

The exit code is 0 unless a script differs that does not say so. A busy machine is late, and then timers of a few
milliseconds run out in between: play those alone, with `--jobs 1`, before believing it. Compared are control bits, numbers, options by kind,
times with a tolerance, and the answers of calls; not PSH, which Linux also sets where a burst ends, nor the sizes of
windows, which follow from each stack's own buffers, nor what begins with `ciao_`. Wants root and Linux 5 or later.
"""

import argparse
import concurrent.futures
import os
import subprocess
import sys

from kernel_player import play

def in_child(path, version, seconds):
    """Each script in a process of its own: a namespace cannot be left."""
    command = [sys.executable, __file__, "--one", "--seconds", str(seconds)] + ["--ipv6"] * (version == 6) + [path]
    outcome = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False).stdout.split("\t")
    return outcome if len(outcome) == 2 else ["broken", "the player died"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="*", default=["crates/ciao-tcp/tests/scripts"])
    parser.add_argument("--ipv6", action="store_true")
    parser.add_argument("--jobs", type=int, default=4, help="scripts at a time")
    parser.add_argument("--seconds", type=float, default=4, help="longest script that is played")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        print("SKIPPED: interop/linux_scripts.py, it makes a TUN interface and wants root")
        return 0
    version = 6 if arguments.ipv6 else 4
    if arguments.one:
        try:
            outcome = play(arguments.paths[0], version, arguments.seconds)
        except Exception as fault:  # whatever it is, the one who asked has to hear of it
            outcome = "broken", f"{type(fault).__name__}: {fault}"
        print("\t".join(outcome), end="", flush=True)
        os._exit(0)  # threads may still wait in calls
    files = []
    for path in arguments.paths:
        if os.path.isdir(path):
            for directory, _, names in os.walk(path):
                files += [os.path.join(directory, name) for name in names if name.endswith(".pkt")]
        else:
            files.append(path)
    counts = {}

    def again(path):
        outcome = in_child(path, version, arguments.seconds)
        # What differs on a busy machine may only be late.
        return path, outcome if outcome[0] in ("same", "skipped") else in_child(path, version, arguments.seconds)

    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        for path, (outcome, why) in pool.map(again, sorted(files)):
            counts[outcome] = counts.get(outcome, 0) + 1
            print(f"{outcome:8} {path}{'  ' + why if why else ''}", flush=True)
    print(", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items())))
    return 1 if counts.get("differs") or counts.get("broken") else 0


if __name__ == "__main__":
    sys.exit(main())
