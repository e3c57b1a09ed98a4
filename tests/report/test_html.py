"""The page of an operator: what it says, that it stands alone, and that a browser draws it."""

import json
import re
import shutil
import subprocess
import tomllib
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tiletwin.cli import main
from tiletwin.harness.compare import compare
from tiletwin.harness.memory_map import lives
from tiletwin.harness.registry import operators
from tiletwin.report.html import timeline as drawing
from tiletwin.report.html.page import Beside, page
from tiletwin.report.html.records import first_table
from tiletwin.sanitize.findings import Verdict
from tiletwin.sim.result import Slice, Timeline

NOTHING = Beside({}, None)
SECTIONS = ('answers', 'findings', 'compare', 'source', 'timeline', 'memory', 'roofline', 'stalls', 'mutations', 'fidelity')
QUESTIONS = ('Is it right?', 'Is it safe?', 'What limits it?', 'What differs between the modes?')
CASES = {'matmul.mkkn_gemm': 'source', 'flash_attn.full': 'source', 'softmax': 'minimum'}


@pytest.fixture(autouse=True)
def _here():
    """Pages are made once, from wherever the tests run."""


def run(name, case, modes=('developer', 'expert')):
    op, ran = operators()[name], {}
    chip = 'a3' if 'a3' in op.chips else op.chips[0]
    chosen = next(c for c in op.cases if c.name == case)
    found = compare(op, chosen, chip, modes, ran)
    return found, {mode: r.launches for mode, r in ran.items()}, chosen.sizes


@pytest.fixture(scope='module')
def made():
    """Comparison, launches and page of every case, made once."""
    out = {}
    for name, case in CASES.items():
        parts = run(name, case)
        out[name] = *parts, page(*parts, NOTHING)
    return out


class Reader(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.words, self.inside = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag in ('script', 'style'):
            self.inside.append(tag)

    def handle_endtag(self, tag):
        if self.inside and self.inside[-1] == tag:
            self.inside.pop()

    def handle_data(self, data):
        if not self.inside:
            self.words.append(data)

    @property
    def text(self):
        return ' '.join(' '.join(self.words).split())


@pytest.fixture(params=CASES)
def one(request, made):
    return made[request.param]


# -- what it says --------------------------------------------------------------------------------------------------------
def test_every_section_is_there_and_every_link_leads_to_one(one):
    tags = Reader(one[3]).tags
    ids = {a.get('id') for _, a in tags}
    assert set(SECTIONS) <= ids
    assert {a['href'].removeprefix('#') for tag, a in tags if tag == 'a'} <= ids


def test_it_needs_nothing_from_outside(one):
    assert not [a for tag, a in Reader(one[3]).tags if tag in ('link', 'img', 'iframe') or 'src' in a]
    assert not re.search(r'@import|url\(|https?://(?!www\.w3\.org/2000/svg)', one[3])


def test_it_is_the_same_every_time(one):
    assert page(*one[:3], NOTHING) == one[3]


def test_the_first_screen_answers_four_questions(one):
    found, _, _, text = one
    said = Reader(text).text
    assert all(q in said for q in QUESTIONS) and 'right and clean' in said
    for m in found.modes:
        assert f'{m.mode}: {m.limits.bound}' in said and f'{m.cost.microseconds:.2f}' in said


def test_times_are_called_modelled_and_never_measured(one):
    said = Reader(one[3]).text
    assert said.count('modelled') >= 8
    assert re.findall(r'\S+ \S+ measured', said) == ['none is measured']


def test_the_largest_page_stays_small(made):
    assert len(made['flash_attn.full'][3].encode()) < 3_000_000


def test_a_wrong_or_unsafe_kernel_is_not_called_right(made, verdict):
    found, launches, sizes, _ = made['softmax']
    racy = replace(found, modes=tuple(replace(m, verdict=verdict) if m.mode == 'expert' else m for m in found.modes))
    raced = {**launches, 'expert': [replace(launches['expert'][0], verdict=verdict)]}
    said = Reader(page(racy, raced, sizes, NOTHING)).text
    assert 'right, but not safe' in said and 'expert: error, 1 error[race], 1 review[flag]' in said
    assert 'exp reads `a` while the copy may still write it (RAW)' in said and '^^^' in said and 'T.wait_flag' in said
    wrong = replace(found, modes=tuple(replace(m, ok=False, message='output 0: 3 of 10 elements outside') for m in found.modes))
    assert '3 of 10 elements outside' in Reader(page(wrong, launches, sizes, NOTHING)).text
    doubtful = replace(found, modes=tuple(replace(m, verdict=Verdict((verdict.findings[0],))) for m in found.modes))
    assert 'right, with reservations' in Reader(page(doubtful, launches, sizes, NOTHING)).text


def test_one_mode_alone_makes_a_page():
    parts = run('softmax', 'minimum', ('expert',))
    said = Reader(page(*parts, NOTHING)).text
    assert 'twins not compared: one mode was asked for' in said


def test_what_is_on_record_is_shown_and_what_is_not_says_how_to_get_it(made):
    found, launches, sizes, text = made['softmax']
    assert 'tiletwin mutate softmax' in Reader(text).text
    outcome = {'at': 'ops/expert/softmax.py:9', 'change': 'delete', 'mutant': 'delete wait_flag', 'why': 'every pipe executes the same queue'}
    record = {'chip': 'a3', 'score': 100.0, 'mutants': 12, 'caught': 11, 'redundant': 1, 'survived': 0, 'by': {'racecheck': 11}, 'survivors': [],
              'redundant_list': [outcome]}
    table = first_table('# Page\n\ntext\n\n## Known schedules\n\n| category | rows | MAPE |\n|---|---:|---:|\n| GEMM | 9 | 4.2 % |\n\n| x |\n|---|\n| 1 |\n')
    assert table == {'title': 'Known schedules', 'headings': ['category', 'rows', 'MAPE'], 'rows': [['GEMM', '9', '4.2 %']]}
    assert first_table('no table') is None
    said = Reader(page(found, launches, sizes, Beside({'expert': record}, table))).text
    assert '11 caught, 1 proven redundant, 0 survived' in said and 'delete wait_flag: every pipe executes the same queue' in said
    assert 'GEMM 9 4.2 %' in said and 'Known schedules: the cost model' in said


def test_every_line_that_costs_cycles_stands_in_the_source(made):
    _, launches, _, text = made['matmul.mkkn_gemm']
    rows = re.findall(r'title="works (\d+), waits (\d+) cycles"><td class="no">(\d+)</td>', text)
    for mode in launches:
        spent = {}
        for s in launches[mode][0].timeline.slices:
            if s.kind == 'op':
                spent[s.span.line] = spent.get(s.span.line, 0.0) + s.end - s.start
        shown = {int(line): int(work) for work, _, line in rows}
        assert all(shown[line] == round(cycles) for line, cycles in spent.items())


def test_every_tenant_of_a_memory_is_a_rectangle(made):
    _, launches, _, text = made['matmul.mkkn_gemm']
    wanted = [x for mode in launches for x in lives(launches[mode][0].timeline)]
    assert len(re.findall(r'<title>[^<]* to \d+ cycles \(modelled\)</title>', text)) == len(wanted)


def test_the_wheel_carries_every_file_a_page_is_made_of():
    root = Path(__file__).resolve().parents[2]
    patterns = tomllib.loads((root / 'pyproject.toml').read_text(encoding='utf-8'))['tool']['setuptools']['package-data']['tiletwin.report.html']
    for path in (root / 'tiletwin' / 'report' / 'html').iterdir():
        assert path.suffix == '.py' or path.is_dir() or any(path.match(p) for p in patterns), path.name


# -- the data of the timeline --------------------------------------------------------------------------------------------
def packed(text, mode):
    block = text[text.index(f'id="timeline-{mode}"'):]
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', block, re.S).group(1))


def test_the_timeline_holds_every_slice_and_every_arrow(one):
    _, launches, _, text = one
    for mode, found in launches.items():
        timeline = max(found, key=lambda x: x.cycles).timeline
        d = packed(text, mode)
        rows = [d['slices'][i:i + 9] for i in range(0, len(d['slices']), 9)]
        assert len(rows) == len(timeline.slices) and len(d['arrows']) == 3 * len(timeline.arrows)
        for row, s in zip(rows, timeline.slices):
            assert d['tracks'][row[0]]['name'] == f'{s.core} {s.pipe}' and abs(row[1] - 10 * s.start) <= 0.5
            assert d['lines'][row[5]].endswith(f':{s.span.line}') and row[7] == s.bytes


def long_timeline(n):
    return Timeline([Slice('AIC', 'M', 10.0 * i, 10.0 * i + 5, 'mma', None) for i in range(n)], [], 10.0 * n)


def test_of_a_long_block_both_ends_and_the_middle_are_drawn():
    slices = long_timeline(1000).slices
    found = drawing.windows(slices, 10000.0, limit=100)
    assert found == [(0.0, 250.0), (4750.0, 5250.0), (9750.0, 10000.0)]
    assert sum(a <= s.start <= b for s in slices for a, b in found) <= 1.05 * 100
    assert drawing.windows(slices[:100], 1000.0, limit=100) == [(0.0, 1000.0)]


def test_the_overview_shows_the_busy_share_of_every_stretch():
    timeline = Timeline([Slice('AIC', 'M', 0.0, 60.0, 'mma', None), Slice('AIC', 'M', 119.5, 120.0, 'mma', None)], [], 600.0)
    (row,) = drawing._bins(timeline.slices, {('AIC', 'M'): 0}, 600.0)
    assert row[:60] == '9' * 60 and row[60:119] == '0' * 59 and row[119] == '5' and set(row[120:]) == {'0'}


# -- in a browser --------------------------------------------------------------------------------------------------------
CHROMIUM = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason='no chromium on this machine: apt-get install chromium')
QUIET = ('--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update',
         '--disable-sync', '--disable-dev-shm-usage', '--hide-scrollbars')
PROBE = """<script>
const root = document.documentElement, out = {};
out.wide = root.scrollWidth - root.clientWidth;
out.cut = [...document.querySelectorAll('section, .pair > div, .answer, .roof > div, .figures, .wide, .memory')]
  .filter(x => x.scrollWidth > x.clientWidth + 1).map(x => x.id || x.className);
out.seen = [...document.querySelectorAll('.timeline')].map(box => {
  const main = box.querySelector('canvas.main'), about = box.querySelector('.about'), tip = box.querySelector('.tip'), at = main.getBoundingClientRect();
  const point = (type, x, y, more) => main.dispatchEvent(new PointerEvent(type, { clientX: at.left + x, clientY: at.top + y, bubbles: true, pointerId: 1, ...more }));
  const texts = {}, press = go => { box.querySelector(`[data-go=${go}]`).click(); texts[go] = about.textContent; };
  ['whole', 'closer', 'start', 'end', 'whole'].forEach(press);
  let tips = 0;
  for (let y = 30; y < at.height; y += 13) for (let x = 100; x < at.width; x += 17) { point('pointermove', x, y); if (!tip.hidden) { tips++; texts.tip = tip.textContent; } }
  main.dispatchEvent(new KeyboardEvent('keydown', { key: '+', bubbles: true })); texts.key = about.textContent;
  const pixels = main.getContext('2d').getImageData(0, 0, main.width, main.height).data;
  let inked = 0;
  for (let i = 0; i < pixels.length; i += 4) if (pixels[i + 3] > 0 && Math.min(pixels[i], pixels[i + 1], pixels[i + 2]) < 200) inked++;
  return { drawn: +box.dataset.drawn, tips, inked, texts };
});
root.dataset.probe = JSON.stringify(out);
</script>"""


def browser(folder, text, *options):
    file = folder / 'page.html'
    file.write_text(text, encoding='utf-8')
    done = subprocess.run([CHROMIUM, *QUIET, f'--user-data-dir={folder / "profile"}', '--window-size=1366,768', *options, file.as_uri()],
                          capture_output=True, text=True, timeout=150, check=True)
    return done.stdout


@needs_browser
@pytest.mark.parametrize('name', CASES)
def test_a_browser_draws_it_and_its_controls_work(made, name, tmp_path):
    _, launches, _, text = made[name]
    dom = browser(tmp_path, text.replace('</body>', PROBE + '</body>'), '--dump-dom')
    root = next(a for tag, a in Reader(dom).tags if tag == 'html')
    assert root.get('data-ready') == 'yes' and 'data-errors' not in root
    found = json.loads(root['data-probe'])
    assert found['wide'] <= 0, 'the page scrolls sideways at 1366 pixels'
    assert found['cut'] == [], 'something is wider than its place'
    assert [x['drawn'] for x in found['seen']] == [len(max(own, key=lambda x: x.cycles).timeline.slices) for own in launches.values()]
    for x, own in zip(found['seen'], launches.values()):
        whole = max(own, key=lambda x: x.cycles)
        us = whole.timeline.cycles / (1e-6 + whole.cycles) * whole.microseconds
        assert x['texts']['whole'].startswith(f'0.00 to {us:.2f} µs')
        assert len({x['texts'][k] for k in ('whole', 'closer', 'start', 'end', 'key')}) == 5
        assert x['tips'] > 20 and '(modelled)' in x['texts']['tip'] and x['inked'] > 2000


@needs_browser
def test_an_error_of_the_script_is_shown_where_the_timeline_would_be(made, tmp_path):
    text = re.sub(r'("slices":\[)', r'"slices":null,"other":[', made['softmax'][3])
    dom = browser(tmp_path, text, '--dump-dom')
    assert 'could not be drawn' in dom and 'data-errors' in dom


@needs_browser
def test_it_prints(made, tmp_path):
    browser(tmp_path, made['softmax'][3], '--no-pdf-header-footer', f'--print-to-pdf={tmp_path / "page.pdf"}')
    paper = (tmp_path / 'page.pdf').read_bytes()
    assert paper.startswith(b'%PDF') and 4 <= len(re.findall(rb'/Type /Page\b', paper)) <= 20


# -- the command ---------------------------------------------------------------------------------------------------------
def test_the_command_writes_the_page(tmp_path, capsys):
    path = tmp_path / 'softmax.html'
    assert main(['report', 'softmax', '--case', 'minimum', '-o', str(path)]) == 0
    assert 'softmax minimum on a3, developer, expert' in capsys.readouterr().out
    assert path.read_text(encoding='utf-8').startswith('<!doctype html>')


@pytest.mark.parametrize('argv, says', [
    (['nothing'], "no operator 'nothing'"), (['all'], 'one operator at a time'), (['softmax', '--case', 'none'], "no case 'none'"),
    (['softmax', '--mode', 'wild'], '--mode wild'), (['softmax', '--arch', 'h100'], "unknown chip 'h100'"),
    (['flash_attn.full', '--arch', 'a5'], 'not written for a5'), (['softmax', '-o', 'nowhere/x.html'], "no folder 'nowhere'"),
])
def test_usage_errors_leave_no_file(argv, says, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(['report', *argv]) == 2
    assert says in capsys.readouterr().err and not list(tmp_path.iterdir())
