"""What a script written for tilelang-ascend and torch_npu finds here: modules of the same names, on the simulator.

`modules` answers `import tilelang...`, `npu` is `torch.npu` and `torch_npu`, `device` lets torch take the device 'npu',
`hostmath` does what an NPU accepts and CPU torch refuses, `clock` counts the modelled time all of them tell, and
`session` runs a script with everything in place.
"""
