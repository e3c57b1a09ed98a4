from no_such_folder import kernels

kernels.run()
