"""torch beside an NPU: the device is the host, moves copy, products round once, integer types the host refuses are taken."""

import subprocess
import sys

import pytest

CHECKS = {
    'factories': "assert torch.zeros(2, device='npu:0').device.type == 'cpu'",
    'a move copies': "x = torch.zeros(2)\ny = x.npu()\ny += 1\nassert x.sum() == 0 and y.sum() == 2",
    'to copies': "x = torch.zeros(2)\ny = x.to('npu')\ny += 1\nassert x.sum() == 0",
    'back copies': "x = torch.zeros(2, device='npu')\ny = x.cpu()\nx += 1\nassert y.sum() == 0",
    'a cast does not copy twice': "x = torch.zeros(2)\nassert x.to(torch.float32) is x",
    'default device': "torch.set_default_device('npu')\nassert torch.ones(3).device.type == 'cpu'",
    'device context': "with torch.device('npu'):\n    assert torch.ones(3).sum() == 3",
    'modules': "assert torch.nn.Linear(2, 2).to('npu')(torch.ones(1, 2).npu()).shape == (1, 2)",
    'generators': "g = torch.Generator(device='npu').manual_seed(3)\nassert isinstance(g, torch.Generator)\ntorch.rand(2, generator=g, device='npu')",
    'int32 labels': "torch.nn.functional.cross_entropy(torch.randn(2, 3), torch.tensor([0, 2], dtype=torch.int32))",
    'int32 gather': "assert torch.gather(torch.arange(4.0), 0, torch.tensor([3, 1], dtype=torch.int32)).tolist() == [3, 1]",
    'int32 one hot': "assert torch.nn.functional.one_hot(torch.tensor([1], dtype=torch.int32), 2).tolist() == [[0, 1]]",
    'products round once': "a = torch.randn(8, 999).half()\nassert torch.equal(a @ a.T, (a.float() @ a.float().T).half())\n"
                           "assert torch.equal(torch.einsum('ik,jk->ij', a, a), (a.float() @ a.float().T).half())",
    'errors stay errors': "try:\n    torch.ones(2) @ torch.ones(3)\nexcept RuntimeError:\n    pass\nelse:\n    raise SystemExit(3)",
    'threads': "import threading\nfound = []\nt = threading.Thread(target=lambda: found.append(torch.ones(2, device='npu')))\nt.start()\nt.join()\nassert found",
    'cores': "from tiletwin.machine.chip import chip\nassert torch.npu.get_device_properties(0).cube_core_num == chip('a3').cube_cores",
    'names': "import torch_npu\ntry:\n    torch_npu.npu_no_such_operator\nexcept AttributeError as e:\n    assert 'not supported' in str(e)",
}


@pytest.mark.parametrize('check', CHECKS)
def test_torch(check, script):
    record, said = script(CHECKS[check])
    assert record.status == 0, record.failure + said.err


def test_afterwards_torch_is_as_it_was(script):
    import sys

    import torch

    from tiletwin.compat import session

    before = torch.Generator, torch.load, torch.autocast
    script("torch.set_default_device('npu')")
    session.remove()
    assert 'torch_npu' not in sys.modules and not hasattr(torch.Tensor, 'npu')
    assert (torch.Generator, torch.load, torch.autocast) == before and not torch.overrides._get_current_function_mode_stack()


def test_the_installed_tilelang_stays_reachable_for_this_package(script):
    record, said = script('import sys\nprint(sys.modules["tilelang"].__name__, tilelang.__version__)\nfrom tilelang import tvm\nprint(tvm.tir.IntImm)\n')
    assert record.status == 0 and 'tiletwin' in said.out
    import tiletwin.language  # noqa: F401
    from tilelang.language.loop import Parallel

    assert Parallel.__module__ == 'tilelang.language.loop'


def test_after_a_session_torch_still_compiles(tmp_path):
    code = ("import torch\nfrom tiletwin.compat.session import Setting, remove, run\n"
            f"run(Setting('a3', None, False, True, False), {str(tmp_path / 'empty.py')!r}, None, [])\nremove()\n"
            "assert not torch.npu.is_available() and not torch.accelerator.is_available()\n"
            "f = torch.compile(lambda x: x + 1, fullgraph=True, backend='eager')\nassert f(torch.ones(2)).sum() == 4\n")
    (tmp_path / 'empty.py').write_text('')
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
