"""Which object of this package answers which name of tilelang-ascend outside of kernels.

Module -> name -> `module:attribute`; `*` names the module that has everything else. A module without entries exists and is empty.
"""

from __future__ import annotations

_JIT, _PROFILER, _HOST, _TUNE = 'tiletwin.jit', 'tiletwin.backends.profiler', 'tiletwin.compat.host', 'tiletwin.compat.autotune'
_CARVER, _LIBGEN, _BENCH = 'tiletwin.compat.carver', 'tiletwin.compat.libgen', 'tiletwin.compat.bench'

_CACHE = {'clear_cache': f'{_HOST}:clear_cache', 'cached': f'{_HOST}:cached', 'set_cache_dir': f'{_HOST}:set_cache_dir',
          'get_cache_dir': f'{_HOST}:get_cache_dir'}
_SWITCHES = {'enable_cache': 'tiletwin.language.cache:enable', 'disable_cache': 'tiletwin.language.cache:disable',
             'is_cache_enabled': 'tiletwin.language.cache:is_enabled'}
_KERNEL = {'jit': f'{_JIT}:jit', 'compile': f'{_JIT}:compile', 'JITKernel': f'{_JIT}:JITKernel'}
_TUNER = {'autotune': f'{_TUNE}:autotune', 'AutoTuner': f'{_TUNE}:AutoTuner', 'AutotuneResult': f'{_TUNE}:AutotuneResult'}
_MATH = {'next_power_of_2': f'{_HOST}:next_power_of_2', 'cdiv': f'{_HOST}:cdiv'}
_SUPPLY = {'TensorSupplyType': f'{_PROFILER}:TensorSupplyType'}
_CARVE = {'MatmulTemplate': f'{_CARVER}:MatmulTemplate'}
_LOWER = {'lower': f'{_HOST}:lower'}
_KEYS = {'PassConfigKey': f'{_JIT}:PassConfigKey'}

TABLE: dict[str, dict[str, str]] = {
    'tilelang': {**_KERNEL, **_SWITCHES, **_MATH, **_SUPPLY, **_LOWER, **_KEYS, 'autotune': _TUNER['autotune'], 'Profiler': f'{_PROFILER}:Profiler',
                 'DataType': f'{_HOST}:data_type()', 'tvm': f'{_HOST}:tvm()', 'set_log_level': f'{_HOST}:set_log_level',
                 '__version__': f'{_HOST}:VERSION', 'dtypes': 'tiletwin.language', 'env': f'{_HOST}:env'},
    'tilelang.language': {'*': 'tiletwin.language'},
    'tilelang.language.reduce_ascend': {'*': 'tiletwin.language.reductions'},
    'tilelang.intrinsics': {'*': 'tiletwin.intrinsics'},
    'tilelang.cache': _CACHE | _SWITCHES,
    'tilelang.env': {'env': f'{_HOST}:env', **_SWITCHES},
    'tilelang.profiler': {'do_bench': f'{_BENCH}:do_bench', 'Profiler': f'{_PROFILER}:Profiler', **_SUPPLY},
    'tilelang.profiler.bench': {'do_bench': f'{_BENCH}:do_bench'},
    'tilelang.autotuner': _TUNER,
    'tilelang.autotuner.tuner': _TUNER,
    'tilelang.utils': {**_SUPPLY, 'determine_platform': f'{_JIT}:determine_platform', 'determine_target': f'{_HOST}:determine_target'},
    'tilelang.utils.target': {'determine_platform': f'{_JIT}:determine_platform', 'determine_target': f'{_HOST}:determine_target'},
    'tilelang.utils.tensor': {**_SUPPLY, 'torch_assert_close': f'{_HOST}:torch_assert_close'},
    'tilelang.math': _MATH,
    'tilelang.transform': _KEYS,
    'tilelang.transform.pass_config': _KEYS,
    'tilelang.engine': {**_LOWER, 'KernelParam': f'{_JIT}:KernelParam'},
    'tilelang.engine.param': {'KernelParam': f'{_JIT}:KernelParam'},
    'tilelang.jit': {**_KERNEL},
    'tilelang.jit.kernel': {'JITKernel': f'{_JIT}:JITKernel'},
    'tilelang.jit.adapter': {'CythonKernelAdapter': f'{_LIBGEN}:CythonKernelAdapter'},
    'tilelang.jit.adapter.libgen': {'LibraryGenerator': f'{_LIBGEN}:LibraryGenerator'},
    'tilelang.tools': {},
    'tilelang.layout': {},
    'tilelang.cuda': {},
    'tilelang.ascend': {},
    'tilelang.testing': {'main': f'{_HOST}:test_main', 'set_random_seed': f'{_HOST}:set_random_seed', 'torch_assert_close': f'{_HOST}:torch_assert_close'},
    'tilelang.carver': _CARVE,
    'tilelang.carver.template': _CARVE,
    'tilelang.carver.arch': {'Ascend': f'{_CARVER}:Ascend'},
    'tilelang.carver.arch.ascend': {'Ascend': f'{_CARVER}:Ascend'},
}

# Names other scripts use: why there is none here, and what to write.
GONE: dict[str, tuple[str, str]] = {
    'tilelang.par_compile': ('kernels compile in milliseconds here', 'tilelang.compile for each prim_func'),
    'tilelang.lazy_jit': ('the dialect has factories only', '@tilelang.jit on a function that returns the prim_func'),
    'tilelang.ascend': ('this is the Ascend 950 dialect of mainline tilelang', 'tilelang.language with T.Kernel(n, is_npu=True)'),
    'tilelang.cuda': ('there is no GPU back end', 'tilelang.language'),
    'tilelang.layout': ('layouts of the GPU dialect', 'tilelang.intrinsics.make_zn_layout, make_nz_layout'),
    'tilelang.Layout': ('layouts of the GPU dialect', 'tilelang.intrinsics.make_zn_layout, make_nz_layout'),
    'tilelang.Fragment': ('layouts of the GPU dialect', 'tilelang.intrinsics.make_zn_layout, make_nz_layout'),
    'tilelang.tools.Analyzer': ('roofline analysis of GPU kernels', 'tiletwin trace SCRIPT'),
    'tilelang.tools.plot_layout': ('layouts of the GPU dialect', 'tiletwin lower SCRIPT'),
    'tilelang.carver.ConvTemplate': ('only matrix products are carved here', 'tilelang.carver.MatmulTemplate'),
    'tilelang.carver.GEMVTemplate': ('only matrix products are carved here', 'tilelang.carver.MatmulTemplate'),
    'tilelang.carver.FlashAttentionTemplate': ('only matrix products are carved here', 'tilelang.carver.MatmulTemplate'),
}
