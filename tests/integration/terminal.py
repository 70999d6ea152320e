"""A program in a pseudo-terminal of its own: what it shows as text, keys, sizes. Enough of a terminal for TERM=linux."""

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading
import time

from cluster import until

ESCAPE = re.compile(r"\x1b\[([?>=]?)([0-9;]*)([A-Za-z@`])|\x1b[()][0-9A-Za-z]|\x1b[=>78M]")


class Screen:
    """As much of a terminal as ncurses needs under TERM=linux: moves, erasures, text."""

    def __init__(self, rows, columns):
        self.resize(rows, columns)
        self.rest = ""

    def resize(self, rows, columns):
        self.rows, self.columns, self.row, self.column = rows, columns, 0, 0
        self.cells = [[" "] * columns for _ in range(rows)]

    def text(self):
        return "\n".join("".join(line).rstrip() for line in self.cells)

    def feed(self, text):
        text, self.rest, at = self.rest + text, "", 0
        while at < len(text):
            if text[at] == "\x1b":
                match = ESCAPE.match(text, at)
                if not match:
                    if len(text) - at < 16:
                        self.rest = text[at:]
                        return
                    at += 1
                    continue
                self.obey(match)
                at = match.end()
            else:
                self.put(text[at])
                at += 1

    def put(self, character):
        if character == "\r":
            self.column = 0
        elif character == "\n":
            self.row = min(self.row + 1, self.rows - 1)
        elif character == "\b":
            self.column = max(self.column - 1, 0)
        elif character >= " ":
            if self.column < self.columns:
                self.cells[self.row][self.column] = character
            self.column += 1

    def obey(self, match):
        if match.group(3) is None or match.group(1):
            return
        numbers = [int(number or 0) for number in (match.group(2) or "").split(";")]
        first = numbers[0] or 1
        command = match.group(3)
        if command in "Hf":
            self.row = min(first, self.rows) - 1
            self.column = min((numbers[1] if len(numbers) > 1 else 1) or 1, self.columns) - 1
        elif command == "d":
            self.row = min(first, self.rows) - 1
        elif command in "G`":
            self.column = min(first, self.columns) - 1
        elif command in "ABCD":
            self.row = min(max(self.row + {"A": -first, "B": first}.get(command, 0), 0), self.rows - 1)
            self.column = min(max(self.column + {"C": first, "D": -first}.get(command, 0), 0), self.columns - 1)
        elif command == "J":
            if numbers[0] == 2:
                self.cells = [[" "] * self.columns for _ in range(self.rows)]
            else:
                self.cells[self.row][self.column:] = [" "] * (self.columns - self.column)
                for row in range(self.row + 1, self.rows):
                    self.cells[row] = [" "] * self.columns
        elif command == "K":
            begin, end = {0: (self.column, self.columns), 1: (0, self.column + 1)}.get(numbers[0], (0, self.columns))
            self.cells[self.row][begin:end] = [" "] * (end - begin)
        elif command == "X":
            end = min(self.column + first, self.columns)
            self.cells[self.row][self.column:end] = [" "] * (end - self.column)
        elif command == "P":
            line = self.cells[self.row]
            del line[self.column:self.column + first]
            line += [" "] * (self.columns - len(line))
        elif command == "@":
            line = self.cells[self.row]
            line[self.column:self.column] = [" "] * first
            del line[self.columns:]


class Terminal:
    """`strata` with these arguments in a terminal of its own."""

    def __init__(self, cluster, *arguments, rows=24, columns=80, **environment):
        self.screen, self.raw = Screen(rows, columns), ""
        self.master, self.slave = pty.openpty()
        self.size(rows, columns)
        self.before = termios.tcgetattr(self.slave)
        variables = dict(os.environ, STRATA_HOME=str(cluster.home), STRATA_ADDRESS=cluster.address, TERM="linux", LC_ALL="C.UTF-8")
        variables.pop("NO_COLOR", None)
        self.process = subprocess.Popen([cluster.program("client/strata"), *arguments], env=dict(variables, **environment),
                                        stdin=self.slave, stdout=self.slave, stderr=self.slave, start_new_session=True)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        while True:
            try:
                data = os.read(self.master, 65536)
            except OSError:
                return
            text = data.decode(errors="replace")
            self.raw += text
            self.screen.feed(text)

    def size(self, rows, columns):
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def resize(self, rows, columns):
        self.screen.resize(rows, columns)
        self.size(rows, columns)
        self.process.send_signal(signal.SIGWINCH)

    def keys(self, text):
        os.write(self.master, text.encode())

    def shows(self, *texts, seconds=20):
        try:
            until(lambda: all(text in self.screen.text() for text in texts), seconds, f"{texts} on the screen")
        except AssertionError as error:
            raise AssertionError(f"{error}; it shows:\n{self.screen.text()}\n{self.process.poll()}") from None
        return self.screen.text()

    def ends(self, status):
        assert self.process.wait(10) == status, self.process.returncode
        assert termios.tcgetattr(self.slave) == self.before, "the terminal's modes are not those of before"
        time.sleep(0.1)
        assert "\x1b[?25h" in self.raw[self.raw.rindex("\x1b[?25l"):], "the cursor is not shown again"
        os.close(self.slave)
        os.close(self.master)
