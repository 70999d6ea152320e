"""A TCP proxy that stands between an agent and its coordinator: it counts, damages and slows down what it passes on."""

import select
import socket
import threading
import time


class Proxy:
    """Listens on `address` (port 0 taken free) and passes all on to `target`, (host, port) each. Use as a context.

    `damage(data, to_target)` is given each piece and returns what is passed on. `bytes_per_second`: at most, to the target.
    """

    def __init__(self, target, damage=None, bytes_per_second=None):
        self.target, self.damage, self.bytes_per_second = target, damage, bytes_per_second
        self.sent = 0  # to the target
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.ended = False

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def __enter__(self):
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.ended = True
        self.listener.close()

    def accept(self):
        while not self.ended:
            try:
                client, _ = self.listener.accept()
                threading.Thread(target=self.pass_on, args=(client, socket.create_connection(self.target)), daemon=True).start()
            except OSError:
                pass

    def pass_on(self, client, server):
        peers = {client: server, server: client}
        try:
            while not self.ended:
                for source in select.select(list(peers), [], [], 0.2)[0]:
                    data = source.recv(1 << 16)
                    if not data:
                        return
                    to_target = source is client
                    if self.damage:
                        data = self.damage(data, to_target)
                    if to_target:
                        self.sent += len(data)
                        if self.bytes_per_second:
                            time.sleep(len(data) / self.bytes_per_second)
                    peers[source].sendall(data)
        except OSError:
            pass
        finally:
            client.close()
            server.close()
