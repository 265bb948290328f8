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
import ctypes
import errno
import fcntl
import os
import re
import select
import socket
import struct
import subprocess
import sys
import threading
import time

CLONE_NEWNET = 0x40000000
TUNSETIFF = 0x400454CA
IFF_TUN_NO_PI = 0x1001
SIOCINQ, SIOCATMARK = 0x541B, 0x8905

# A busy machine is late, and never early: what matters here is what is sent, not when to the millisecond.
EARLY, EARLY_PART = 0.03, 0.15
LATE, LATE_PART = 0.25, 0.15

FLAGS = {"F": 1, "S": 2, "R": 4, "P": 8, ".": 16, "U": 32, "E": 64, "W": 128}
REMOTE_BASE = 2**32 - 1001
KIND_NAMES = {0: "eol", 1: "nop", 2: "mss", 3: "wscale", 4: "sackOK", 5: "sack", 8: "TS", 19: "md5", 28: "uto", 34: "FO", 253: "unknown"}
ADDRESSES = {4: ("192.168.0.1", "192.0.2.1", "192.168.0.2"), 6: ("fd3d:fa7b:d17d::1", "2001:db8::1", "fd3d:fa7b:d17d::2")}
MTU = {4: 1500, 6: 1520}
# In the order of `struct tcp_info`.
INFO_BYTES = ["state", "ca_state", "retransmits", "probes", "backoff", "options", "wscale", "limited"]
INFO_WORDS = (
    "rto ato snd_mss rcv_mss unacked sacked lost retrans fackets last_data_sent last_ack_sent last_data_recv last_ack_recv "
    "pmtu rcv_ssthresh rtt rttvar snd_ssthresh snd_cwnd advmss reordering rcv_rtt rcv_space total_retrans"
).split()
STATES = dict(
    zip(
        "TCP_ESTABLISHED TCP_SYN_SENT TCP_SYN_RECV TCP_FIN_WAIT1 TCP_FIN_WAIT2 TCP_TIME_WAIT TCP_CLOSE TCP_CLOSE_WAIT "
        "TCP_LAST_ACK TCP_LISTEN TCP_CLOSING".split(),
        range(1, 12),
    )
)


class Differs(Exception):
    """Linux does otherwise than the script says."""

class Skipped(Exception):
    """The script cannot be played here."""


# --- reading a script -----------------------------------------------------------------------------------------------


class Event:
    def __init__(self, line, text):
        self.line, self.text = line, text
        when, self.action = text.split(None, 1)
        self.returns = None
        if "..." in when:
            when, returns = when.split("...")
            self.returns = float(returns.lstrip("+"))
        self.any = when == "*"
        self.relative = when.startswith("+")
        first, _, last = when.replace("+", "").partition("~")
        self.earliest = 0 if self.any else float(first)
        self.latest = float(last) if last else self.earliest


def read(text):
    """Options, settings and events."""
    text = re.sub(r"//[^\n]*|/\*.*?\*/", lambda m: "\n" * m[0].count("\n"), text, flags=re.S)
    statements = []
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip()
        if not line:
            continue
        begins = re.match(r"[+*\d`]|--|\.\d", line)
        unfinished = statements and (
            "%{" in statements[-1][1] and "}%" not in statements[-1][1] or statements[-1][1].count("`") % 2 == 1
        )
        if statements and (not begins or unfinished):
            statements[-1][1] += " " + line
        else:
            statements.append([number, line])
    options, settings, events = {}, [], []
    for number, line in statements:
        if line.startswith("--"):
            name, _, value = line[2:].partition("=")
            options[name] = value
        elif line.startswith("`"):
            settings += re.findall(r'(net\.[\w.]+)=("[^"]*"|\S+)', line.strip("`"))
        else:
            events.append(Event(number, line))
    return options, settings, events

def duration(events):
    now = 0.0
    for event in events:
        now = now + 1 if event.any else (now if event.relative else 0) + event.latest
    return now


class Segment:
    """A segment as a line has it."""

    def __init__(self, text):
        self.text = text
        text = text.strip()
        self.ip = []
        while text[0] in "[(":
            info, text = re.match(r"[\[(](.*?)[\])]\s*(.*)", text).groups()
            self.ip.append(info)
        ports = re.match(r"(\d+) > (\d+) (.*)", text)
        self.ports = (int(ports[1]), int(ports[2])) if ports else None
        text = ports[3] if ports else text
        fields, angle, options = text.partition("<")
        self.options = None if options.strip().startswith("...") else options.rstrip("> ")
        words = fields.split()
        self.flags = 0 if words[0] == "-" else sum(FLAGS[letter] for letter in words[0])
        self.start, self.len = (int(n) for n in re.match(r"(\d+):\d+\((\d+)\)", words[1]).groups())
        values = dict(zip(words[2::2], words[3::2]))
        self.ack = int(values["ack"]) if "ack" in values else None
        self.win = int(values["win"]) if "win" in values else None
        self.urg = int(values["urg"]) if "urg" in values else None

    def option_list(self):
        return [option.split() for option in (self.options or "").split(",") if option.strip()]


# --- packets --------------------------------------------------------------------------------------------------------


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Numbers:
    """What the script's numbers count from, for one pair of ports."""

    def __init__(self):
        self.local, self.remote, self.timestamp = 0, REMOTE_BASE, 0
        self.open, self.offered = True, None


class Net:
    """A TUN interface in a namespace of its own, and the numbers of what passes through it."""

    def __init__(self, version, options, settings):
        if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "unshare")
        self.version = version
        self.family = socket.AF_INET if version == 4 else socket.AF_INET6
        self.local, self.remote, self.router = ADDRESSES[version]
        self.tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(self.tun, TUNSETIFF, struct.pack("16sH", b"tun0", IFF_TUN_NO_PI))
        mtu = int(options.get("mtu", 1500)) - 1500 + MTU[version]
        prefix = 16 if version == 4 else 64
        window = f" initcwnd {options['initial_window']}" if "initial_window" in options else ""
        nodad = " nodad" if version == 6 else ""
        commands = f"""
            ip link set lo up
            ip link set tun0 mtu {mtu} up
            ip addr add {self.local}/{prefix} dev tun0{nodad}
            ip -{version} route add default dev tun0{window}"""
        for command in commands.strip().split("\n"):
            if os.system(command) != 0:
                raise OSError(0, command)
        defaults = [("tcp_no_metrics_save", "1"), ("tcp_fastopen", "3"), ("tcp_wmem", "4096 262144 4194304"), ("tcp_rmem", "4096 131072 15000000")]
        # Which of them a namespace may have by default is not ours to change: each socket is told.
        self.congestion = dict(settings).get("net.ipv4.tcp_congestion_control", "cubic")
        settings = [setting for setting in settings if "congestion_control" not in setting[0]]
        for name, value in [("net.ipv4." + name, value) for name, value in defaults] + settings:
            try:
                with open("/proc/sys/" + name.replace(".", "/"), "w") as file:
                    file.write(value.strip('"'))
            except OSError as fault:
                raise Skipped(f"{name}: {fault.strerror}") from fault
        self.ports = (40000, 8080)
        self.numbers = {}
        self.window = 65535
        self.cookie = b""
        self.zero = time.monotonic()
        self.queue = []

    def elapsed(self):
        return time.monotonic() - self.zero

    def of(self, ports):
        return self.numbers.setdefault(ports, Numbers())

    def ip(self, protocol, source, destination, body, segment=None):
        tos, ttl = 0, 64
        for info in segment.ip if segment else []:
            words = info.split()
            if words[0] == "ttl":
                ttl = int(words[1])
            elif words[0] == "tos":
                tos = int(words[1], 16)
            else:
                tos |= {"noecn": 0, "ect1": 1, "ect0": 2, "ce": 3}[words[0]]
        source, destination = (socket.inet_pton(self.family, end) for end in (source, destination))
        if self.version == 6:
            return struct.pack("!IHBB", 6 << 28 | tos << 20, len(body), protocol, ttl) + source + destination + body
        head = struct.pack("!BBHHHBBH", 0x45, tos, 20 + len(body), 0, 0x4000, ttl, protocol, 0) + source + destination
        return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + body

    def pseudo(self, source, destination, protocol, body):
        source, destination = (socket.inet_pton(self.family, end) for end in (source, destination))
        if self.version == 6:
            return source + destination + struct.pack("!II", len(body), protocol)
        return source + destination + struct.pack("!HH", protocol, len(body))

    def inject(self, segment):
        theirs, ours = segment.ports or (self.ports[1], self.ports[0])
        numbers = self.of((ours, theirs))
        if segment.win is not None:
            self.window = segment.win
        seq = (numbers.remote + segment.start) % 2**32
        if segment.flags & 2:
            numbers.offered = seq
            if not segment.flags & 16:
                numbers.open = True
        ack = (numbers.local + segment.ack) % 2**32 if segment.ack is not None else 0
        options = self.option_bytes(segment, numbers)
        head = struct.pack(
            "!HHIIBBHHH", theirs, ours, seq, ack, (20 + len(options)) // 4 << 4, segment.flags, self.window, 0, segment.urg or 0
        )
        body = head + options + b"\0" * segment.len
        total = checksum(self.pseudo(self.remote, self.local, 6, body) + body)
        body = body[:16] + struct.pack("!H", total) + body[18:]
        os.write(self.tun, self.ip(6, self.remote, self.local, body, segment))

    def option_bytes(self, segment, numbers):
        out = b""
        for words in segment.option_list():
            name, rest = words[0], words[1:]
            if name in ("nop", "eol"):
                out += b"\1" if name == "nop" else b"\0"
                continue
            if name == "mss":
                kind, body = 2, struct.pack("!H", int(rest[0]))
            elif name == "wscale":
                kind, body = 3, bytes([int(rest[0])])
            elif name == "sackOK":
                kind, body = 4, b""
            elif name == "sack":
                edges = [int(edge) for block in rest for edge in block.split(":")]
                kind, body = 5, b"".join(struct.pack("!I", (edge + numbers.local) % 2**32) for edge in edges)
            elif name == "TS":
                echo = int(rest[3]) + (numbers.timestamp if segment.flags & 16 else 0)
                kind, body = 8, struct.pack("!II", int(rest[1]), echo % 2**32)
            elif name == "FO" and rest == ["COOKIE"]:
                kind, body = 34, self.cookie
            elif name in ("FO", "md5"):
                kind, body = {"FO": 34, "md5": 19}[name], bytes.fromhex(rest[0]) if rest else b""
            elif name == "uto":
                kind, body = 28, struct.pack("!H", int(rest[0], 16))
            else:
                kind, body = 253, b"\0\0"
            out += bytes([kind, 2 + len(body)]) + body
        return out + b"\0" * (-len(out) % 4)

    def inject_icmp(self, text):
        kind, quoted = re.match(r"(.*?)\s*\[(.*)\]", text).groups()
        start, length = (int(n) for n in re.match(r"(\d+):\d+\((\d+)\)", quoted).groups())
        words = kind.split()
        mtu = int(words[-1]) if "mtu" in words else 0
        name = words[1] if words[0] == "unreachable" else words[0]
        v4 = {
            "net_unreachable": (3, 0), "host_unreachable": (3, 1), "protocol_unreachable": (3, 2), "port_unreachable": (3, 3),
            "frag_needed": (3, 4), "packet_too_big": (3, 4), "admin_prohibited": (3, 13), "source_quench": (4, 0),
            "time_exceeded": (11, 0), "parameter_problem": (12, 0),
        }
        v6 = {
            "net_unreachable": (1, 0), "admin_prohibited": (1, 1), "host_unreachable": (1, 3), "port_unreachable": (1, 4),
            "frag_needed": (2, 0), "packet_too_big": (2, 0), "time_exceeded": (3, 0), "parameter_problem": (4, 0),
            "protocol_unreachable": (4, 1),
        }
        numbers = self.of(self.ports)
        segment = struct.pack("!HHIIBBHHH", *self.ports, (numbers.local + start) % 2**32, 0, 0x50, 16, 0, 0, 0)
        quote = self.ip(6, self.local, self.remote, segment + b"\0" * length)[:528]
        table, protocol = (v4, 1) if self.version == 4 else (v6, 58)
        word = struct.pack("!HH", 0, mtu) if self.version == 4 else struct.pack("!I", mtu + 20)
        body = bytes(table[name]) + b"\0\0" + word + quote
        pseudo = b"" if self.version == 4 else self.pseudo(self.router, self.local, 58, body)
        body = body[:2] + struct.pack("!H", checksum(pseudo + body)) + body[4:]
        os.write(self.tun, self.ip(protocol, self.router, self.local, body))

    def pump(self, until):
        """Takes what the kernel sends until then."""
        while True:
            left = until - self.elapsed()
            ready, _, _ = select.select([self.tun], [], [], max(left, 0))
            if not ready:
                return
            self.take(os.read(self.tun, 65535))

    def take(self, packet):
        at = self.elapsed()
        if packet[0] >> 4 != self.version or packet[9 if self.version == 4 else 6] != 6:
            return
        body = packet[20:] if self.version == 4 else packet[40:]
        tos = packet[1] if self.version == 4 else (packet[0] << 4 | packet[1] >> 4) & 0xFF
        ours, theirs, seq, ack, offset, flags, window, _, urgent = struct.unpack("!HHIIBBHHH", body[:20])
        length = (offset >> 4) * 4
        numbers = self.of((ours, theirs))
        if numbers.offered is not None and flags & 16 and ack == (numbers.offered + 1) % 2**32:
            numbers.remote = numbers.offered
        opens = bool(flags & 2) and (numbers.open or seq != numbers.local)
        options = read_options(body[20:length])
        for kind, value in options:
            self.cookie = value if kind == 34 and value else self.cookie
        if opens:
            numbers.local, numbers.open = seq, False
        self.queue.append(
            dict(at=at, ports=(ours, theirs), seq=seq, ack=ack, flags=flags, window=window, urgent=urgent, options=options,
                 len=len(body) - length, tos=tos, ttl=packet[8 if self.version == 4 else 7], opens=opens)
        )

    def show(self, seen):
        numbers = self.of(seen["ports"])
        letters = "".join(letter for letter, bit in FLAGS.items() if seen["flags"] & bit) or "-"
        start = (seen["seq"] - numbers.local) % 2**32
        text = f"{seen['at']:.3f} > {letters} {start}:{start + seen['len']}({seen['len']})"
        if seen["flags"] & 16:
            text += f" ack {(seen['ack'] - numbers.remote) % 2**32}"
        text += f" win {seen['window']}"
        names = []
        for kind, value in seen["options"]:
            name = KIND_NAMES.get(kind, str(kind))
            if kind == 5:
                name += "".join(f" {a}:{b}" for a, b in self.blocks(value, numbers))
            elif kind in (2, 3):
                name += f" {int.from_bytes(value, 'big')}"
            names.append(name)
        return text + (f" <{','.join(names)}>" if names else "")

    @staticmethod
    def blocks(value, numbers):
        edges = [(edge - numbers.remote) % 2**32 for edge in struct.unpack(f"!{len(value) // 4}I", value)]
        return list(zip(edges[::2], edges[1::2]))


def read_options(data):
    options = []
    while data:
        if data[0] <= 1:
            options.append((data[0], b""))
            data = data[1:]
            continue
        if len(data) < 2 or data[1] < 2:
            break
        options.append((data[0], data[2 : data[1]]))
        data = data[data[1] :]
    return options


# --- playing --------------------------------------------------------------------------------------------------------


class Player:
    def __init__(self, net):
        self.net = net
        self.sockets, self.waiting = {}, []
        self.under_test = None
        self.previous = 0.0
        # What the script takes the time for, however late it is.
        self.nominal = 0.0

    def play(self, event):
        if not event.any:
            self.nominal = (self.nominal if event.relative else 0.0) + event.earliest
        base = self.previous if event.relative else 0.0
        if event.any:
            base = self.net.elapsed()
        earliest, latest = base + event.earliest, base + event.latest
        if event.any:
            earliest, latest = 0, base + 60
        action = event.action
        if action.startswith(">"):
            self.previous = self.expect(Segment(action[1:]), earliest, latest)
            return
        if not event.any:
            self.net.pump(earliest)
        # When this is late, all that follows is.
        self.previous = max(earliest, self.net.elapsed())
        self.unexpected()
        if action.startswith("< icmp"):
            self.net.inject_icmp(action[6:].strip())
        elif action.startswith("<"):
            self.net.inject(Segment(action[1:]))
        elif action.startswith("%{"):
            self.check(action[2:-2].strip())
        else:
            self.call(action, event, base)

    def unexpected(self):
        if self.net.queue:
            raise Differs("it also sends " + self.net.show(self.net.queue[0]))

    def expect(self, text, earliest, latest):
        start, left, first = text.start, text.len, True
        while first or left > 0:
            limit = latest + LATE + LATE_PART * max(latest - self.previous, 0)
            while not self.net.queue and self.net.elapsed() < limit:
                self.net.pump(min(limit, self.net.elapsed() + 0.02))
            if not self.net.queue:
                raise Differs("it sends nothing")
            seen = self.net.queue.pop(0)
            self.compare(text, start, left, seen)
            start, left, first = start + seen["len"], left - seen["len"], False
        if seen["at"] < earliest - EARLY - EARLY_PART * max(earliest - self.previous, 0):
            raise Differs(f"it is early: {self.net.show(seen)}")
        return seen["at"]

    def compare(self, text, start, left, seen):
        numbers = self.net.of(seen["ports"])
        fault = None
        # PSH also stands where Linux ends a burst, and FIN on the last segment of a long line.
        loose = 8 | (1 if seen["len"] < left else 0)
        if (seen["flags"] | loose) != (text.flags | loose):
            fault = "flags"
        elif seen["len"] > left or (seen["len"] == 0 and left > 0):
            fault = "length"
        elif (seen["seq"] - numbers.local) % 2**32 != start % 2**32:
            fault = "sequence number"
        elif text.ack is not None and (seen["ack"] - numbers.remote) % 2**32 != text.ack:
            fault = "acknowledgment"
        elif text.flags & 32 and text.urg is not None and seen["urgent"] != text.urg:
            fault = "urgent pointer"
        elif seen["ports"] != (text.ports or self.net.ports):
            fault = "ports"
        self.learn_timestamp(text, seen, numbers)
        if fault is None and text.options is not None:
            fault = self.compare_options(text.option_list(), seen, numbers)
        for info in text.ip:
            words = info.split()
            ecn = {"noecn": [0], "ect1": [1], "ect0": [2], "ce": [3], "ect01": [1, 2]}
            if words[0] == "ttl" and seen["ttl"] != int(words[1]) or words[0] == "tos" and seen["tos"] != int(words[1], 16):
                fault = words[0]
            elif words[0] in ecn and seen["tos"] & 3 not in ecn[words[0]]:
                fault = "ECN bits"
        if fault:
            raise Differs(f"another {fault}: {self.net.show(seen)}")

    def compare_options(self, expected, seen, numbers):
        kinds = [words[0] for words in expected]
        found = [KIND_NAMES.get(kind, str(kind)) for kind, _ in seen["options"]]
        if kinds != found:
            return "options"
        for words, (kind, value) in zip(expected, seen["options"]):
            if kind == 2 and int.from_bytes(value, "big") != int(words[1]):
                return "MSS"
            if kind == 5 and [f"{a}:{b}" for a, b in Net.blocks(value, numbers)] != words[1:]:
                return "SACK block"
            if kind == 8 and seen["flags"] & 16 and struct.unpack("!II", value)[1] != int(words[4]):
                return "TSecr"
            if kind == 34 and words[1:] and words[1] != "COOKIE" and value.hex() != words[1]:
                return "cookie"
        return None

    def learn_timestamp(self, text, seen, numbers):
        """The first timestamp is what the script calls it, or the milliseconds of the script."""
        for kind, value in seen["options"] if seen["opens"] else []:
            if kind == 8:
                written = next((int(words[2]) for words in text.option_list() if words[0] == "TS"), int(self.nominal * 1000))
                numbers.timestamp = (struct.unpack("!II", value)[0] - written) % 2**32

    # Calls

    def call(self, text, event, base):
        name, arguments, result = re.match(r"(\w+)\((.*)\)\s*=\s*(.*)", text).groups()
        words = result.split("(")[0].split()
        expected = f"-1 {words[1]}" if words[0] == "-1" else words[0]
        arguments = split(arguments)
        box = {}

        def work():
            try:
                box["answer"] = self.make(name, arguments, words[0])
            except (Differs, Skipped) as fault:
                box["fault"] = fault
            box["at"] = self.net.elapsed()

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        if event.returns is None:
            thread.join(LATE)
            self.answer(thread, box, name, expected)
        else:
            self.net.pump(self.net.elapsed() + 0.003)
            self.waiting.append((thread, box, name, expected, base + event.returns))

    @staticmethod
    def answer(thread, box, name, expected):
        if "fault" in box:
            raise box["fault"]
        if thread.is_alive() or box["answer"] != expected:
            raise Differs(f"{name} answers {box['answer']}" if "answer" in box else f"{name} waits")

    def finish(self):
        for thread, box, name, expected, until in self.waiting:
            self.net.pump(until + EARLY)
            thread.join(LATE)
            self.answer(thread, box, name, expected)
            if box["at"] < until - EARLY:
                raise Differs(f"{name} returns at {box['at']:.3f}")
        self.net.pump(self.net.elapsed())
        self.unexpected()

    def make(self, name, arguments, result):
        try:
            return str(self.system_call(name, arguments, result))
        except OSError as fault:
            return f"-1 {errno.errorcode.get(fault.errno, fault.errno)}"

    def system_call(self, name, arguments, result):
        net = self.net
        if name == "socket":
            sock = socket.socket(net.family, socket.SOCK_STREAM)
            sock.setblocking("SOCK_NONBLOCK" not in arguments[1])
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, net.congestion.encode())
            self.sockets[int(result)] = sock
            return result
        if name == "poll":
            return self.poll(arguments)
        sock = self.sockets.get(int(arguments[0]))
        if sock is None:
            raise OSError(errno.EBADF, "")
        if name == "bind":
            port = re.search(r"htons\((\d+)\)", arguments[1])
            net.ports = (int(port[1]) if port else (8080 if self.listens else net.ports[0]), net.ports[1])
            if self.listens:
                net.ports = (net.ports[0], 40000)
            sock.bind((net.local, net.ports[0]))
        elif name == "listen":
            sock.listen(int(arguments[1]))
        elif name in ("accept", "accept4"):
            accepted, _ = sock.accept()
            accepted.setblocking(True)
            self.sockets[int(result)] = self.under_test = accepted
            return result
        elif name == "connect":
            self.under_test = sock
            if sock.getsockname()[1] == 0:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.bind((net.local, net.ports[0]))
            sock.connect((net.remote, net.ports[1]))
        elif name in ("read", "recv"):
            return len(sock.recv(int(arguments[2]), flags(arguments[3:])))
        elif name == "sendto" and "MSG_FASTOPEN" in arguments[3]:
            self.under_test = sock
            if sock.getsockname()[1] == 0:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.bind((net.local, net.ports[0]))
            return sock.sendto(b"\0" * int(arguments[2]), flags(arguments[3:]) | socket.MSG_NOSIGNAL, (net.remote, net.ports[1]))
        elif name in ("write", "send", "sendto"):
            data = b"\0" * int(arguments[2])
            bits = flags(arguments[3:]) | socket.MSG_NOSIGNAL
            if sock.getblocking() and not bits & socket.MSG_DONTWAIT:
                sent = 0
                while sent < len(data):
                    try:
                        sent += sock.send(data[sent:], bits)
                    except OSError:
                        if sent:
                            return sent
                        raise
                return sent
            return sock.send(data, bits)
        elif name == "shutdown":
            sock.shutdown(getattr(socket, arguments[1]))
        elif name == "close":
            sock.close()
            del self.sockets[int(arguments[0])]
            if sock is self.under_test:
                self.under_test = None
        elif name == "fcntl":
            if "F_SETFL" in arguments[1]:
                sock.setblocking("O_NONBLOCK" not in arguments[2])
        elif name == "ioctl":
            request = SIOCATMARK if "SIOCATMARK" in arguments[1] else SIOCINQ
            found = struct.unpack("i", fcntl.ioctl(sock.fileno(), request, b"\0\0\0\0"))[0]
            if found != int(arguments[2].strip("[]")):
                raise Differs(f"{arguments[1]} is {found}")
        elif name in ("setsockopt", "getsockopt"):
            self.option(name, sock, arguments)
        else:
            raise Skipped(f"{name} is not known here")
        return 0

    def option(self, name, sock, arguments):
        level = {"SOL_SOCKET": socket.SOL_SOCKET, "IPPROTO_IP": socket.IPPROTO_IP}.get(arguments[1], socket.IPPROTO_TCP)
        key, value = arguments[2], arguments[3].strip("[]")
        if self.net.version == 6 and level == socket.IPPROTO_IP:
            level, key = socket.IPPROTO_IPV6, {"IP_TTL": "IPV6_UNICAST_HOPS", "IP_TOS": "IPV6_TCLASS"}[key]
        number = {"SO_MAX_PACING_RATE": 47}.get(key, getattr(socket, key, None))
        if number is None:
            raise Skipped(f"{key} is not known here")
        if name == "setsockopt":
            if key == "SO_LINGER":
                sock.setsockopt(level, number, struct.pack("ii", *(int(n) for n in re.findall(r"=(\d+)", value))))
            elif key == "TCP_CONGESTION":
                sock.setsockopt(level, number, value.strip('"').encode())
            else:
                sock.setsockopt(level, number, int(value, 0))
            return
        if value.startswith('"'):
            found = sock.getsockopt(level, number, 16).rstrip(b"\0").decode()
            expected = value.strip('"')
        else:
            found = sock.getsockopt(level, number)
            expected = getattr(errno, value, None) if value[0] == "E" else int(value, 0)
        if key == "SO_ERROR":
            found, expected = errno.errorcode.get(found, found), errno.errorcode.get(expected, expected)
        if found != expected:
            raise Differs(f"{key} is {found}")

    def poll(self, arguments):
        entries = re.findall(r"fd=(\d+), events=([\w|]+), revents=([\w|]+)", arguments[0])
        poller = select.poll()
        names = [name for name in dir(select) if name.startswith("POLL")]
        bits = lambda text: sum(getattr(select, name) for name in text.split("|") if name != "0")
        for number, events, _ in entries:
            poller.register(self.sockets[int(number)].fileno(), bits(events))
        found = dict(poller.poll(int(arguments[2])))
        for number, _, expected in entries:
            seen = found.get(self.sockets[int(number)].fileno(), 0)
            if seen != bits(expected):
                raise Differs("poll has " + "|".join(name for name in names if seen & getattr(select, name)))
        return len(found)

    # Assertions

    def check(self, code):
        if "ciao_" in code or self.under_test is None:
            return
        info = self.under_test.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
        names = {f"tcpi_{name}": value for name, value in zip(INFO_BYTES, info)}
        words = struct.unpack(f"{len(INFO_WORDS)}I", info[8 : 8 + 4 * len(INFO_WORDS)])
        names.update({f"tcpi_{name}": value for name, value in zip(INFO_WORDS, words)})
        names.update(STATES)
        names["TCP_INFINITE_SSTHRESH"] = 0x7FFFFFFF
        names.update(dict(TCP_CA_Open=0, TCP_CA_Disorder=1, TCP_CA_CWR=2, TCP_CA_Recovery=3, TCP_CA_Loss=4))
        for condition in re.split(r";|\band\b", code.replace("assert ", ";")):
            condition = condition.strip()
            match = re.match(r"(tcpi_\w+)\s*(==|<=|>=|!=|<|>)\s*(\w+)", condition)
            if not match or match[1] not in names:
                continue
            if not match[3].isdigit() and match[3] not in names:
                continue
            found = names[match[1]]
            expected = names[match[3]] if match[3] in names else int(match[3])
            if match[1] in ("tcpi_rto", "tcpi_rtt", "tcpi_rttvar"):
                # Real time is never exact.
                same = abs(found - expected) <= 0.3 * expected + 5000
            else:
                same = eval(f"{found} {match[2]} {expected}")  # numbers alone
            # Linux keeps TIME-WAIT apart from the socket, which is closed by then.
            same = same or match[3] == "TCP_TIME_WAIT" and found == STATES["TCP_CLOSE"]
            if not same:
                raise Differs(f"{match[1]} is {found}")


def split(arguments):
    """Arguments at the commas outside of brackets."""
    parts, depth, part = [], 0, ""
    for letter in arguments:
        depth += letter in "([{"
        depth -= letter in ")]}"
        if letter == "," and depth == 0:
            parts.append(part.strip())
            part = ""
        else:
            part += letter
    return parts + [part.strip()]


def flags(words):
    return sum(getattr(socket, name.strip()) for name in words[0].split("|") if name.startswith("MSG_")) if words else 0


KNOWN_OPTIONS = {"ip_version", "mtu", "tolerance_usecs", "arrivals", "initial_window"}

def play(path, version, seconds):
    """Plays one script; answers what became of it."""
    with open(path) as file:
        text = file.read()
    options, settings, events = read(text)
    unknown = set(options) - KNOWN_OPTIONS
    if unknown:
        return "skipped", "Linux has no --" + " --".join(sorted(unknown))
    if options.get("ip_version", f"ipv{version}") != f"ipv{version}":
        return "skipped", "for another version of IP"
    if duration(events) > seconds:
        return "skipped", f"takes {duration(events):.0f} s"
    event = None
    try:
        player = Player(Net(version, options, settings))
        player.listens = any(" listen(" in event.text for event in events)
        opening = (" listen(", " connect(", "MSG_FASTOPEN")
        active = next((event.text for event in events if any(name in event.text for name in opening)), "")
        if " listen(" not in active:
            player.listens = False
        if player.listens:
            player.net.ports = (8080, 40000)
        player.net.zero = time.monotonic()
        for event in events:
            player.play(event)
        event = None
        player.finish()
    except Differs as fault:
        where = f"line {event.line}" if event else "end"
        return ("noted" if noted(text) else "differs"), f"{where}: {fault}"
    except Skipped as fault:
        return "skipped", str(fault)
    return "same", ""


def noted(text):
    """Whether the first comment says that Linux does otherwise."""
    return "Linux" in text.split("\n\n")[0]


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
