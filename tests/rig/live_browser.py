"""Scenario: a browser that asks for a camera, as call programs in it do."""

from __future__ import annotations

import json
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from rig.devices import wait_until

PAGE = b"""<!doctype html><video autoplay muted></video><canvas></canvas><script>
async function look() {
  await navigator.mediaDevices.getUserMedia({video: true})
  const cameras = (await navigator.mediaDevices.enumerateDevices())
    .filter(each => each.kind == 'videoinput')
  const wanted = cameras.find(each => each.label.includes('VirtualCamera'))
  const video = document.querySelector('video'), canvas = document.querySelector('canvas')
  video.srcObject = await navigator.mediaDevices.getUserMedia(
    {video: {deviceId: {exact: wanted.deviceId}}})
  await new Promise(shown => video.requestVideoFrameCallback(shown))
  canvas.width = video.videoWidth, canvas.height = video.videoHeight
  const context = canvas.getContext('2d')
  let corner = []
  // The browser's first pictures are its own, and black; nothing that is sent here is.
  for (let tries = 0; tries < 90 && !corner.slice(0, 3).some(Boolean); tries++) {
    await new Promise(shown => video.requestVideoFrameCallback(shown))
    context.drawImage(video, 0, 0)
    corner = Array.from(context.getImageData(8, 8, 1, 1).data)
  }
  return {cameras: cameras.map(each => each.label), size: [canvas.width, canvas.height],
    corner: corner}
}
look().catch(error => ({error: String(error)}))
  .then(seen => fetch('/', {method: 'POST', body: JSON.stringify(seen)}))
</script>"""


class Page(BaseHTTPRequestHandler):
    """Serves the page and takes what it saw."""

    seen: list[dict] = []  # noqa: RUF012 -- one for all requests is meant

    def do_GET(self):
        """The page."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(PAGE)

    def do_POST(self):
        """What it saw."""
        length = int(self.headers["Content-Length"])
        self.seen.append(json.loads(self.rfile.read(length)))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *words):
        """Say nothing."""


def test_chromium_sees_the_virtual_camera(stage, note):
    stage.play()
    program = stage.live("--always-on")
    stage.wait_for_person()
    server = HTTPServer(("localhost", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    browser = subprocess.Popen(
        [
            *("chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"),
            *("--disable-dev-shm-usage", "--use-fake-ui-for-media-stream"),
            *("--user-data-dir=/tmp/chromium", f"http://localhost:{server.server_port}/"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: bool(Page.seen), 120, "the page answers")
    finally:
        browser.kill()
        browser.wait()
        server.shutdown()
        server.server_close()
    assert program.end() == 0
    (seen,) = Page.seen
    note(**seen)
    assert "error" not in seen, seen
    assert seen["size"] == [640, 360]
    green = (0, 177, 64)
    assert max(abs(is_ - was) for is_, was in zip(seen["corner"], green, strict=False)) <= 4, seen
