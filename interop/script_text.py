"""What does a script say? Its options, settings and timed events, and a segment as a line has it.

The notation is packetdrill's; Ciao's own reader of it is the crate `ciao-tcp`'s. Who plays it: `kernel_player.py`.
"""

import re

FLAGS = {"F": 1, "S": 2, "R": 4, "P": 8, ".": 16, "U": 32, "E": 64, "W": 128}


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


def says_that_linux_differs(text, version):
    """Whether the first comment has a sentence that begins with the name of the kernel: what it does, and why Ciao does not."""
    comment = [line.removeprefix("//").strip() for line in text.split("\n\n")[0].split("\n")]
    note = rf"(^|[.:;!?]\s)Linux\b(?! over IPv{10 - version})"
    return re.search(note, "\n".join(comment), re.M) is not None
