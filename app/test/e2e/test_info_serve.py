#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
"""Tests gantry-info serve: HTTP, metrics, the page in a browser, and programs that end. On any host.

Usage: test_info_serve.py BUILD [--pictures FOLDER]. Run by Meson. A program on the mock kernel
(serve/mapper.c) is looked at. Metrics are read by the parser of python3-prometheus-client, the page
by chromium. The docstring of a case is its name in the output.
"""

import argparse
import base64
import concurrent.futures
import contextlib
import http.client
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from browser import Browser, NoBrowser

GIVE_UP = 30
TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
DASHBOARD = TREE + '/app/info/dashboard.json'
ODD_OWNER = 'a"b\\c</script>'


class Failure(Exception):
    """A check failed; the text says which."""


class Skip(Exception):
    """A case cannot run here; the text is the reason."""


def check(holds, text):
    if not holds:
        raise Failure(text)


def wait_for(what, holds):
    end = time.monotonic() + GIVE_UP
    while True:
        value = holds()
        if value:
            return value
        check(time.monotonic() < end, f'{what}: not within {GIVE_UP} s')
        time.sleep(0.1)


class Mapper:
    """A DPDK program that holds memory (serve/mapper.c)."""

    def __init__(self, build, *more):
        if os.geteuid() != 0:
            raise Skip('needs root: telemetry of others is in a folder that is not looked at')
        self.prefix = f'gantry-serve-{os.getpid()}-{time.monotonic_ns()}'
        self.process = subprocess.Popen(
            [build + '/app/test/serve/serve-mapper', '--no-pci', '--no-huge', '-m', '64', '-l', '0', '--log-level=error',
             '--file-prefix=' + self.prefix, *more], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True)
        line = self.process.stdout.readline()
        check(line == 'ok\n', f'mapper: {line!r}, status {self.process.poll()}')
        self.pid = self.process.pid

    def do(self, line):
        self.process.stdin.write(line + '\n')
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        check(answer == 'ok\n', f'{line}: {answer}')

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.stdin.close()
            self.process.wait(GIVE_UP)
        shutil.rmtree('/var/run/dpdk/' + self.prefix, ignore_errors=True)


class Server:
    """gantry-info serve, on a port of its choice."""

    def __init__(self, build, *pids):
        self.process = subprocess.Popen([build + '/app/info/gantry-info', '--port=0', 'serve', *map(str, pids)],
                                        stdout=subprocess.PIPE, text=True)
        check(select.select([self.process.stdout], [], [], GIVE_UP)[0], 'the server does not begin')
        self.url = self.process.stdout.readline().strip()
        match = re.fullmatch(r'http://127\.0\.0\.1:(\d+)/', self.url)
        check(match, f'no address: {self.url!r}')
        self.port = int(match[1])

    def ask(self, path, method='GET', host=None, body=None):
        """Returns the status, the headers and the text of an answer."""
        connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=GIVE_UP)
        with contextlib.closing(connection):
            headers = {} if host is None else {'Host': host}
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read().decode()

    def state(self):
        status, _, text = self.ask('/state.json')
        check(status == 200, f'state: {status}')
        return json.loads(text)

    def program(self, pid):
        """What the state tells of a program."""
        return next((one for one in self.state()['programs'] if one['pid'] == pid), None)

    def metrics(self):
        """Returns the metrics by name, as the parser of Prometheus' library read them."""
        try:
            from prometheus_client.parser import text_string_to_metric_families
        except ImportError as no_parser:
            raise Skip('there is no python3-prometheus-client') from no_parser
        status, headers, text = self.ask('/metrics')
        check(status == 200 and headers['Content-Type'].startswith('text/plain; version=0.0.4'), f'metrics: {status}')
        check(text.endswith('\n'), 'the last line has no end')
        return {family.name: family for family in text_string_to_metric_families(text)}

    def end(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(GIVE_UP)


@contextlib.contextmanager
def ending(thing):
    try:
        yield thing
    finally:
        thing.end()


@contextlib.contextmanager
def served(build, *commands):
    """A program that has done some commands, and a server for it."""
    with ending(Mapper(build)) as mapper:
        for command in commands:
            mapper.do(command)
        with ending(Server(build, mapper.pid)) as server:
            yield mapper, server


def value(families, family, sample=None, **labels):
    """The one sample that has these labels."""
    found = [one.value for one in families[family].samples
             if one.name == (sample or one.name) and labels.items() <= one.labels.items()]
    check(len(found) == 1, f'{family} {labels}: {found} of {families[family].samples}')
    return found[0]


def wrong_command_lines(build):
    """wrong command lines are refused"""
    info = build + '/app/info/gantry-info'
    for arguments, status, text in ((('serve', '0'), 2, 'not a process ID'),
                                    (('serve', '999999999'), 1, 'no such process'),
                                    (('serve', str(os.getpid())), 1, 'no telemetry'),
                                    (('--port=65536', 'serve'), 2, 'not a number of a port'),
                                    (('--port=x', 'serve'), 2, 'not a number of a port'),
                                    (('--json', 'serve'), 2, 'ask for /state.json'),
                                    (('--port=0', 'map', '1'), 2, 'are for why, map or serve'),
                                    (('--watch', 'serve'), 2, 'are for why, map or serve')):
        done = subprocess.run([info, *arguments], capture_output=True, text=True, check=False, timeout=GIVE_UP)
        check(done.returncode == status and text in done.stderr and done.stderr.count('\n') == 1,
              f'{arguments}: {done.returncode}, {done.stderr}')
    with socket.create_server(('127.0.0.1', 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run([info, f'--port={port}', 'serve'], capture_output=True, text=True, check=False,
                              timeout=GIVE_UP)
        check(done.returncode == 1 and f'127.0.0.1:{port}: cannot listen: Address already in use' in done.stderr,
              done.stderr)


def http_is_strict(build):
    """only GET and HEAD from this machine are answered"""
    with served(build) as (_, server):
        for path, kind in (('/', 'text/html; charset=utf-8'), ('/state.json', 'application/json'),
                           ('/metrics', 'text/plain; version=0.0.4; charset=utf-8')):
            status, headers, text = server.ask(path)
            check(status == 200 and headers['Content-Type'] == kind, f'{path}: {status}, {headers}')
            check(headers['Cache-Control'] == 'no-store' and headers['X-Content-Type-Options'] == 'nosniff', str(headers))
            check("default-src 'none'" in headers['Content-Security-Policy'] and
                  'unsafe' not in headers['Content-Security-Policy'], str(headers))
            check('Access-Control-Allow-Origin' not in headers, str(headers))
            status, headers, head = server.ask(path, 'HEAD')
            check(status == 200 and head == '' and int(headers['Content-Length']) > 0, f'HEAD {path}: {status}')
        check(re.findall(r"nonce-(\w{32})'", server.ask('/')[1]['Content-Security-Policy'])[0] !=
              re.findall(r"nonce-(\w{32})'", server.ask('/')[1]['Content-Security-Policy'])[0], 'a nonce twice')
        for method in ('POST', 'PUT', 'DELETE', 'OPTIONS', 'TRACE', 'PATCH'):
            status, headers, _ = server.ask('/metrics', method, body='x' if method != 'TRACE' else None)
            check(status == 405 and headers['Allow'] == 'GET, HEAD', f'{method}: {status}')
        for path in ('/nothing', '/..', '/metrics/', '//metrics'):
            check(server.ask(path)[0] == 404, path)
        for host in ('localhost', 'LOCALHOST:80', '127.0.0.1', f'127.0.0.1:{server.port}'):
            check(server.ask('/metrics', host=host)[0] == 200, host)
        for host in ('evil.example', 'localhost.evil.example', '127.0.0.1.evil.example', '127.0.0.1:', 'localhost:1x',
                     '', '0.0.0.0', '127.0.0.10'):
            check(server.ask('/metrics', host=host)[0] == 403, f'Host: {host}')


def loopback_only(build):
    """it listens on 127.0.0.1 only"""
    with served(build) as (_, server):
        with open('/proc/net/tcp', encoding='ascii') as file:
            local = [line.split()[1] for line in file if line.split()[3] == '0A']
        check(f'0100007F:{server.port:04X}' in local and f'00000000:{server.port:04X}' not in local, str(local))
        with open('/proc/net/tcp6', encoding='ascii') as file:
            check(not any(line.split()[1].endswith(f':{server.port:04X}') for line in file), 'IPv6')


def idle_connections(build):
    """idle connections and odd requests do not keep others out"""
    with served(build) as (_, server):
        idle = [socket.create_connection(('127.0.0.1', server.port)) for _ in range(70)]
        wait_for('an answer beside idle connections', lambda: answers(server))
        for one in idle:
            one.close()
        for junk in (b'\0' * 100, b'GET / HTTP/9.9\r\n\r\n', b'GET ' + b'a' * 100000 + b' HTTP/1.1\r\nHost: localhost\r\n\r\n'):
            with socket.create_connection(('127.0.0.1', server.port)) as one, contextlib.suppress(OSError):
                one.sendall(junk)
                one.settimeout(GIVE_UP)
                check(b' 200 ' not in one.recv(4096), f'{junk[:20]} was answered')
        wait_for('an answer after odd requests', lambda: answers(server))


def answers(server):
    with contextlib.suppress(OSError, http.client.HTTPException):
        return server.ask('/metrics')[0] == 200
    return False


def metrics_are_read(build):
    """a parser of Prometheus reads the metrics, and they are right"""
    with served(build, 'zone nic0 256', f'zone {ODD_OWNER} 64', 'map 512', 'refuse', 'fill 40') as (mapper, server):
        families = server.metrics()
        program = {'pid': str(mapper.pid), 'program': 'serve-mapper'}
        container = {**program, 'container': 'default'}
        check(value(families, 'gantry_up', **program) == 1, 'up')
        check(value(families, 'gantry_container_domains', **container) == 2, 'domains')
        check(value(families, 'gantry_container_devices', **container) == 3, 'devices')
        check(value(families, 'gantry_device_info', device='0000:81:00.0', **container) == 1, 'a device')
        entries = value(families, 'gantry_container_entries_used', **container)
        check(entries == 2 + 1 + 40, f'{entries} entries')
        check(value(families, 'gantry_container_entries_left', **container) == 65535 - entries, 'entries left')
        check(value(families, 'gantry_container_zone_bytes', **container) == 320 << 10, 'zones')
        check(value(families, 'gantry_container_space_bytes', kind='zone', **container) == 320 << 10, 'zones')
        check(value(families, 'gantry_container_space_bytes', kind='mapping', **container) == 672 << 10, 'mappings')
        check(value(families, 'gantry_container_refused', call='map', errno='EINVAL', **container) == 2, 'refused maps')
        check(value(families, 'gantry_container_refused', call='reserve', errno='ENOSPC', **container) == 1, 'refused')
        owners = {one.labels['owner']: one.value for one in families['gantry_owner_bytes'].samples}
        check(owners == {'nic0': 256 << 10, ODD_OWNER: 64 << 10}, f'owners {owners}')
        maps = value(families, 'gantry_call_duration_seconds', 'gantry_call_duration_seconds_count', call='map')
        check(maps == 43, f'{maps} maps')
        kernel = value(families, 'gantry_kernel_call_duration_seconds', 'gantry_kernel_call_duration_seconds_count',
                       call='map')
        check(kernel == value(families, 'gantry_container_kernel_maps', **container) == 2 * 43, f'{kernel} by the kernel')
        check_histograms(families)
        text = server.ask('/metrics')[2]
        for name in re.findall('^# TYPE (\\S+) ', text, re.M):
            check(text.count(f'# TYPE {name} ') == text.count(f'# HELP {name} ') == 1, f'{name}: HELP and TYPE')
        samples = [line.rsplit(' ', 1)[0] for line in text.splitlines() if not line.startswith('#')]
        check(len(samples) == len(set(samples)), 'a sample twice')


def check_histograms(families):
    for family in families.values():
        check(family.type != 'unknown' and family.documentation, f'{family.name}: no type or help')
        check(all(name.startswith('gantry_') for name in (one.name for one in family.samples)), family.name)
        if family.type != 'histogram':
            continue
        by_call = {}
        for one in family.samples:
            by_call.setdefault(one.labels['call'], {})[one.labels.get('le', one.name.rsplit('_', 1)[1])] = one.value
        for call, parts in by_call.items():
            bounds = [float(le) for le in parts if le not in ('sum', 'count')]
            counts = [count for le, count in parts.items() if le not in ('sum', 'count')]
            check(len(bounds) == 28 and bounds == sorted(bounds) and bounds[-1] == float('inf'), f'{call}: {bounds}')
            check(abs(bounds[0] - 256e-9) < 1e-15 and abs(bounds[12] - 2 ** 20 / 1e9) < 1e-12, f'{call}: {bounds}')
            check(counts == sorted(counts) and counts[-1] == parts['count'], f'{call}: {counts}')
            check(parts['sum'] > 0 or parts['count'] == 0, f'{call}: {parts}')


def many_clients(build):
    """many clients at a time ask the program once a second"""
    with served(build, 'fill 100') as (_, server), concurrent.futures.ThreadPoolExecutor(16) as pool:
        before, begin = server.state()['reads'], time.monotonic()
        done = list(pool.map(lambda _: server.ask('/state.json')[0], range(200)))
        check(done == [200] * 200, 'an answer is missing')
        reads, seconds = server.state()['reads'] - before, time.monotonic() - begin
        check(reads <= seconds + 1, f'{reads} questions in {seconds:.1f} s')
        time.sleep(1.1)
        check(server.state()['reads'] > before, 'it asks no more')


def programs_end(build):
    """a program that ends is shown as gone, and another one is found"""
    with ending(Server(build)) as server:
        with ending(Mapper(build)) as first:
            first.do('map 64')
            told = wait_for('the first', lambda: server.program(first.pid))
            check(told['state'] == 'running' and told['name'] == 'serve-mapper', str(told)[:300])
            first.process.kill()
            first.process.wait()
            told = wait_for('the end', lambda: gone(server, first.pid))
            check(told['containers'][0]['mapped_bytes'] == 64 << 10, 'what it told last')
            families = server.metrics()
            check(value(families, 'gantry_up', pid=str(first.pid)) == 0, 'up')
            check(not [one for one in families['gantry_container_mapped_bytes'].samples
                       if one.labels['pid'] == str(first.pid)], 'figures of a program that has ended')
            with ending(Mapper(build)) as second:
                wait_for('the second', lambda: server.program(second.pid))
                check(server.program(first.pid)['state'] == 'gone', 'the first')
    check(server.process.returncode == 0, 'the server')


def gone(server, pid):
    told = server.program(pid)
    return told if told['state'] == 'gone' else None


def stopped_program(build):
    """a program that does not answer is told from others, and answers again"""
    with served(build, 'map 64') as (mapper, server):
        check(server.program(mapper.pid)['state'] == 'running', 'it runs')
        mapper.process.send_signal(signal.SIGSTOP)
        wait_for('silence', lambda: server.program(mapper.pid)['state'] == 'silent')
        begin = time.monotonic()
        told = server.program(mapper.pid)
        check(time.monotonic() - begin < 1, 'it is asked again and again')
        check(told['containers'][0]['mapped_bytes'] == 64 << 10, 'what it told last')
        mapper.process.send_signal(signal.SIGCONT)
        wait_for('an answer', lambda: server.program(mapper.pid)['state'] == 'running')
        check(server.program(mapper.pid)['containers'][0]['parts'][0]['start'] == '0x0', 'an answer of another question')


def signals_end_it(build):
    """SIGINT and SIGTERM end it with status 0"""
    for number in (signal.SIGINT, signal.SIGTERM):
        with ending(Server(build)) as server:
            with socket.create_connection(('127.0.0.1', server.port)):
                check(server.end(number) == 0, f'{number}: status {server.process.returncode}')


def terminal(build):
    """domains and nodes are drawn in the terminal"""
    with ending(Mapper(build)) as mapper:
        mapper.do('zone nic0 256')
        done = subprocess.run([build + '/app/info/gantry-info', 'map', str(mapper.pid)], capture_output=True, text=True,
                              check=True, timeout=GIVE_UP)
        for text in ('\n  domain 0\n    0000:01:00.0', '\n  domain 1\n    0000:81:00.0: group 1', '256 KiB nic0\n'):
            check(text in done.stdout, f'{text!r} is not in {done.stdout}')


def dashboard_names(build):
    """each expression of the dashboard names metrics that there are"""
    with open(DASHBOARD, encoding='utf-8') as file:
        dashboard = json.load(file)
    with served(build, 'zone nic0 256', 'refuse') as (_, server):
        text = server.ask('/metrics')[2]
    types = dict(re.findall('^# TYPE (\\S+) (\\S+)$', text, re.M))
    there = set(types) | {name + suffix for name, kind in types.items() if kind == 'histogram'
                          for suffix in ('_bucket', '_sum', '_count')}
    labels = {name: set() for name in there}
    for name, inside in re.findall(r'^(\w+)\{(.*)\} ', text, re.M):
        labels[name] |= set(re.findall(r'(\w+)="', inside))
    expressions = [target['expr'] for panel in dashboard['panels'] for target in panel.get('targets', [])]
    expressions += [one['query']['query'] for one in dashboard['templating']['list'] if one['type'] == 'query']
    check(len(expressions) > 10, f'{len(expressions)} expressions')
    for expression in expressions:
        names = re.findall(r'\bgantry_\w+', expression)
        check(names and set(names) <= there, f'{expression}: no metric {set(names) - there}')
        used = set(re.findall(r'(\w+)\s*=~?"', expression))
        for group in re.findall(r'by \(([^)]*)\)', expression):
            used |= {one.strip() for one in group.split(',')}
        check(all(used <= labels[name] | {'le'} for name in names), f'{expression}: no label {used}')


def documented(build):
    """the document names each metric, and no other"""
    with open(TREE + '/doc/monitoring.md', encoding='utf-8') as file:
        document = set(re.findall(r'\bgantry_\w+', file.read()))
    with served(build) as (_, server):
        there = set(re.findall('^# TYPE (\\S+) ', server.ask('/metrics')[2], re.M))
    check(document == there, f'only in one of both: {document ^ there}')


BACKGROUNDS = {'light': 'rgb(255, 255, 255)', 'dark': 'rgb(13, 17, 23)'}
COUNT = 'document.querySelectorAll("rect").length'
VIEW = 'document.querySelector("svg").getAttribute("viewBox").split(" ").map(Number)'


def page_in_a_browser(build):
    """the page shows in light and dark what the program has, and follows it"""
    with contextlib.ExitStack() as stack:
        mapper, server = stack.enter_context(served(build, 'zone nic0 2048', 'zone nic1 4096', f'zone {ODD_OWNER} 64',
                                                    'map 512', 'refuse', 'fill 6'))
        try:
            browser = stack.enter_context(Browser())
        except NoBrowser as reason:
            raise Skip(str(reason)) from None
        parts = len(server.program(mapper.pid)['containers'][0]['parts'])
        for scheme, background in BACKGROUNDS.items():
            browser.open(server.url, scheme)
            wait_for('the picture', lambda: browser.run(COUNT) == parts)
            check(browser.run('getComputedStyle(document.body).backgroundColor') == background, f'{scheme} is not')
            check(browser.run('document.querySelectorAll(".domains .card").length') == 2, 'domains')
            text = browser.run('document.body.innerText')
            for word in (f'Process {mapper.pid} (serve-mapper)', 'domain 1', '0000:81:00.0', ODD_OWNER, 'EINVAL', 'node 0'):
                check(word in text, f'{word} is not in {text}')
            fill = browser.run('getComputedStyle(document.querySelector("rect[data-kind=zone]")).fill')
            check(fill == {'light': 'rgb(26, 127, 55)', 'dark': 'rgb(63, 185, 80)'}[scheme], f'{scheme}: {fill}')
        zoom_stays(browser, mapper, parts)
        mapper.process.kill()
        wait_for('the end', lambda: browser.run('document.querySelector("section").dataset.state') == 'gone')
        check(browser.run(COUNT) > parts, 'what it told last')
        check(not browser.complaints, f'console: {browser.complaints}')
        # A browser logs that itself.
        server.end()
        wait_for('the end of the server', lambda: 'does not answer' in browser.run('document.body.innerText'))


def pictures_save(build, folder):
    """Puts pictures of the page into a folder, for the documents."""
    commands = ('zone rx 4096', 'zone tx 2048', 'zone rings 128', 'map 512', 'refuse', 'fill 6')
    with served(build, *commands) as (mapper, server), Browser() as browser:
        for scheme in BACKGROUNDS:
            browser.open(server.url, scheme)
            wait_for('the picture', lambda: server.program(mapper.pid) and browser.run(COUNT) > 6)
            with open(f'{folder}/serve-{scheme}.png', 'wb') as file:
                file.write(base64.b64decode(browser.picture()))


def zoom_stays(browser, mapper, parts):
    """Zooms in, lets the program map more, and looks at the same place."""
    whole = browser.run(VIEW)[2]
    box = browser.run('(box => [box.x + box.width / 2, box.y + 50])(document.querySelector("svg").getBoundingClientRect())')
    for _ in range(4):
        browser.wheel(*box, -100)
    wait_for('the zoom', lambda: browser.run(VIEW)[2] < whole / 2)
    at = 'addressAtLeft = () => { const view = %s; return [...document.querySelectorAll("rect")].filter(one => ' \
         '+one.getAttribute("x") <= view[0]).pop().textContent.split("\\n")[1]; }; addressAtLeft()' % VIEW
    before = browser.run(at)
    browser.run('document.querySelector("details").open = true')
    mapper.do('zone nic2 128')
    wait_for('more parts', lambda: browser.run(COUNT) != parts)
    check(browser.run(VIEW)[2] < whole * 0.75, 'the zoom is lost')
    check(browser.run(at).split()[0] <= before.split()[2] and before.split()[0] <= browser.run(at).split()[2],
          f'another place: {before}, {browser.run(at)}')
    check(browser.run('document.querySelector("details").open'), 'the list is closed')
    check(browser.run('document.querySelectorAll("details tr").length') == browser.run(COUNT) + 1, 'rows of the list')


def saved_page(build):
    """a page in a file shows the same"""
    with contextlib.ExitStack() as stack:
        mapper = stack.enter_context(ending(Mapper(build)))
        mapper.do('zone nic0 256')
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        subprocess.run([build + '/app/info/gantry-info', f'--html={directory}/page.html', 'map', str(mapper.pid)],
                       check=True, timeout=GIVE_UP)
        try:
            browser = stack.enter_context(Browser())
        except NoBrowser as reason:
            raise Skip(str(reason)) from None
        browser.open(f'file://{directory}/page.html', 'light')
        check(browser.run(COUNT) > 3, 'parts')
        check(browser.run('document.querySelector("h1").textContent') == f'Process {mapper.pid} (serve-mapper)', 'title')
        check(browser.run('document.querySelectorAll(".domains .card").length') == 2, 'domains')
        check(not browser.complaints, f'console: {browser.complaints}')


CASES = (wrong_command_lines, http_is_strict, loopback_only, idle_connections, metrics_are_read, many_clients,
         programs_end, stopped_program, signals_end_it, terminal, dashboard_names, documented, page_in_a_browser,
         saved_page)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('build')
    parser.add_argument('--pictures', help='put pictures of the page into this folder, and test nothing')
    parser.add_argument('--case', default='', help='only cases whose name has this text')
    options = parser.parse_args()
    if options.pictures:
        pictures_save(os.path.abspath(options.build), options.pictures)
        return 0
    counts = {'passed': 0, 'failed': 0, 'skipped': 0}
    for case in CASES:
        name = f'info serve: {case.__doc__}'
        if options.case not in name:
            continue
        try:
            case(os.path.abspath(options.build))
            result, text = 'passed', f'ok      {name}'
        except Skip as reason:
            result, text = 'skipped', f'skip    {name}: {reason}'
        except (Failure, OSError, subprocess.SubprocessError, KeyError, ValueError) as failure:
            result, text = 'failed', f'FAILED  {name}: {failure!r}'
        counts[result] += 1
        print(text, flush=True)
    print(', '.join(f'{count} {result}' for result, count in counts.items()))
    return counts['failed'] > 0


if __name__ == '__main__':
    sys.exit(main())
