"""What makes a kernel expert, developer or mixed: the passes it asks for and what its text leaves to them."""

import pytest

from ops.developer.flash_attn import ws3 as developer_ws3
from ops.expert.flash_attn import ws3 as expert_ws3
from pass_configs import DEVELOPER, EXPERT

from .kernel_checks import compiled


@pytest.mark.parametrize('factory, configs', [(expert_ws3, EXPERT), (developer_ws3, DEVELOPER)], ids=['expert', 'developer'])
def test_C4_3_ws3_has_three_workspaces_and_one_output_in_both_modes(factory, configs):
    kernel = compiled(factory, 1, 1, 128, 64, chip='a3')
    assert {k: kernel.pass_configs.get(k, False) for k in configs} == configs
    assert (list(kernel.out_idx), list(kernel.workspace_idx)) == ([3], [4, 5, 6])
    assert [b.name for b in kernel.program.tensors][4:] == ['workspace_1', 'workspace_2', 'workspace_3']


@pytest.mark.parametrize('s, slots', [(128, 2), (192, 1)], ids=['two-stages', 'odd-steps'])
def test_7_1_the_pipeline_across_the_cores_doubles_the_workspaces_of_an_even_number_of_steps(s, slots):
    kernel = compiled(developer_ws3, 1, 1, s, 64, chip='a3')
    blocks = s // 64
    sizes = [b.elements for b in kernel.program.tensors[4:]]
    assert sizes == [slots * blocks * 64 * 64] * 3
