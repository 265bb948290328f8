"""How do packets reach the kernel's TCP and come back? A TUN interface in a namespace of its own.

Here are bytes: what a line of a script becomes on its way in, and what of a packet is kept on its way out. What is
compared is in `kernel_player.py`.
"""

import ctypes
import fcntl
import os
import re
import select
import socket
import struct
import subprocess
import time

from script_text import FLAGS

CLONE_NEWNET = 0x40000000
TUNSETIFF = 0x400454CA
IFF_TUN_NO_PI = 0x1001

REMOTE_BASE = 2**32 - 1001
KIND_NAMES = {0: "eol", 1: "nop", 2: "mss", 3: "wscale", 4: "sackOK", 5: "sack", 8: "TS", 19: "md5", 28: "uto", 34: "FO", 253: "unknown"}
ADDRESSES = {4: ("192.168.0.1", "192.0.2.1", "192.168.0.2"), 6: ("fd3d:fa7b:d17d::1", "2001:db8::1", "fd3d:fa7b:d17d::2")}
MTU = {4: 1500, 6: 1520}
MTU_LEAST_V6 = 1280


class Skipped(Exception):
    """The script cannot be played here."""


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
        # What the kernel's clock said where the script has a value of its own: the peer echoes what it was sent.
        self.clock = {}
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
        if version == 6 and mtu < MTU_LEAST_V6:
            raise Skipped(f"IPv6 has no link of {mtu} bytes")
        prefix = 16 if version == 4 else 64
        window = f" initcwnd {options['initial_window']}" if "initial_window" in options else ""
        nodad = " nodad" if version == 6 else ""
        commands = f"""link set lo up
            link set tun0 mtu {mtu} up
            addr add {self.local}/{prefix} dev tun0{nodad}
            route add default dev tun0{window}"""
        subprocess.run(["ip", f"-{version}", "-batch", "-"], input=commands, text=True, check=True)
        defaults = [("tcp_no_metrics_save", "1"), ("tcp_fastopen", "3"), ("tcp_wmem", "4096 262144 4194304"), ("tcp_rmem", "4096 131072 15000000")]
        # Which of them a namespace may have by default is not ours to change: each socket is told.
        self.congestion = dict(settings).get("net.ipv4.tcp_congestion_control", "cubic")
        settings = [setting for setting in settings if "congestion_control" not in setting[0]]
        for name, value in [("net.ipv4." + name, value) for name, value in defaults] + settings:
            try:
                with open("/proc/sys/" + name.replace(".", "/"), "w") as file:
                    file.write(value.strip('"'))
            except FileNotFoundError as fault:
                raise Skipped(f"{name} is the whole machine's to set") from fault
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
                echo = numbers.clock.get(int(rest[3]), echo)
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
        while self.pump_one(until):
            pass

    def pump_one(self, until):
        """Takes what the kernel sends next, if it does until then."""
        ready, _, _ = select.select([self.tun], [], [], max(until - self.elapsed(), 0))
        if ready:
            self.take(os.read(self.tun, 65535))
        return bool(ready)

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
