"""How does a script go on the kernel's TCP, in real time? Event after event, until the first that differs.

The packets' way in and out is in `kernel_net.py`, the notation in `script_text.py`, the command in `linux_scripts.py`.
"""

import errno
import fcntl
import gc
import os
import re
import select
import socket
import struct
import threading
import time

from kernel_net import KIND_NAMES, Net, Skipped
from script_text import FLAGS, Segment, duration, read, says_that_linux_differs, split

SIOCINQ, SIOCATMARK = 0x541B, 0x8905

# Times may differ by this many seconds, and by this part of the time since the segment or call before. The kernel counts in ticks,
# of 4 ms as distributions build it: what it measured may be one too short. A timer waits for the end of its tick, and one
# of more than 63 ticks for the end of a coarser one, up to an eighth later (kernel/time/timer.c). The rest is for a machine
# that is shared.
EARLY, EARLY_PART = 0.01, 0.05
LATE, LATE_PART = 0.03, 0.15
# In a script round trips are equal; in real time one is shorter than another by chance, and what was sent again and is
# acknowledged sooner than ever counts as late, not as lost (RFC 8985 §6.2). So the first one is made the shortest.
SHORTER = 0.001
# How long a call may take to answer at once, and how much later a segment is still waited for to be told, in seconds.
PATIENCE = 0.25

# `struct tcp_info` in its order, in pieces of one size each; times are in microseconds, but for `last_`.
INFO = [
    ("B", "state ca_state retransmits probes backoff options wscale limited"),
    ("I", "rto ato snd_mss rcv_mss unacked sacked lost retrans fackets last_data_sent last_ack_sent last_data_recv last_ack_recv"),
    ("I", "pmtu rcv_ssthresh rtt rttvar snd_ssthresh snd_cwnd advmss reordering rcv_rtt rcv_space total_retrans"),
    ("Q", "pacing_rate max_pacing_rate bytes_acked bytes_received"),
    ("I", "segs_out segs_in notsent_bytes min_rtt data_segs_in data_segs_out"),
    ("Q", "delivery_rate busy_time rwnd_limited sndbuf_limited"),
    ("I", "delivered delivered_ce"),
    ("Q", "bytes_sent bytes_retrans"),
    ("I", "dsack_dups reord_seen rcv_ooopack snd_wnd rcv_wnd rehash"),
]
INFO_NAMES = [f"tcpi_{name}" for _, names in INFO for name in names.split()]
INFO_FORMAT = "=" + "".join(kind * len(names.split()) for kind, names in INFO)
STATES = dict(
    zip(
        "TCP_ESTABLISHED TCP_SYN_SENT TCP_SYN_RECV TCP_FIN_WAIT1 TCP_FIN_WAIT2 TCP_TIME_WAIT TCP_CLOSE TCP_CLOSE_WAIT "
        "TCP_LAST_ACK TCP_LISTEN TCP_CLOSING".split(),
        range(1, 12),
    )
)


class Differs(Exception):
    """Linux does otherwise than the script says."""


class Player:
    def __init__(self, net, patience):
        # What may come at any time is waited for so many seconds, and all of it for twice as many.
        self.net, self.patience = net, patience
        self.sockets, self.waiting = {}, []
        self.under_test = None
        self.acknowledged = False
        # Whether acknowledgments are delayed from the start, which Linux does not do of itself.
        self.delays = False
        # When the event before was, and the segment or call before, from which timers run.
        self.previous, self.acted = 0.0, 0.0
        # What the script takes the time for, however late it is.
        self.nominal = 0.0

    def play(self, event):
        if self.net.elapsed() > 2 * self.patience:
            raise Skipped(f"takes more than {2 * self.patience:.0f} s")
        if not event.any:
            self.nominal = (self.nominal if event.relative else 0.0) + event.earliest
        base = self.previous if event.relative else 0.0
        if event.any:
            base = self.net.elapsed()
        earliest, latest = base + event.earliest, base + event.latest
        if event.any:
            earliest, latest = 0, base + self.patience
        action = event.action
        if action.startswith(">"):
            self.previous = self.acted = self.expect(Segment(action[1:]), earliest, latest)
            return
        if action.startswith("<") and " ack " in action and not self.acknowledged:
            self.acknowledged = True
            earliest -= SHORTER if event.earliest > 10 * SHORTER else 0
        if not event.any:
            self.net.pump(earliest)
        # When this is late, all that follows is.
        self.previous = max(earliest, self.net.elapsed())
        self.unexpected()
        if action.startswith("< icmp"):
            self.net.inject_icmp(action[6:].strip())
        elif action.startswith("<"):
            self.delay_acknowledgments()
            self.net.inject(Segment(action[1:]))
        elif action.startswith("%{"):
            self.check(action[2:-2].strip())
            return
        else:
            self.call(action, event, base)
        self.acted = self.previous

    def delay_acknowledgments(self):
        """Linux forgets that with each one that it has delayed, and would delay the end of the handshake too."""
        if self.delays and self.under_test is not None and self.info()["tcpi_state"] == STATES["TCP_ESTABLISHED"]:
            self.under_test.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)

    def unexpected(self):
        if self.net.queue:
            raise Differs("it also sends " + self.net.show(self.net.queue[0]))

    def expect(self, text, earliest, latest):
        start, left, first = text.start, text.len, True
        while first or left > 0:
            limit = latest + LATE + LATE_PART * max(latest - self.acted, 0)
            while not self.net.queue and self.net.pump_one(limit):
                pass
            if not self.net.queue:
                raise Differs(self.when_late())
            seen = self.net.queue.pop(0)
            self.compare(text, start, left, seen)
            start, left, first = start + seen["len"], left - seen["len"], False
        if seen["at"] < earliest - EARLY - EARLY_PART * max(earliest - self.acted, 0):
            raise Differs(f"it is early: {self.net.show(seen)}")
        return seen["at"]

    def when_late(self):
        while not self.net.queue and self.net.pump_one(self.net.elapsed() + PATIENCE):
            pass
        return f"it is late: {self.net.show(self.net.queue[0])}" if self.net.queue else "it sends nothing"

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
        """What the script calls the kernel's time. The first one is the milliseconds of the script, if it does not say."""
        for kind, value in seen["options"]:
            if kind == 8:
                time = struct.unpack("!II", value)[0]
                written = next((int(words[2]) for words in text.option_list() if words[0] == "TS"), None)
                if seen["opens"]:
                    numbers.timestamp = (time - (int(self.nominal * 1000) if written is None else written)) % 2**32
                if written is not None:
                    numbers.clock[written] = time

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
            thread.join(PATIENCE)
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
            thread.join(PATIENCE)
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
            elif key == "TCP_QUICKACK":
                self.delays = False
                sock.setsockopt(level, number, int(value, 0))
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

    def info(self):
        info = self.under_test.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, struct.calcsize(INFO_FORMAT))
        return dict(zip(INFO_NAMES, struct.unpack(INFO_FORMAT, info)))

    def check(self, code):
        if "ciao_" in code or self.under_test is None:
            return
        names = self.info()
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
            slack = tolerance(match[1], expected)
            same = {
                "==": abs(found - expected) <= slack,
                "!=": found != expected,
                "<=": found <= expected + slack,
                ">=": found >= expected - slack,
                "<": found < expected + slack,
                ">": found > expected - slack,
            }[match[2]]
            # Linux keeps TIME-WAIT apart from the socket, which is closed by then.
            same = same or match[3] == "TCP_TIME_WAIT" and found == STATES["TCP_CLOSE"]
            if not same:
                raise Differs(f"{match[1]} is {found}")


def tolerance(name, expected):
    """How far a number of `tcp_info` may be off: what is measured in real time is never exact."""
    if name in ("tcpi_rto", "tcpi_ato", "tcpi_rtt", "tcpi_rttvar", "tcpi_min_rtt", "tcpi_busy_time", "tcpi_rwnd_limited"):
        return 0.3 * expected + 5000  # microseconds
    if name.startswith("tcpi_last_"):
        return 1000 * (EARLY + EARLY_PART * expected)
    return 0


def flags(words):
    return sum(getattr(socket, name.strip()) for name in words[0].split("|") if name.startswith("MSG_")) if words else 0


KNOWN_OPTIONS = {"ip_version", "mtu", "tolerance_usecs", "arrivals", "initial_window", "quick_acks"}


def play(path, version, seconds):
    """Plays one script; answers what became of it."""
    with open(path) as file:
        text = file.read()
    options, settings, events = read(text)
    unknown = {name for name in options if name not in KNOWN_OPTIONS or name == "quick_acks" and options[name] != "0"}
    if unknown:
        return "skipped", "Linux has no --" + " --".join(sorted(unknown))
    if options.get("ip_version", f"ipv{version}") != f"ipv{version}":
        return "skipped", "for another version of IP"
    if duration(events) > seconds:
        return "skipped", f"takes {duration(events):.0f} s"
    event = None
    try:
        player = Player(Net(version, options, settings), seconds)
        player.delays = "quick_acks" in options
        player.listens = any(" listen(" in event.text for event in events)
        opening = (" listen(", " connect(", "MSG_FASTOPEN")
        active = next((event.text for event in events if any(name in event.text for name in opening)), "")
        if " listen(" not in active:
            player.listens = False
        if player.listens:
            player.net.ports = (8080, 40000)
        on_time()
        player.net.zero = time.monotonic()
        for event in events:
            player.play(event)
        event = None
        player.finish()
    except Differs as fault:
        where = f"line {event.line}" if event else "end"
        return ("noted" if says_that_linux_differs(text, version) else "differs"), f"{where}: {fault}"
    except Skipped as fault:
        return "skipped", str(fault)
    return ("stale", "the comment says that Linux differs") if says_that_linux_differs(text, version) else ("same", "")


def on_time():
    """Before all that is not a matter of time: this process sleeps nearly always, and has to wake up when it said."""
    gc.disable()
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except OSError:
        os.nice(-20)  # a group of processes may have been given no real time
def in_child(path, version, seconds):
    """Each script in a process of its own: a namespace cannot be left."""
    command = [sys.executable, __file__, "--one", "--seconds", str(seconds)] + ["--ipv6"] * (version == 6) + [path]
    outcome = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False).stdout.split("\t")
    return outcome if len(outcome) == 2 else ["broken", "the player died"]
