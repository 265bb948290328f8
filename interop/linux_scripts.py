#!/usr/bin/env python3
"""Does Linux' TCP do what our scripts say? Plays them against the kernel, in real time.

    interop/linux_scripts.py [--ipv6] [--jobs N] [--seconds N] [--brief] [FILE or directory…]

Each script gets a network namespace with a TUN interface of its own: what a script writes with `<` goes into the
TUN, what the kernel sends is compared with `>`, and the calls are made on the kernel's sockets. One line a script:

    same     it goes as written on Linux too
    noted    it does not, and the file's first comment says so
    differs  it does not, and nothing says so: the first line, and what Linux does there
    stale    it goes as written, and the file's first comment says that it does not
    skipped  it asks for what Linux cannot be told, or takes longer than `--seconds`
    broken   the player failed

A note is a sentence of the first comment that begins with `Linux`: what it does, and why Ciao does otherwise. The exit
code is 1 if a script differs, is stale or broken. Who comes out so is played up to four times more, with a quarter of the
jobs, and counts when it does so each time: a machine may have been too busy for timers of milliseconds.

Compared are control bits, numbers, options by kind, times with a tolerance, and the answers of calls; not PSH, which
Linux also sets where a burst ends, nor the sizes of windows, which follow from each stack's own buffers, nor what begins
with `ciao_`. Wants root and Linux 5 or later. The notes are about Linux 6.18: another one may fail for reasons of its own.
"""

import argparse
import os
import platform
import sys

from kernel_player import play

# The kernel that the notes are about.
KERNEL = "6.18"
# What is played again, and how often.
DOUBTED = ("differs", "stale", "broken")
AGAIN = 4


def start(path, version, seconds):
    """Plays a script in a process of its own: a namespace cannot be left. Answers its number, and where it tells."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child != 0:
        os.close(theirs)
        return child, ours
    try:
        outcome = play(path, version, seconds)
    except Exception as fault:  # whatever it is, the one who asked has to hear of it
        outcome = "broken", f"{type(fault).__name__}: {fault}"
    os.write(theirs, "\t".join(outcome).encode())
    os._exit(0)  # threads may still wait in calls


def play_all(paths, version, seconds, jobs):
    """Each path with what became of it, in order."""
    running, outcomes, todo, shown = {}, {}, list(reversed(paths)), 0
    while shown < len(paths):
        while todo and len(running) < jobs:
            path = todo.pop()
            child, tells = start(path, version, seconds)
            running[child] = path, tells
        child, _ = os.wait()
        path, tells = running.pop(child)
        with open(tells) as told:
            outcomes[path] = tuple(told.read().split("\t", 1))
        while shown < len(paths) and paths[shown] in outcomes:
            yield paths[shown], outcomes[paths[shown]]
            shown += 1


def scripts(paths):
    """The files among the paths, and the scripts in the directories."""
    files = []
    for path in paths:
        if os.path.isdir(path):
            for directory, _, names in os.walk(path):
                files += [os.path.join(directory, name) for name in names if name.endswith(".pkt")]
        else:
            files.append(path)
    return sorted(files)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="*", default=["crates/ciao-tcp/tests/scripts"])
    parser.add_argument("--ipv6", action="store_true")
    parser.add_argument("--jobs", type=int, default=8, help="scripts at a time")
    parser.add_argument("--seconds", type=float, default=4, help="longest script that is played")
    parser.add_argument("--brief", action="store_true", help="only what fails, and the counts")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        print("SKIPPED: interop/linux_scripts.py, it makes a TUN interface and wants root")
        return 0
    version = 6 if arguments.ipv6 else 4
    counts = {}

    def tell(path, outcome, why):
        counts[outcome] = counts.get(outcome, 0) + 1
        if outcome in DOUBTED or not arguments.brief:
            print(f"{outcome:8} {path}{'  ' + why if why else ''}", flush=True)

    doubted = scripts(arguments.paths)
    for jobs in [arguments.jobs] + [max(arguments.jobs // 4, 1)] * AGAIN:
        again = []
        for path, (outcome, why) in play_all(doubted, version, arguments.seconds, jobs):
            if outcome in DOUBTED:
                again.append((path, outcome, why))
            else:
                tell(path, outcome, why)
        doubted = [path for path, _, _ in again]
    for path, outcome, why in again:
        tell(path, outcome, why)
    print(f"IPv{version}: " + ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items())))
    if not doubted:
        return 0
    if not platform.release().startswith(KERNEL + "."):
        print(f"The notes are about Linux {KERNEL}, and this is {platform.release()}.")
    return 1


if __name__ == "__main__":
    sys.exit(main())
