"""A tracker that answers as a test sets it, and counts announces."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import unquote_to_bytes

from demo.metafiles import Bencodable, bencode


class Tracker:
    """Answers announces with success, with the reason of failure set for a torrent, or with a status."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.reasons: dict[str, str] = {}
        self.status = 200
        self.min_interval: int | None = None
        """In seconds; None: rTorrent's own."""
        self.announced: list[str] = []
        self.stopped: list[str] = []
        tracker = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                values: dict[str, str] = {}
                for part in self.path.partition("?")[2].split("&"):
                    key, _, value = part.partition("=")
                    values[key] = value
                found = unquote_to_bytes(values.get("info_hash", "")).hex().upper()
                if values.get("event") == "stopped":
                    tracker.stopped.append(found)
                tracker.announced.append(found)
                reason = tracker.reasons.get(found)
                answer: dict[str, Bencodable] = {"interval": 1800, "complete": 7, "incomplete": 0, "peers": b""}
                if tracker.min_interval is not None:
                    answer = {**answer, "min interval": tracker.min_interval}
                if reason:
                    answer = {"failure reason": reason}
                self.send_response(tracker.status)
                self.end_headers()
                self.wfile.write(bencode(answer) if tracker.status == 200 else b"Unregistered torrent")

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer((host, 0), Handler)
        self.url = f"http://{host}:{self._server.server_port}/announce"
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
