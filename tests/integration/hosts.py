"""Hosts for the integration tests: network namespaces on one bridge, whose links can be cut and healed. Needs root."""

import os
import subprocess

from cluster import Skipped

NETWORK = "10.199.77"  # inside the namespaces alone: nothing of it is seen or routed outside


class Hosts:
    """Named hosts with an address each; the bridge stands on the first. Use as a context; leaving it takes all of them down."""

    def __init__(self, *names):
        self.names = names
        self.made = []

    def __enter__(self):
        try:
            for name in self.names:
                self.make(name)
        except (OSError, subprocess.CalledProcessError) as error:
            self.__exit__()
            said = getattr(error, "stderr", None) or str(error)
            raise Skipped(f"network namespaces cannot be made here: {said.strip().splitlines()[-1]}") from None
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        while self.made:
            subprocess.run(["ip", "netns", "del", self.made.pop()], check=False, capture_output=True)

    def space(self, name):
        return f"strata-{os.getpid()}-{name}"

    def address(self, name):
        return f"{NETWORK}.{self.names.index(name) + 1}"

    def enter(self, name):
        """What a command begins with that is to run there."""
        return ["ip", "netns", "exec", self.space(name)]

    def ip(self, name, *arguments):
        subprocess.run(["ip", "-n", self.space(name), *arguments], check=True, capture_output=True, text=True)

    def make(self, name):
        first = self.names[0]
        subprocess.run(["ip", "netns", "add", self.space(name)], check=True, capture_output=True, text=True)
        self.made.append(self.space(name))
        self.ip(name, "link", "set", "lo", "up")
        if name == first:
            self.ip(first, "link", "add", "net", "type", "bridge")
        else:
            self.ip(first, "link", "add", name, "type", "veth", "peer", "name", "net", "netns", self.space(name))
            self.ip(first, "link", "set", name, "master", "net", "up")
        self.ip(name, "addr", "add", f"{self.address(name)}/24", "dev", "net")
        self.ip(name, "link", "set", "net", "up")

    def cut(self, name):
        """Nothing passes from or to this host any more, and nobody is told."""
        self.ip(self.names[0], "link", "set", name, "down")

    def heal(self, name):
        self.ip(self.names[0], "link", "set", name, "up")
