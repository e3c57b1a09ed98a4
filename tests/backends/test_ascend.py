"""The native backend against a fake of the fork's Python surface: nothing here runs a kernel, everything around a kernel does run."""

import ast
import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from tiletwin.backends.npu import L2_FLUSH_BYTES, WARMUP, chip_of_device
from tiletwin.errors import EnvironmentError_
from tiletwin.harness.lint.run import ops_files
from tiletwin.harness.lint.source import dotted, kernels
from tiletwin.harness.registry import operators

ROOT = Path(__file__).resolve().parents[2]
FAKE = ROOT / 'tests' / 'backends' / 'fake_fork'
DEVICES = {'a2': 'Ascend910B1', 'a3': 'Ascend910_9392', 'a5': 'Ascend950PR_9572'}


def a_library():
    """Some shared library of this machine, to stand for the toolkit's."""
    for line in Path('/proc/self/maps').read_text().splitlines():
        path = line.split()[-1]
        if Path(path).name.startswith(('libc.so', 'libc-')):
            return path
    pytest.skip('no libc among the mapped files')


@pytest.fixture(scope='session')
def cann(tmp_path_factory):
    """A folder like the toolkit's: a version, and a runtime library that can be loaded."""
    home = tmp_path_factory.mktemp('cann')
    (home / 'version.cfg').write_text('Version=8.5.0\n')
    (home / 'libascendcl.so').symlink_to(a_library())
    return home


def environment(cann=None, **more):
    found = {k: v for k, v in os.environ.items() if not k.startswith(('TL_', 'TILETWIN_', 'ASCEND', 'TORCH_DEVICE'))}
    found |= {'PYTHONPATH': f'{FAKE}{os.pathsep}{ROOT}', 'PYTHONDONTWRITEBYTECODE': '1'}
    if cann is not None:
        found |= {'ASCEND_HOME_PATH': str(cann), 'LD_LIBRARY_PATH': str(cann)}
    return found | {k: str(v) for k, v in more.items()}


def python(*args, env):
    return subprocess.run([sys.executable, *map(str, args)], env=env, cwd=ROOT, capture_output=True, text=True)


def printed(code, env):
    done = python('-c', code, env=env)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# -- every kernel of ops, as the fork gets it ----------------------------------------------------------------------------
@pytest.fixture(scope='session', params=list(DEVICES))
def offered(request, cann):
    done = python(FAKE.parent / 'drive.py', env=environment(cann, FAKE_NPU_NAME=DEVICES[request.param]))
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document['chip'] == request.param and document['language'] == 'tilelang.language'
    return document


def written_options():
    """The decorators of the kernel files, as they stand in the source."""
    presets = {}
    exec((ROOT / 'pass_configs' / '__init__.py').read_text(), presets)
    found = {}
    for file in ops_files():
        for k in kernels(file):
            options = {name: presets[dotted(node)] if isinstance(node, ast.Name) else ast.literal_eval(node) for name, node in k.options.items()}
            found[file, k.factory.name] = options
    return found


def test_every_operator_of_the_chip_is_offered_in_both_modes(offered):
    chip = offered['chip']
    assert {(r['operator'], r['mode']) for r in offered['rows']} == {(o.name, m) for o in operators().values() if chip in o.chips for m in o.modes}


def test_the_fork_is_asked_with_the_arguments_of_the_decorator(offered):
    chip, wanted, asked = offered['chip'], written_options(), 0
    for row in offered['rows']:
        for call in (c for c in row['calls'] if c['kind'] == 'jit'):
            source = wanted[call['file'], call['factory']]
            asked += 1
            assert call['platform'] == source.get('platform', chip.upper())
            assert call['target'] == ('pto' if chip == 'a5' else 'ascendc')
            for name in ('out_idx', 'workspace_idx', 'pass_configs'):
                assert call[name] == source.get(name), (row['operator'], name)
            assert (call['target_host'], call['execution_backend'], call['verbose'], call['debug_root_path']) == (None, 'cython', False, None)
    assert asked >= len(offered['rows'])


def test_operators_take_and_return_npu_tensors(offered):
    for row in offered['rows']:
        assert set(row['devices']) == {'npu'} and all(row['shapes']) and all(row['dtypes']), row['operator']
        assert [c['kind'] for c in row['calls'] if c['kind'] not in ('jit', 'launch')] == [], 'a call waits for nothing'
        assert row['last'] is None, 'only a simulated launch has a verdict'


def test_every_kernel_of_ops_is_offered_on_some_chip(request):
    names = {(file, name) for file, name in written_options()}
    assert len(names) >= 30 and {o.chips for o in operators().values()} and set(DEVICES) == {c for o in operators().values() for c in o.chips}


# -- arguments -----------------------------------------------------------------------------------------------------------
KERNEL = '''
import json, os, sys, fake_log, tiletwin
from tiletwin import language as T
def factory(n):
    @T.prim_func
    def main(X: T.Tensor((n, 4), 'float16'), W: T.Tensor((n, 4), 'float16'), Y: T.Tensor((n, 4), 'float16')):
        with T.Kernel(1, is_npu=True) as (cid, vid):
            pass
    return main
'''


CODE = {
    'jit': """
k = tiletwin.jit(out_idx=-1, workspace_idx=[1], target='pto', platform='A3', verbose=True, debug_root_path='here',
                 pass_configs={tiletwin.PassConfigKey.TL_ASCEND_AUTO_SYNC: True, 'tl.Simplify': False})(factory)
assert type(k(8)).__module__ == 'tilelang.kernel' and k(8) is k(8) and k.__jit_impl__.options['out_idx'] == -1 and k.__name__ == 'factory'
answer = [c for c in fake_log.calls if c['kind'] == 'jit']
""",
    'compile': """
tiletwin.compile(factory(8), out_idx=[2], workspace_idx=1)
answer = list(fake_log.calls)
""",
    'refused': """
answer = []
assert type(tiletwin.jit(factory)(8)).__name__ == 'JITKernel'
for wrong in (lambda: tiletwin.jit(factory(8)), lambda: tiletwin.jit(target='llvm')(factory), lambda: tiletwin.jit(pass_configs={'tl.no': 1})(factory),
              lambda: tiletwin.compile(factory)):
    try:
        wrong()
    except tiletwin.TileTwinError as error:
        answer.append(type(error).__name__)
""",
    'intrinsics': """
from tiletwin.intrinsics import make_zn_layout
answer = make_zn_layout.__module__
""",
    'chips': """
from tiletwin.backends.choose import backend
answer = [backend().cores('a3')]
for ask in (lambda: backend().chip('a2'), lambda: tiletwin.jit(platform='auto')(factory)(8)):
    try:
        ask()
    except tiletwin.TileTwinError as error:
        answer.append(str(error))
    os.environ['TL_PLATFORM'] = 'A5'
""",
}
RUN = """
answers = {}
for name, code in CODE.items():
    fake_log.calls.clear()
    exec(code)
    answers[name] = answer
json.dump(answers, sys.stdout)
"""


@pytest.fixture(scope='session')
def answers(tmp_path_factory, cann):
    path = tmp_path_factory.mktemp('script') / 'script.py'
    path.write_text(f'{KERNEL}\nCODE = {CODE!r}\n{RUN}')
    done = python(path, env=environment(cann))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_argument_reaches_the_fork(answers):
    (found,) = answers['jit']
    assert {k: v for k, v in found.items() if k not in ('kind', 'file', 'factory')} == {
        'out_idx': -1, 'workspace_idx': [1], 'target': 'pto', 'target_host': None, 'platform': 'A3', 'execution_backend': 'cython', 'verbose': True,
        'pass_configs': {'tl.ascend_auto_sync': True, 'tl.Simplify': False}, 'debug_root_path': 'here'}


def test_compile_takes_a_prim_func(answers):
    (found,) = answers['compile']
    assert found['kind'] == 'compile' and (found['out_idx'], found['workspace_idx'], found['platform']) == ([2], 1, 'A3')


def test_wrong_decorations_are_refused_before_the_fork_sees_them(answers):
    assert answers['refused'] == ['DialectError', 'DialectError', 'DialectError', 'DialectTypeError']


def test_scripts_find_the_layouts_of_the_fork(answers):
    assert answers['intrinsics'] == 'tilelang.intrinsics'


def test_another_chip_than_the_device_cannot_be_asked_for(answers):
    cores, by_call, by_environment = answers['chips']
    assert cores == 20, 'the device says how many cores this bin has'
    assert "chip 'a2' on a machine with Ascend910_9392" in by_call and "TL_PLATFORM 'a5'" in by_environment


# -- capabilities --------------------------------------------------------------------------------------------------------
ASK = '''
import json
from tiletwin.backends.choose import backend
print(json.dumps([[c.name, c.ok, c.text, c.fix] for c in backend('ascend').capabilities()]))
'''
LACKS = [
    ({}, {}, 'ASCEND_HOME_PATH is not set', 'set_env.sh'),
    ({}, {'ASCEND_HOME_PATH': '/no/such/folder'}, 'is no folder', 'set_env.sh'),
    ({}, {'ASCEND_HOME_PATH': '{cann}'}, 'libascendcl.so cannot be loaded', 'set_env.sh'),
    ({'cann': True}, {'FAKE_NPU_AVAILABLE': '0'}, 'torch_npu sees no NPU', 'npu-smi info'),
    ({'cann': True}, {'FAKE_NPU_AVAILABLE': '0', 'FAKE_NPU_NAME': 'no driver'}, 'torch_npu cannot be imported: libhccl.so', 'set_env.sh'),
    ({'path': ROOT}, {}, 'mainline package', 'pip install --no-deps'),
    ({'path': ROOT}, {}, 'torch_npu is not installed', 'tiletwin[npu]'),
]


@pytest.mark.parametrize('setting, more, says, fix', LACKS, ids=[s[2][:30] for s in LACKS])
def test_what_is_missing_is_said_with_its_remedy(cann, setting, more, says, fix):
    env = environment(cann if setting.get('cann') else None, **{k: v.format(cann=cann) for k, v in more.items()})
    if 'path' in setting:
        env['PYTHONPATH'] = str(setting['path'])
    bad = [c for c in printed(ASK, env) if not c[1]]
    assert {c[0] for c in bad} >= {'run', 'time'} and any(says in c[2] and fix in c[3] for c in bad)


def test_all_there(cann):
    assert [c[:2] for c in printed(ASK, environment(cann))] == [['compile', True], ['run', True], ['time', True]]


REFUSE = '''
import json, tiletwin
from tiletwin.backends.choose import backend, simulated
from tiletwin.backends.protocol import require
said = []
for what in (lambda: require(backend(), 'run', 'softmax'), lambda: simulated('compare'), lambda: backend('cuda')):
    try:
        what()
        said.append('')
    except tiletwin.TileTwinError as error:
        said.append(str(error))
print(json.dumps([backend().name, said]))
'''


@pytest.mark.parametrize('chosen, path, name, run, compare', [
    ('', 'fake', 'ascend', 'ASCEND_HOME_PATH', 'the Ascend fork'), ('ascend', 'mainline', 'ascend', 'mainline package', 'simulated launch'),
    ('simulator', 'fake', 'simulator', 'the Ascend fork', 'the Ascend fork'), ('', 'mainline', 'simulator', '', ''),
])
def test_a_choice_is_kept_or_refused_and_never_exchanged(chosen, path, name, run, compare):
    env = environment(TILETWIN_BACKEND=chosen)
    if path == 'mainline':
        env['PYTHONPATH'] = str(ROOT)
    found, (ran, compared, unknown) = printed(REFUSE, env)
    assert found == name and 'one of simulator, ascend' in unknown
    for text, says in ((ran, run), (compared, compare)):
        assert says in text and (not says) == (not text) and (not text or 'write instead' in text)


@pytest.mark.parametrize('device, chip', [*((d, c) for c, d in DEVICES.items()), ('Ascend910B4', 'a2'), ('Ascend910C', 'a3'), ('Ascend910_9589', 'a5'),
                                          ('Ascend910A', 'a2')])
def test_the_chip_follows_the_name_of_the_device(device, chip):
    """dialect 1.3"""
    assert chip_of_device(device) == chip


def test_an_unknown_device_is_refused():
    with pytest.raises(EnvironmentError_, match='Ascend310P3'):
        chip_of_device('Ascend310P3')


# -- times and records ---------------------------------------------------------------------------------------------------
MEASURE = '''
import json, sys, fake_log
from pathlib import Path
from tiletwin.harness import measured
from tiletwin.harness.registry import operator
op = operator('softmax')
case = next(c for c in op.cases if c.name == 'minimum')
fake_log.calls.clear()
record = measured.measure(op, 'expert', case, 3)
file = Path(sys.argv[1])
measured.append(file, [record]); measured.append(file, [record])
assert [r.key for r in measured.read(file)] == [record.key] * 2
json.dump({'calls': [[c['kind'], c.get('bytes')] for c in fake_log.calls]}, sys.stdout)
'''


@pytest.fixture(scope='session')
def one_measurement(cann, tmp_path_factory):
    file = tmp_path_factory.mktemp('records') / 'measured.jsonl'
    done = python('-c', MEASURE, file, env=environment(cann, FAKE_NPU_INTERVALS='0.030,0.010,0.020'))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)['calls'], [json.loads(line) for line in file.read_text().splitlines()]


def test_every_timed_launch_starts_on_a_flushed_l2_and_stands_between_two_events(one_measurement):
    """dialect 1.8"""
    kinds = [kind for kind, _ in one_measurement[0]]
    flush = [b for kind, b in one_measurement[0] if kind == 'zero']
    body = kinds[kinds.index('jit') + 1:]
    assert body == ['launch', *['launch'] * WARMUP, *['zero', 'record', 'launch', 'record'] * 3, 'synchronize', *['elapsed'] * 3]
    assert flush == [L2_FLUSH_BYTES] * 3 and L2_FLUSH_BYTES == 256 * 2**20


def test_a_record_holds_the_median_and_says_what_was_measured_where(one_measurement):
    first, second = one_measurement[1]
    assert first == second and (first['kind'], first['us'], first['least'], first['most'], first['samples']) == ('measured', 20.0, 10.0, 30.0, 3)
    assert (first['operator'], first['mode'], first['chip'], first['case']) == ('softmax', 'expert', 'a3', 'minimum')
    assert first['device'] == 'Ascend910_9392' and first['versions'] == {'tilelang': '0.1.4', 'torch': first['versions']['torch'], 'torch_npu': '2.13.0',
                                                                        'cann': '8.5.0'}
    assert first['ok'] is False and 'nan' in first['message'], 'the fake computes nothing, and the reference says so'


def test_bench_adds_measured_records_and_never_touches_baselines(cann, tmp_path):
    file = tmp_path / 'measured.jsonl'
    command = ('-m', 'tiletwin', 'bench', 'matmul.mknk_f32', '--backend', 'ascend', '--mode', 'expert', '--repeat', '2', '--measured', file)
    done = python(*command, env=environment(cann, FAKE_NPU_INTERVALS='0.5', FAKE_NPU_NAME=DEVICES['a5']))
    assert done.returncode == 1 and 'measured on Ascend950PR_9572' in done.stdout and 'WRONG' in done.stdout, done.stderr
    records = [json.loads(line) for line in file.read_text().splitlines()]
    assert records and {r['us'] for r in records} == {500.0}
    file.write_text('damaged\n')
    done = python(*command, env=environment(cann))
    assert done.returncode == 1 and f'{file}:1' in done.stderr and file.read_text() == 'damaged\n'
    done = python(*command, '--refresh-baseline', env=environment(cann))
    assert done.returncode == 2 and 'modelled' in done.stderr


def test_bench_without_the_fork_says_what_is_missing(tmp_path):
    env = environment()
    env['PYTHONPATH'] = str(ROOT)
    done = python('-m', 'tiletwin', 'bench', 'softmax', '--backend', 'ascend', '--measured', tmp_path / 'x', env=env)
    assert done.returncode == 2 and 'mainline package' in done.stderr and not (tmp_path / 'x').exists()


@pytest.mark.parametrize('command', [['compare', 'softmax'], ['check', 'softmax'], ['run', 'examples/04_fix_it.py'], ['bench', 'softmax'], ['lint', 'softmax'],
                                     ['lower', 'softmax']], ids=lambda c: c[0])
def test_commands_that_simulate_are_refused_where_the_fork_is_installed(cann, command):
    done = python('-m', 'tiletwin', *command, env=environment(cann))
    assert done.returncode == 2 and 'needs the simulator' in done.stderr and 'the Ascend fork' in done.stderr and done.stdout == ''


def test_tests_of_the_device_are_skipped_with_the_reason_and_would_fail_on_wrong_numbers(cann):
    module = runpy.run_path(str(ROOT / 'tests' / 'npu' / 'test_on_device.py'))
    mark = module['pytestmark']
    assert mark.args == (True,) and 'no NPU to run on: the installed tilelang is the mainline package' in mark.kwargs['reason']
    done = python('-m', 'pytest', '-q', '-p', 'no:cacheprovider', 'tests/npu', '-k', 'softmax-expert or measurement', env=environment(cann))
    assert done.returncode == 1 and '2 failed, 1 passed' in done.stdout and 'nan, expected' in done.stdout
