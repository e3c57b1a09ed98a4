"""`tilelang` of the fork: decorators that check their arguments and remember them (dialect 1.1, 1.2)."""

import functools
import inspect

import fake_log

from . import language
from .kernel import JITKernel
from .transform import PassConfigKey

__version__ = '0.1.4'
__all__ = ['JITKernel', 'PassConfigKey', 'compile', 'disable_cache', 'enable_cache', 'is_cache_enabled', 'jit', 'language']


def enable_cache():
    fake_log.said('enable_cache')


def disable_cache():
    fake_log.said('disable_cache')


def is_cache_enabled():
    return True


def _checked(options):
    if options['target'] not in ('auto', 'ascendc', 'pto'):
        raise ValueError('Target llvm is not supported')
    if options['platform'] not in ('A2', 'A3', 'A5', 'auto'):
        raise ValueError(f'unknown platform {options["platform"]}')
    assert options['execution_backend'] == 'cython'
    for key in options['pass_configs'] or {}:
        # What PassContext would say.
        if type(key) is not str or key not in [k.value for k in PassConfigKey]:
            raise AttributeError(f"Invalid config option '{key}'")
    return options


def jit(func=None, *, out_idx=None, workspace_idx=None, target='auto', target_host=None, platform='auto', execution_backend='cython', verbose=False,
        pass_configs=None, debug_root_path=None):
    options = _checked({k: v for k, v in locals().items() if k != 'func'})
    if isinstance(func, language.PrimFunc):
        raise ValueError('jit takes a function that returns a PrimFunc')
    if func is None:
        return functools.partial(_Wrapper, options)
    return _Wrapper(options, func)


class _Wrapper:
    def __init__(self, options, func):
        functools.update_wrapper(self, func)
        self.options, self.func, self.made = options, func, {}

    @property
    def __jit_impl__(self):
        return self

    def __call__(self, *args, **kwargs):
        inspect.signature(self.func).bind(*args, **kwargs)
        key = (args, tuple(sorted(kwargs.items())))
        if key not in self.made:
            prim = self.func(*args, **kwargs)
            assert isinstance(prim, language.PrimFunc), prim
            fake_log.said('jit', factory=self.func.__qualname__, file=self.func.__code__.co_filename, **self.options)
            self.made[key] = JITKernel(prim, self.options['out_idx'], self.options['workspace_idx'])
        return self.made[key]


def compile(func, out_idx=None, workspace_idx=None, execution_backend='cython', target='auto', target_host=None, platform='auto', verbose=False,
            pass_configs=None):
    options = _checked({k: v for k, v in locals().items() if k != 'func'})
    assert isinstance(func, language.PrimFunc), func
    fake_log.said('compile', name=func.name, **options)
    return JITKernel(func, out_idx, workspace_idx)
