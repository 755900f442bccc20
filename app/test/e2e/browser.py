# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
"""A browser (chromium) for tests of pages, driven by the DevTools protocol over pipes.

https://chromedevtools.github.io/devtools-protocol/ describes the calls.
"""

import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time

GIVE_UP = 30
# No network but this machine's, and nothing in the background.
OPTIONS = ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-extensions',
           '--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run',
           '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1', '--window-size=1200,1300', '--hide-scrollbars',
           '--remote-debugging-pipe']


class NoBrowser(Exception):
    """There is no browser, or it does not start; the text is the reason."""


class Browser:
    """A page in a browser. `complaints` are errors and warnings on its console."""

    def __init__(self):
        program = shutil.which('chromium')
        if program is None:
            raise NoBrowser('there is no chromium')
        self.folder = tempfile.mkdtemp(prefix='gantry-browser-')
        self.complaints, self.number, self.left, self.session = [], 0, b'', None
        to_browser, self.write_end = os.pipe()
        self.read_end, from_browser = os.pipe()
        # The browser's ends are descriptors 3 and 4. Here they have others first.
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 20) for end in (to_browser, from_browser)]
        os.close(to_browser)
        os.close(from_browser)
        self.process = subprocess.Popen(
            ['bash', '-c', f'exec "$@" 3<&{ends[0]} 4>&{ends[1]} {ends[0]}<&- {ends[1]}>&-', 'bash', program, *OPTIONS,
             '--user-data-dir=' + self.folder], pass_fds=ends, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True)
        for end in ends:
            os.close(end)
        try:
            target = self.call('Target.createTarget', url='about:blank')['targetId']
            self.session = self.call('Target.attachToTarget', targetId=target, flatten=True)['sessionId']
            for domain in ('Runtime', 'Log', 'Page'):
                self.call(domain + '.enable')
        except (OSError, TimeoutError) as failure:
            self.end()
            raise NoBrowser(f'chromium does not start: {failure}') from None

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self.end()

    def end(self):
        """Ends the browser and all its processes, which are a session of their own."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait(GIVE_UP)
        os.close(self.write_end)
        os.close(self.read_end)
        shutil.rmtree(self.folder, ignore_errors=True)

    def receive(self, end):
        """Returns the next message."""
        while b'\0' not in self.left:
            if not select.select([self.read_end], [], [], max(0, end - time.monotonic()))[0]:
                raise TimeoutError('no answer of the browser')
            got = os.read(self.read_end, 1 << 20)
            if not got:
                raise OSError('the browser has ended')
            self.left += got
        text, self.left = self.left.split(b'\0', 1)
        return json.loads(text)

    def call(self, method, **parameters):
        """Calls a method. Returns its result."""
        self.number += 1
        message = {'id': self.number, 'method': method, 'params': parameters}
        if self.session is not None:
            message['sessionId'] = self.session
        os.write(self.write_end, json.dumps(message).encode() + b'\0')
        end = time.monotonic() + GIVE_UP
        while True:
            answer = self.receive(end)
            if answer.get('id') == self.number:
                if 'error' in answer:
                    raise OSError(f'{method}: {answer["error"]}')
                return answer['result']
            self.note(answer.get('method'), answer.get('params', {}))

    def note(self, event, parameters):
        """Keeps what the console shows as an error or a warning."""
        if event == 'Log.entryAdded' and parameters['entry']['level'] in ('error', 'warning'):
            self.complaints.append(parameters['entry']['text'])
        elif event == 'Runtime.consoleAPICalled' and parameters['type'] in ('error', 'warning', 'assert'):
            self.complaints.append(str(parameters['args']))
        elif event == 'Runtime.exceptionThrown':
            self.complaints.append(str(parameters['exceptionDetails']))

    def open(self, url, scheme):
        """Opens a page, by a user who prefers a scheme of colours: "light" or "dark"."""
        self.call('Emulation.setEmulatedMedia', features=[{'name': 'prefers-color-scheme', 'value': scheme}])
        self.call('Page.navigate', url=url)
        end = time.monotonic() + GIVE_UP
        while self.run('location.href + document.readyState') != url + 'complete':
            if time.monotonic() > end:
                raise TimeoutError(f'{url} is not loaded')
            time.sleep(0.05)

    def run(self, expression):
        """Returns the value of an expression in the page."""
        result = self.call('Runtime.evaluate', expression=expression, returnByValue=True)
        if 'exceptionDetails' in result:
            raise OSError(f'{expression}: {result["exceptionDetails"]}')
        return result['result'].get('value')

    def wheel(self, x, y, delta):
        """Turns the wheel over a point."""
        self.call('Input.dispatchMouseEvent', type='mouseWheel', x=x, y=y, deltaX=0, deltaY=delta)

    def picture(self):
        """Returns a picture of the whole page: PNG in base64."""
        return self.call('Page.captureScreenshot', format='png', captureBeyondViewport=True)['data']
